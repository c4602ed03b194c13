#include "builder/rootfs/tree.h"

#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/map.h"

#define CHUNK_SIZE ((size_t)256 << 10)

struct chunk {
	struct chunk *next;
	_Alignas(max_align_t) unsigned char data[];
};

void *tree_alloc(struct tree *t, size_t size)
{
	size_t need = (size + 15) & ~(size_t)15;

	if (need > CHUNK_SIZE / 4) {
		/* Behind the first chunk, whose room stays in use. */
		struct chunk *c = xcalloc(1, sizeof(*c) + need);
		if (t->chunks) {
			c->next = t->chunks->next;
			t->chunks->next = c;
		} else {
			t->chunks = c;
		}
		return c->data;
	}
	if (need > t->room) {
		struct chunk *c = xcalloc(1, sizeof(*c) + CHUNK_SIZE);
		c->next = t->chunks;
		t->chunks = c;
		t->room = CHUNK_SIZE;
	}
	t->room -= need;
	return t->chunks->data + t->room;
}

char *tree_strdup(struct tree *t, const char *s, size_t len)
{
	char *copy = tree_alloc(t, len + 1);

	memcpy(copy, s, len);
	return copy;
}

const struct xattrs *tree_xattrs(struct tree *t, const struct xattrs *x)
{
	if (!x || x->n == 0)
		return NULL;
	struct xattrs *copy = tree_alloc(t, sizeof(*copy) + x->n * sizeof(x->v[0]));
	copy->n = x->n;
	for (size_t i = 0; i < x->n; i++) {
		copy->v[i].name = tree_strdup(t, x->v[i].name, strlen(x->v[i].name));
		copy->v[i].value =
			tree_strdup(t, x->v[i].value ? x->v[i].value : "", x->v[i].len);
		copy->v[i].len = x->v[i].len;
	}
	return copy;
}

void tree_make_folder(struct tree *t, struct node *n, bool entered)
{
	struct folder *f = tree_alloc(t, sizeof(*f));

	f->entered = entered;
	f->next = t->folders;
	t->folders = f;
	n->folder = f;
}

static uint64_t place_hash(const struct node *dir, const char *name, size_t len)
{
	return hash_bytes(name, len, (uint64_t)(uintptr_t)dir);
}

static void grow_slots(struct tree *t)
{
	size_t cap = t->cap ? t->cap * 2 : 256;
	struct branch **slots = xcalloc(cap, sizeof(*slots));

	for (size_t i = 0; i < t->cap; i++) {
		if (!t->slots[i])
			continue;
		size_t at = t->slots[i]->hash & (cap - 1);
		while (slots[at])
			at = (at + 1) & (cap - 1);
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
}

static struct branch **find_slot(struct tree *t, const struct node *dir, const char *name,
				 size_t len, uint64_t hash)
{
	size_t at = hash & (t->cap - 1);

	for (; t->slots[at]; at = (at + 1) & (t->cap - 1)) {
		const struct branch *b = t->slots[at];
		if (b->hash == hash && b->node.parent == dir && b->node.name_len == len &&
		    memcmp(b->node.name, name, len) == 0)
			break;
	}
	return &t->slots[at];
}

struct node *tree_find(struct tree *t, struct node *dir, const char *name, size_t len)
{
	struct branch *b;

	if (t->cap == 0)
		return NULL;
	b = *find_slot(t, dir, name, len, place_hash(dir, name, len));
	return b ? &b->node : NULL;
}

struct node *tree_place(struct tree *t, struct node *dir, const char *name, size_t len,
			struct node *old)
{
	struct branch *b = tree_alloc(t, sizeof(*b));
	struct folder *f = dir->folder;

	b->hash = place_hash(dir, name, len);
	b->node.parent = dir;
	b->node.name = name;
	b->node.name_len = (uint32_t)len;
	if (!old && t->nslots >= t->cap / 2)
		grow_slots(t);
	*find_slot(t, dir, name, len, b->hash) = b;
	f->fresh = false;
	if (old) {
		struct branch *o = branch_of(old);
		b->next = o->next;
		b->before = o->before;
	} else {
		t->nslots++;
		f->nchildren++;
		b->next = f->children;
	}
	if (b->next)
		b->next->before = b;
	if (b->before)
		b->before->next = b;
	else
		f->children = b;
	return &b->node;
}

struct tree *tree_new(void)
{
	struct tree *t = xcalloc(1, sizeof(*t));

	t->root.node.name = "";
	t->root.node.type = NODE_DIR;
	t->root.node.attrs.mode = 0755;
	tree_make_folder(t, &t->root.node, false);
	return t;
}

struct tree *tree_new_view(tree_fill *fill, void *ctx)
{
	struct tree *t = tree_new();

	t->fill = fill;
	t->fill_ctx = ctx;
	return t;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	for (struct folder *f = t->folders; f; f = f->next) {
		free(f->parts);
		free(f->sorted);
	}
	for (size_t i = 0; i < t->nlayers; i++) {
		index_unref(t->layers[i].ix);
		free(t->layers[i].foreign);
	}
	free(t->layers);
	free(t->slots);
	while (t->chunks) {
		struct chunk *c = t->chunks;
		t->chunks = c->next;
		free(c);
	}
	free(t);
}

struct node *tree_root(struct tree *t)
{
	return &t->root.node;
}

uint64_t tree_new_group(struct tree *t)
{
	return ++t->groups;
}

int tree_enter_all(struct tree *t, struct error *err)
{
	auto_free struct node **todo = NULL;
	size_t n = 0, cap = 0;

	GROW(todo, n, cap);
	todo[n++] = &t->root.node;
	while (n > 0) {
		struct node *dir = todo[--n], *child;
		struct cursor c;
		if (tree_children(t, dir, &c, err) < 0)
			return -1;
		while ((child = cursor_next(&c))) {
			if (!child->folder)
				continue;
			GROW(todo, n, cap);
			todo[n++] = child;
		}
	}
	return 0;
}

struct node *tree_child(struct tree *t, struct node *dir, const char *name, size_t len,
			struct error *err)
{
	if (tree_enter(t, dir, err) < 0)
		return NULL;
	struct node *n = tree_find(t, dir, name, len);
	return n && n->type != NODE_WHITEOUT ? n : NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;

	return strcmp(x->name, y->name);
}

static void sort_children(struct folder *f)
{
	bool sorted = true;
	size_t i = f->nchildren;

	if (f->sorted_cap < f->nchildren) {
		f->sorted = xreallocarray(f->sorted, f->nchildren, sizeof(struct node *));
		f->sorted_cap = f->nchildren;
	}
	/* The newest is first in the list: backwards, a single layer's folder is in
	 * order. */
	for (struct branch *b = f->children; b; b = b->next) {
		f->sorted[--i] = &b->node;
		if (i + 1 < f->nchildren &&
		    strcmp(b->node.name, f->sorted[i + 1]->name) > 0)
			sorted = false;
	}
	if (!sorted)
		qsort(f->sorted, f->nchildren, sizeof(struct node *), by_name);
	f->fresh = true;
}

int tree_children(struct tree *t, struct node *dir, struct cursor *c, struct error *err)
{
	if (tree_enter(t, dir, err) < 0)
		return -1;
	if (!dir->folder->fresh)
		sort_children(dir->folder);
	*c = (struct cursor){.v = dir->folder->sorted, .n = dir->folder->nchildren};
	return 0;
}

struct node *cursor_next(struct cursor *c)
{
	while (c->i < c->n) {
		struct node *n = c->v[c->i++];
		if (c->whiteouts || n->type != NODE_WHITEOUT)
			return n;
	}
	return NULL;
}

struct node *tree_add(struct tree *t, struct node *dir, const char *name, size_t len,
		      const struct node_value *v)
{
	struct node *old = tree_find(t, dir, name, len);
	struct node *n = tree_place(t, dir, tree_strdup(t, name, len), len, old);

	tree_fill_values(t, n, v);
	if (n->type == NODE_DIR)
		tree_make_folder(t, n, false);
	return n;
}

void tree_path(const struct node *n, struct buf *out)
{
	size_t len = 0, start = out->len;

	for (const struct node *a = n; a->parent; a = a->parent)
		len += a->name_len + (a->parent->parent != NULL);
	buf_reserve(out, len);
	out->len += len;
	out->data[out->len] = '\0';
	char *end = out->data + start + len;
	for (const struct node *a = n; a->parent; a = a->parent) {
		end -= a->name_len;
		memcpy(end, a->name, a->name_len);
		if (a->parent->parent)
			*--end = '/';
	}
}
