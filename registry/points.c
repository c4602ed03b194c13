#include "registry/points.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/log.h"
#include "registry/base/restart.h"
#include "registry/store.h"

#define FOLDER "trees/"
#define SUFFIX ".points"
#define NAME_SIZE (sizeof(FOLDER SUFFIX) + DIGEST_HEX)

static const char *file_name(const struct digest *blob, char name[static NAME_SIZE])
{
	char hex[DIGEST_HEX];

	snprintf(name, NAME_SIZE, FOLDER "%s" SUFFIX, digest_hex(blob, hex));
	return name;
}

void points_begin(struct points *p, struct store *st, const struct digest *blob)
{
	struct error why = ERROR_INIT;
	char name[NAME_SIZE];

	points_abort(p);
	if (!store_tmpdir(st) ||
	    (blob && !faccessat(store_dirfd(st), file_name(blob, name), F_OK,
				AT_SYMLINK_NOFOLLOW)))
		return;
	if (tmp_open(&p->tmp, store_tmpdir(st), &why) < 0)
		log_debug("no restart points are noted: %s", why.msg);
	else
		p->writer = restart_writer_new(p->tmp.fd);
}

void points_commit(struct points *p, struct store *st, const struct digest *blob)
{
	struct restart_writer *w = p->writer;
	struct error why = ERROR_INIT;
	char name[NAME_SIZE];

	if (!w || restart_writer_count(w) < 2) {
		points_abort(p);
		return;
	}
	p->writer = NULL;
	if (restart_writer_end(w, blob, &why) < 0 ||
	    file_mkdirs(store_dirfd(st), FOLDER, &why) < 0 ||
	    tmp_commit(&p->tmp, store_dirfd(st), file_name(blob, name), false, &why) < 0)
		log_debug("restart points are not kept: %s", why.msg);
	tmp_abort(&p->tmp);
}

void points_abort(struct points *p)
{
	restart_writer_abort(p->writer);
	p->writer = NULL;
	tmp_abort(&p->tmp);
}

struct restarts *points_open(struct store *st, const struct digest *blob,
			     struct error *err)
{
	struct error why = ERROR_INIT;
	struct restarts *r;
	char name[NAME_SIZE];
	auto_fd int fd = openat(store_dirfd(st), file_name(blob, name),
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		error_set(err, E_MISSING, "%s: %s", name, strerror(errno));
		return NULL;
	}
	r = restarts_open(fd, blob, &why);
	if (!r) {
		log_debug("%s: %s", name, why.msg);
		points_drop(st, blob);
		error_set(err, E_MISSING, "%s was damaged", name);
	}
	return r;
}

void points_drop(struct store *st, const struct digest *blob)
{
	char name[NAME_SIZE];

	unlinkat(store_dirfd(st), file_name(blob, name), 0);
}
