#include "builder/run_stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/rootfs/tree.h"
#include "builder/rootfs/unpack.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

#define HOST_FILE_MAX ((size_t)1 << 20)

int run_stubs_attributes(int fd, const struct node *n, const struct idmap *ids,
			 struct error *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = n->mtime}};

	if (unpack_attributes(fd, n, idmap_has(ids, n->attrs.uid, n->attrs.gid), err) < 0)
		return -1;
	return futimens(fd, times) < 0 ? error_errno(err, "cannot set the time") : 0;
}

static int make_folder(int dirfd, const char *name, struct error *err)
{
	int fd;

	if (mkdirat(dirfd, name, 0755) < 0)
		return error_errno(err, "cannot make a folder for RUN");
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "cannot open a folder for RUN") : fd;
}

/* An empty file at path ("etc/hosts") of the stub folder, its folders made. */
static int stub_file(int stubs, const char *path, struct error *err)
{
	auto_free char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	auto_fd int fd = -1;

	if (file_mkdirs(stubs, dir, err) < 0)
		return -1;
	/* only folders of ours are on the way */
	fd = openat(stubs, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		    0644);
	return fd < 0 ? error_errno(err, "cannot make a file for RUN") : 0;
}

/* The folders of the top stub are seen in place of the tree's: the innermost first, since
 * a folder that is made changes the time of the one around it. */
static int copy_folders(int stubs, const struct node *dir, const struct idmap *ids,
			struct error *err)
{
	for (; dir->parent; dir = dir->parent) {
		auto_buf struct buf path = BUF_INIT;
		auto_fd int fd = -1;

		tree_path(dir, &path);
		fd = file_open_in(stubs, path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
				  err);
		if (fd < 0 || run_stubs_attributes(fd, dir, ids, err) < 0)
			return -1;
	}
	return 0;
}

static int top_folder(struct run_stubs *s, int dirfd, struct error *err)
{
	if (s->top < 0)
		s->top = make_folder(dirfd, "top", err);
	return s->top < 0 ? -1 : 0;
}

/* Where /etc/NAME is in the tree, and what there must be for it.  1: it can be mounted,
 * *path is where; 0: it can't be, since the image has something odd there. */
static int place_file(struct run_stubs *s, struct tree *t, int dirfd, const char *name,
		      const struct idmap *ids, char **path, struct error *err)
{
	auto_buf struct buf where = BUF_INIT;
	auto_free char *rest = NULL;
	struct error odd = ERROR_INIT;
	struct node *dir, *n = NULL;
	int found = tree_resolve(t, "/etc", TREE_FOLLOW_LAST, &dir, &rest, &odd);

	if (found < 0 || (found && dir->type != NODE_DIR))
		return 0;
	tree_path(dir, &where);
	if (where.len)
		buf_addc(&where, '/');
	if (!found)
		buf_addf(&where, "%s/", rest);
	else
		n = tree_child(t, dir, name, strlen(name), &odd);
	if (odd.kind != E_NONE)
		return 0;
	buf_adds(&where, name);
	*path = xstrdup(where.data);
	if (n && n->type == NODE_FILE)
		return 1;
	if ((n && n->type != NODE_SYMLINK) || !strchr(*path, '/'))
		return 0; /* something odd, or etc is a link to the root */
	/* on top also of what is missing: a layer may hide what is below it */
	if (top_folder(s, dirfd, err) < 0 || stub_file(s->top, *path, err) < 0)
		return -1;
	return copy_folders(s->top, dir, ids, err) < 0 ? -1 : 1;
}

/* Name resolution as this host has it: a step that uses the network uses the host's. */
static void host_text(const char *name, struct buf *out)
{
	auto_free char *path = xasprintf("/etc/%s", name);

	if (file_read(AT_FDCWD, path, HOST_FILE_MAX, out, NULL) < 0)
		buf_reset(out);
	if (!strcmp(name, "hosts")) {
		if (out->len && out->data[out->len - 1] != '\n')
			buf_addc(out, '\n');
		if (!strstr(out->data, "localhost"))
			buf_adds(out, "127.0.0.1\tlocalhost\n::1\tlocalhost\n");
		buf_adds(out, "127.0.1.1\thod\n");
	}
}

static int add_file(struct run_stubs *s, struct tree *t, int dirfd, const char *name,
		    const struct idmap *ids, struct error *err)
{
	struct buf *text = &s->texts[s->nfiles];
	char *path = NULL;
	int rc = place_file(s, t, dirfd, name, ids, &path, err);

	if (rc <= 0) {
		free(path);
		return rc;
	}
	*text = (struct buf)BUF_INIT;
	host_text(name, text);
	s->paths[s->nfiles] = path;
	s->files[s->nfiles++] = (struct sandbox_file){path, text->data, text->len};
	return 0;
}

/* A folder of the image to mount on, or a stub of it. */
static int add_folder(struct run_stubs *s, struct tree *t, const char *name,
		      struct error *err)
{
	struct error why = ERROR_INIT;
	struct node *n = tree_child(t, tree_root(t), name, strlen(name), &why);

	if (why.kind != E_NONE) {
		*err = why;
		return -1;
	}
	if (n && n->type == NODE_DIR)
		return 0;
	if (n) {
		error_set(err, E_INPUT, "/%s of the image is no folder", name);
		return error_hint(err, "a RUN needs one there, or nothing");
	}
	if (mkdirat(s->bottom, name, 0755) < 0)
		return error_errno(err, "cannot make a folder for RUN");
	return 0;
}

int run_stubs_make(struct run_stubs *s, struct tree *t, int dirfd,
		   const struct idmap *ids, struct error *err)
{
	static const char *const folders[] = {"proc", "sys", "dev"};

	*s = (struct run_stubs){.top = -1};
	s->bottom = make_folder(dirfd, "bottom", err);
	if (s->bottom < 0)
		return -1;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (add_folder(s, t, folders[i], err) < 0)
			return -1;
	return add_file(s, t, dirfd, "resolv.conf", ids, err) < 0 ||
			       add_file(s, t, dirfd, "hosts", ids, err) < 0
		       ? -1
		       : 0;
}

void run_stubs_release(struct run_stubs *s)
{
	for (size_t i = 0; i < s->nfiles; i++) {
		free(s->paths[i]);
		buf_release(&s->texts[i]);
	}
	if (s->bottom >= 0)
		close(s->bottom);
	if (s->top >= 0)
		close(s->top);
}
