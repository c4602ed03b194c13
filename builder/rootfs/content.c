#include "builder/rootfs/content.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/stream.h"

/* A range of a file that has to stay as it was. */
struct range {
	struct source source;
	int fd;
	bool own; /* close it, and watch it: a file of the context */
	struct stat st;
	uint64_t at, left;
	const char *root, *path;
};

static int changed(const struct range *r, struct error *err)
{
	return error_set(err, E_FAILED, "%s: %s: changed while it was read", r->root,
			 r->path);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* At the end of a context file: nobody wrote to it meanwhile. */
static int check_end(const struct range *r, struct error *err)
{
	struct stat st;

	if (!r->own)
		return 0;
	if (fstat(r->fd, &st) < 0)
		return error_errno(err, "%s: %s", r->root, r->path);
	if (st.st_size != r->st.st_size || !same_time(&st.st_mtim, &r->st.st_mtim) ||
	    !same_time(&st.st_ctim, &r->st.st_ctim))
		return changed(r, err);
	return 0;
}

static ssize_t range_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct range *r = (struct range *)s;

	if (r->left == 0)
		return check_end(r, err);
	if (len > r->left)
		len = r->left;
	ssize_t n = file_pread_full(r->fd, buf, len, r->at, err);
	if (n < 0)
		return error_wrap(err, "%s: %s", r->root, r->path);
	if (n == 0)
		return changed(r, err);
	r->at += (uint64_t)n;
	r->left -= (uint64_t)n;
	return n;
}

static void range_close(struct source *s)
{
	struct range *r = (struct range *)s;

	if (r->own)
		close(r->fd);
	free(r);
}

static struct range *range_new(const struct node *n)
{
	static const struct source_ops ops = {.read = range_read, .close = range_close};
	struct range *r = xcalloc(1, sizeof(*r));

	r->source.ops = &ops;
	r->left = n->size;
	r->root = n->content.disk.root->name;
	r->path = n->content.disk.path ? n->content.disk.path : n->name;
	return r;
}

/* O_NONBLOCK: a FIFO that took the file's place must not hang the build. */
static struct source *open_disk(const struct node *n, struct error *err)
{
	const struct disk_root *root = n->content.disk.root;
	const char *path = n->content.disk.path;
	struct stat st;
	auto_fd int fd = file_open_in(
		root->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		err);

	if (fd < 0) {
		error_wrap(err, "%s", root->name);
		return NULL;
	}
	if (fstat(fd, &st) < 0) {
		error_errno(err, "%s: %s", root->name, path);
		return NULL;
	}
	/* Only a node of the context itself has nanoseconds: a copy of it that lies
	 * elsewhere may have another time. */
	bool timed = n->mtime_nsec != 0;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != n->size ||
	    (timed && (st.st_mtim.tv_sec != n->mtime ||
		       st.st_mtim.tv_nsec != (long)n->mtime_nsec))) {
		error_set(err, E_FAILED, "%s: %s: changed while it was read", root->name,
			  path);
		return NULL;
	}
	struct range *r = range_new(n);
	r->fd = steal_fd(&fd);
	r->own = true;
	r->st = st;
	return &r->source;
}

struct source *content_open(const struct node *n, struct error *err)
{
	switch (n->content.kind) {
	case CONTENT_NONE:
		return source_bytes("", 0);
	case CONTENT_INLINE:
		return source_bytes(n->content.bytes, n->size);
	case CONTENT_DISK:
		if (!n->content.disk.root->spool)
			return open_disk(n, err);
		struct range *r = range_new(n);
		r->fd = n->content.disk.root->fd;
		r->at = n->content.disk.offset;
		return &r->source;
	case CONTENT_LAYER:
		break;
	}
	error_set(err, E_BUG, "\"%s\" lies in a layer that was not read", n->name);
	return NULL;
}
