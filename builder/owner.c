#include "builder/owner.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "builder/extract.h"
#include "builder/stage.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

#define ACCOUNTS_MAX (16u << 20)

static bool parse_id(const char *text, size_t len, uint32_t *out)
{
	uint64_t v = 0;

	if (!len || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		v = v * 10 + (uint64_t)(text[i] - '0');
	}
	if (v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

/* A number, or root without a look-up. */
static bool plain_id(const char *text, uint32_t *out)
{
	if (!strcmp(text, "root")) {
		*out = 0;
		return true;
	}
	return parse_id(text, strlen(text), out);
}

/* The k-th field (from 0) of a line; NULL when it has fewer. */
static const char *field(const char *line, size_t len, unsigned k, size_t *out_len)
{
	const char *end = line + len, *colon;

	while (k--) {
		line = memchr(line, ':', (size_t)(end - line));
		if (!line)
			return NULL;
		line++;
	}
	colon = memchr(line, ':', (size_t)(end - line));
	*out_len = (size_t)((colon ? colon : end) - line);
	return line;
}

/* Finds name in an account file: its ids are fields 2 and, in passwd, 3. */
static bool find_account(const struct buf *file, const char *name, uint32_t *id,
			 uint32_t *gid)
{
	const char *at = file->data, *end = at + file->len;

	while (at < end) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((nl ? nl : end) - at), n;
		const char *f = field(at, len, 0, &n);

		if (n == strlen(name) && !memcmp(f, name, n) &&
		    (f = field(at, len, 2, &n)) && parse_id(f, n, id)) {
			f = gid ? field(at, len, 3, &n) : NULL;
			return !gid || (f && parse_id(f, n, gid));
		}
		at = nl ? nl + 1 : end;
	}
	return false;
}

/* Looks a name up; unknown is 0 with a warning. */
static int look_up(struct stage_state *s, const char *path, const char *name,
		   uint32_t *id, uint32_t *gid, struct error *err)
{
	auto_buf struct buf file = BUF_INIT;

	if (extract_file(s, path, ACCOUNTS_MAX, &file, err) < 0)
		return error_wrap(err, "%s", path);
	if (!find_account(&file, name, id, gid)) {
		log_warn("%s is not in the image's %s: 0 is used", name, path);
		*id = 0;
		if (gid)
			*gid = 0;
	}
	return 0;
}

int owner_resolve(struct stage_state *s, const char *text, uint32_t *uid, uint32_t *gid,
		  struct error *err)
{
	auto_free char *user = xstrndup(text, strcspn(text, ":"));
	const char *group = strchr(text, ':');

	*uid = *gid = 0;
	if (group && !*++group)
		group = NULL;
	if (*user && plain_id(user, uid)) {
		*gid = *uid;
	} else if (*user) {
		uint32_t primary = 0;

		if (look_up(s, "/etc/passwd", user, uid, &primary, err) < 0)
			return -1;
		*gid = primary;
	}
	if (group && !plain_id(group, gid))
		return look_up(s, "/etc/group", group, gid, NULL, err);
	return 0;
}
