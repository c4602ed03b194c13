#include "builder/rootfs/content.h"

#include <fcntl.h>
#include <limits.h>
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

/* What a command made may have a path that no system call takes at once. */
static int open_long(int dirfd, const char *path, int flags, struct error *err)
{
	auto_fd int at = -1;

	while (strlen(path) >= PATH_MAX) {
		auto_free char *part = xstrndup(path, PATH_MAX - 1);
		char *slash = strrchr(part, '/');

		if (!slash)
			break;
		*slash = '\0';
		int next = file_open_in(at < 0 ? dirfd : at, part, O_PATH | O_DIRECTORY,
					err);
		if (next < 0)
			return -1;
		if (at >= 0)
			close(at);
		at = next;
		path += slash - part + 1;
	}
	return file_open_in(at < 0 ? dirfd : at, path, flags, err);
}

/* O_NONBLOCK: a FIFO that took the file's place must not hang the build. */
static struct source *open_disk(const struct node *n, struct error *err)
{
	const struct disk_root *root = n->content.disk.root;
	const char *path = n->content.disk.path;
	struct stat st;
	auto_fd int fd =
		open_long(root->fd, path,
			  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, err);

	if (fd < 0) {
		error_wrap(err, "%s", root->name);
		return NULL;
	}
	if (fstat(fd, &st) < 0) {
		error_errno(err, "%s: %s", root->name, path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != n->size ||
	    (n->content.disk.timed &&
	     (st.st_mtim.tv_sec != n->content.disk.mtime ||
	      st.st_mtim.tv_nsec != (long)n->content.disk.mtime_nsec))) {
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

/* Another number in bytes 8 to 11 of what passes. */
struct stamping {
	struct source source;
	struct source *inner;
	uint64_t at;
	uint32_t stamp;
};

static ssize_t stamping_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct stamping *p = (struct stamping *)s;
	ssize_t n = source_read(p->inner, buf, len, err);
	uint8_t *bytes = buf;

	for (ssize_t i = 0; i < n && p->at + (uint64_t)i < 12; i++)
		if (p->at + (uint64_t)i >= 8)
			bytes[i] = (uint8_t)(p->stamp >> (8 * (p->at + (uint64_t)i - 8)));
	p->at += n > 0 ? (uint64_t)n : 0;
	return n;
}

static void stamping_close(struct source *s)
{
	source_close(((struct stamping *)s)->inner);
	free(s);
}

static struct source *restamp(struct source *inner, uint32_t stamp)
{
	static const struct source_ops ops = {stamping_read, stamping_close};
	struct stamping *p = xcalloc(1, sizeof(*p));

	p->source.ops = &ops;
	p->inner = inner;
	p->stamp = stamp;
	return &p->source;
}

static struct source *open_plain(const struct node *n, struct error *err)
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

struct source *content_open(const struct node *n, struct error *err)
{
	struct source *src = open_plain(n, err);

	return src && n->content.restamped ? restamp(src, n->content.stamp) : src;
}
