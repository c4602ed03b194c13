/*
 * tree.h - a root filesystem in memory
 *
 * A tree is a stack of layer indexes with changes on top.  A folder is merged
 * (whiteouts, opaque marks) when it is first entered, then kept; nothing else of
 * the layers is ever read.  Names are bytes.  A tree can also be the view of a
 * folder on disk (a build context): its folders are then read when entered.
 *
 * The merging rules (image-spec layer.md): what is no folder hides everything below; a
 * folder merges with the folder below unless it is opaque; one that only its
 * children made known takes the attributes of the folder below (else 0755, 0:0, mtime 0);
 * a folder over something else starts empty - but one that is only implied, over a
 * symlink to a folder, is that folder (`bin/x` in a layer without an entry `bin`, over
 * bin -> usr/bin).
 *
 * Nodes are owned by the tree and stay where they are until tree_free; a path whose node
 * is replaced by another type, removed or hidden gets a new one.  Only functions of this
 * header change them.  A tree that is frozen has every change behind it; entering a
 * folder still fills it, so one thread at a time unless tree_enter_all was called.
 *
 * Changes are made within a step: tree_begin_step, tree_put..., then
 * the layer writer walks what that step set (tree_changes).
 */
#ifndef HOD_TREE_H
#define HOD_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/rootfs/node.h"

struct error;
struct index;

struct node {
	struct node *parent; /* the root's is NULL */
	const char *name;    /* "" for the root */
	uint32_t name_len;
	enum node_type type; /* NODE_WHITEOUT: removed in `step` */
	struct attrs attrs;
	int64_t mtime; /* seconds */
	uint64_t size;
	uint32_t major, minor;
	const char *link; /* symlink target */
	uint64_t group;   /* > 0: names of one inode within this tree */
	struct content content;
	uint32_t step;         /* the step that last set this node; 0: from below */
	uint32_t step_below;   /* the last step that set anything below this folder */
	struct folder *folder; /* tree.c's; NULL for what is no folder */
};

struct tree;
struct tree *tree_new(void);
void tree_free(struct tree *t); /* NULL is fine */

/* A tree to build on, for a stage made FROM another stage: a new tree over the same
 * layers.  It shows what was pushed or, after a step, added as a layer; a step whose
 * layer was not added is not in it.  The original can go on or be freed.  NULL only where
 * a layer could not be pushed onto the original either. */
struct tree *tree_fork(struct tree *t);

/* Puts a layer on top; folders already entered are updated.  Takes a reference.  The
 * index must outlive nothing: the tree keeps it.  E_CORRUPT when a hard link of the layer
 * names a path that the layers below do not have, or a folder; the tree is then as
 * before.  E_CORRUPT too when what it has behind symlinks would lie deeper than
 * NODE_LEVELS; the tree can then only be freed. */
int tree_push_index(struct tree *t, struct index *ix, struct error *err);
/* Says that what the current step set is now the layer ix (made by layer_write): the
 * nodes stay as they are, forks see it.  Takes a reference.  Call tree_begin_step
 * before the next change. */
void tree_add_layer(struct tree *t, struct index *ix);
/* Enters every folder: afterwards any number of threads can read a tree that nobody
 * changes. */
int tree_enter_all(struct tree *t, struct error *err);

/* Fills a folder of a tree that shows something else than layers. */
typedef int tree_fill(void *ctx, struct tree *t, struct node *dir, struct error *err);
struct tree *tree_new_view(tree_fill *fill, void *ctx);

struct node *tree_root(struct tree *t);
/* The child of that name, NULL if there is none (whiteouts count as none); err->kind
 * tells a failure. */
struct node *tree_child(struct tree *t, struct node *dir, const char *name, size_t len,
			struct error *err);
/* The children of a folder, sorted bytewise by name, whiteouts left out.  A cursor
 * stays good while the folder changes (it shows the children as they were), until
 * the next tree_children of the same folder. */
struct cursor {
	struct node *const *v;
	size_t n, i;
	bool whiteouts; /* show them too: those of the current step have its number */
};
int tree_children(struct tree *t, struct node *dir, struct cursor *c, struct error *err);
struct node *cursor_next(struct cursor *c);

enum { TREE_FOLLOW_LAST = 1 /* a symlink as last part is followed too */ };
#define TREE_MAX_LINKS 40

/* Resolves a path inside the root, following symlinks on the way (`..` stops at
 * the root).  1: *out is the node.  0: not there; *out is the deepest existing folder and
 * *rest (yours to free) the missing parts below it, without symlinks, joined by `/` (a
 * dangling last link with FOLLOW gives its target's path).  -1: too many links (E_INPUT),
 * or a part that is no folder (E_INPUT; *out is that node). */
int tree_resolve(struct tree *t, const char *path, int flags, struct node **out,
		 char **rest, struct error *err);
/* The path of a node without leading slash; "" for the root.  Appends to buf. */
struct buf;
void tree_path(const struct node *n, struct buf *out);

/* Changes.  All strings and xattrs are copied into the tree. */
void tree_begin_step(struct tree *t);
uint32_t tree_step(const struct tree *t);
/* A new value for a node; fields as in struct node. */
struct node_value {
	enum node_type type;
	struct attrs attrs;
	int64_t mtime;
	uint64_t size;
	uint32_t major, minor;
	const char *link;
	uint64_t group;
	struct content
		content; /* pointers must live as long as the tree: see tree_strdup */
};
/* Sets dir/name to v, making or replacing it; a folder that stays a folder
 * keeps its children, any other replaced node loses them.  The node is returned.  NULL
 * and E_INPUT when it would lie deeper than NODE_LEVELS, which no layer's index can say.
 */
struct node *tree_put(struct tree *t, struct node *dir, const char *name, size_t len,
		      const struct node_value *v, struct error *err);
/* Gives an existing node new attributes as part of this step. */
void tree_set_attrs(struct tree *t, struct node *n, const struct attrs *a, int64_t mtime);
/* Removes it: a whiteout stays in its place if the path was there before the step.
 * The root cannot be removed.  (A folder that is put again in its place hides
 * the old children one by one: layers have no opaque marks.) */
void tree_remove(struct tree *t, struct node *n);
/* For fill functions: adds a child that is not part of any step. */
struct node *tree_add(struct tree *t, struct node *dir, const char *name, size_t len,
		      const struct node_value *v);
/* Memory that lives as long as the tree. */
char *tree_strdup(struct tree *t, const char *s, size_t len);
const struct xattrs *tree_xattrs(struct tree *t, const struct xattrs *x);
/* A fresh number for a hard-link group. */
uint64_t tree_new_group(struct tree *t);
/* After a layer was written, its nodes' contents are in that layer. */
void tree_set_content(struct tree *t, struct node *n, const struct content *c);

/* What this step set, in the layer's order (hod-layers(5), TAR): each folder before
 * its content, siblings bytewise by their names in the layer (a whiteout's is
 * .wh.NAME, but path ends in NAME), parents of changed paths included (with
 * changed = false), the root only when it changed.  A visit that does not return 0 ends
 * it with -1. */
typedef int tree_visit(void *ctx, struct node *n, const char *path, bool changed,
		       struct error *err);
int tree_changes(struct tree *t, tree_visit *visit, void *ctx, struct error *err);
bool tree_step_empty(const struct tree *t);

#endif
