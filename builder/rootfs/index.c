#include "builder/rootfs/index.h"

#include <isa-l/crc.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "builder/rootfs/index_format.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

struct index {
	atomic_uint refs;
	const unsigned char *data;
	size_t len;
	bool mapped;
	struct digest diff_id;
	uint32_t nrecords, ndigests, nattrs, nlists, nxattrs, ninlines, ngroups;
	uint32_t nforeign, nimplied;
	uint64_t npool;
	const struct index_record *records;
	const struct digest *digests;
	const struct index_attrs *disk_attrs;
	const struct index_list *lists;
	const struct index_xattr *disk_xattrs;
	const struct index_inline *inlines;
	const char *pool;
	struct attrs *attrs; /* unpacked */
	struct xattrs **xattrs;
};

static int damaged(struct error *err, const char *what)
{
	return error_set(err, E_CORRUPT, "layer index is damaged: %s", what);
}

static uint64_t record_size(const struct index_record *r)
{
	return le32toh(r->a) | (uint64_t)le32toh(r->b) << 32;
}

/* Finds the sections; every size is checked against the file's. */
static int check_header(struct index *ix, const struct digest *want, struct error *err)
{
	struct index_header h;
	uint64_t at = sizeof(h);

	if (ix->len < sizeof(h))
		return damaged(err, "too short");
	memcpy(&h, ix->data, sizeof(h));
	if (memcmp(h.magic, INDEX_MAGIC, sizeof(h.magic)) != 0)
		return damaged(err, "no index");
	if (le32toh(h.version) != INDEX_VERSION)
		return damaged(err, "another version");
	if (crc32_gzip_refl(0, ix->data + INDEX_CRC_FROM, ix->len - INDEX_CRC_FROM) !=
	    le32toh(h.crc))
		return damaged(err, "wrong checksum");
	memcpy(ix->diff_id.bytes, h.diff_id, DIGEST_BYTES);
	if (want && !digest_equal(want, &ix->diff_id))
		return damaged(err, "of another layer");
	ix->nrecords = le32toh(h.records);
	ix->ndigests = le32toh(h.digests);
	ix->nattrs = le32toh(h.attrs);
	ix->nlists = le32toh(h.lists);
	ix->nxattrs = le32toh(h.xattrs);
	ix->ninlines = le32toh(h.inlines);
	ix->ngroups = le32toh(h.groups);
	ix->npool = le64toh(h.pool);
	if (h.zero || h.zero2 || ix->npool > INDEX_POOL_MAX)
		return damaged(err, "malformed header");
	/* No sum of these can overflow: seven products below 2^38. */
	ix->records = (const void *)(ix->data + at);
	at += (uint64_t)ix->nrecords * sizeof(struct index_record);
	uint64_t digests = at;
	at += (uint64_t)ix->ndigests * DIGEST_BYTES;
	uint64_t attrs = at;
	at += (uint64_t)ix->nattrs * sizeof(struct index_attrs);
	uint64_t lists = at;
	at += (uint64_t)ix->nlists * sizeof(struct index_list);
	uint64_t xattrs = at;
	at += (uint64_t)ix->nxattrs * sizeof(struct index_xattr);
	uint64_t inlines = at;
	at += (uint64_t)ix->ninlines * sizeof(struct index_inline);
	if (at + ix->npool != ix->len)
		return damaged(err, "its sections do not fill it");
	ix->digests = (const void *)(ix->data + digests);
	ix->disk_attrs = (const void *)(ix->data + attrs);
	ix->lists = (const void *)(ix->data + lists);
	ix->disk_xattrs = (const void *)(ix->data + xattrs);
	ix->inlines = (const void *)(ix->data + inlines);
	ix->pool = (const char *)ix->data + at;
	return 0;
}

/* A NUL-terminated string of the pool that holds no other NUL. */
static bool pool_string(const struct index *ix, uint32_t at, uint32_t len)
{
	return (uint64_t)at + len < ix->npool &&
	       memchr(ix->pool + at, '\0', len + 1) == ix->pool + at + len;
}

static bool pool_bytes(const struct index *ix, uint32_t at, uint64_t len)
{
	return at <= ix->npool && len <= ix->npool - at;
}

static int unpack_xattrs(struct index *ix, struct error *err)
{
	uint32_t next = 0;

	ix->xattrs = xcalloc(ix->nlists, sizeof(*ix->xattrs));
	for (uint32_t i = 0; i < ix->nlists; i++) {
		uint32_t first = le32toh(ix->lists[i].first),
			 n = le32toh(ix->lists[i].count);
		if (first != next || n == 0 || n > ix->nxattrs - next)
			return damaged(err, "xattr list");
		next += n;
		struct xattrs *x = xmalloc(sizeof(*x) + n * sizeof(x->v[0]));
		ix->xattrs[i] = x;
		x->n = n;
		for (uint32_t k = 0; k < n; k++) {
			const struct index_xattr *d = &ix->disk_xattrs[first + k];
			uint32_t len = le32toh(d->value_len);
			if (!pool_string(ix, le32toh(d->name), le32toh(d->name_len)) ||
			    !pool_bytes(ix, le32toh(d->value), len))
				return damaged(err, "xattr");
			x->v[k].name = ix->pool + le32toh(d->name);
			x->v[k].value = ix->pool + le32toh(d->value);
			x->v[k].len = len;
			if (k > 0 && strcmp(x->v[k - 1].name, x->v[k].name) >= 0)
				return damaged(err, "order of xattrs");
		}
	}
	return next == ix->nxattrs ? 0 : damaged(err, "xattrs without a list");
}

static int unpack_attrs(struct index *ix, struct error *err)
{
	ix->attrs = xcalloc(ix->nattrs, sizeof(*ix->attrs));
	for (uint32_t i = 0; i < ix->nattrs; i++) {
		const struct index_attrs *d = &ix->disk_attrs[i];
		uint32_t list = le32toh(d->list);
		if (le32toh(d->mode) > INDEX_MODE_MAX || list > ix->nlists)
			return damaged(err, "attributes");
		ix->attrs[i] =
			(struct attrs){.uid = le32toh(d->uid),
				       .gid = le32toh(d->gid),
				       .mode = (uint16_t)le32toh(d->mode),
				       .xattrs = list ? ix->xattrs[list - 1] : NULL};
	}
	return 0;
}

static bool name_ok(const struct index *ix, const struct index_record *r)
{
	uint32_t at = le32toh(r->name), len = r->name_len;
	const char *name = ix->pool + at;

	return len > 0 && pool_string(ix, at, len) && !memchr(name, '/', len) &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool link_ok(const struct index *ix, const struct index_record *r)
{
	uint32_t len = le32toh(r->b);

	return len <= INDEX_LINK_MAX && pool_string(ix, le32toh(r->a), len);
}

/* Everything of a record but its place among the others. */
static bool record_ok(const struct index *ix, const struct index_record *r)
{
	unsigned allowed = 0;

	if (r->flags & ~RECORD_FLAGS || le32toh(r->attrs) >= ix->nattrs ||
	    le32toh(r->group) > ix->ngroups || le32toh(r->digest) > ix->ndigests)
		return false;
	switch (r->type) {
	case NODE_FILE:
		if (r->flags & RECORD_FOREIGN) {
			allowed = RECORD_FOREIGN;
			if (!link_ok(ix, r) || r->digest)
				return false;
		} else {
			allowed = RECORD_INLINE;
			if (record_size(r) > INT64_MAX)
				return false;
		}
		break;
	case NODE_DIR:
		allowed = RECORD_IMPLIED | RECORD_OPAQUE;
		if (r->group)
			return false;
		break;
	case NODE_SYMLINK:
		if (!link_ok(ix, r))
			return false;
		break;
	case NODE_CHAR:
	case NODE_BLOCK:
	case NODE_FIFO:
	case NODE_WHITEOUT:
		break;
	default:
		return false;
	}
	return !(r->flags & ~allowed) && (r->type == NODE_FILE || !r->digest);
}

static int check_children(const struct index *ix, uint32_t first, uint32_t n,
			  struct error *err)
{
	const char *before = NULL;

	for (uint32_t i = first; i < first + n; i++) {
		const struct index_record *r = &ix->records[i];
		if (!name_ok(ix, r))
			return damaged(err, "name");
		/* Names hold no NUL, so that strcmp compares bytewise as memcmp would. */
		const char *name = ix->pool + le32toh(r->name);
		if (before && strcmp(before, name) >= 0)
			return damaged(err, "order of names");
		before = name;
	}
	return 0;
}

/* Each record is the child of one folder before it: so there are no cycles. */
static int check_records(struct index *ix, struct error *err)
{
	uint32_t next = 1, level_end = 1, inlines = 0;
	unsigned level = 0;

	if (ix->nrecords == 0 || ix->nrecords > INDEX_RECORDS_MAX ||
	    ix->records[0].type != NODE_DIR || ix->records[0].name_len != 0 ||
	    !pool_string(ix, le32toh(ix->records[0].name), 0))
		return damaged(err, "no root");
	for (uint32_t i = 0; i < ix->nrecords; i++) {
		const struct index_record *r = &ix->records[i];
		if (i == next)
			return damaged(err, "a path without folder");
		if (i == level_end) {
			level_end = next;
			if (++level > INDEX_LEVELS)
				return damaged(err, "too many levels");
		}
		if (!record_ok(ix, r))
			return damaged(err, "record");
		inlines += (r->flags & RECORD_INLINE) != 0;
		ix->nforeign += (r->flags & RECORD_FOREIGN) != 0;
		ix->nimplied += i > 0 && (r->flags & RECORD_IMPLIED);
		if (r->type != NODE_DIR)
			continue;
		uint32_t first = le32toh(r->a), n = le32toh(r->b);
		if (first != next || n > ix->nrecords - next)
			return damaged(err, "children");
		if (check_children(ix, first, n, err) < 0)
			return -1;
		next += n;
	}
	if (next != ix->nrecords)
		return damaged(err, "a path without folder");
	return inlines == ix->ninlines ? 0 : damaged(err, "number of contents");
}

static int check_inlines(const struct index *ix, struct error *err)
{
	for (uint32_t i = 0; i < ix->ninlines; i++) {
		uint32_t record = le32toh(ix->inlines[i].record);
		if (record >= ix->nrecords ||
		    (i > 0 && record <= le32toh(ix->inlines[i - 1].record)) ||
		    !(ix->records[record].flags & RECORD_INLINE) ||
		    !pool_bytes(ix, le32toh(ix->inlines[i].bytes),
				record_size(&ix->records[record])))
			return damaged(err, "content");
	}
	return 0;
}

static struct index *open_checked(struct index *ix, const struct digest *want,
				  struct error *err)
{
	if (check_header(ix, want, err) < 0 || unpack_xattrs(ix, err) < 0 ||
	    unpack_attrs(ix, err) < 0 || check_records(ix, err) < 0 ||
	    check_inlines(ix, err) < 0) {
		index_unref(ix);
		return NULL;
	}
	return ix;
}

struct index *index_open(int fd, const struct digest *diff_id, struct error *err)
{
	struct stat st;
	void *data;

	if (fstat(fd, &st) < 0) {
		error_errno(err, "cannot stat a layer index");
		return NULL;
	}
	if (st.st_size < (off_t)sizeof(struct index_header)) {
		damaged(err, "too short");
		return NULL;
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		error_errno(err, "cannot map a layer index");
		return NULL;
	}
	struct index *ix = xcalloc(1, sizeof(*ix));
	ix->refs = 1;
	ix->data = data;
	ix->len = (size_t)st.st_size;
	ix->mapped = true;
	return open_checked(ix, diff_id, err);
}

struct index *index_open_bytes(const void *data, size_t len, const struct digest *diff_id,
			       struct error *err)
{
	struct index *ix = xcalloc(1, sizeof(*ix));
	void *copy = xmalloc(len + 1);

	if (len > 0)
		memcpy(copy, data, len);
	ix->refs = 1;
	ix->data = copy;
	ix->len = len;
	return open_checked(ix, diff_id, err);
}

struct index *index_ref(struct index *ix)
{
	ix->refs++;
	return ix;
}

void index_unref(struct index *ix)
{
	if (!ix || --ix->refs > 0)
		return;
	for (uint32_t i = 0; ix->xattrs && i < ix->nlists; i++)
		free(ix->xattrs[i]);
	free(ix->xattrs);
	free(ix->attrs);
	if (ix->mapped)
		munmap((void *)ix->data, ix->len);
	else
		free((void *)ix->data);
	free(ix);
}

const struct digest *index_diff_id(const struct index *ix)
{
	return &ix->diff_id;
}

size_t index_count(const struct index *ix)
{
	return ix->nrecords;
}

size_t index_file_size(const struct index *ix)
{
	return ix->len;
}

uint32_t index_groups(const struct index *ix)
{
	return ix->ngroups;
}

uint32_t index_foreign_links(const struct index *ix)
{
	return ix->nforeign;
}

uint32_t index_implied_folders(const struct index *ix)
{
	return ix->nimplied;
}

static const void *inline_bytes(const struct index *ix, uint32_t record)
{
	uint32_t low = 0, high = ix->ninlines;

	while (low + 1 < high) {
		uint32_t mid = low + (high - low) / 2;
		if (le32toh(ix->inlines[mid].record) <= record)
			low = mid;
		else
			high = mid;
	}
	return ix->pool + le32toh(ix->inlines[low].bytes);
}

static void get_file(const struct index *ix, const struct index_record *r,
		     uint32_t record, struct index_node *out)
{
	out->size = record_size(r);
	if (r->digest) {
		out->content.has_digest = true;
		out->content.digest = ix->digests[le32toh(r->digest) - 1];
	}
	if (r->flags & RECORD_INLINE) {
		out->content.kind = CONTENT_INLINE;
		out->content.bytes = inline_bytes(ix, record);
	} else if (out->size > 0) {
		uint64_t block = le32toh(r->header_low) | (uint64_t)r->header_high << 32;
		out->content.kind = CONTENT_LAYER;
		out->content.layer.diff_id = &ix->diff_id;
		out->content.layer.header = block * INDEX_BLOCK;
	}
}

void index_get(const struct index *ix, uint32_t record, struct index_node *out)
{
	const struct index_record *r = &ix->records[record];

	*out = (struct index_node){.name = ix->pool + le32toh(r->name),
				   .name_len = r->name_len,
				   .type = r->type,
				   .implied = r->flags & RECORD_IMPLIED,
				   .opaque = r->flags & RECORD_OPAQUE,
				   .foreign_link = r->flags & RECORD_FOREIGN,
				   .attrs = ix->attrs[le32toh(r->attrs)],
				   .mtime = (int64_t)le64toh(r->mtime),
				   .group = le32toh(r->group)};
	switch (out->type) {
	case NODE_DIR:
		out->first = le32toh(r->a);
		out->count = le32toh(r->b);
		break;
	case NODE_FILE:
		if (out->foreign_link)
			out->link = ix->pool + le32toh(r->a);
		else
			get_file(ix, r, record, out);
		break;
	case NODE_SYMLINK:
		out->link = ix->pool + le32toh(r->a);
		break;
	case NODE_CHAR:
	case NODE_BLOCK:
		out->major = le32toh(r->a);
		out->minor = le32toh(r->b);
		break;
	case NODE_FIFO:
	case NODE_WHITEOUT:
		break;
	}
}
