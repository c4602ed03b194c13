/*
 * diff_private.h - what the parts of diff.h share
 *
 *	diff.c		the walk over the upper folder, parents first
 *	diff_look.c	one path of it: what it is, and whether its content is as before
 *	diff_bytecode.c	the rules for .pyc files
 *	diff_settle.c	afterwards: the upper folder becomes what the layer says
 *
 * A folder is entered by its name in the one above, with O_NOFOLLOW; one fd is open for
 * each folder on the way down, and the names of these folders are in memory.
 */
#ifndef HOD_DIFF_PRIVATE_H
#define HOD_DIFF_PRIVATE_H

#include <sys/stat.h>

#include "builder/rootfs/diff.h"
#include "builder/rootfs/tree.h"
#include "registry/base/buf.h"
#include "registry/base/map.h"

#define DIFF_BLOCK ((size_t)128 << 10)

/* A regular file *.py of the upper folder, for those who ask whether a .pyc was valid. */
struct py_source {
	int64_t mtime;  /* when the step ended */
	int64_t before; /* in the tree before the step */
	bool rewritten; /* its content is another one */
};

/* A regular file *.pyc of the upper folder. */
struct pyc_file {
	struct node *dir;
	char *name;
	struct pyc_inode *inode; /* diff_bytecode.c's */
	bool same;               /* its content is as before the step */
};

struct diff {
	struct tree *tree;
	const struct diff_options *o;
	struct buf path;       /* of the name at hand */
	struct buf link;       /* the target of the last symlink looked at */
	struct buf names;      /* of attributes */
	struct buf values;     /* of attributes */
	struct xattrs *xattrs; /* of the last path looked at */
	size_t xattrs_cap;
	uint8_t *block[2];        /* DIFF_BLOCK bytes each */
	struct map covered, over; /* paths, and the folders on the way to them */
	struct map groups;        /* struct inode -> struct link_group */
	struct map sources;       /* node -> struct py_source */
	struct pyc_file *pycs;
	size_t npycs, pycs_cap;
	struct node **py_dirs; /* with a changed *.py */
	size_t npy_dirs, py_dirs_cap;
	struct node **stubs; /* new folders on the way to a covered path */
	size_t nstubs, stubs_cap;
	void **owned; /* the maps' values */
	size_t nowned, owned_cap;
};

struct inode {
	uint64_t dev, ino;
};

/* A path of the upper folder as it lies there. */
struct entry {
	struct stat st;
	enum node_type type;         /* NODE_WHITEOUT: nothing is there for the layer */
	bool marked;                 /* a folder that hides what is below */
	int fd;                      /* of a regular file or a folder; else -1 */
	const struct xattrs *xattrs; /* until the next look */
	const char *link;            /* until the next look */
};

/* Memory that goes away with d. */
void *diff_own(struct diff *d, void *p);

/* diff_look.c */

/* The names in a folder, sorted bytewise. */
struct names {
	struct buf bytes;
	char **v;
	size_t n;
};
int names_read(struct names *n, int fd, struct error *err);
void names_release(struct names *n);
bool names_have(const struct names *n, const char *name);

/* Opens a path of any length below a folder, through no link; -1 and errno. */
int diff_open_below(int dirfd, const char *path, int flags);
/* What dirfd/name is.  Overlay's own attributes are removed on the way.  e->fd is to be
 * closed. */
int diff_look(struct diff *d, int dirfd, const char *name, struct entry *e,
	      struct error *err);
#define auto_entry __attribute__((cleanup(entry_close)))
void entry_close(struct entry *e);
/* The regular file that the folders below have at the path; -1 when they have none (err
 * is left alone), -2. */
int diff_open_lower(const struct diff *d, const char *path, struct error *err);
/* Whether the file in fd holds what the regular file `before` of that path held: 1, 0,
 * -1. */
int diff_same_content(struct diff *d, int fd, const struct stat *st, const char *path,
		      const struct node *before, struct error *err);
bool diff_same_xattrs(const struct xattrs *disk, const struct xattrs *tree);
/* Whether a node's owner can lie on disk. */
static inline bool diff_has_owner(const struct diff *d, const struct node *n)
{
	return !d->o->has_owner || d->o->has_owner(d->o->ctx, n->attrs.uid, n->attrs.gid);
}

/* diff.c */

enum content_state { CONTENT_UNKNOWN, CONTENT_SAME, CONTENT_OTHER };
/* Compares what lies at d->path with what the tree has there and puts it into the step
 * when it differs.  *now is the node of the path; *state (for regular files) is what is
 * known of its content, before and after. */
int diff_entry(struct diff *d, struct node *dir, const char *name, const struct entry *e,
	       enum content_state *state, struct node **now, struct error *err);
int diff_child(struct diff *d, struct node *dir, const char *name, struct node **out,
	       struct error *err);
/* d->path becomes dir/name. */
void diff_set_path(struct diff *d, const struct node *dir, const char *name);

/* diff_bytecode.c: applies the rules to the pycs that the walk found, and puts them into
 * the step. */
int diff_bytecode(struct diff *d, struct error *err);

/* diff_settle.c */
int diff_settle(struct diff *d, struct error *err);

#endif
