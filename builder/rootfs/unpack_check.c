/* Whether a folder is as it was unpacked (unpack.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "builder/rootfs/unpack_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/interrupt.h"
#include "registry/base/log.h"

struct check {
	struct tree *tree;
	const struct unpack_options *o;
	bool whiteouts;
	struct buf text;
};

static int differs(const struct node *n, const char *how)
{
	auto_buf struct buf path = BUF_INIT;

	tree_path(n, &path);
	log_debug("/%s on disk: %s", path.data, how);
	return 0;
}

/* Some file systems keep 32 bits, and cut what is beyond. */
static bool same_time(const struct node *n, const struct stat *st)
{
	if (n->mtime < INT32_MIN || n->mtime > INT32_MAX)
		return true;
	return st->st_mtim.tv_sec == n->mtime && st->st_mtim.tv_nsec == 0;
}

static int check_attrs(const struct check *c, const struct node *n, const struct stat *st)
{
	if (n->type != NODE_SYMLINK && (st->st_mode & 07777) != n->attrs.mode)
		return differs(n, "another mode");
	if (unpack_has_owner(c->o, n) &&
	    (st->st_uid != n->attrs.uid || st->st_gid != n->attrs.gid))
		return differs(n, "another owner");
	return same_time(n, st) ? 1 : differs(n, "another time");
}

/* The target is compared with one byte more than it should have. */
static int check_link(struct check *c, int at, const struct node *n, struct error *err)
{
	size_t len = strlen(n->link);
	ssize_t got;

	buf_reset(&c->text);
	buf_reserve(&c->text, len + 1);
	got = readlinkat(at, n->name, c->text.data, len + 1);
	if (got < 0)
		return error_errno(err, "cannot read symlink %s", n->name);
	if ((size_t)got != len || memcmp(c->text.data, n->link, len) != 0)
		return differs(n, "another target");
	return 1;
}

static int check_folder(struct check *c, int fd, struct node *dir, struct error *err);

static int check_node(struct check *c, int at, struct node *n, struct error *err)
{
	static const mode_t types[] = {
		[NODE_FILE] = S_IFREG,     [NODE_DIR] = S_IFDIR,
		[NODE_SYMLINK] = S_IFLNK,  [NODE_CHAR] = S_IFCHR,
		[NODE_BLOCK] = S_IFBLK,    [NODE_FIFO] = S_IFIFO,
		[NODE_WHITEOUT] = S_IFCHR,
	};
	struct stat st;
	int rc;

	if (fstatat(at, n->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? differs(n, "missing")
				       : error_errno(err, "cannot stat %s", n->name);
	if ((st.st_mode & S_IFMT) != types[n->type])
		return differs(n, "another type");
	if (n->type == NODE_WHITEOUT)
		return st.st_rdev == makedev(0, 0) ? 1 : differs(n, "no whiteout");
	if (n->type == NODE_FILE && (uint64_t)st.st_size != n->size)
		return differs(n, "another size");
	if ((n->type == NODE_CHAR || n->type == NODE_BLOCK) &&
	    st.st_rdev != makedev(n->major, n->minor))
		return differs(n, "another device");
	rc = check_attrs(c, n, &st);
	if (rc > 0 && n->type == NODE_SYMLINK)
		return check_link(c, at, n, err);
	if (rc <= 0 || n->type != NODE_DIR)
		return rc;
	auto_fd int fd =
		openat(at, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open folder %s", n->name);
	return check_folder(c, fd, n, err);
}

/* How many entries a folder has; -1. */
static ssize_t count_entries(int at, struct error *err)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	ssize_t n = -2; /* . and .. */

	if (!d) {
		if (fd >= 0)
			close(fd);
		return error_errno(err, "cannot read a folder");
	}
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int check_folder(struct check *c, int fd, struct node *dir, struct error *err)
{
	ssize_t wanted = 0, found;
	struct cursor cursor;
	struct node *n;

	if (tree_children(c->tree, dir, &cursor, err) < 0)
		return -1;
	cursor.whiteouts = c->whiteouts;
	while ((n = cursor_next(&cursor))) {
		int rc;

		if ((n->type == NODE_CHAR || n->type == NODE_BLOCK) &&
		    !unpack_has_device(c->o, n))
			continue;
		if (interrupt_check(err) < 0 || unpack_name_ok(n, err) < 0)
			return -1;
		rc = check_node(c, fd, n, err);
		if (rc <= 0)
			return rc;
		wanted++;
	}
	found = count_entries(fd, err);
	if (found < 0)
		return -1;
	return found == wanted ? 1 : differs(dir, "holds what it should not");
}

static int check_all(struct tree *t, bool whiteouts, int dirfd,
		     const struct unpack_options *o, struct error *err)
{
	struct check c = {.tree = t, .o = o, .whiteouts = whiteouts, .text = BUF_INIT};
	struct stat st;
	int rc;

	if (fstat(dirfd, &st) < 0)
		return error_errno(err, "cannot stat the folder");
	rc = check_attrs(&c, tree_root(t), &st);
	if (rc > 0)
		rc = check_folder(&c, dirfd, tree_root(t), err);
	buf_release(&c.text);
	return rc;
}

int unpack_check(struct tree *t, int dirfd, const struct unpack_options *o,
		 struct error *err)
{
	return check_all(t, false, dirfd, o, err);
}

int unpack_check_layer(struct index *ix, int dirfd, const struct unpack_options *o,
		       struct error *err)
{
	struct tree *t = unpack_view(ix);
	int rc = check_all(t, true, dirfd, o, err);

	tree_free(t);
	return rc;
}
