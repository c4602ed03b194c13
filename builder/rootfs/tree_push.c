#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/tree_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

/* What tree_push_index knows of a layer's folders. */
enum { HAS_IMPLIED = 1, GRAFTED = 2 };

/* Takes a node out of sight for good. */
static void hide(struct node *n)
{
	n->type = NODE_WHITEOUT;
	n->step = 0;
	n->folder = NULL;
	branch_of(n)->below = NULL;
}

/* An opaque mark: what a folder has from below is gone, its own attributes are not. */
static void clear(struct folder *f)
{
	f->nparts = 0;
	for (struct branch *b = f->children; b; b = b->next)
		hide(&b->node);
}

static const struct node *foreign_target(const struct layer_ref *l, uint32_t record)
{
	size_t low = 0, high = l->nforeign;

	while (low + 1 < high) {
		size_t mid = low + (high - low) / 2;
		if (l->foreign[mid].record <= record)
			low = mid;
		else
			high = mid;
	}
	return l->nforeign > 0 ? l->foreign[low].target : NULL;
}

/* Gives n the values of a record that is no whiteout; its folder stays. */
static void set_values(struct tree *t, struct node *n, uint32_t layer, uint32_t record,
		       const struct index_node *in)
{
	const struct layer_ref *l = &t->layers[layer];

	n->step = 0;
	branch_of(n)->below = NULL;
	const struct node *from = in->foreign_link ? foreign_target(l, record) : NULL;
	if (from) {
		n->type = from->type;
		n->attrs = from->attrs;
		n->mtime = from->mtime;
		n->size = from->size;
		n->major = from->major;
		n->minor = from->minor;
		n->link = from->link;
		n->group = from->group;
		n->content = from->content;
		return;
	}
	n->type = in->type;
	n->attrs = in->attrs;
	n->mtime = in->mtime;
	n->size = in->size;
	n->major = in->major;
	n->minor = in->minor;
	n->link = in->link;
	n->group = in->group ? l->groups + in->group : 0;
	n->content = in->content;
}

static void merge_folder(struct tree *t, struct node *dir, uint32_t layer,
			 const struct index_node *in, uint32_t record);

/* One record of a layer comes over what dir, which is entered, has of that name. */
static void merge_child(struct tree *t, struct node *dir, uint32_t layer, uint32_t record)
{
	struct index_node in;
	struct node *n;

	if (t->marks && t->marks[record] & GRAFTED)
		return;
	index_get(t->layers[layer].ix, record, &in);
	n = tree_find(t, dir, in.name, in.name_len);
	if (in.type == NODE_WHITEOUT) {
		if (n)
			hide(n);
		return;
	}
	if (in.type != NODE_DIR) {
		if (!n)
			n = tree_place(t, dir, in.name, in.name_len, NULL);
		n->folder = NULL;
		set_values(t, n, layer, record, &in);
		return;
	}
	/* A folder that starts empty is a new node: the table may still hold children of
	 * the old one. */
	bool fresh = !n || !n->folder;
	if (!fresh && in.opaque)
		clear(n->folder);
	if (fresh) {
		n = tree_place(t, dir, in.name, in.name_len, n);
		tree_make_folder(t, n, false);
	}
	if (fresh || !in.implied)
		set_values(t, n, layer, record, &in);
	merge_folder(t, n, layer, &in, record);
}

/* A layer's record of a folder comes over dir.  The tree has at most NODE_LEVELS. */
static void merge_folder(struct tree *t, struct node *dir, uint32_t layer,
			 const struct index_node *in, uint32_t record)
{
	struct folder *f = dir->folder;

	if (in->count == 0)
		return;
	if (!f->entered) {
		GROW(f->parts, f->nparts, f->parts_cap);
		f->parts[f->nparts].layer = layer;
		f->parts[f->nparts++].record = record;
		return;
	}
	for (uint32_t i = 0; i < in->count; i++)
		merge_child(t, dir, layer, in->first + i);
	f->fresh = false;
}

int tree_enter(struct tree *t, struct node *dir, struct error *err)
{
	struct folder *f = dir->folder;

	if (!f)
		return error_set(err, E_BUG, "\"%s\" is no folder", dir->name);
	if (f->entered)
		return 0;
	f->entered = true;
	if (t->fill) {
		if (t->fill(t->fill_ctx, t, dir, err) == 0)
			return 0;
		f->entered = false;
		return -1;
	}
	unsigned char *marks = t->marks;
	t->marks = NULL; /* these records are lower layers' */
	for (size_t i = 0; i < f->nparts; i++) {
		struct index_node in;
		index_get(t->layers[f->parts[i].layer].ix, f->parts[i].record, &in);
		for (uint32_t k = 0; k < in.count; k++)
			merge_child(t, dir, f->parts[i].layer, in.first + k);
	}
	t->marks = marks;
	free(f->parts);
	f->parts = NULL;
	f->nparts = f->parts_cap = 0;
	return 0;
}

static int foreign_failed(const struct index_node *in, const char *why, struct error *err)
{
	return error_set(err, E_CORRUPT, "hard link \"%s\" to \"%s\": %s", in->name,
			 in->link, why);
}

/* Looks up the target of a hard link into lower layers and copies it, before the layer
 * itself can change or hide it.  Both get one group. */
static int resolve_foreign(struct tree *t, struct layer_ref *l, uint32_t record,
			   const struct index_node *in, size_t *cap, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct node *target;
	auto_free char *rest = NULL;

	int found = tree_resolve(t, in->link, 0, &target, &rest, &ignored);
	if (found <= 0)
		return foreign_failed(in, "not in the layers below", err);
	if (target->type == NODE_DIR)
		return foreign_failed(in, "is a folder", err);
	if (target->group == 0)
		target->group = tree_new_group(t);
	struct node *copy = tree_alloc(t, sizeof(*copy));
	*copy = *target;
	GROW(l->foreign, l->nforeign, *cap);
	l->foreign[l->nforeign].record = record;
	l->foreign[l->nforeign++].target = copy;
	return 0;
}

static int resolve_foreigns(struct tree *t, struct layer_ref *l, struct error *err)
{
	size_t cap = 0, n = index_foreign_links(l->ix) ? index_count(l->ix) : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct index_node in;
		index_get(l->ix, i, &in);
		if (in.foreign_link && resolve_foreign(t, l, i, &in, &cap, err) < 0)
			return -1;
	}
	return 0;
}

/* Marks the folders that have an implied one below, and counts the levels. */
static void mark_implied(struct tree *t, const struct index *ix)
{
	size_t n = index_count(ix);
	unsigned char *marks = t->marks = xcalloc(n, 1);
	unsigned char *heights = t->heights = xcalloc(n, 1);
	auto_free uint32_t *parent = xcalloc(n, sizeof(*parent));
	struct index_node in;

	for (uint32_t i = 0; i < n; i++) {
		index_get(ix, i, &in);
		for (uint32_t k = 0; k < in.count; k++)
			parent[in.first + k] = i;
		if (i > 0 && in.type == NODE_DIR && in.implied)
			marks[parent[i]] = HAS_IMPLIED;
	}
	/* A parent stands before its children. */
	for (size_t i = n; i-- > 1;) {
		if (marks[i])
			marks[parent[i]] = HAS_IMPLIED;
		if (heights[parent[i]] <= heights[i])
			heights[parent[i]] = heights[i] + 1;
	}
}

/* What a layer has below a link lies deeper than in the layer itself, and the next layer
 * can go on from there: without this there was no end to it. */
static int check_graft(const struct tree *t, const struct node *to, const char *name,
		       uint32_t record, struct error *err)
{
	if (depth_of(to) + t->heights[record] <= NODE_LEVELS)
		return 0;
	return error_set(err, E_CORRUPT,
			 "\"%s\" is a link below, behind which paths would have over %d "
			 "levels",
			 name, NODE_LEVELS);
}

/* The folder that a symlink leads to, or NULL. */
static struct node *linked_folder(struct tree *t, const struct node *link)
{
	auto_buf struct buf path = BUF_INIT;
	auto_free char *rest = NULL;
	struct error ignored = ERROR_INIT;
	struct node *dir;

	tree_path(link, &path);
	if (tree_resolve(t, path.data, TREE_FOLLOW_LAST, &dir, &rest, &ignored) != 1)
		return NULL;
	return dir->folder ? dir : NULL;
}

/* Where the layer only implies a folder and the layers below have a symlink to one, what
 * the layer has there belongs into that one.  So the folders in which this can happen
 * are entered now, before later layers come; all others stay as they are. */
static int graft_implied(struct tree *t, struct node *dir, uint32_t layer,
			 uint32_t record, struct error *err)
{
	const struct index *ix = t->layers[layer].ix;
	struct index_node in, child;

	if (!(t->marks[record] & HAS_IMPLIED))
		return 0;
	if (tree_enter(t, dir, err) < 0)
		return -1;
	index_get(ix, record, &in);
	for (uint32_t i = in.first; i < in.first + in.count; i++) {
		index_get(ix, i, &child);
		if (child.type != NODE_DIR)
			continue;
		struct node *n = tree_find(t, dir, child.name, child.name_len);
		struct node *to = n && n->folder && !child.opaque ? n : NULL;
		if (n && n->type == NODE_SYMLINK && child.implied) {
			to = linked_folder(t, n);
			if (to && check_graft(t, to, child.name, i, err) < 0)
				return -1;
			if (to)
				t->marks[i] |= GRAFTED;
			if (to && child.opaque)
				clear(to->folder);
		}
		if (to && graft_implied(t, to, layer, i, err) < 0)
			return -1;
		if (to && t->marks[i] & GRAFTED)
			merge_folder(t, to, layer, &child, i);
	}
	return 0;
}

static void add_layer(struct tree *t, struct layer_ref *l)
{
	index_ref(l->ix);
	l->groups = t->groups;
	t->groups += index_groups(l->ix);
	GROW(t->layers, t->nlayers, t->layers_cap);
	t->layers[t->nlayers++] = *l;
}

int tree_push_index(struct tree *t, struct index *ix, struct error *err)
{
	struct layer_ref l = {.ix = ix};
	struct node *root = &t->root.node;
	struct index_node in;
	int r = 0;

	if (resolve_foreigns(t, &l, err) < 0) {
		free(l.foreign);
		return -1;
	}
	add_layer(t, &l);
	uint32_t layer = (uint32_t)t->nlayers - 1;
	index_get(ix, 0, &in);
	if (in.opaque)
		clear(root->folder);
	if (!in.implied)
		set_values(t, root, layer, 0, &in);
	if (index_implied_folders(ix) > 0) {
		mark_implied(t, ix);
		r = graft_implied(t, root, layer, 0, err);
	}
	if (r == 0)
		merge_folder(t, root, layer, &in, 0);
	free(t->marks);
	free(t->heights);
	t->marks = t->heights = NULL;
	return r;
}

void tree_add_layer(struct tree *t, struct index *ix)
{
	struct layer_ref l = {.ix = ix};

	add_layer(t, &l);
}

struct tree *tree_fork(struct tree *t)
{
	struct tree *copy = tree_new();
	struct error ignored = ERROR_INIT;

	for (size_t i = 0; i < t->nlayers; i++) {
		if (tree_push_index(copy, t->layers[i].ix, &ignored) < 0) {
			tree_free(copy);
			return NULL;
		}
	}
	return copy;
}
