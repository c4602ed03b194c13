#include <isa-l/crc.h>
#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/index_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

/* The order of the file: breadth first, siblings bytewise. */
struct order {
	uint32_t *entries; /* file order -> entry */
	uint32_t *first;   /* entry -> its first child in file order */
	uint32_t *count;   /* entry -> number of children */
	size_t n;
};

static int by_name(const void *a, const void *b, void *ctx)
{
	const struct index_builder *ib = ctx;
	const struct entry *x = &ib->entries[*(const uint32_t *)a];
	const struct entry *y = &ib->entries[*(const uint32_t *)b];

	return strcmp(ib->pool.data + x->name, ib->pool.data + y->name);
}

static void order_entries(struct index_builder *b, struct order *o)
{
	size_t n = b->nentries;
	auto_free uint32_t *children = xcalloc(n, sizeof(*children));
	auto_free uint32_t *start = xcalloc(n + 1, sizeof(*start));

	o->entries = xcalloc(n, sizeof(*o->entries));
	o->first = xcalloc(n, sizeof(*o->first));
	o->count = xcalloc(n, sizeof(*o->count));
	for (size_t i = 1; i < n; i++) {
		struct entry *e = &b->entries[i];
		e->dead |= b->entries[e->parent].dead;
		if (!e->dead)
			start[e->parent + 1]++;
	}
	for (size_t i = 1; i <= n; i++)
		start[i] += start[i - 1];
	for (size_t i = 1; i < n; i++) {
		uint32_t parent = b->entries[i].parent;
		if (!b->entries[i].dead)
			children[start[parent] + o->count[parent]++] = (uint32_t)i;
	}
	o->n = 1;
	for (size_t i = 0; i < o->n; i++) {
		uint32_t e = o->entries[i];
		if (o->count[e] > 1)
			qsort_r(children + start[e], o->count[e], sizeof(*children),
				by_name, b);
		o->first[e] = (uint32_t)o->n;
		if (o->count[e] > 0)
			memcpy(o->entries + o->n, children + start[e],
			       o->count[e] * sizeof(*children));
		o->n += o->count[e];
	}
}

static void order_release(struct order *o)
{
	free(o->entries);
	free(o->first);
	free(o->count);
}

/* Numbers groups that still have two names from 1, the others get 0. */
static uint32_t *number_groups(const struct index_builder *b, const struct order *o,
			       uint32_t *ngroups)
{
	uint32_t *number = xcalloc((size_t)b->ngroups + 1, sizeof(*number));

	for (size_t i = 0; i < o->n; i++)
		if (b->entries[o->entries[i]].group)
			number[b->entries[o->entries[i]].group]++;
	*ngroups = 0;
	for (uint32_t g = 1; g <= b->ngroups; g++)
		number[g] = number[g] > 1 ? ++*ngroups : 0;
	return number;
}

static struct index_record pack(const struct index_builder *b, const struct order *o,
				uint32_t id, const uint32_t *groups, uint32_t digest)
{
	const struct entry *e = &b->entries[id];
	uint64_t block = e->header / INDEX_BLOCK;
	struct index_record r = {.name = htole32(e->name),
				 .name_len = (uint8_t)e->name_len,
				 .type = e->type,
				 .header_high = (uint8_t)(block >> 32),
				 .attrs = htole32(e->attrs),
				 .group = htole32(groups[e->group]),
				 .mtime = htole64((uint64_t)e->mtime),
				 .header_low = htole32((uint32_t)block),
				 .digest = htole32(digest)};

	if (e->type == NODE_DIR) {
		/* One that was removed and made again by its children takes nothing
		 * from below, not even its attributes. */
		r.flags = (e->implied && !e->whited ? RECORD_IMPLIED : 0) |
			  (e->opaque || e->whited ? RECORD_OPAQUE : 0);
		r.a = htole32(o->first[id]);
		r.b = htole32(o->count[id]);
	} else if (e->foreign || e->type == NODE_SYMLINK) {
		r.flags = e->foreign ? RECORD_FOREIGN : 0;
		r.a = htole32(e->link);
		r.b = htole32(e->link_len);
	} else if (e->type == NODE_FILE) {
		r.flags = e->inlined ? RECORD_INLINE : 0;
		r.a = htole32((uint32_t)e->size);
		r.b = htole32((uint32_t)(e->size >> 32));
	} else if (e->type == NODE_CHAR || e->type == NODE_BLOCK) {
		r.a = htole32(e->major);
		r.b = htole32(e->minor);
	}
	return r;
}

static uint32_t add_digests(struct index_builder *b, const struct order *o,
			    uint32_t *numbers, struct buf *out)
{
	uint32_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		uint32_t d = b->entries[o->entries[i]].digest;
		if (d && !numbers[d]) {
			numbers[d] = ++n;
			buf_add(out, b->digests[d - 1].bytes, DIGEST_BYTES);
		}
	}
	return n;
}

/* attrs, lists and xattrs are nothing but 32-bit numbers. */
static void add_words(struct buf *out, const void *words, size_t bytes)
{
	const unsigned char *p = words;

	for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
		uint32_t w;
		memcpy(&w, p + i, sizeof(w));
		w = htole32(w);
		buf_add(out, &w, sizeof(w));
	}
}

static uint32_t add_inlines(const struct index_builder *b, const struct order *o,
			    struct buf *out)
{
	uint32_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		const struct entry *e = &b->entries[o->entries[i]];
		uint32_t words[2] = {(uint32_t)i, e->bytes};
		if (e->inlined) {
			add_words(out, words, sizeof(words));
			n++;
		}
	}
	return n;
}

int index_builder_finish(struct index_builder *b, const struct digest *diff_id,
			 struct buf *out, struct error *err)
{
	struct index_header h = {.magic = INDEX_MAGIC, .version = htole32(INDEX_VERSION)};
	struct order o;
	uint32_t ngroups;
	size_t start = out->len;

	if (b->pool.len > INDEX_POOL_MAX)
		return error_set(err, E_CORRUPT, "the layer has too many paths");
	order_entries(b, &o);
	auto_free uint32_t *groups = number_groups(b, &o, &ngroups);
	auto_free uint32_t *digests = xcalloc(b->ndigests + 1, sizeof(*digests));
	auto_buf struct buf digest_bytes = BUF_INIT;
	h.digests = htole32(add_digests(b, &o, digests, &digest_bytes));
	buf_add(out, &h, sizeof(h));
	for (size_t i = 0; i < o.n; i++) {
		uint32_t id = o.entries[i];
		struct index_record r =
			pack(b, &o, id, groups, digests[b->entries[id].digest]);
		buf_add(out, &r, sizeof(r));
	}
	buf_add(out, digest_bytes.data, digest_bytes.len);
	add_words(out, b->attrs, b->nattrs * sizeof(*b->attrs));
	add_words(out, b->lists, b->nlists * sizeof(*b->lists));
	add_words(out, b->xattrs, b->nxattrs * sizeof(*b->xattrs));
	h.inlines = htole32(add_inlines(b, &o, out));
	buf_add(out, b->pool.data, b->pool.len);
	memcpy(h.diff_id, diff_id->bytes, DIGEST_BYTES);
	h.records = htole32((uint32_t)o.n);
	h.attrs = htole32((uint32_t)b->nattrs);
	h.lists = htole32((uint32_t)b->nlists);
	h.xattrs = htole32((uint32_t)b->nxattrs);
	h.groups = htole32(ngroups);
	h.pool = htole64(b->pool.len);
	memcpy(out->data + start, &h, sizeof(h));
	h.crc = htole32(
		crc32_gzip_refl(0, (unsigned char *)out->data + start + INDEX_CRC_FROM,
				out->len - start - INDEX_CRC_FROM));
	memcpy(out->data + start, &h, sizeof(h));
	order_release(&o);
	return 0;
}
