/*
 * After the walk the tree's step is the layer.  Here the upper folder becomes what that
 * layer gives when it is unpacked: only changed paths and the folders on the way to
 * them, a device 0:0 for each removed name, no marks, set mtimes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "builder/rootfs/diff_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"

struct level {
	struct node *dir;
	int fd;
	struct names names;
	size_t i;
	struct cursor c; /* the tree's children, whiteouts too */
	bool stays;      /* it, or something in it, is changed */
};

struct settle {
	struct diff *d;
	struct level *v;
	size_t n, cap;
};

static int set_time(struct diff *d, int dirfd, const char *name, int64_t own,
		    struct error *err)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT},
				{.tv_sec = d->o->keep_mtime ? own : d->o->time}};

	if (utimensat(dirfd, name, t, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "%s: cannot set its mtime", name);
	return 0;
}

static int enter(struct settle *s, struct node *dir, int at, const char *name,
		 struct error *err)
{
	struct level l = {.dir = dir, .stays = dir->step == tree_step(s->d->tree)};
	auto_fd int fd =
		openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, "%s: cannot open", name);
	if (tree_children(s->d->tree, dir, &l.c, err) < 0 ||
	    names_read(&l.names, fd, err) < 0)
		return -1;
	l.c.whiteouts = true;
	l.fd = steal_fd(&fd);
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = l;
	return 0;
}

static int make_whiteout(struct settle *s, struct level *l, const char *name,
			 struct error *err)
{
	if (mknodat(l->fd, name, S_IFCHR, makedev(0, 0)) < 0)
		return error_errno(err, "%s: cannot mark it as removed", name);
	l->stays = true;
	return set_time(s->d, l->fd, name, s->d->o->time, err);
}

/* What the tree says about a name that is not in the upper folder. */
static int absent(struct settle *s, struct level *l, const struct node *n,
		  struct error *err)
{
	if (n->type != NODE_WHITEOUT || n->step != tree_step(s->d->tree))
		return 0;
	return make_whiteout(s, l, n->name, err);
}

static int drop(struct level *l, const char *name, struct error *err)
{
	if (!unlinkat(l->fd, name, 0))
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return error_errno(err, "%s: cannot remove", name);
	return file_remove_tree(l->fd, name, err);
}

/* A name of the upper folder; n is the tree's, or NULL. */
static int present(struct settle *s, struct level *l, const char *name, struct node *n,
		   struct error *err)
{
	bool changed = n && n->step == tree_step(s->d->tree);
	struct stat st;

	if (n && n->type == NODE_DIR) {
		if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return error_errno(err, "%s: cannot stat", name);
		if (S_ISDIR(st.st_mode))
			return enter(s, n, l->fd, name, err);
	}
	if (changed && n->type != NODE_WHITEOUT) {
		l->stays = true;
		return set_time(s->d, l->fd, name, n->mtime, err);
	}
	if (drop(l, name, err) < 0)
		return -1;
	return changed ? make_whiteout(s, l, name, err) : 0;
}

static int leave(struct settle *s, struct error *err)
{
	struct level l = s->v[--s->n];
	struct timespec t[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = s->d->o->keep_mtime ? l.dir->mtime : s->d->o->time}};
	int rc = 0;

	names_release(&l.names);
	if (s->n ? l.stays : l.dir->step == tree_step(s->d->tree)) {
		if (s->n)
			s->v[s->n - 1].stays = true;
		if (futimens(l.fd, t) < 0)
			rc = error_errno(err, "%s: cannot set its mtime", l.dir->name);
	} else if (s->n && unlinkat(s->v[s->n - 1].fd, l.dir->name, AT_REMOVEDIR) < 0) {
		rc = error_errno(err, "%s: cannot remove", l.dir->name);
	}
	close(l.fd);
	return rc;
}

/* Names and children are both sorted: one step of merging them. */
static int step(struct settle *s, struct error *err)
{
	struct level *l = &s->v[s->n - 1];
	const char *name = l->i < l->names.n ? l->names.v[l->i] : NULL;
	struct node *n = l->c.i < l->c.n ? l->c.v[l->c.i] : NULL;
	int order;

	if (!name && !n)
		return leave(s, err);
	order = !name ? 1 : !n ? -1 : strcmp(name, n->name);
	if (order <= 0)
		l->i++;
	if (order >= 0)
		l->c.i++;
	return order > 0 ? absent(s, l, n, err)
			 : present(s, l, name, order ? NULL : n, err);
}

int diff_settle(struct diff *d, struct error *err)
{
	struct settle s = {.d = d};
	int rc = enter(&s, tree_root(d->tree), d->o->upper->fd, ".", err);

	while (!rc && s.n)
		rc = interrupt_check(err) < 0 ? -1 : step(&s, err);
	while (s.n) {
		names_release(&s.v[--s.n].names);
		close(s.v[s.n].fd);
	}
	free(s.v);
	return rc;
}
