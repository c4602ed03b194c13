#include "builder/context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "builder/filehash.h"
#include "builder/rootfs/content.h"
#include "builder/rootfs/tree.h"
#include "parser/ignore.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/base/map.h"
#include "registry/base/stream.h"

#define IGNORE_MAX (16u << 20)
#define READ_BLOCK (256u << 10)

struct context {
	int fd;
	struct disk_root root;
	struct tree *tree;
	struct filehash *hashes;
	struct arena arena;
	struct ignore *ignore; /* NULL: nothing is ignored */
	struct map inodes;     /* (dev, ino) of files with several names -> group */
};

/* The context's .dockerignore; a link does not lead out of the context.  1: read into
 * out, 0: there is none. */
static int read_common(int dirfd, struct buf *out, struct error *err)
{
	struct error why = ERROR_INIT;
	auto_fd int fd =
		file_open_in(dirfd, ".dockerignore", O_RDONLY | O_NONBLOCK, &why);

	if (fd >= 0)
		return file_read_fd(fd, IGNORE_MAX, out, err) < 0
			       ? error_wrap(err, ".dockerignore")
			       : 1;
	if (why.kind == E_MISSING)
		return 0;
	*err = why;
	return -1;
}

/* The one that belongs to the Dockerfile, which the caller named. */
static int read_own(const char *path, struct buf *out, struct error *err)
{
	struct error why = ERROR_INIT;

	if (!file_read(AT_FDCWD, path, IGNORE_MAX, out, &why))
		return 1;
	if (why.kind == E_MISSING)
		return 0;
	*err = why;
	return -1;
}

static int load_ignore(struct context *c, const char *dir, const char *dockerfile,
		       struct error *err)
{
	auto_free char *own = xasprintf("%s.dockerignore", dockerfile);
	auto_free char *common = xasprintf("%s/.dockerignore", dir);
	auto_buf struct buf text = BUF_INIT;
	const char *name = own, *why = NULL;
	unsigned line = 0;
	int rc = read_own(own, &text, err);

	if (!rc) {
		name = common;
		rc = read_common(c->fd, &text, err);
	}
	if (rc <= 0)
		return rc;
	c->ignore = ignore_parse(&c->arena, text.data, text.len, &why, &line);
	if (!c->ignore) {
		error_set(err, E_INPUT, "%s", why);
		return error_at(err, name, line, 0);
	}
	return 0;
}

static uint64_t link_group(struct context *c, const struct stat *st)
{
	uint64_t key[2] = {st->st_dev, st->st_ino};
	uintptr_t group;

	if (st->st_nlink < 2)
		return 0;
	group = (uintptr_t)map_get(&c->inodes, (char *)key, sizeof(key));
	if (!group) {
		group = (uintptr_t)tree_new_group(c->tree);
		map_put(&c->inodes, (char *)key, sizeof(key), (void *)group);
	}
	return group;
}

static int read_link(int dirfd, const char *name, const struct stat *st, char **out,
		     struct error *err)
{
	size_t room = (size_t)st->st_size + 64;

	for (;; room *= 2) {
		char *text = xmalloc(room);
		ssize_t n = readlinkat(dirfd, name, text, room);

		if (n >= 0 && (size_t)n < room) {
			text[n] = '\0';
			*out = text;
			return 0;
		}
		free(text);
		if (n < 0)
			return error_errno(err, "cannot read link %s", name);
	}
}

static bool regular(mode_t m)
{
	return S_ISREG(m) || S_ISSOCK(m);
}

static enum node_type type_of(mode_t m)
{
	return S_ISDIR(m)    ? NODE_DIR
	       : S_ISLNK(m)  ? NODE_SYMLINK
	       : S_ISCHR(m)  ? NODE_CHAR
	       : S_ISBLK(m)  ? NODE_BLOCK
	       : S_ISFIFO(m) ? NODE_FIFO
			     : NODE_FILE;
}

static int add_entry(struct context *c, struct node *dir, int dirfd, const char *name,
		     const char *path, const struct stat *st, struct error *err)
{
	struct node_value v = {.type = type_of(st->st_mode),
			       .attrs = {.mode = st->st_mode & 07777},
			       .mtime = st->st_mtim.tv_sec};
	auto_free char *link = NULL;

	if (S_ISREG(st->st_mode)) {
		v.size = (uint64_t)st->st_size;
		v.group = link_group(c, st);
	}
	if (S_ISLNK(st->st_mode) && read_link(dirfd, name, st, &link, err) < 0)
		return -1;
	if (S_ISLNK(st->st_mode))
		v.attrs.mode = 0777;
	v.link = link;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		v.major = major(st->st_rdev);
		v.minor = minor(st->st_rdev);
	}
	if (v.size) {
		v.content.kind = CONTENT_DISK;
		v.content.disk.root = &c->root;
		v.content.disk.path = tree_strdup(c->tree, path, strlen(path));
		v.content.disk.mtime = st->st_mtim.tv_sec;
		v.content.disk.mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
		v.content.disk.timed = true;
	}
	if (regular(st->st_mode))
		v.content.has_digest = filehash_find(c->hashes, st, &v.content.digest);
	tree_add(c->tree, dir, name, strlen(name), &v);
	return 0;
}

/* One folder of the context on disk, open for reading. */
struct folder_walk {
	DIR *dir;
	const char *path; /* "" for the root */
};

static int walk_open(struct context *c, const char *path, struct folder_walk *w,
		     struct error *err)
{
	int fd = file_open_in(c->fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, err);

	if (fd < 0)
		return error_wrap(err, "context");
	w->dir = fdopendir(fd);
	w->path = path;
	return 0;
}

/* 1: an entry; its path (yours) and stat.  0: the end. */
static int walk_next(struct folder_walk *w, const char **name, char **path,
		     struct stat *st, struct error *err)
{
	for (;;) {
		struct dirent *e;

		if (interrupt_check(err) < 0)
			return -1;
		errno = 0;
		e = readdir(w->dir);
		if (!e && errno)
			return error_errno(err, "context: cannot read folder %s",
					   w->path);
		if (!e)
			return 0;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dirfd(w->dir), e->d_name, st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT) /* gone since readdir */
				continue;
			return error_errno(err, "context: cannot stat %s/%s", w->path,
					   e->d_name);
		}
		*name = e->d_name;
		*path = *w->path ? xasprintf("%s/%s", w->path, e->d_name)
				 : xstrdup(e->d_name);
		return 1;
	}
}

/* Whether anything below an ignored folder is taken in again by an exception:
 * 1 yes, 0 no, -1. */
static int has_exception(struct context *c, const char *path, struct error *err)
{
	struct folder_walk w;
	struct stat st;
	const char *name;
	char *below;
	int rc, found = 0;

	if (walk_open(c, path, &w, err) < 0)
		return -1;
	while (!found && (rc = walk_next(&w, &name, &below, &st, err)) > 0) {
		if (!ignore_matches(c->ignore, below))
			found = 1;
		else if (S_ISDIR(st.st_mode) && ignore_may_reinclude(c->ignore, below))
			found = has_exception(c, below, err);
		free(below);
	}
	closedir(w.dir);
	return rc < 0 ? -1 : found;
}

/* 1: the path is part of the context. */
static int shown(struct context *c, const char *path, const struct stat *st,
		 struct error *err)
{
	if (!c->ignore || !ignore_matches(c->ignore, path))
		return 1;
	if (!S_ISDIR(st->st_mode) || !ignore_may_reinclude(c->ignore, path))
		return 0;
	return has_exception(c, path, err);
}

/* tree_fill: reads one folder. */
static int fill(void *ctx, struct tree *t, struct node *dir, struct error *err)
{
	struct context *c = ctx;
	auto_buf struct buf path = BUF_INIT;
	struct folder_walk w;
	const char *name;
	char *below;
	struct stat st;
	int rc;

	(void)t;
	tree_path(dir, &path);
	if (walk_open(c, path.data, &w, err) < 0)
		return -1;
	while ((rc = walk_next(&w, &name, &below, &st, err)) > 0) {
		rc = shown(c, below, &st, err);
		if (rc > 0)
			rc = add_entry(c, dir, dirfd(w.dir), name, below, &st, err);
		free(below);
		if (rc < 0)
			break;
	}
	closedir(w.dir);
	return rc < 0 ? -1 : 0;
}

struct context *context_open(const char *dir, const char *dockerfile, struct store *st,
			     struct error *err)
{
	struct context *c = xcalloc(1, sizeof(*c));
	struct stat root;

	c->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0 || fstat(c->fd, &root) < 0) {
		error_errno(err, "cannot open context %s", dir);
		if (err->kind == E_MISSING)
			err->kind = E_INPUT;
		context_close(c);
		return NULL;
	}
	c->root = (struct disk_root){.fd = c->fd, .name = "context"};
	c->tree = tree_new_view(fill, c);
	c->hashes = filehash_open(st, &root);
	if (load_ignore(c, dir, dockerfile, err) < 0) {
		context_close(c);
		return NULL;
	}
	return c;
}

void context_close(struct context *c)
{
	if (!c)
		return;
	filehash_close(c->hashes);
	tree_free(c->tree);
	if (c->fd >= 0)
		close(c->fd);
	map_release(&c->inodes);
	arena_release(&c->arena);
	free(c);
}

struct tree *context_tree(struct context *c)
{
	return c->tree;
}

void context_remember(struct context *c, struct node *n, const struct digest *d)
{
	struct content content = n->content;
	struct stat st;

	content.digest = *d;
	content.has_digest = true;
	tree_set_content(c->tree, n, &content);
	if (n->content.kind != CONTENT_DISK ||
	    fstatat(c->fd, n->content.disk.path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if ((uint64_t)st.st_size == n->size && st.st_mtim.tv_sec == n->mtime &&
	    st.st_mtim.tv_nsec == n->content.disk.mtime_nsec)
		filehash_add(c->hashes, &st, d);
}

int context_digest(struct context *c, struct node *n, struct error *err)
{
	auto_free char *block = NULL;
	struct source *src;
	struct digest d;
	struct hash h;
	ssize_t got;

	if (n->content.has_digest)
		return 0;
	src = content_open(n, err);
	if (!src)
		return -1;
	block = xmalloc(READ_BLOCK);
	hash_init(&h);
	while ((got = source_read(src, block, READ_BLOCK, err)) > 0)
		hash_add(&h, block, (size_t)got);
	source_close(src);
	hash_end(&h, &d);
	if (got < 0)
		return -1;
	context_remember(c, n, &d);
	return 0;
}

bool context_ignores(struct context *c, const char *path)
{
	auto_fd int fd = -1;

	while (*path == '/')
		path++;
	if (!c->ignore || !*path)
		return false;
	fd = file_open_in(c->fd, path, O_PATH | O_NOFOLLOW, NULL);
	return fd >= 0 && ignore_matches(c->ignore, path);
}
