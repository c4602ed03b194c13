/*
 * tree_private.h - what tree.c (the stack of layers, look-ups) and tree_change.c (steps)
 * share
 *
 * Every child of an entered folder has one slot in the tree's hash table and one place
 * in its folder's list, whatever becomes of it: a child that a layer or a step removed
 * stays there as NODE_WHITEOUT.
 */
#ifndef HOD_TREE_PRIVATE_H
#define HOD_TREE_PRIVATE_H

#include "builder/rootfs/tree.h"

/* What a node of the tree really is; the public part comes first. */
struct branch {
	struct node node;
	struct branch *next, *before; /* among its folder's children, in no order */
	/* Of a node that the current step set: the node that its path had before
	 * the step, NULL when there was none; the node itself when it was changed in
	 * place. */
	struct node *below;
	uint64_t hash;
};

/* A folder's record in one layer of the stack. */
struct part {
	uint32_t layer, record;
};

struct folder {
	bool entered;
	struct part
		*parts; /* from the lowest layer up; used up when the folder is entered */
	size_t nparts, parts_cap;
	struct branch *children;
	size_t nchildren;
	struct node **sorted; /* the children by name, as they were when `fresh` */
	size_t sorted_cap;
	bool fresh;
	struct folder *next; /* of all the tree's folders */
};

/* A hard link to a path of a lower layer, resolved when its layer was pushed. */
struct foreign {
	uint32_t record;
	const struct node *target; /* a copy */
};

struct layer_ref {
	struct index *ix;
	uint64_t groups; /* added to the index' group numbers */
	struct foreign *foreign;
	size_t nforeign;
};

struct chunk;

struct tree {
	struct branch root;
	struct branch **slots; /* open addressing by (parent, name) */
	size_t nslots, cap;
	struct layer_ref *layers;
	size_t nlayers, layers_cap;
	struct chunk *chunks;
	size_t room; /* left in the first chunk */
	struct folder *folders;
	uint64_t groups; /* the last number given */
	uint32_t step;
	/* By record of the layer that is being pushed, or NULL: marks, and levels below.
	 */
	unsigned char *marks, *heights;
	tree_fill *fill;
	void *fill_ctx;
};

static inline struct branch *branch_of(struct node *n)
{
	return (struct branch *)n;
}

/* The number of parts of its path. */
static inline unsigned depth_of(const struct node *n)
{
	unsigned depth = 0;

	for (; n->parent; n = n->parent)
		depth++;
	return depth;
}

/* Zeroed memory that lives as long as the tree. */
void *tree_alloc(struct tree *t, size_t size);
/* Fills the folder, if that has not happened yet. */
int tree_enter(struct tree *t, struct node *dir, struct error *err);
/* The child's node, whiteouts included; NULL when the name never was there. */
struct node *tree_find(struct tree *t, struct node *dir, const char *name, size_t len);
/* A new, empty node of that name in the folder; the name is not copied.  `old` is the
 * node whose place it takes, or NULL when tree_find finds none. */
struct node *tree_place(struct tree *t, struct node *dir, const char *name, size_t len,
			struct node *old);
/* Copies v into n: strings and xattrs too. */
void tree_fill_values(struct tree *t, struct node *n, const struct node_value *v);
/* Gives n an empty folder. */
void tree_make_folder(struct tree *t, struct node *n, bool entered);

#endif
