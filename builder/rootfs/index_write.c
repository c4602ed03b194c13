#include <isa-l/crc.h>
#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/index_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

/* The order of the file: breadth first, siblings bytewise. */
struct order {
	uint32_t *entries; /* file order -> entry */
	uint32_t *start;   /* sum of the children of the entries before this one */
	size_t n;
};

static uint32_t children_of(const struct order *o, uint32_t entry)
{
	return o->start[entry + 1] - o->start[entry];
}

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

	o->entries = xcalloc(n, sizeof(*o->entries));
	/* One ahead while the children are put in their places: each takes start[parent +
	 * 1] on, so that it ends where the next parent's begin. */
	o->start = xcalloc(n + 2, sizeof(*o->start));
	for (size_t i = 1; i < n; i++) {
		struct entry *e = &b->entries[i];
		e->dead |= b->entries[e->parent].dead;
		if (!e->dead)
			o->start[e->parent + 2]++;
	}
	for (size_t i = 1; i <= n + 1; i++)
		o->start[i] += o->start[i - 1];
	for (size_t i = 1; i < n; i++)
		if (!b->entries[i].dead)
			children[o->start[b->entries[i].parent + 1]++] = (uint32_t)i;
	o->n = 1;
	for (size_t i = 0; i < o->n; i++) {
		uint32_t e = o->entries[i], count = children_of(o, e);
		uint32_t *first = children + o->start[e];
		if (count > 1)
			qsort_r(first, count, sizeof(*first), by_name, b);
		if (count > 0)
			memcpy(o->entries + o->n, first, count * sizeof(*first));
		o->n += count;
	}
}

static void order_release(struct order *o)
{
	free(o->entries);
	free(o->start);
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

static struct index_record pack(const struct entry *e, const uint32_t *groups,
				const uint32_t *digests)
{
	return (struct index_record){.name = htole32(e->name),
				     .name_len = e->name_len,
				     .type = e->type,
				     .flags = (e->foreign ? RECORD_FOREIGN : 0) |
					      (e->kept ? RECORD_INLINE : 0),
				     .header_high = e->header_high,
				     .attrs = htole32(e->attrs),
				     .group = htole32(groups[e->group]),
				     .mtime = htole64((uint64_t)e->mtime),
				     .a = htole32(e->a),
				     .b = htole32(e->b),
				     .header_low = htole32(e->header_low),
				     .digest = htole32(digests[e->digest])};
}

static void add_records(const struct index_builder *b, const struct order *o,
			const uint32_t *groups, const uint32_t *digests, struct buf *out)
{
	uint32_t next = 1;

	for (size_t i = 0; i < o->n; i++) {
		const struct entry *e = &b->entries[o->entries[i]];
		struct index_record r = pack(e, groups, digests);
		if (e->type == NODE_DIR) {
			/* One that was removed and made again by its children takes
			 * nothing from below, not even its attributes. */
			r.flags = (e->implied && !e->whited ? RECORD_IMPLIED : 0) |
				  (e->opaque || e->whited ? RECORD_OPAQUE : 0);
			r.a = htole32(next);
			r.b = htole32(children_of(o, o->entries[i]));
			next += le32toh(r.b);
		}
		buf_add(out, &r, sizeof(r));
	}
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

/* Where the contents that are still in use come to lie: behind the pool's strings. */
static size_t place_kept(const struct index_builder *b, const struct order *o,
			 uint32_t at[static KEPT_MAX])
{
	size_t end = b->pool.len;

	memset(at, 0, KEPT_MAX * sizeof(*at));
	for (size_t i = 0; i < o->n; i++) {
		uint8_t kept = b->entries[o->entries[i]].kept;
		if (kept && !at[kept - 1]) {
			at[kept - 1] = (uint32_t)end;
			end += b->kept[kept - 1].len;
		}
	}
	return end;
}

static uint32_t add_inlines(const struct index_builder *b, const struct order *o,
			    const uint32_t *at, struct buf *out)
{
	uint32_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		const struct entry *e = &b->entries[o->entries[i]];
		if (e->kept) {
			uint32_t words[2] = {(uint32_t)i, at[e->kept - 1]};
			add_words(out, words, sizeof(words));
			n++;
		}
	}
	return n;
}

static void add_pool(const struct index_builder *b, const uint32_t *at, size_t size,
		     struct buf *out)
{
	size_t start = out->len;

	buf_add(out, b->pool.data, b->pool.len);
	buf_reserve(out, size - b->pool.len);
	for (size_t i = 0; i < KEPT_MAX; i++)
		if (at[i])
			memcpy(out->data + start + at[i], b->kept[i].bytes,
			       b->kept[i].len);
	out->len = start + size;
	out->data[out->len] = '\0';
}

int index_builder_finish(struct index_builder *b, const struct digest *diff_id,
			 struct buf *out, struct error *err)
{
	struct index_header h = {.magic = INDEX_MAGIC, .version = htole32(INDEX_VERSION)};
	struct order o;
	uint32_t ngroups, kept_at[KEPT_MAX];
	size_t start = out->len;

	if (b->pool.len > INDEX_POOL_MAX - KEPT_MAX * INDEX_INLINE_MAX)
		return error_set(err, E_CORRUPT, "the layer has too many paths");
	/* Look-ups are over: a large layer's tables make room for what follows. */
	ids_release(&b->names);
	ids_release(&b->strings);
	order_entries(b, &o);
	size_t pool = place_kept(b, &o, kept_at);
	auto_free uint32_t *groups = number_groups(b, &o, &ngroups);
	auto_free uint32_t *digests = xcalloc(b->ndigests + 1, sizeof(*digests));
	auto_buf struct buf digest_bytes = BUF_INIT;
	h.digests = htole32(add_digests(b, &o, digests, &digest_bytes));
	buf_reserve(out, sizeof(h) + o.n * sizeof(struct index_record) +
				 digest_bytes.len + b->nattrs * sizeof(*b->attrs) +
				 b->xattr_bytes + pool);
	buf_add(out, &h, sizeof(h));
	add_records(b, &o, groups, digests, out);
	buf_add(out, digest_bytes.data, digest_bytes.len);
	add_words(out, b->attrs, b->nattrs * sizeof(*b->attrs));
	add_words(out, b->lists, b->nlists * sizeof(*b->lists));
	add_words(out, b->xattrs, b->nxattrs * sizeof(*b->xattrs));
	h.inlines = htole32(add_inlines(b, &o, kept_at, out));
	add_pool(b, kept_at, pool, out);
	memcpy(h.diff_id, diff_id->bytes, DIGEST_BYTES);
	h.records = htole32((uint32_t)o.n);
	h.attrs = htole32((uint32_t)b->nattrs);
	h.lists = htole32((uint32_t)b->nlists);
	h.xattrs = htole32((uint32_t)b->nxattrs);
	h.groups = htole32(ngroups);
	h.pool = htole64(pool);
	memcpy(out->data + start, &h, sizeof(h));
	h.crc = htole32(
		crc32_gzip_refl(0, (unsigned char *)out->data + start + INDEX_CRC_FROM,
				out->len - start - INDEX_CRC_FROM));
	memcpy(out->data + start, &h, sizeof(h));
	order_release(&o);
	return 0;
}
