#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/index_format.h"
#include "builder/rootfs/index_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/map.h"

typedef bool ids_same(const struct index_builder *b, uint32_t id, const void *key);

static void ids_grow(struct ids *t)
{
	struct ids bigger = {.cap = t->cap ? t->cap * 2 : 64, .n = t->n};

	bigger.slots = xcalloc(bigger.cap, sizeof(*bigger.slots));
	for (uint32_t i = 0; i < t->cap; i++) {
		if (!t->slots[i].id)
			continue;
		uint32_t at = t->slots[i].hash & (bigger.cap - 1);
		while (bigger.slots[at].id)
			at = (at + 1) & (bigger.cap - 1);
		bigger.slots[at] = t->slots[i];
	}
	free(t->slots);
	*t = bigger;
}

void ids_release(struct ids *t)
{
	free(t->slots);
	*t = (struct ids){0};
}

/* The place of key's number, which is 0 when it is new: the caller sets it at once.
 * It stays valid until the next call. */
static uint32_t *ids_find(struct index_builder *b, struct ids *t, uint64_t hash,
			  ids_same *same, const void *key)
{
	uint32_t at, h = (uint32_t)(hash ^ hash >> 32);

	if (t->n >= t->cap / 4 * 3)
		ids_grow(t);
	for (at = h & (t->cap - 1); t->slots[at].id; at = (at + 1) & (t->cap - 1))
		if (t->slots[at].hash == h && same(b, t->slots[at].id, key))
			return &t->slots[at].id;
	t->slots[at].hash = h;
	t->n++;
	return &t->slots[at].id;
}

struct text {
	const char *s;
	size_t len;
};

static bool same_string(const struct index_builder *b, uint32_t id, const void *key)
{
	const struct text *t = key;

	/* Strings hold no NUL, so that the first one ends it. */
	return t->len < b->pool.len - (id - 1) &&
	       memcmp(b->pool.data + id - 1, t->s, t->len) == 0 &&
	       b->pool.data[id - 1 + t->len] == '\0';
}

/* Puts a string with its NUL into the pool, once. */
static uint32_t intern(struct index_builder *b, const char *s, size_t len)
{
	struct text key = {s, len};
	uint32_t *id = ids_find(b, &b->strings, hash_bytes(s, len, 1), same_string, &key);

	if (*id == 0) {
		*id = (uint32_t)b->pool.len + 1;
		buf_add(&b->pool, s, len);
		buf_addc(&b->pool, '\0');
	}
	return *id - 1;
}

static bool same_list(const struct index_builder *b, uint32_t id, const void *key)
{
	const struct index_list *l = &b->lists[id - 1];
	const struct xattrs *x = key;

	if (l->count != x->n)
		return false;
	for (uint32_t i = 0; i < l->count; i++) {
		const struct index_xattr *d = &b->xattrs[l->first + i];
		if (strcmp(b->pool.data + d->name, x->v[i].name) != 0 ||
		    d->value_len != x->v[i].len ||
		    (d->value_len > 0 &&
		     memcmp(b->pool.data + d->value, x->v[i].value, d->value_len) != 0))
			return false;
	}
	return true;
}

static uint32_t intern_xattrs(struct index_builder *b, const struct xattrs *x)
{
	uint64_t hash = 2;

	if (!x || x->n == 0)
		return 0;
	for (size_t i = 0; i < x->n; i++) {
		hash = hash_bytes(x->v[i].name, strlen(x->v[i].name), hash);
		hash = hash_bytes(x->v[i].value, x->v[i].len, hash);
	}
	uint32_t *id = ids_find(b, &b->list_ids, hash, same_list, x);
	if (*id)
		return *id;
	GROW(b->lists, b->nlists, b->lists_cap);
	b->lists[b->nlists].first = (uint32_t)b->nxattrs;
	b->lists[b->nlists].count = (uint32_t)x->n;
	*id = (uint32_t)++b->nlists;
	b->xattr_bytes += sizeof(b->lists[0]);
	for (size_t i = 0; i < x->n; i++) {
		struct index_xattr d = {.name_len = (uint32_t)strlen(x->v[i].name),
					.value_len = (uint32_t)x->v[i].len};
		d.name = intern(b, x->v[i].name, d.name_len);
		d.value = (uint32_t)b->pool.len;
		buf_add(&b->pool, x->v[i].value, d.value_len);
		GROW(b->xattrs, b->nxattrs, b->xattrs_cap);
		b->xattrs[b->nxattrs++] = d;
		b->xattr_bytes += sizeof(d) + d.name_len + d.value_len;
	}
	return (uint32_t)b->nlists;
}

static bool same_attrs(const struct index_builder *b, uint32_t id, const void *key)
{
	return memcmp(&b->attrs[id - 1], key, sizeof(struct index_attrs)) == 0;
}

static uint32_t intern_attrs(struct index_builder *b, const struct attrs *a)
{
	struct index_attrs d = {.uid = a->uid,
				.gid = a->gid,
				.mode = a->mode & INDEX_MODE_MAX,
				.list = intern_xattrs(b, a->xattrs)};
	uint32_t *id =
		ids_find(b, &b->attr_ids, hash_bytes(&d, sizeof(d), 3), same_attrs, &d);

	if (*id == 0) {
		GROW(b->attrs, b->nattrs, b->attrs_cap);
		b->attrs[b->nattrs] = d;
		*id = (uint32_t)++b->nattrs;
	}
	return *id - 1;
}

struct place {
	uint32_t parent;
	struct text name;
};

static bool same_place(const struct index_builder *b, uint32_t id, const void *key)
{
	const struct entry *e = &b->entries[id];
	const struct place *p = key;

	return e->parent == p->parent && e->name_len == p->name.len &&
	       memcmp(b->pool.data + e->name, p->name.s, p->name.len) == 0;
}

static uint32_t *find_place(struct index_builder *b, const struct place *p)
{
	return ids_find(b, &b->names,
			hash_bytes(p->name.s, p->name.len, p->parent + 4ull), same_place,
			p);
}

/* As find_place, but without leaving a new place behind: 0 when there is none. */
static uint32_t lookup(const struct index_builder *b, uint32_t parent, struct text name)
{
	struct place p = {parent, name};
	uint64_t hash = hash_bytes(name.s, name.len, parent + 4ull);
	uint32_t h = (uint32_t)(hash ^ hash >> 32), mask = b->names.cap - 1;

	if (b->names.cap == 0)
		return 0;
	for (uint32_t at = h & mask; b->names.slots[at].id; at = (at + 1) & mask)
		if (b->names.slots[at].hash == h &&
		    same_place(b, b->names.slots[at].id, &p))
			return b->names.slots[at].id;
	return 0;
}

static uint32_t new_entry(struct index_builder *b, uint32_t parent, struct text name)
{
	struct entry e = {.parent = parent, .name_len = (uint8_t)name.len};

	e.name = intern(b, name.s, name.len);
	GROW(b->entries, b->nentries, b->entries_cap);
	b->entries[b->nentries] = e;
	return (uint32_t)b->nentries++;
}

static void make_implied(struct index_builder *b, struct entry *e)
{
	static const struct attrs plain = {.mode = 0755};

	e->type = NODE_DIR;
	e->implied = true;
	e->attrs = intern_attrs(b, &plain);
}

struct index_builder *index_builder_new(void)
{
	struct index_builder *b = xcalloc(1, sizeof(*b));

	b->pool = (struct buf)BUF_INIT;
	new_entry(b, 0, (struct text){"", 0});
	make_implied(b, &b->entries[0]);
	return b;
}

void index_builder_free(struct index_builder *b)
{
	if (!b)
		return;
	free(b->entries);
	ids_release(&b->names);
	ids_release(&b->strings);
	ids_release(&b->attr_ids);
	ids_release(&b->list_ids);
	for (size_t i = 0; i < KEPT_MAX; i++)
		free(b->kept[i].bytes);
	free(b->attrs);
	free(b->lists);
	free(b->xattrs);
	free(b->digests);
	buf_release(&b->pool);
	free(b);
}

/* The parts of a path that count: no empty ones, no ".". */
struct parts {
	struct text v[INDEX_LEVELS];
	size_t n;
	bool slash; /* it ended in one */
};

static int split(const char *path, struct parts *out, struct error *err)
{
	const char *p = path;

	out->n = 0;
	out->slash = false;
	if (*path == '\0')
		return error_set(err, E_CORRUPT, "an entry has an empty name");
	while (*p) {
		size_t len = strcspn(p, "/");
		bool dot = len == 1 && *p == '.';
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return error_set(err, E_CORRUPT, "\"%s\" holds \"..\"", path);
		if (len > INDEX_NAME_MAX)
			return error_set(err, E_CORRUPT,
					 "\"%s\" has a part over %d bytes", path,
					 INDEX_NAME_MAX);
		if (len > 0 && !dot) {
			if (out->n == INDEX_LEVELS)
				return error_set(err, E_CORRUPT,
						 "\"%s\" has over %d levels", path,
						 INDEX_LEVELS);
			out->v[out->n++] = (struct text){p, len};
		}
		p += len;
		out->slash = *p == '/';
		p += *p == '/';
	}
	return 0;
}

static bool starts(struct text t, const char *prefix)
{
	return t.len >= strlen(prefix) && memcmp(t.s, prefix, strlen(prefix)) == 0;
}

/* Walks to the folder of the first n parts; missing ones are made. */
static int enter(struct index_builder *b, const struct parts *parts, size_t n,
		 const char *path, uint32_t *folder, struct error *err)
{
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++) {
		struct place p = {at, parts->v[i]};
		uint32_t *slot = find_place(b, &p);
		if (*slot == 0) {
			at = *slot = new_entry(b, at, p.name);
			make_implied(b, &b->entries[at]);
			continue;
		}
		at = *slot;
		if (b->entries[at].type == NODE_WHITEOUT)
			make_implied(b, &b->entries[at]);
		if (b->entries[at].type != NODE_DIR)
			return error_set(
				err, E_CORRUPT,
				"\"%s\" lies below \"%.*s\", which is no folder", path,
				(int)(parts->v[i].s + parts->v[i].len - path), path);
	}
	*folder = at;
	return 0;
}

/* Keeps a content; the number of its slot + 1, or 0 when there is no room for it: it is
 * then read from the layer like any other. */
static uint8_t keep(struct index_builder *b, const void *bytes, uint64_t len)
{
	uint8_t i = 0;

	while (i < KEPT_MAX && b->kept[i].bytes)
		i++;
	if (i == KEPT_MAX || len == 0 || len > INDEX_INLINE_MAX)
		return 0;
	b->kept[i].bytes = xmalloc(len);
	b->kept[i].len = (uint32_t)len;
	memcpy(b->kept[i].bytes, bytes, len);
	return i + 1;
}

static void drop_kept(struct index_builder *b, uint8_t slot)
{
	free(b->kept[slot - 1].bytes);
	b->kept[slot - 1] = (struct kept){0};
}

/* The entry of that name in folder, ready to be filled: what was there is forgotten,
 * but a folder that stays one keeps its children. */
static struct entry *replace(struct index_builder *b, uint32_t folder, struct text name,
			     enum node_type type)
{
	struct place p = {folder, name};
	uint32_t *slot = find_place(b, &p);

	if (*slot == 0) {
		*slot = new_entry(b, folder, name);
	} else if (b->entries[*slot].type == NODE_DIR && type != NODE_DIR) {
		bool whited = b->entries[*slot].whited;
		b->entries[*slot].dead = true;
		*slot = new_entry(b, folder, name);
		b->entries[*slot].whited = whited;
	} else if (type == NODE_DIR && b->entries[*slot].type != NODE_DIR) {
		/* Unpacked in this order, what stood here has removed a lower folder. */
		b->entries[*slot].whited = true;
	}
	struct entry *e = &b->entries[*slot];
	/* Other names of the inode still have its content. */
	if (e->kept && e->group == 0)
		drop_kept(b, e->kept);
	struct entry fresh = {.parent = e->parent,
			      .name = e->name,
			      .name_len = e->name_len,
			      .type = (uint8_t)type,
			      .opaque = e->opaque,
			      .whited = e->whited};
	*e = fresh;
	return e;
}

/* `.wh.NAME`: acts on what is below this layer only, so beside an entry NAME of this
 * layer it just hides a lower folder's children (image-spec layer.md, "Whiteouts"). */
static int add_whiteout(struct index_builder *b, uint32_t folder, struct text name,
			const char *path, struct error *err)
{
	struct text target = {name.s + 4, name.len - 4};
	struct place p = {folder, target};

	if (target.len == 0 || (target.len == 1 && target.s[0] == '.') ||
	    (target.len == 2 && target.s[0] == '.' && target.s[1] == '.'))
		return error_set(err, E_CORRUPT, "\"%s\" is no whiteout", path);
	uint32_t *slot = find_place(b, &p);
	if (*slot == 0) {
		uint32_t id = *slot = new_entry(b, folder, target);
		static const struct attrs none;
		b->entries[id].type = NODE_WHITEOUT;
		b->entries[id].attrs = intern_attrs(b, &none);
		b->entries[id].whited = true;
	} else {
		b->entries[*slot].whited = true;
	}
	return 0;
}

/* A hard link's target in this layer: its number, 0 when it is not here. */
static uint32_t link_target(const struct index_builder *b, const struct parts *parts)
{
	uint32_t at = 0;

	for (size_t i = 0; i < parts->n; i++) {
		if (b->entries[at].type != NODE_DIR)
			return 0;
		at = lookup(b, at, parts->v[i]);
		if (at == 0)
			return 0;
	}
	return b->entries[at].type == NODE_WHITEOUT ? 0 : at;
}

static int add_hardlink(struct index_builder *b, uint32_t folder, struct text name,
			const struct index_entry *in, struct error *err)
{
	struct parts to;
	const char *link = in->link ? in->link : "";

	if (split(link, &to, err) < 0)
		return error_wrap(err, "target of hard link \"%s\"", in->path);
	uint32_t id = link_target(b, &to);
	if (to.n == 0 || (id && b->entries[id].type == NODE_DIR))
		return error_set(err, E_CORRUPT, "hard link \"%s\" to the folder \"%s\"",
				 in->path, link);
	if (id && id == lookup(b, folder, name))
		return 0; /* a link to itself */
	if (!id) {
		static const struct attrs none;
		auto_buf struct buf path = BUF_INIT;
		for (size_t i = 0; i < to.n; i++) {
			if (i > 0)
				buf_addc(&path, '/');
			buf_add(&path, to.v[i].s, to.v[i].len);
		}
		struct entry *e = replace(b, folder, name, NODE_FILE);
		e->foreign = true;
		e->attrs = intern_attrs(b, &none);
		e->a = intern(b, path.data, path.len);
		e->b = (uint32_t)path.len;
		return 0;
	}
	if (b->entries[id].group == 0)
		b->entries[id].group = ++b->ngroups;
	struct entry from = b->entries[id];
	struct entry *e = replace(b, folder, name, from.type);
	from.parent = e->parent;
	from.name = e->name;
	from.name_len = e->name_len;
	from.whited = e->whited;
	*e = from;
	return 0;
}

static int set_attrs(struct index_builder *b, struct entry *e,
		     const struct index_entry *in, struct error *err)
{
	e->attrs = intern_attrs(b, &in->attrs);
	e->mtime = in->mtime;
	if (b->xattr_bytes > XATTRS_TOTAL)
		return error_set(
			err, E_CORRUPT,
			"\"%s\": the layer's extended attributes are over %zu MiB",
			in->path, XATTRS_TOTAL >> 20);
	return 0;
}

static void set_file(struct index_builder *b, struct entry *e,
		     const struct index_entry *in)
{
	uint64_t block = in->header / INDEX_BLOCK;

	e->a = (uint32_t)in->size;
	e->b = (uint32_t)(in->size >> 32);
	e->header_low = (uint32_t)block;
	e->header_high = (uint8_t)(block >> 32);
	if (in->digest) {
		GROW(b->digests, b->ndigests, b->digests_cap);
		b->digests[b->ndigests] = *in->digest;
		e->digest = (uint32_t)++b->ndigests;
	}
	if (in->inline_bytes)
		e->kept = keep(b, in->inline_bytes, in->size);
}

static int fill(struct index_builder *b, struct entry *e, const struct index_entry *in,
		struct error *err)
{
	if (set_attrs(b, e, in, err) < 0)
		return -1;
	switch (in->type) {
	case NODE_FILE:
		set_file(b, e, in);
		break;
	case NODE_SYMLINK:
		e->b = in->link ? (uint32_t)strlen(in->link) : 0;
		e->a = intern(b, in->link ? in->link : "", e->b);
		break;
	case NODE_CHAR:
	case NODE_BLOCK:
		e->a = in->major;
		e->b = in->minor;
		break;
	case NODE_DIR:
	case NODE_FIFO:
		break;
	case NODE_WHITEOUT:
		return error_set(err, E_BUG, "\"%s\": a whiteout is a file .wh.NAME",
				 in->path);
	}
	return 0;
}

static int check_entry(const struct index_builder *b, const struct index_entry *in,
		       struct error *err)
{
	if (b->nentries > INDEX_RECORDS_MAX - INDEX_LEVELS - 1 ||
	    b->pool.len > POOL_FREE + POOL_PATH * b->nentries ||
	    b->pool.len > INDEX_POOL_MAX / 8 * 7)
		return error_set(err, E_CORRUPT, "the layer has too many paths");
	if (in->size > INT64_MAX || in->header / INDEX_BLOCK >> 40 != 0 ||
	    in->header % INDEX_BLOCK != 0)
		return error_set(err, E_CORRUPT, "\"%s\" has an impossible size or place",
				 in->path);
	if (in->link && strnlen(in->link, INDEX_LINK_MAX + 1) > INDEX_LINK_MAX)
		return error_set(err, E_CORRUPT, "\"%s\" links to too long a path",
				 in->path);
	return 0;
}

int index_builder_add(struct index_builder *b, const struct index_entry *in,
		      struct error *err)
{
	struct parts parts;
	enum node_type type = in->type;
	uint32_t folder;

	if (split(in->path, &parts, err) < 0 || check_entry(b, in, err) < 0)
		return -1;
	/* Old tars have folders as regular files with a final slash. */
	if (type == NODE_FILE && !in->hardlink && parts.slash)
		type = NODE_DIR;
	if (parts.n == 0) {
		if (type != NODE_DIR || in->hardlink)
			return error_set(err, E_CORRUPT, "the root \"%s\" is no folder",
					 in->path);
		b->entries[0].implied = false;
		return fill(b, &b->entries[0], in, err);
	}
	for (size_t i = 0; i < parts.n; i++) {
		if (!starts(parts.v[i], ".wh."))
			continue;
		bool last = i + 1 == parts.n;
		bool opaque = last && parts.v[i].len == 12 &&
			      starts(parts.v[i], ".wh..wh..opq");
		if (starts(parts.v[i], ".wh..wh.") && !opaque)
			return 0; /* aufs' own files */
		if (!last)
			return error_set(err, E_CORRUPT, "\"%s\" lies below a whiteout",
					 in->path);
		if (enter(b, &parts, i, in->path, &folder, err) < 0)
			return -1;
		if (!opaque)
			return add_whiteout(b, folder, parts.v[i], in->path, err);
		b->entries[folder].opaque = true;
		return 0;
	}
	struct text name = parts.v[parts.n - 1];
	if (enter(b, &parts, parts.n - 1, in->path, &folder, err) < 0)
		return -1;
	if (in->hardlink)
		return add_hardlink(b, folder, name, in, err);
	struct index_entry typed = *in;
	typed.type = type;
	return fill(b, replace(b, folder, name, type), &typed, err);
}
