/*
 * build_test.h - for tests: a folder of their own, a store in it, trees as text
 *
 * Include it after cmocka.h.  A tree is described by lines, so that a case is data:
 *
 *	d MODE UID:GID PATH            folder
 *	f MODE UID:GID PATH =TEXT      file
 *	h MODE UID:GID PATH =TEXT #N   file of the hard-link group N (> 0)
 *	l UID:GID PATH -> TARGET       link
 *	p MODE UID:GID PATH            FIFO
 *	c MODE UID:GID PATH MAJOR,MINOR
 *
 * The same form, from libarchive instead of hod's own reader, describes a layer; there a
 * further name of an inode is `h PATH => FIRST`, a whiteout an ordinary file.
 */
#ifndef HOD_BUILD_TEST_H
#define HOD_BUILD_TEST_H

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/store.h"

#define UNUSED __attribute__((unused))

static char *folder; /* of this run */

static char *in_folder(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	umask(022);
	folder = xasprintf("%s/build_test.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	file_remove_tree(AT_FDCWD, folder, NULL);
	free(folder);
	return 0;
}

/* Fails the test with the error when rc says that there was one. */
static UNUSED void fine(int rc, const struct error *err)
{
	if (rc < 0)
		fail_msg("%s:%u: %s (%s)", err->file, err->line, err->msg, err->hint);
}

static UNUSED void make_folder(const char *name, mode_t mode)
{
	auto_free char *path = in_folder(name);

	if (mkdir(path, 0700) < 0)
		assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static UNUSED void write_file(const char *name, const char *text, mode_t mode)
{
	auto_free char *path = in_folder(name);
	FILE *f = fopen(path, "we");

	if (!f)
		fail_msg("%s", path);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static UNUSED void make_link(const char *name, const char *target)
{
	auto_free char *path = in_folder(name);

	assert_int_equal(symlink(target, path), 0);
}

/* Sets the times far back, so that content digests are remembered. */
static UNUSED void set_mtime(const char *name, int64_t seconds)
{
	auto_free char *path = in_folder(name);
	const struct timespec ts[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	assert_int_equal(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW), 0);
}

static UNUSED void remove_all(const char *name)
{
	auto_free char *path = in_folder(name);

	file_remove_tree(AT_FDCWD, path, NULL);
}

static UNUSED struct store *open_store(void)
{
	struct error err = ERROR_INIT;
	auto_free char *path = in_folder("store");
	struct store *st = store_open(path, &err);

	if (!st)
		fail_msg("%s", err.msg);
	return st;
}

/* The folder of a path, which must be there, and the path's last part. */
static struct node *parent_of(struct tree *t, char *path, char **name)
{
	char *slash = strrchr(path, '/');
	struct node *dir = NULL;
	struct error err = ERROR_INIT;

	*name = slash ? slash + 1 : path;
	if (!slash)
		return tree_root(t);
	*slash = '\0';
	assert_int_equal(tree_resolve(t, path, 0, &dir, NULL, &err), 1);
	*slash = '/';
	return dir;
}

static void describe_node(struct tree *t, char *line)
{
	struct node_value v = {.mtime = 1000000000};
	unsigned mode = 0777, uid, gid, group = 0, major = 0, minor = 0;
	char *path, *name, *end, kind = line[0];
	struct node *dir;
	struct error err = ERROR_INIT;
	int at = 0;

	if (kind == 'l')
		assert_int_equal(sscanf(line, "l %u:%u %n", &uid, &gid, &at), 2);
	else
		assert_int_equal(sscanf(line, "%*c %o %u:%u %n", &mode, &uid, &gid, &at),
				 3);
	path = line + at;
	end = strchr(path, ' ');
	if (end)
		*end++ = '\0';
	v.attrs = (struct attrs){.mode = (uint16_t)mode, .uid = uid, .gid = gid};
	v.type = kind == 'd'   ? NODE_DIR
		 : kind == 'l' ? NODE_SYMLINK
		 : kind == 'p' ? NODE_FIFO
		 : kind == 'c' ? NODE_CHAR
			       : NODE_FILE;
	if (strchr("lch", kind) && !end)
		fail_msg("no second field: %s", line);
	if (kind == 'l')
		v.link = end + strlen("-> ");
	if (kind == 'c')
		assert_int_equal(sscanf(end, "%u,%u", &major, &minor), 2);
	v.major = major;
	v.minor = minor;
	if (kind == 'h' && end) {
		char *hash = strrchr(end, '#');

		group = (unsigned)atoi(hash + 1);
		hash[-1] = '\0';
	}
	v.group = group;
	if (v.type == NODE_FILE && end) {
		v.size = strlen(end + 1);
		v.content.kind = v.size ? CONTENT_INLINE : CONTENT_NONE;
		v.content.bytes = tree_strdup(t, end + 1, v.size);
	}
	dir = parent_of(t, path, &name);
	if (!tree_put(t, dir, name, strlen(name), &v, &err))
		fail_msg("%s", err.msg);
}

/* A tree of one step; the next one begins with tree_begin_step. */
static UNUSED struct tree *tree_of(const char *text)
{
	struct tree *t = tree_new();
	auto_free char *copy = xstrdup(text);
	char *save = NULL;

	tree_begin_step(t);
	for (char *line = strtok_r(copy, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		describe_node(t, line);
	/* numbers that the text used are not given again */
	for (int i = 0; i < 10; i++)
		tree_new_group(t);
	return t;
}

/* A tree with account files; the texts (NULL: no file) stay yours. */
static UNUSED struct tree *account_tree(const char *passwd, const char *group)
{
	struct tree *t = tree_of("d 0755 0:0 etc\n");
	const char *const texts[] = {passwd, group}, *const names[] = {"passwd", "group"};
	struct node *etc;
	struct error err = ERROR_INIT;

	assert_int_equal(tree_resolve(t, "etc", 0, &etc, NULL, &err), 1);
	for (size_t i = 0; i < 2; i++) {
		struct node_value v = {.type = NODE_FILE, .attrs = {.mode = 0644}};

		if (!texts[i])
			continue;
		v.size = strlen(texts[i]);
		v.content.kind = v.size ? CONTENT_INLINE : CONTENT_NONE;
		v.content.bytes = texts[i];
		assert_non_null(tree_put(t, etc, names[i], strlen(names[i]), &v, &err));
	}
	return t;
}

struct described {
	struct tree *tree;
	struct buf *out;
	bool all;
	uint64_t groups[16]; /* in order of appearance: 1, 2, ... */
};

static unsigned group_number(struct described *d, uint64_t group)
{
	unsigned i = 0;

	while (i < 16 && d->groups[i] && d->groups[i] != group)
		i++;
	assert_true(i < 16);
	d->groups[i] = group;
	return i + 1;
}

static int describe(void *ctx, struct node *n, const char *path, bool changed,
		    struct error *err)
{
	struct described *d = ctx;
	struct buf *out = d->out;

	(void)err;
	if (!changed && !d->all)
		return 0;
	if (n->type == NODE_WHITEOUT) {
		buf_addf(out, "x %s\n", path);
		return 0;
	}
	if (n->type == NODE_SYMLINK) {
		buf_addf(out, "l %u:%u %s -> %s\n", n->attrs.uid, n->attrs.gid, path,
			 n->link);
		if (n->attrs.mode != 0777)
			buf_addf(out, "its mode is %o\n", n->attrs.mode);
		return 0;
	}
	buf_addf(out, "%c %04o %u:%u %s",
		 n->type == NODE_DIR    ? 'd'
		 : n->type == NODE_FIFO ? 'p'
		 : n->type == NODE_CHAR ? 'c'
		 : n->group             ? 'h'
					: 'f',
		 n->attrs.mode, n->attrs.uid, n->attrs.gid, path);
	if (n->type == NODE_CHAR)
		buf_addf(out, " %u,%u", n->major, n->minor);
	if (n->type == NODE_FILE) {
		buf_adds(out, " =");
		if (n->size)
			buf_add(out, n->content.bytes, n->size);
	}
	if (n->group)
		buf_addf(out, " #%u", group_number(d, n->group));
	for (size_t i = 0; n->attrs.xattrs && i < n->attrs.xattrs->n; i++)
		buf_addf(out, " @%s", n->attrs.xattrs->v[i].name);
	buf_addc(out, '\n');
	return 0;
}

/* What the tree's current step set (contents must be in memory). */
static UNUSED void describe_step(struct tree *t, struct buf *out)
{
	struct described d = {.tree = t, .out = out};
	struct error err = ERROR_INIT;

	fine(tree_changes(t, describe, &d, &err), &err);
}

static void archive_line(struct archive *a, struct archive_entry *e, bool times,
			 struct buf *out)
{
	const char *path = archive_entry_pathname(e), *hard = archive_entry_hardlink(e);
	mode_t type = archive_entry_filetype(e);
	char text[256];
	ssize_t n;

	if (hard) {
		buf_addf(out, "h %s => %s\n", path, hard);
		return;
	}
	if (type == AE_IFLNK)
		buf_addf(out, "l %d:%d %s -> %s", (int)archive_entry_uid(e),
			 (int)archive_entry_gid(e), path, archive_entry_symlink(e));
	else
		buf_addf(out, "%c %04o %d:%d %s",
			 type == AE_IFDIR   ? 'd'
			 : type == AE_IFIFO ? 'p'
			 : type == AE_IFCHR ? 'c'
					    : 'f',
			 (unsigned)archive_entry_perm(e), (int)archive_entry_uid(e),
			 (int)archive_entry_gid(e), path);
	if (type == AE_IFREG) {
		buf_adds(out, " =");
		while ((n = archive_read_data(a, text, sizeof(text))) > 0)
			buf_add(out, text, (size_t)n);
		assert_int_equal(n, 0);
	}
	if (times)
		buf_addf(out, " @%lld", (long long)archive_entry_mtime(e));
	buf_addc(out, '\n');
}

/* What is in a layer of the store, read by libarchive. */
static UNUSED void describe_layer(struct store *st, const struct digest *d, bool times,
				  struct buf *out)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	struct error err = ERROR_INIT;
	int fd = store_get(st, d, NULL, &err), rc;

	fine(fd, &err);
	archive_read_support_filter_gzip(a);
	archive_read_support_format_tar(a);
	archive_read_support_format_empty(a);
	assert_int_equal(archive_read_open_fd(a, fd, 65536), ARCHIVE_OK);
	while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK)
		archive_line(a, e, times, out);
	assert_int_equal(rc, ARCHIVE_EOF);
	archive_read_free(a);
	close(fd);
}

#endif
