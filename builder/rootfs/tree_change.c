#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/tree_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

void tree_begin_step(struct tree *t)
{
	t->step++;
}

uint32_t tree_step(const struct tree *t)
{
	return t->step;
}

/* What the path of n was before the current step; NULL for nothing. */
static struct node *before_step(const struct tree *t, struct node *n)
{
	if (t->step > 0 && n->step == t->step)
		return branch_of(n)->below;
	return n->type == NODE_WHITEOUT ? NULL : n;
}

static void mark(struct tree *t, struct node *n)
{
	n->step = t->step;
	for (struct node *a = n->parent; a && a->step_below != t->step; a = a->parent)
		a->step_below = t->step;
}

/* n, changed in place, belongs to the step from now on. */
static void touch(struct tree *t, struct node *n)
{
	branch_of(n)->below = before_step(t, n);
	mark(t, n);
}

void tree_fill_values(struct tree *t, struct node *n, const struct node_value *v)
{
	n->type = v->type;
	n->attrs = v->attrs;
	n->attrs.xattrs = tree_xattrs(t, v->attrs.xattrs);
	n->mtime = v->mtime;
	n->size = v->size;
	n->major = v->major;
	n->minor = v->minor;
	n->link = v->link ? tree_strdup(t, v->link, strlen(v->link)) : NULL;
	n->group = v->group;
	n->content = v->content;
}

static struct node *put_new(struct tree *t, struct node *dir, const char *name,
			    size_t len, struct node *old, struct node *below)
{
	struct node *n = tree_place(t, dir, name, len, old);

	branch_of(n)->below = below;
	mark(t, n);
	return n;
}

/* A layer's folder entry does not hide the children of a folder that was there before
 * the step: each of them needs a whiteout of its own, until it is set again. */
static int hide_children(struct tree *t, struct node *dir, struct node *lower,
			 struct error *err)
{
	if (tree_enter(t, lower, err) < 0)
		return -1;
	for (struct branch *b = lower->folder->children; b; b = b->next) {
		struct node *shown = before_step(t, &b->node);
		if (!shown)
			continue;
		struct node *n =
			put_new(t, dir, b->node.name, b->node.name_len, NULL, shown);
		n->type = NODE_WHITEOUT;
	}
	return 0;
}

struct node *tree_put(struct tree *t, struct node *dir, const char *name, size_t len,
		      const struct node_value *v, struct error *err)
{
	struct node *n;
	bool folder = v->type == NODE_DIR;

	if (t->step == 0)
		tree_begin_step(t);
	if (tree_enter(t, dir, err) < 0)
		return NULL;
	if (len == 0 || memchr(name, '/', len) || memchr(name, '\0', len)) {
		error_set(err, E_BUG, "\"%.*s\" cannot name a path", (int)len, name);
		return NULL;
	}
	if (depth_of(dir) >= NODE_LEVELS) {
		error_set(err, E_INPUT, "\"%.*s\" is nested more than %d folders deep",
			  (int)len, name, NODE_LEVELS);
		return NULL;
	}
	n = tree_find(t, dir, name, len);
	if (n && folder == (n->folder != NULL)) {
		touch(t, n);
		tree_fill_values(t, n, v);
		return n;
	}
	struct node *below = n ? before_step(t, n) : NULL;
	/* The lower folder is entered first: a failure leaves all as it was. */
	if (folder && below && below->folder && tree_enter(t, below, err) < 0)
		return NULL;
	n = put_new(t, dir, n ? n->name : tree_strdup(t, name, len), len, n, below);
	tree_fill_values(t, n, v);
	if (folder) {
		tree_make_folder(t, n, true);
		if (below && below->folder && hide_children(t, n, below, err) < 0)
			return NULL;
	}
	return n;
}

void tree_set_attrs(struct tree *t, struct node *n, const struct attrs *a, int64_t mtime)
{
	if (t->step == 0)
		tree_begin_step(t);
	touch(t, n);
	n->attrs = *a;
	n->attrs.xattrs = tree_xattrs(t, a->xattrs);
	n->mtime = mtime;
}

void tree_remove(struct tree *t, struct node *n)
{
	if (!n->parent)
		return;
	if (t->step == 0)
		tree_begin_step(t);
	struct node *below = before_step(t, n);
	if (below) {
		put_new(t, n->parent, n->name, n->name_len, n, below)->type =
			NODE_WHITEOUT;
		return;
	}
	n->type = NODE_WHITEOUT;
	n->step = 0;
	n->folder = NULL;
	branch_of(n)->below = NULL;
}

void tree_set_content(struct tree *t, struct node *n, const struct content *c)
{
	(void)t;
	n->content = *c;
}

/* The walk over a step's changes: one frame for each folder on the way down. */
struct frame {
	struct node *dir;
	struct node **v; /* what is changed, or has something changed below */
	size_t n, i;
	size_t path_len;
	bool told;
};

static bool concerns(const struct tree *t, const struct node *n)
{
	return n->step == t->step || (n->folder && n->step_below == t->step);
}

/* Bytewise by the name in the layer: a whiteout's is .wh.NAME. */
static int by_layer_name(const void *a, const void *b)
{
	const struct node *v[2] = {*(struct node *const *)a, *(struct node *const *)b};
	static const char prefix[] = ".wh.";
	bool white[2] = {v[0]->type == NODE_WHITEOUT, v[1]->type == NODE_WHITEOUT};

	if (white[0] == white[1])
		return strcmp(v[0]->name, v[1]->name);
	const char *plain = v[white[0] ? 1 : 0]->name,
		   *removed = v[white[0] ? 0 : 1]->name;
	int order = strncmp(plain, prefix, sizeof(prefix) - 1);
	if (order == 0)
		order = strcmp(plain + sizeof(prefix) - 1, removed);
	return white[0] ? -order : order;
}

static void frame_open(const struct tree *t, struct frame *f, struct node *dir,
		       size_t path_len)
{
	size_t cap = 0;

	*f = (struct frame){.dir = dir, .path_len = path_len};
	for (struct branch *b = dir->folder->children; b; b = b->next) {
		if (!concerns(t, &b->node))
			continue;
		GROW(f->v, f->n, cap);
		f->v[f->n++] = &b->node;
	}
	if (f->n > 1)
		qsort(f->v, f->n, sizeof(*f->v), by_layer_name);
}

/* Shows the folders on the way that were not shown yet; the root only if it changed. */
static int tell_parents(struct frame *stack, size_t depth, struct buf *path,
			tree_visit *visit, void *ctx, struct error *err)
{
	for (size_t i = 1; i < depth; i++) {
		struct frame *f = &stack[i];
		if (f->told)
			continue;
		f->told = true;
		char kept = path->data[f->path_len];
		path->data[f->path_len] = '\0';
		int r = visit(ctx, f->dir, path->data, false, err);
		path->data[f->path_len] = kept;
		if (r != 0)
			return r;
	}
	return 0;
}

struct changes {
	struct frame *stack;
	size_t depth, cap;
	struct buf path;
};

static int change_child(struct tree *t, struct changes *w, struct node *n,
			tree_visit *visit, void *ctx, struct error *err)
{
	struct frame *top = &w->stack[w->depth - 1];
	bool changed = n->step == t->step;

	buf_truncate(&w->path, top->path_len);
	if (top->path_len > 0)
		buf_addc(&w->path, '/');
	buf_add(&w->path, n->name, n->name_len);
	if (changed) {
		int r = tell_parents(w->stack, w->depth, &w->path, visit, ctx, err);
		if (r == 0)
			r = visit(ctx, n, w->path.data, true, err);
		if (r != 0)
			return r;
	}
	if (n->folder && n->step_below == t->step) {
		GROW(w->stack, w->depth, w->cap);
		frame_open(t, &w->stack[w->depth], n, w->path.len);
		w->stack[w->depth++].told = changed;
	}
	return 0;
}

/* Depth first without recursion; ends at the first visit that gives no 0. */
static int walk_changes(struct tree *t, tree_visit *visit, void *ctx, struct error *err)
{
	struct changes w = {.path = BUF_INIT};
	struct node *root = &t->root.node;
	int r = 0;

	if (t->step == 0)
		return 0;
	if (root->step == t->step)
		r = visit(ctx, root, "", true, err);
	if (r == 0 && root->step_below == t->step) {
		GROW(w.stack, w.depth, w.cap);
		frame_open(t, &w.stack[w.depth++], root, 0);
	}
	while (r == 0 && w.depth > 0) {
		struct frame *top = &w.stack[w.depth - 1];
		if (top->i < top->n) {
			r = change_child(t, &w, top->v[top->i++], visit, ctx, err);
			continue;
		}
		free(top->v);
		w.depth--;
	}
	while (w.depth > 0)
		free(w.stack[--w.depth].v);
	free(w.stack);
	buf_release(&w.path);
	return r;
}

int tree_changes(struct tree *t, tree_visit *visit, void *ctx, struct error *err)
{
	return walk_changes(t, visit, ctx, err) == 0 ? 0 : -1;
}

static int found_one(void *ctx, struct node *n, const char *path, bool changed,
		     struct error *err)
{
	(void)ctx, (void)n, (void)path, (void)err;
	return changed;
}

bool tree_step_empty(const struct tree *t)
{
	return walk_changes((struct tree *)t, found_one, NULL, NULL) == 0;
}
