#include "builder/path.h"

#include <stdlib.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"

/* Adds the parts of a path to out; *climbs is set when `..` went above the start. */
static void add_parts(struct buf *out, const char *path, bool *climbs)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && !memcmp(path, "..", 2)) {
			char *slash = strrchr(out->data, '/');

			if (!out->len)
				*climbs = true;
			buf_truncate(out, slash ? (size_t)(slash - out->data) : 0);
		} else if (n && !(n == 1 && *path == '.')) {
			if (out->len)
				buf_addc(out, '/');
			buf_add(out, path, n);
		}
		path += n + (path[n] == '/');
	}
}

char *path_clean(const char *path)
{
	struct buf out = BUF_INIT;
	bool climbs;

	add_parts(&out, path, &climbs);
	return buf_detach(&out);
}

char *path_join(const char *base, const char *path)
{
	struct buf out = BUF_INIT;
	bool climbs;
	char *clean, *joined;

	if (*path != '/' && base)
		add_parts(&out, base, &climbs);
	add_parts(&out, path, &climbs);
	clean = buf_detach(&out);
	joined = xasprintf("/%s", clean);
	free(clean);
	return joined;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool path_climbs(const char *path)
{
	struct buf out = BUF_INIT;
	bool climbs = false;

	add_parts(&out, path, &climbs);
	buf_release(&out);
	return climbs;
}
