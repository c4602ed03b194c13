#include "builder/rootfs/unpack.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "builder/rootfs/content.h"
#include "builder/rootfs/unpack_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/base/stream.h"

/* A folder on the way down; opened when something has to be made in it, so that those
 * that hold nothing but files of layers never are. */
struct place {
	struct place *up;
	const struct node *dir;
	int fd;
};

static void place_close(struct place *p)
{
	if (p->up && p->fd >= 0)
		close(p->fd);
}
#define auto_place __attribute__((cleanup(place_close)))

static int place_fd(struct unpack *u, struct place *p, struct error *err)
{
	int at;

	if (p->fd >= 0 || !p->up)
		return p->fd;
	at = place_fd(u, p->up, err);
	if (at < 0)
		return -1;
	p->fd = openat(at, p->dir->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return p->fd < 0 ? unpack_failed(u, "open folder", p->dir, err) : p->fd;
}

static void list_add(struct node_list *l, const struct node *n)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = n;
}

/* A file whose bytes are at hand. */
static int make_file(struct unpack *u, int dirfd, const struct node *n, struct error *err)
{
	auto_fd int fd = unpack_create(u, dirfd, n, err);
	struct source *src;
	char block[16384];
	ssize_t got = 0;

	if (fd < 0)
		return -1;
	if (n->content.kind != CONTENT_NONE) {
		src = content_open(n, err);
		while (src && (got = source_read(src, block, sizeof(block), err)) > 0)
			if (file_write_all(fd, block, (size_t)got, NULL) < 0) {
				source_close(src);
				return unpack_failed(u, "write", n, err);
			}
		source_close(src);
		if (!src || got < 0)
			return -1;
	}
	return unpack_finish(u, fd, n, unpack_first_mode(n) & u->mask, err);
}

static int make_special(struct unpack *u, int dirfd, const struct node *n,
			struct error *err)
{
	static const mode_t types[] = {
		[NODE_CHAR] = S_IFCHR, [NODE_BLOCK] = S_IFBLK, [NODE_FIFO] = S_IFIFO};
	mode_t made = n->attrs.mode & 0777;

	if (mknodat(dirfd, n->name, types[n->type] | made, makedev(n->major, n->minor)) <
	    0)
		return unpack_failed(u, "make", n, err);
	return unpack_finish_at(u, dirfd, n, made & u->mask, err);
}

/* What is neither a folder nor a file of a layer. */
static int make_node(struct unpack *u, int dirfd, const struct node *n, struct error *err)
{
	switch (n->type) {
	case NODE_FILE:
		return make_file(u, dirfd, n, err);
	case NODE_SYMLINK:
		if (symlinkat(n->link, dirfd, n->name) < 0)
			return unpack_failed(u, "make symlink", n, err);
		return unpack_finish_at(u, dirfd, n, 0777, err);
	case NODE_WHITEOUT:
		/* Overlay's mark; anybody may make one (mknod(2)). */
		if (mknodat(dirfd, n->name, S_IFCHR, makedev(0, 0)) < 0)
			return unpack_failed(u, "mark as removed", n, err);
		return 0;
	default:
		return make_special(u, dirfd, n, err);
	}
}

static bool in_layer(const struct node *n)
{
	return n->type == NODE_FILE && n->content.kind == CONTENT_LAYER && n->size > 0;
}

static int fill(struct unpack *u, struct place *p, struct error *err);

static int make_folder(struct unpack *u, struct place *up, struct node *n,
		       struct error *err)
{
	auto_place struct place p = {.up = up, .dir = n, .fd = -1};
	int at = place_fd(u, up, err);

	if (at < 0)
		return -1;
	if (mkdirat(at, n->name, unpack_first_mode(n)) < 0)
		return unpack_failed(u, "make folder", n, err);
	return fill(u, &p, err);
}

static int make_child(struct unpack *u, struct place *p, struct node *n,
		      struct error *err)
{
	int at;

	if (interrupt_check(err) < 0 || unpack_name_ok(n, err) < 0)
		return -1;
	if ((n->type == NODE_CHAR || n->type == NODE_BLOCK) &&
	    !unpack_has_device(u->o, n))
		return 0;
	u->paths++;
	if (n->type == NODE_DIR)
		return make_folder(u, p, n, err);
	if (n->group) {
		list_add(&u->names, n);
		return 0;
	}
	if (in_layer(n)) {
		list_add(&u->files, n);
		return 0;
	}
	at = place_fd(u, p, err);
	return at < 0 ? -1 : make_node(u, at, n, err);
}

static int fill(struct unpack *u, struct place *p, struct error *err)
{
	struct cursor c;
	struct node *n;

	if (tree_children(u->tree, (struct node *)(uintptr_t)p->dir, &c, err) < 0)
		return -1;
	c.whiteouts = u->whiteouts;
	while ((n = cursor_next(&c)))
		if (make_child(u, p, n, err) < 0)
			return -1;
	return 0;
}

static bool same_content(const struct node *a, const struct node *b)
{
	const struct content *x = &a->content, *y = &b->content;

	if (x->kind != y->kind || a->size != b->size)
		return false;
	if (x->kind == CONTENT_LAYER)
		return x->layer.header == y->layer.header &&
		       digest_equal(x->layer.diff_id, y->layer.diff_id);
	return x->kind == CONTENT_NONE ||
	       (x->kind == CONTENT_INLINE && memcmp(x->bytes, y->bytes, a->size) == 0);
}

static bool same_xattrs(const struct xattrs *a, const struct xattrs *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].name, b->v[i].name) != 0 ||
		    a->v[i].len != b->v[i].len ||
		    (a->v[i].len && memcmp(a->v[i].value, b->v[i].value, a->v[i].len)))
			return false;
	return true;
}

/* Names of a group are one inode; a tree in which a step gave one of them something of
 * its own shows it by their values. */
static bool same_inode(const struct node *a, const struct node *b)
{
	return a->group == b->group && a->type == b->type && a->mtime == b->mtime &&
	       a->attrs.uid == b->attrs.uid && a->attrs.gid == b->attrs.gid &&
	       a->attrs.mode == b->attrs.mode && a->major == b->major &&
	       a->minor == b->minor && !a->link == !b->link &&
	       (!a->link || strcmp(a->link, b->link) == 0) && same_content(a, b) &&
	       same_xattrs(a->attrs.xattrs, b->attrs.xattrs);
}

static int by_group(const void *va, const void *vb)
{
	const struct node *a = *(const struct node *const *)va,
			  *b = *(const struct node *const *)vb;

	return (a->group > b->group) - (a->group < b->group);
}

/* The first name of each group is made as any other file ... */
static int make_firsts(struct unpack *u, struct error *err)
{
	auto_folder struct open_folder folder = OPEN_FOLDER_INIT;
	struct node_list *l = &u->names;
	int at;

	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), by_group);
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0 && same_inode(l->v[i - 1], l->v[i]))
			continue;
		if (in_layer(l->v[i])) {
			list_add(&u->files, l->v[i]);
			continue;
		}
		at = open_folder_of(u, &folder, l->v[i]->parent, err);
		if (at < 0 || make_node(u, at, l->v[i], err) < 0)
			return -1;
	}
	return 0;
}

/* ... and the others are links to it, once it has its content. */
static int make_links(struct unpack *u, struct error *err)
{
	auto_folder struct open_folder from = OPEN_FOLDER_INIT, to = OPEN_FOLDER_INIT;
	const struct node *first = NULL;

	for (size_t i = 0; i < u->names.n; i++) {
		const struct node *n = u->names.v[i];
		int a, b;

		if (!first || !same_inode(u->names.v[i - 1], n)) {
			first = n;
			continue;
		}
		a = open_folder_of(u, &from, first->parent, err);
		b = a < 0 ? -1 : open_folder_of(u, &to, n->parent, err);
		if (b < 0 || interrupt_check(err) < 0)
			return -1;
		if (linkat(a, first->name, b, n->name, 0) < 0)
			return unpack_failed(u, "make hard link", n, err);
	}
	return 0;
}

static bool has_folders(struct unpack *u, struct node *dir)
{
	struct cursor c;
	struct node *n;

	if (tree_children(u->tree, dir, &c, NULL) < 0)
		return true;
	while ((n = cursor_next(&c)))
		if (n->type == NODE_DIR)
			return true;
	return false;
}

static int finish_children(struct unpack *u, struct node *dir, int fd, struct error *err);

static int finish_folder(struct unpack *u, int at, struct node *n, struct error *err)
{
	mode_t made = unpack_first_mode(n) & u->mask;

	/* a folder of files alone needs no descriptor */
	if (!n->attrs.xattrs && !has_folders(u, n))
		return unpack_finish_at(u, at, n, made, err);
	auto_fd int fd =
		openat(at, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return unpack_failed(u, "open folder", n, err);
	if (finish_children(u, n, fd, err) < 0)
		return -1;
	return unpack_finish(u, fd, n, made, err);
}

/* Folders get their attributes when all below them is done: what is made in one changes
 * its time, and one without write permission takes nothing. */
static int finish_children(struct unpack *u, struct node *dir, int fd, struct error *err)
{
	struct cursor c;
	struct node *n;

	if (tree_children(u->tree, dir, &c, err) < 0)
		return -1;
	while ((n = cursor_next(&c)))
		if (n->type == NODE_DIR && finish_folder(u, fd, n, err) < 0)
			return -1;
	return 0;
}

static int by_header(const void *va, const void *vb)
{
	const struct node *a = *(const struct node *const *)va,
			  *b = *(const struct node *const *)vb;
	const struct digest *da = a->content.layer.diff_id,
			    *db = b->content.layer.diff_id;
	int order = da == db ? 0 : memcmp(da->bytes, db->bytes, DIGEST_BYTES);

	if (order)
		return order;
	return (a->content.layer.header > b->content.layer.header) -
	       (a->content.layer.header < b->content.layer.header);
}

/* What the files take on disk: no more than lies between their headers and the next,
 * however large they are with their holes.  A layer's last file counts nothing. */
static void estimate(struct unpack *u)
{
	const struct node_list *l = &u->files;

	for (size_t i = 0; i + 1 < l->n; i++) {
		const struct content *a = &l->v[i]->content, *b = &l->v[i + 1]->content;
		uint64_t gap = 0, size = l->v[i]->size;

		if (digest_equal(a->layer.diff_id, b->layer.diff_id))
			gap = b->layer.header - a->layer.header;
		u->need += ((gap < size ? gap : size) + 4095) & ~(uint64_t)4095;
	}
}

static int check_room(struct unpack *u, struct error *err)
{
	uint64_t room, missing;
	struct statvfs fs;

	estimate(u);
	if (fstatvfs(u->root, &fs) < 0)
		return error_errno(err, "cannot tell the free space");
	/* root may use what is reserved */
	room = (uint64_t)(geteuid() ? fs.f_bavail : fs.f_bfree) * fs.f_frsize;
	if (u->need > room) {
		missing = (u->need - room) / 1000000 + 1;
		error_set(err, E_FAILED,
			  "the disk is full: unpacking takes %llu MB, %llu MB more than "
			  "are free",
			  (unsigned long long)(u->need / 1000000),
			  (unsigned long long)missing);
		return error_hint(err, "free some space where hod keeps its images");
	}
	if (fs.f_files && u->files.n > fs.f_ffree) {
		error_set(err, E_FAILED,
			  "the disk is full: it has no room for %zu more files",
			  u->files.n - (size_t)fs.f_ffree);
		return error_hint(err, "free some inodes where hod keeps its images");
	}
	return 0;
}

static int unpack_all(struct unpack *u, struct error *err)
{
	struct node *root = tree_root(u->tree);
	struct place top = {.dir = root, .fd = u->root};

	if (unpack_probe(u, err) < 0 || fill(u, &top, err) < 0 || make_firsts(u, err) < 0)
		return -1;
	if (u->files.n > 1)
		qsort(u->files.v, u->files.n, sizeof(*u->files.v), by_header);
	if (check_room(u, err) < 0 || unpack_files(u, err) < 0 ||
	    make_links(u, err) < 0 || finish_children(u, root, u->root, err) < 0)
		return -1;
	return unpack_finish(u, u->root, root, 0700, err);
}

static int unpack_into(struct tree *t, bool whiteouts, int dirfd,
		       const struct unpack_options *o, struct error *err)
{
	struct unpack u = {.root = dirfd, .o = o, .tree = t, .whiteouts = whiteouts};
	int rc = unpack_all(&u, err);

	free(u.files.v);
	free(u.names.v);
	return rc;
}

int unpack_tree(struct tree *t, int dirfd, const struct unpack_options *o,
		struct error *err)
{
	return unpack_into(t, false, dirfd, o, err);
}

int unpack_layer(struct index *ix, int dirfd, const struct unpack_options *o,
		 struct error *err)
{
	struct tree *t = unpack_view(ix);
	int rc = unpack_into(t, true, dirfd, o, err);

	tree_free(t);
	return rc;
}
