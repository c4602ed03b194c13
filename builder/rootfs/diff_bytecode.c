/*
 * The rules for .pyc files (hod-layers(5), BYTECODE), after the walk: by now the tree
 * says of each source whether the step changed it, and so which mtime it gets.
 *
 * The fields of a .pyc are changed in place, so that all names of its inode see it;
 * where several names would need different fields, none is valid.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "builder/rootfs/diff_private.h"
#include "builder/rootfs/pyc.h"
#include "builder/rootfs/unpack.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"

#define FIELD 8 /* the mtime's place in the header */

/* What one name of a .pyc asks for. */
struct verdict {
	bool relevant; /* it or its source is another one now */
	bool valid;    /* for its source, as both stood when the step ended */
	bool fits;     /* its source has the size that the header says */
	bool would_be; /* valid, for the source as it is in the tree afterwards */
	uint32_t after;
};

/* An inode of the upper folder. */
struct pyc_inode {
	bool written;   /* some name has other content than before */
	bool stamped;   /* some name is valid, and wants this field: */
	uint32_t stamp; /* ... */
	bool others;    /* some name is not valid, or wants another field */
	bool would_be;  /* some name would become valid */
	uint32_t taken; /* fields (of the first 32) that would be valid */
	bool done;
};

struct pyc_work {
	struct diff *d;
	struct map linked; /* struct inode -> struct pyc_inode */
	/* The folder that was used last, in the upper folder. */
	const struct node *dir;
	int fd;
};

static uint32_t field_of(const uint8_t *header)
{
	return header[FIELD] | (uint32_t)header[FIELD + 1] << 8 |
	       (uint32_t)header[FIELD + 2] << 16 | (uint32_t)header[FIELD + 3] << 24;
}

/* dir in the upper folder; the fd stays the work's. */
static int use_folder(struct pyc_work *w, const struct node *dir, struct error *err)
{
	auto_buf struct buf path = BUF_INIT;

	if (w->dir == dir)
		return w->fd;
	if (w->fd >= 0)
		close(w->fd);
	w->dir = NULL;
	tree_path(dir, &path);
	w->fd = diff_open_below(w->d->o->upper->fd, path.data, O_RDONLY | O_DIRECTORY);
	if (w->fd < 0)
		return error_errno(err, "cannot open the folder");
	w->dir = dir;
	return w->fd;
}

static int read_header(int fd, uint8_t header[PYC_HEADER], bool *whole, struct error *err)
{
	ssize_t n = file_pread_full(fd, header, PYC_HEADER, 0, err);

	*whole = n == PYC_HEADER;
	return n < 0 ? -1 : 0;
}

/* The source's mtime that the header has to have: where neither file's content is
 * another one the step did not touch what they say about each other, whatever mtimes
 * it left. */
static int64_t mtime_for(struct diff *d, const struct node *source, bool same)
{
	const struct py_source *s =
		map_get(&d->sources, (char *)&source, sizeof(struct node *));

	if (!s)
		return source->mtime;
	return s->rewritten || !same ? s->mtime : s->before;
}

static int judge(struct diff *d, struct node *dir, const char *name,
		 const uint8_t header[PYC_HEADER], bool same, struct verdict *v,
		 struct error *err)
{
	struct node *source,
		pyc = {.parent = dir, .name = name, .name_len = (uint32_t)strlen(name)};
	int64_t mtime;

	*v = (struct verdict){0};
	if (pyc_source(d->tree, &pyc, &source, err) < 0)
		return -1;
	if (!source || !pyc_header_valid(header, field_of(header), source->size))
		return 0;
	mtime = mtime_for(d, source, same);
	v->fits = true;
	v->relevant = !same || source->step == tree_step(d->tree);
	v->after = (uint32_t)source->mtime;
	v->valid = pyc_header_valid(header, mtime, source->size);
	v->would_be = pyc_header_valid(header, source->mtime, source->size);
	return 0;
}

static void add_verdict(struct pyc_inode *p, const struct verdict *v)
{
	if (!v->fits)
		return;
	if (v->after < 32)
		p->taken |= (uint32_t)1 << v->after;
	if (!v->relevant || !v->valid || (p->stamped && p->stamp != v->after)) {
		p->others = true;
		p->would_be = p->would_be || (v->relevant && v->would_be);
		return;
	}
	p->stamped = true;
	p->stamp = v->after;
}

/* Whether the mtime field has to change, and to what. */
static bool wanted_field(const struct pyc_inode *p, uint32_t now, uint32_t *field)
{
	uint32_t none = p->taken == UINT32_MAX ? 32 : (uint32_t)__builtin_ctz(~p->taken);

	if (!p->stamped && !p->would_be)
		return false;
	*field = p->stamped && !p->others ? p->stamp : none;
	return *field != now;
}

/* pip's folder for `--target` has a random name, which each code object holds. */

#define PIP "pip-target-"
#define PIP_RANDOM 8
#define PIP_LEN (sizeof(PIP) - 1 + PIP_RANDOM + 1)

static bool is_pip_folder(const uint8_t *at)
{
	at += sizeof(PIP) - 1;
	for (size_t i = 0; i < PIP_RANDOM; i++)
		if (!(at[i] >= 'a' && at[i] <= 'z') && !(at[i] >= '0' && at[i] <= '9') &&
		    at[i] != '_')
			return false;
	return at[PIP_RANDOM] == '/';
}

static int write_at(int fd, const void *data, size_t len, uint64_t at, struct error *err)
{
	ssize_t n = pwrite(fd, data, len, (off_t)at);

	if (n < 0)
		return error_errno(err, "write failed");
	return (size_t)n == len ? 0 : error_set(err, E_FAILED, "write failed");
}

static int rename_pip_folder(struct diff *d, int fd, bool *edited, struct error *err)
{
	static const uint8_t zeros[] = "00000000";
	uint8_t *block = d->block[0];
	uint64_t at = 0;
	ssize_t n;

	do {
		n = file_pread_full(fd, block, DIFF_BLOCK, at, err);
		if (n < 0 || interrupt_check(err) < 0)
			return -1;
		for (size_t i = 0; i + PIP_LEN <= (size_t)n; i++) {
			uint8_t *p =
				memmem(block + i, (size_t)n - i, PIP, sizeof(PIP) - 1);

			if (!p || (size_t)(p - block) + PIP_LEN > (size_t)n)
				break;
			i = (size_t)(p - block);
			p += sizeof(PIP) - 1;
			if (!is_pip_folder(block + i) || !memcmp(p, zeros, PIP_RANDOM))
				continue;
			*edited = true;
			if (write_at(fd, zeros, PIP_RANDOM, at + i + sizeof(PIP) - 1,
				     err) < 0)
				return -1;
		}
		/* one that the block cuts is met again */
		at += DIFF_BLOCK - (PIP_LEN - 1);
	} while ((size_t)n == DIFF_BLOCK);
	return 0;
}

static int write_field(int fd, uint32_t field, struct error *err)
{
	const uint8_t bytes[] = {(uint8_t)field, (uint8_t)(field >> 8),
				 (uint8_t)(field >> 16), (uint8_t)(field >> 24)};

	return write_at(fd, bytes, sizeof(bytes), FIELD, err);
}

/* Writing takes set-id bits and capabilities away. */
static int restore_rights(int fd, const struct entry *e, struct error *err)
{
	if (e->st.st_mode & 06000 && fchmod(fd, e->st.st_mode & 07777) < 0)
		return error_errno(err, "cannot set the mode");
	for (size_t i = 0; e->xattrs && i < e->xattrs->n; i++) {
		const struct xattr *x = &e->xattrs->v[i];

		if (!strcmp(x->name, XATTR_CAPABILITY) &&
		    fsetxattr(fd, x->name, x->value, x->len, 0) < 0)
			return error_errno(err, "attribute %s", x->name);
	}
	return 0;
}

static int edit(struct pyc_work *w, int dirfd, const struct pyc_file *f,
		const struct entry *e, struct error *err)
{
	struct pyc_inode *p = f->inode;
	uint8_t header[PYC_HEADER];
	uint32_t field;
	bool edited = false, whole;
	auto_fd int fd = openat(dirfd, f->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, "cannot open");
	if (p->written && rename_pip_folder(w->d, fd, &edited, err) < 0)
		return -1;
	if (read_header(fd, header, &whole, err) < 0)
		return -1;
	if (whole && wanted_field(p, field_of(header), &field)) {
		edited = true;
		if (write_field(fd, field, err) < 0)
			return -1;
	}
	return edited ? restore_rights(fd, e, err) : 0;
}

static struct pyc_inode *inode_of(struct pyc_work *w, const struct stat *st)
{
	struct inode key = {st->st_dev, st->st_ino};
	struct pyc_inode *p =
		st->st_nlink > 1 ? map_get(&w->linked, (char *)&key, sizeof(key)) : NULL;

	if (p)
		return p;
	p = diff_own(w->d, xcalloc(1, sizeof(*p)));
	if (st->st_nlink > 1)
		map_put(&w->linked, (char *)&key, sizeof(key), p);
	return p;
}

/* The three rounds over the files of the upper folder: all names of an inode are judged
 * before it is changed, and it is changed before its names are compared. */

static int judge_file(struct pyc_work *w, struct pyc_file *f, int dirfd, struct entry *e,
		      struct error *err)
{
	struct diff *d = w->d;
	uint8_t header[PYC_HEADER];
	struct node *before;
	struct verdict v;
	bool whole;
	int same = 0;

	(void)dirfd;
	if (diff_child(d, f->dir, f->name, &before, err) < 0)
		return -1;
	if (before && before->type == NODE_FILE)
		same = diff_same_content(d, e->fd, &e->st, d->path.data, before, err);
	if (same < 0 || read_header(e->fd, header, &whole, err) < 0)
		return -1;
	f->same = same;
	f->inode = inode_of(w, &e->st);
	if (!same)
		f->inode->written = true;
	if (!whole)
		return 0;
	if (judge(d, f->dir, f->name, header, same, &v, err) < 0)
		return -1;
	add_verdict(f->inode, &v);
	return 0;
}

static int edit_file(struct pyc_work *w, struct pyc_file *f, int dirfd, struct entry *e,
		     struct error *err)
{
	struct pyc_inode *p = f->inode;

	if (p->done)
		return 0;
	p->done = true;
	return p->written || p->stamped || p->would_be ? edit(w, dirfd, f, e, err) : 0;
}

static int put_file(struct pyc_work *w, struct pyc_file *f, int dirfd, struct entry *e,
		    struct error *err)
{
	enum content_state state = CONTENT_UNKNOWN;
	struct node *n;

	(void)dirfd;
	return diff_entry(w->d, f->dir, f->name, e, &state, &n, err);
}

typedef int pyc_verb(struct pyc_work *w, struct pyc_file *f, int dirfd, struct entry *e,
		     struct error *err);

static int each_file(struct pyc_work *w, pyc_verb *verb, struct error *err)
{
	struct diff *d = w->d;

	for (size_t i = 0; i < d->npycs; i++) {
		struct pyc_file *f = &d->pycs[i];
		auto_entry struct entry e = {.fd = -1};
		int dirfd;

		diff_set_path(d, f->dir, f->name);
		dirfd = use_folder(w, f->dir, err);
		if (dirfd < 0 || diff_look(d, dirfd, f->name, &e, err) < 0 ||
		    verb(w, f, dirfd, &e, err) < 0 || interrupt_check(err) < 0)
			return error_wrap(err, "/%s", d->path.data);
	}
	return 0;
}

/* Files that only the folders below have */

/* dir in the upper folder, where the folder that holds it is. */
static int need_folder(struct pyc_work *w, const struct node *dir, struct error *err)
{
	int up, fd;

	if (!dir->parent)
		return use_folder(w, dir, err);
	up = use_folder(w, dir->parent, err);
	if (up < 0)
		return -1;
	if (!mkdirat(up, dir->name, 0700)) {
		fd = openat(up, dir->name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return error_errno(err, "cannot open the folder");
		int rc = unpack_attributes(fd, dir, diff_has_owner(w->d, dir), err);
		close(fd);
		if (rc < 0)
			return -1;
	} else if (errno != EEXIST) {
		return error_errno(err, "cannot make the folder");
	}
	return use_folder(w, dir, err);
}

static int copy_bytes(struct diff *d, int from, int to, struct error *err)
{
	uint64_t at = 0;
	ssize_t n;

	while ((n = file_pread_full(from, d->block[0], DIFF_BLOCK, at, err)) > 0) {
		if (file_write_all(to, d->block[0], (size_t)n, err) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return n < 0 ? -1 : 0;
}

/* A copy with another field is the step's. */
static int copy_up(struct pyc_work *w, struct node *n, int lower, uint32_t field,
		   struct error *err)
{
	struct diff *d = w->d;
	enum content_state state = CONTENT_OTHER;
	int dirfd = need_folder(w, n->parent, err);
	auto_entry struct entry e = {.fd = -1};
	struct node *now;

	if (dirfd < 0)
		return -1;
	if (unlinkat(dirfd, n->name, 0) < 0 && errno != ENOENT)
		return error_errno(err, "cannot replace");
	auto_fd int fd = openat(dirfd, n->name,
				O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "cannot make");
	if (copy_bytes(d, lower, fd, err) < 0 || write_field(fd, field, err) < 0 ||
	    unpack_attributes(fd, n, diff_has_owner(d, n), err) < 0 ||
	    diff_look(d, dirfd, n->name, &e, err) < 0)
		return -1;
	return diff_entry(d, n->parent, n->name, &e, &state, &now, err);
}

static int lower_file(struct pyc_work *w, struct node *n, struct error *err)
{
	struct pyc_inode p = {0};
	uint8_t header[PYC_HEADER];
	struct node *source;
	struct verdict v;
	uint32_t field;
	bool whole;

	if (!pyc_is(n) || n->step == tree_step(w->d->tree))
		return 0;
	if (pyc_source(w->d->tree, n, &source, err) < 0)
		return -1;
	if (!source || source->step != tree_step(w->d->tree))
		return 0;
	diff_set_path(w->d, n->parent, n->name);
	auto_fd int fd = diff_open_lower(w->d, w->d->path.data, err);
	if (fd == -2)
		return -1;
	if (fd < 0)
		return 0;
	if (read_header(fd, header, &whole, err) < 0)
		return -1;
	if (!whole)
		return 0;
	if (judge(w->d, n->parent, n->name, header, true, &v, err) < 0)
		return -1;
	add_verdict(&p, &v);
	return wanted_field(&p, field_of(header), &field) ? copy_up(w, n, fd, field, err)
							  : 0;
}

static int lower_files(struct pyc_work *w, struct node *dir, struct error *err)
{
	struct cursor c;
	struct node *n;

	if (tree_children(w->d->tree, dir, &c, err) < 0)
		return -1;
	while ((n = cursor_next(&c)))
		if (lower_file(w, n, err) < 0)
			return error_wrap(err, "/%s", w->d->path.data);
	return 0;
}

static int below_folder(struct pyc_work *w, struct node *dir, struct error *err)
{
	struct node *cache;

	if (lower_files(w, dir, err) < 0 ||
	    diff_child(w->d, dir, "__pycache__", &cache, err) < 0)
		return -1;
	return cache && cache->type == NODE_DIR ? lower_files(w, cache, err) : 0;
}

int diff_bytecode(struct diff *d, struct error *err)
{
	struct pyc_work w = {.d = d, .fd = -1};
	int rc = -1;

	if (each_file(&w, judge_file, err) == 0 && each_file(&w, edit_file, err) == 0 &&
	    each_file(&w, put_file, err) == 0) {
		rc = 0;
		for (size_t i = 0; !rc && i < d->npy_dirs; i++)
			rc = below_folder(&w, d->py_dirs[i], err);
	}
	if (w.fd >= 0)
		close(w.fd);
	map_release(&w.linked);
	return rc;
}
