/* One path of an upper folder: its type, attributes and content (diff_private.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "builder/rootfs/diff_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"

/* names */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_names(struct names *n, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		const struct dirent64 *e = (const struct dirent64 *)(data + at);

		at += e->d_reclen;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		buf_add(&n->bytes, e->d_name, strlen(e->d_name) + 1);
		n->n++;
	}
}

int names_read(struct names *n, int fd, struct error *err)
{
	_Alignas(struct dirent64) char block[32768];
	ssize_t len;

	*n = (struct names){.bytes = BUF_INIT};
	while ((len = getdents64(fd, block, sizeof(block))) > 0)
		add_names(n, block, (size_t)len);
	if (len < 0) {
		names_release(n);
		return error_errno(err, "cannot read the folder");
	}
	n->v = xreallocarray(NULL, n->n + 1, sizeof(*n->v));
	char *at = n->bytes.data;
	for (size_t i = 0; i < n->n; i++, at += strlen(at) + 1)
		n->v[i] = at;
	qsort(n->v, n->n, sizeof(*n->v), by_text);
	return 0;
}

void names_release(struct names *n)
{
	buf_release(&n->bytes);
	free(n->v);
	*n = (struct names){.bytes = BUF_INIT};
}

bool names_have(const struct names *n, const char *name)
{
	return bsearch(&name, n->v, n->n, sizeof(*n->v), by_text) != NULL;
}

/* opening */

static int open_part(int dirfd, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC),
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					  RESOLVE_NO_MAGICLINKS};
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EAGAIN || (errno == EINTR && !interrupt_signal())));
	return (int)fd;
}

/* 255 names of 255 bytes are more than a system call takes at once. */
int diff_open_below(int dirfd, const char *path, int flags)
{
	auto_fd int at = -1;

	while (strlen(path) >= PATH_MAX) {
		auto_free char *part = xstrndup(path, PATH_MAX - 1);
		char *slash = strrchr(part, '/');

		if (!slash) {
			errno = ENAMETOOLONG;
			return -1;
		}
		*slash = '\0';
		int next = open_part(at < 0 ? dirfd : at, part, O_PATH | O_DIRECTORY);
		if (next < 0)
			return -1;
		if (at >= 0)
			close(at);
		at = next;
		path += slash - part + 1;
	}
	return open_part(at < 0 ? dirfd : at, *path ? path : ".", flags);
}

/* Never opens what is no regular file: that may be a device. */
int diff_open_lower(const struct diff *d, const char *path, struct error *err)
{
	for (size_t i = 0; i < d->o->nlowers; i++) {
		struct stat st;
		auto_fd int there = diff_open_below(d->o->lowers[i], path, O_PATH);

		if (there < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
			continue;
		if (there < 0 || fstat(there, &st) < 0) {
			error_errno(err, "%s", path);
			return -2;
		}
		if (!S_ISREG(st.st_mode))
			return -1;
		int fd = diff_open_below(d->o->lowers[i], path, O_RDONLY);
		if (fd < 0) {
			error_errno(err, "%s", path);
			return -2;
		}
		return fd;
	}
	return -1;
}

/* attributes */

static bool starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* A capability as revision 2 has it (capabilities(7), "Namespaced file capabilities"):
 * revision 3 also names a user namespace.  The one at hand is meant in silence; for any
 * other there is no word in a layer, and as revision 2 it would grant more than it does.
 * The length, 0 for none. */
static size_t plain_capability(const void *value, size_t len,
			       uint8_t out[XATTR_CAPS_SZ_3])
{
	const uint8_t *v = value;

	if (len > XATTR_CAPS_SZ_3)
		return 0;
	if (len)
		memcpy(out, v, len);
	if (len != XATTR_CAPS_SZ_3 || out[3] != VFS_CAP_REVISION_3 >> 24)
		return len;
	for (size_t i = XATTR_CAPS_SZ_2; i < XATTR_CAPS_SZ_3; i++)
		if (v[i])
			return 0;
	out[3] = VFS_CAP_REVISION_2 >> 24;
	return XATTR_CAPS_SZ_2;
}

static bool same_value(const struct xattr *a, const struct xattr *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->value, b->value, a->len));
}

/* The next attribute that counts, its capability made plain. */
static bool next_xattr(const struct xattrs *x, size_t *i, struct xattr *out,
		       uint8_t caps[XATTR_CAPS_SZ_3])
{
	while (x && *i < x->n) {
		*out = x->v[(*i)++];
		if (!xattr_is_kept(out->name))
			continue;
		if (strcmp(out->name, XATTR_CAPABILITY) != 0)
			return true;
		out->len = plain_capability(out->value, out->len, caps);
		out->value = caps;
		if (out->len)
			return true;
	}
	return false;
}

bool diff_same_xattrs(const struct xattrs *disk, const struct xattrs *tree)
{
	uint8_t caps[2][XATTR_CAPS_SZ_3];
	size_t i = 0, k = 0;
	struct xattr a, b;

	for (;;) {
		bool more = next_xattr(disk, &i, &a, caps[0]);

		if (more != next_xattr(tree, &k, &b, caps[1]))
			return false;
		if (!more)
			return true;
		if (strcmp(a.name, b.name) != 0 || !same_value(&a, &b))
			return false;
	}
}

/* One attribute appended to a buffer; its length, -1 for none. */
static ssize_t read_value(int fd, const char *name, struct buf *out, struct error *err)
{
	ssize_t n;

	do {
		n = fgetxattr(fd, name, NULL, 0);
		if (n < 0)
			break;
		buf_reserve(out, (size_t)n + 1);
		n = fgetxattr(fd, name, out->data + out->len, (size_t)n + 1);
	} while (n < 0 && errno == ERANGE);
	/* EOVERFLOW: a capability of a namespace that has no name here */
	if (n < 0 && errno != ENODATA && errno != EOVERFLOW)
		return error_errno(err, "attribute %s", name);
	if (n < 0)
		return -1;
	out->len += (size_t)n;
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

static struct xattr *add_xattr(struct diff *d, const char *name)
{
	if (!d->xattrs || d->xattrs->n == d->xattrs_cap) {
		size_t n = d->xattrs ? d->xattrs->n : 0;

		d->xattrs_cap = d->xattrs_cap ? d->xattrs_cap * 2 : 8;
		d->xattrs =
			xrealloc(d->xattrs, sizeof(*d->xattrs) +
						    d->xattrs_cap * sizeof(struct xattr));
		d->xattrs->n = n;
	}
	struct xattr *x = &d->xattrs->v[d->xattrs->n++];
	*x = (struct xattr){.name = name};
	return x;
}

/* Overlay's marks say what it means when it merges; in a folder that stands below
 * another they would say it again. */
static int overlay_mark(struct diff *d, int fd, const char *name, const char *mark,
			struct entry *e, struct error *err)
{
	size_t start = d->values.len;
	bool opaque = !strcmp(mark, "opaque");
	ssize_t n = opaque ? read_value(fd, name, &d->values, err) : -1;

	if (err->kind != E_NONE)
		return -1;
	if (opaque && n == 1 && d->values.data[start] == 'y')
		e->marked = true;
	buf_truncate(&d->values, start);
	if (!strcmp(mark, "whiteout") && S_ISREG(e->st.st_mode) && !e->st.st_size)
		e->type = NODE_WHITEOUT;
	if (fremovexattr(fd, name) < 0 && errno != ENODATA)
		return error_errno(err, "cannot remove the attribute %s", name);
	return 0;
}

/* What the layer does not have the next command shall not see either; labels of the
 * system are not ours. */
static void drop_attribute(int fd, const char *name)
{
	if (starts(name, "user.") || starts(name, "trusted.") ||
	    starts(name, "system.posix_acl_"))
		(void)!fremovexattr(fd, name);
}

static int one_attribute(struct diff *d, int fd, const char *name, struct entry *e,
			 struct error *err)
{
	const char *mine = d->o->user_namespace ? "user.overlay." : "trusted.overlay.";
	size_t start = d->values.len;
	uint8_t caps[XATTR_CAPS_SZ_3];
	ssize_t n;

	if (starts(name, mine))
		return overlay_mark(d, fd, name, name + strlen(mine), e, err);
	if (!xattr_is_kept(name)) {
		drop_attribute(fd, name);
		return 0;
	}
	if (S_ISDIR(e->st.st_mode) && !strcmp(name, XATTR_CAPABILITY))
		return 0;
	n = read_value(fd, name, &d->values, err);
	if (err->kind != E_NONE)
		return -1;
	if (n < 0)
		return 0;
	if (!strcmp(name, XATTR_CAPABILITY)) {
		n = (ssize_t)plain_capability(d->values.data + start, (size_t)n, caps);
		buf_truncate(&d->values, start);
		buf_add(&d->values, caps, (size_t)n);
		if (!n)
			return fremovexattr(fd, name) < 0 && errno != ENODATA
				       ? error_errno(err, "attribute %s", name)
				       : 0;
	}
	add_xattr(d, name)->len = (size_t)n;
	return 0;
}

static int list_attributes(struct diff *d, int fd, struct error *err)
{
	ssize_t n;

	buf_reset(&d->names);
	do {
		n = flistxattr(fd, NULL, 0);
		if (n <= 0)
			break;
		buf_reserve(&d->names, (size_t)n);
		n = flistxattr(fd, d->names.data, (size_t)n);
	} while (n < 0 && errno == ERANGE);
	if (n < 0 && errno != ENOTSUP)
		return error_errno(err, "cannot list attributes");
	d->names.len = n < 0 ? 0 : (size_t)n;
	return 0;
}

static int read_attributes(struct diff *d, struct entry *e, struct error *err)
{
	struct error why = ERROR_INIT;
	size_t at = 0;

	if (list_attributes(d, e->fd, err) < 0)
		return -1;
	buf_reset(&d->values);
	if (d->xattrs)
		d->xattrs->n = 0;
	for (size_t i = 0; i < d->names.len; i += strlen(d->names.data + i) + 1)
		if (one_attribute(d, e->fd, d->names.data + i, e, &why) < 0) {
			*err = why;
			return -1;
		}
	if (!d->xattrs || !d->xattrs->n)
		return 0;
	/* the values lie one after the other; only now do they stay where they are */
	for (size_t i = 0; i < d->xattrs->n; i++) {
		d->xattrs->v[i].value = d->values.data + at;
		at += d->xattrs->v[i].len;
	}
	qsort(d->xattrs->v, d->xattrs->n, sizeof(struct xattr), by_name);
	e->xattrs = d->xattrs;
	return 0;
}

/* looking */

static int read_link(struct diff *d, int dirfd, const char *name, const struct stat *st,
		     struct error *err)
{
	size_t room = (size_t)(st->st_size > 0 ? st->st_size : PATH_MAX) + 1;
	ssize_t n;

	buf_reset(&d->link);
	buf_reserve(&d->link, room);
	n = readlinkat(dirfd, name, d->link.data, room);
	if (n < 0 || (size_t)n >= room)
		return error_errno(err, "cannot read the link");
	d->link.len = (size_t)n;
	d->link.data[n] = '\0';
	return 0;
}

static enum node_type type_of(const struct stat *st)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		return NODE_FILE;
	case S_IFDIR:
		return NODE_DIR;
	case S_IFLNK:
		return NODE_SYMLINK;
	case S_IFBLK:
		return NODE_BLOCK;
	case S_IFIFO:
		return NODE_FIFO;
	case S_IFCHR:
		return st->st_rdev == makedev(0, 0) ? NODE_WHITEOUT : NODE_CHAR;
	default:
		return NODE_WHITEOUT; /* a socket: whatever listened is gone */
	}
}

void entry_close(struct entry *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

int diff_look(struct diff *d, int dirfd, const char *name, struct entry *e,
	      struct error *err)
{
	*e = (struct entry){.fd = -1};
	if (fstatat(dirfd, name, &e->st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "cannot stat");
	e->type = type_of(&e->st);
	if (e->type == NODE_SYMLINK) {
		e->link = d->link.data;
		if (read_link(d, dirfd, name, &e->st, err) < 0)
			return -1;
		e->link = d->link.data;
	}
	if (e->type != NODE_FILE && e->type != NODE_DIR)
		return 0;
	e->fd = openat(dirfd, name,
		       O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
			       (e->type == NODE_DIR ? O_DIRECTORY : O_NONBLOCK));
	if (e->fd < 0)
		return error_errno(err, "cannot open");
	return read_attributes(d, e, err);
}

/* content */

static int same_bytes(struct diff *d, int a, int b, uint64_t size, struct error *err)
{
	for (uint64_t at = 0; at < size;) {
		ssize_t n = file_pread_full(a, d->block[0], DIFF_BLOCK, at, err);
		ssize_t m =
			n < 0 ? -1 : file_pread_full(b, d->block[1], DIFF_BLOCK, at, err);

		if (n < 0 || m < 0 || interrupt_check(err) < 0)
			return -1;
		if (n != m || !n || memcmp(d->block[0], d->block[1], (size_t)n) != 0)
			return 0;
		at += (uint64_t)n;
	}
	return 1;
}

static int same_digest(struct diff *d, int fd, const struct digest *want,
		       struct error *err)
{
	struct digest got;
	struct hash h;
	uint64_t at = 0;
	ssize_t n;

	hash_init(&h);
	while ((n = file_pread_full(fd, d->block[0], DIFF_BLOCK, at, err)) > 0) {
		hash_add(&h, d->block[0], (size_t)n);
		at += (uint64_t)n;
		if (interrupt_check(err) < 0)
			n = -1;
		if (n < 0)
			break;
	}
	hash_end(&h, &got);
	return n < 0 ? -1 : digest_equal(&got, want);
}

int diff_same_content(struct diff *d, int fd, const struct stat *st, const char *path,
		      const struct node *before, struct error *err)
{
	struct stat lower;

	if ((uint64_t)st->st_size != before->size)
		return 0;
	if (!before->size)
		return 1;
	auto_fd int below = diff_open_lower(d, path, err);
	if (below == -2)
		return -1;
	if (below < 0)
		return before->content.has_digest && !before->content.restamped
			       ? same_digest(d, fd, &before->content.digest, err)
			       : 0;
	if (fstat(below, &lower) < 0)
		return error_errno(err, "cannot stat");
	return lower.st_size == st->st_size ? same_bytes(d, fd, below, before->size, err)
					    : 0;
}
