#include "builder/rootfs/treeload.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>

#include "builder/rootfs/index.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/store.h"

#define BLOCK ((size_t)256 << 10)
#define HEADERS_MAX \
	((size_t)8 << 20) /* of one entry: libarchive keeps sparse maps whole */
#define XATTR_MAX ((size_t)64 << 10)
#define XATTRS_MAX ((size_t)1 << 20)

/* libarchive's view of a source. */
struct tar_in {
	struct archive *a;
	struct source *src;
	struct error err; /* of the source */
	locale_t plain, before;
	void *block;
	bool in_header;
	size_t header; /* bytes read for the current one */
	bool more;     /* an entry was read: its content is to be skipped */
};

static la_ssize_t read_block(struct archive *a, void *ctx, const void **data)
{
	struct tar_in *in = ctx;
	ssize_t n;

	if (in->in_header && in->header > HEADERS_MAX) {
		error_set(&in->err, E_CORRUPT,
			  "malformed tar: the headers of one entry "
			  "are over 8 MiB");
		archive_set_error(a, EIO, "the headers are too long");
		return -1;
	}
	n = source_read(in->src, in->block, BLOCK, &in->err);
	if (n > 0)
		in->header += (size_t)n;
	if (n < 0)
		archive_set_error(a, EIO, "the stream failed");
	*data = in->block;
	return n;
}

static int tar_failed(struct tar_in *in, struct error *err)
{
	const char *text = archive_error_string(in->a);

	if (in->err.kind != E_NONE) {
		if (err)
			*err = in->err;
		return -1;
	}
	return error_set(err, E_CORRUPT, "malformed tar: %s",
			 text ? text : "unknown reason");
}

static void tar_close(struct tar_in *in)
{
	if (in->a)
		archive_read_free(in->a);
	if (in->plain) {
		uselocale(in->before);
		freelocale(in->plain);
	}
	free(in->block);
}
#define auto_tar __attribute__((cleanup(tar_close)))

/* libarchive passes names unchanged in the C locale only: in a UTF-8 locale it composes
 * those of pax records (NFC).  (hdrcharset=BINARY is no option of its reader: iconv has
 * no such charset.)  In C it warns of each name that is not ASCII, and keeps its bytes.
 */
static int tar_open(struct tar_in *in, struct source *src, struct error *err)
{
	in->src = src;
	in->block = xmalloc(BLOCK);
	in->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!in->plain)
		return error_errno(err, "cannot use the C locale");
	in->before = uselocale(in->plain);
	in->a = archive_read_new();
	if (!in->a)
		return error_set(err, E_BUG, "no memory");
	if (archive_read_support_format_tar(in->a) != ARCHIVE_OK ||
	    archive_read_support_format_empty(in->a) != ARCHIVE_OK ||
	    archive_read_open(in->a, in, NULL, read_block, NULL) != ARCHIVE_OK)
		return tar_failed(in, err);
	return 0;
}

/* 1 and an entry, 0 at the end, -1.  The last entry's content is skipped first, so that
 * what is read then are headers. */
static int tar_next(struct tar_in *in, struct archive_entry **e, struct error *err)
{
	int r = in->more ? archive_read_data_skip(in->a) : ARCHIVE_OK;

	if (r == ARCHIVE_FATAL)
		return tar_failed(in, err);
	in->in_header = true;
	in->header = 0;
	do
		r = archive_read_next_header(in->a, e);
	while (r == ARCHIVE_RETRY);
	in->in_header = false;
	in->more = true;
	if (r == ARCHIVE_EOF)
		return 0;
	if (r == ARCHIVE_WARN)
		log_debug("layer tar: %s", archive_error_string(in->a));
	else if (r != ARCHIVE_OK)
		return tar_failed(in, err);
	return 1;
}

/* What one entry borrows. */
struct loaned {
	struct xattrs *xattrs;
	void *bytes;
};

static void loaned_release(struct loaned *l)
{
	free(l->xattrs);
	free(l->bytes);
}
#define auto_loaned __attribute__((cleanup(loaned_release)))

static int by_xattr_name(const void *a, const void *b)
{
	const struct xattr *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	/* One that came twice (as SCHILY.xattr and LIBARCHIVE.xattr): the order of the
	 * values decides, so that the sort is stable. */
	if (order == 0)
		order = (x->len > y->len) - (x->len < y->len);
	if (order == 0 && x->len > 0)
		order = memcmp(x->value, y->value, x->len);
	return order;
}

static int load_xattrs(struct archive_entry *e, struct loaned *l, struct error *err)
{
	int n = archive_entry_xattr_reset(e);
	size_t total = 0;
	struct xattrs *x;

	if (n <= 0)
		return 0;
	l->xattrs = x = xcalloc(1, sizeof(*x) + (size_t)n * sizeof(x->v[0]));
	for (int i = 0; i < n; i++) {
		struct xattr *a = &x->v[x->n];
		if (archive_entry_xattr_next(e, &a->name, &a->value, &a->len) !=
		    ARCHIVE_OK)
			break;
		total += strlen(a->name) + a->len;
		if (a->len > XATTR_MAX || total > XATTRS_MAX)
			return error_set(err, E_CORRUPT, "too long extended attributes");
		if (*a->name)
			x->n++;
	}
	if (x->n > 1)
		qsort(x->v, x->n, sizeof(x->v[0]), by_xattr_name);
	size_t kept = 0;
	for (size_t i = 0; i < x->n; i++)
		if (kept == 0 || strcmp(x->v[kept - 1].name, x->v[i].name) != 0)
			x->v[kept++] = x->v[i];
	x->n = kept;
	return 0;
}

static int load_ids(struct archive_entry *e, struct attrs *a, struct error *err)
{
	int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	/* 2^32-1 is no owner: it means "leave it" to chown. */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return error_set(err, E_CORRUPT, "impossible owner %lld:%lld",
				 (long long)uid, (long long)gid);
	a->uid = (uint32_t)uid;
	a->gid = (uint32_t)gid;
	a->mode = archive_entry_perm(e) & 07777;
	return 0;
}

static int load_type(struct archive_entry *e, struct index_entry *out, struct error *err)
{
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		out->type = NODE_FILE;
		if (archive_entry_size(e) < 0)
			return error_set(err, E_CORRUPT, "impossible size");
		out->size = (uint64_t)archive_entry_size(e);
		break;
	case AE_IFDIR:
		out->type = NODE_DIR;
		break;
	case AE_IFLNK:
		out->type = NODE_SYMLINK;
		out->link = archive_entry_symlink(e);
		if (!out->link)
			return error_set(err, E_CORRUPT, "a symlink without target");
		break;
	case AE_IFCHR:
	case AE_IFBLK:
		out->type =
			archive_entry_filetype(e) == AE_IFCHR ? NODE_CHAR : NODE_BLOCK;
		out->major = (uint32_t)archive_entry_rdevmajor(e);
		out->minor = (uint32_t)archive_entry_rdevminor(e);
		break;
	case AE_IFIFO:
		out->type = NODE_FIFO;
		break;
	default:
		return error_set(err, E_CORRUPT, "an entry of unknown type");
	}
	return 0;
}

/* Look-ups of owners by name need these two of nearly every layer stack. */
static bool kept_inline(const struct index_entry *in)
{
	const char *p = in->path;

	if (in->type != NODE_FILE || in->size > INDEX_INLINE_MAX || in->size == 0)
		return false;
	for (;;) {
		if (*p == '/')
			p++;
		else if (p[0] == '.' && p[1] == '/')
			p += 2;
		else
			break;
	}
	return strcmp(p, "etc/passwd") == 0 || strcmp(p, "etc/group") == 0;
}

static int load_bytes(struct tar_in *in, struct index_entry *out, struct loaned *l,
		      struct error *err)
{
	size_t got = 0;

	l->bytes = xmalloc(out->size);
	while (got < out->size) {
		la_ssize_t n =
			archive_read_data(in->a, (char *)l->bytes + got, out->size - got);
		if (n == 0)
			return error_set(err, E_CORRUPT, "malformed tar: short content");
		if (n == ARCHIVE_RETRY || n == ARCHIVE_WARN)
			continue;
		if (n < 0)
			return tar_failed(in, err);
		got += (size_t)n;
	}
	out->inline_bytes = l->bytes;
	return 0;
}

static int load_entry(struct tar_in *in, struct archive_entry *e, struct index_builder *b,
		      struct error *err)
{
	auto_loaned struct loaned l = {0};
	struct index_entry out = {.mtime = archive_entry_mtime(e)};

	out.path = archive_entry_pathname(e);
	if (!out.path)
		return error_set(err, E_CORRUPT, "malformed tar: an entry without name");
	out.header = (uint64_t)archive_read_header_position(in->a);
	const char *link = archive_entry_hardlink(e);
	if (link) {
		out.hardlink = true;
		out.link = link;
		return index_builder_add(b, &out, err);
	}
	if (load_type(e, &out, err) < 0 || load_ids(e, &out.attrs, err) < 0 ||
	    load_xattrs(e, &l, err) < 0)
		return error_wrap(err, "\"%s\"", out.path);
	out.attrs.xattrs = l.xattrs;
	if (kept_inline(&out) && load_bytes(in, &out, &l, err) < 0)
		return error_wrap(err, "\"%s\"", out.path);
	return index_builder_add(b, &out, err);
}

/* What follows the end marks is read too: the source checks its digest at its end. */
static int drain(struct tar_in *in, struct error *err)
{
	ssize_t n;

	do {
		n = source_read(in->src, in->block, BLOCK, err);
	} while (n > 0);
	return n < 0 ? -1 : 0;
}

int treeload_read(struct source *src, struct index_builder *b, struct error *err)
{
	auto_tar struct tar_in in = {0};
	struct archive_entry *e;
	int r;

	if (tar_open(&in, src, err) < 0)
		return -1;
	while ((r = tar_next(&in, &e, err)) > 0)
		if (load_entry(&in, e, b, err) < 0)
			return -1;
	return r < 0 ? -1 : drain(&in, err);
}

static void saved_name(const struct digest *diff_id, char name[static 6 + DIGEST_HEX])
{
	memcpy(name, "trees/", 6);
	digest_hex(diff_id, name + 6);
}

int treeload_draft(struct index_builder *b, struct store *st,
		   const struct digest *diff_id, struct tmp *draft, struct error *err)
{
	auto_buf struct buf bytes = BUF_INIT;

	tmp_abort(draft);
	if (index_builder_finish(b, diff_id, &bytes, err) < 0 ||
	    tmp_open(draft, store_tmpdir(st), err) < 0)
		return -1;
	if (file_write_all(draft->fd, bytes.data, bytes.len, err) == 0)
		return 0;
	tmp_abort(draft);
	return -1;
}

int treeload_commit(struct tmp *draft, struct store *st, const struct digest *diff_id,
		    struct error *err)
{
	char name[6 + DIGEST_HEX];

	saved_name(diff_id, name);
	if (file_mkdirs(store_dirfd(st), "trees", err) < 0)
		return -1;
	return tmp_commit(draft, store_dirfd(st), name, false, err);
}

int treeload_save_index(struct index_builder *b, struct store *st,
			const struct digest *diff_id, struct error *err)
{
	auto_tmp struct tmp draft = TMP_INIT;

	if (treeload_draft(b, st, diff_id, &draft, err) < 0)
		return -1;
	return treeload_commit(&draft, st, diff_id, err);
}

int treeload_save(struct source *src, struct store *st, const struct digest *diff_id,
		  struct error *err)
{
	struct index_builder *b = index_builder_new();
	struct digest tar;
	int r;

	src = source_hash(src, &tar);
	r = treeload_read(src, b, err);
	source_close(src);
	if (r == 0 && !digest_equal(&tar, diff_id))
		r = error_set(err, E_CORRUPT, "its content is not what was recorded");
	if (r == 0)
		r = treeload_save_index(b, st, diff_id, err);
	index_builder_free(b);
	return r;
}

/* trees/DIFF_ID.BLOB, an empty file. */
static char *proof_name(const struct digest *diff_id, const struct digest *blob)
{
	char layer[DIGEST_HEX], packed[DIGEST_HEX];

	return xasprintf("trees/%s.%s", digest_hex(diff_id, layer),
			 digest_hex(blob, packed));
}

int treeload_prove(struct store *st, const struct digest *diff_id,
		   const struct digest *blob, struct error *err)
{
	auto_free char *name = proof_name(diff_id, blob);

	return file_replace(store_tmpdir(st), store_dirfd(st), name, "", 0, false, err);
}

bool treeload_proven(struct store *st, const struct digest *diff_id,
		     const struct digest *blob)
{
	auto_free char *name = proof_name(diff_id, blob);

	return !faccessat(store_dirfd(st), name, F_OK, AT_SYMLINK_NOFOLLOW);
}

struct index *treeload_open(struct store *st, const struct digest *diff_id,
			    struct error *err)
{
	char name[6 + DIGEST_HEX];
	struct error why = ERROR_INIT;

	saved_name(diff_id, name);
	auto_fd int fd = openat(store_dirfd(st), name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		error_errno(err, "layer index %.12s", name + 6);
		return NULL;
	}
	struct index *ix = index_open(fd, diff_id, &why);
	if (ix)
		return ix;
	if (why.kind == E_CORRUPT) {
		log_debug("layer index %.12s: %s", name + 6, why.msg);
		unlinkat(store_dirfd(st), name, 0);
		error_set(err, E_MISSING, "layer index %.12s was damaged", name + 6);
	} else if (err) {
		*err = why;
	}
	return NULL;
}

static int put_hole(uint64_t n, size_t i, layer_put *put, void *ctx, struct error *err)
{
	while (n > 0) {
		size_t len = n < SIZE_MAX ? (size_t)n : SIZE_MAX;
		if (put(ctx, i, NULL, len, err) < 0)
			return -1;
		n -= len;
	}
	return 0;
}

/* The current entry's content. */
static int extract(struct tar_in *in, uint64_t size, size_t i, layer_put *put, void *ctx,
		   struct error *err)
{
	uint64_t at = 0;

	for (;;) {
		const void *data;
		size_t len;
		la_int64_t offset;
		int r = archive_read_data_block(in->a, &data, &len, &offset);
		if (r == ARCHIVE_EOF)
			break;
		if (r == ARCHIVE_RETRY || r == ARCHIVE_WARN)
			continue;
		if (r != ARCHIVE_OK)
			return tar_failed(in, err);
		if (len == 0)
			continue;
		if (offset < 0 || (uint64_t)offset < at || (uint64_t)offset > size ||
		    len > size - (uint64_t)offset)
			return error_set(err, E_CORRUPT, "malformed tar: sparse map");
		if (put_hole((uint64_t)offset - at, i, put, ctx, err) < 0 ||
		    put(ctx, i, data, len, err) < 0)
			return -1;
		at = (uint64_t)offset + len;
	}
	return put_hole(size - at, i, put, ctx, err);
}

static int no_file_at(uint64_t offset, struct error *err)
{
	return error_set(err, E_CORRUPT, "the layer has no file at offset %llu",
			 (unsigned long long)offset);
}

/* start: where the source is in the tar; a header is there. */
static int extract_all(struct source *src, uint64_t start, const uint64_t *wanted,
		       size_t n, layer_put *put, void *ctx, struct error *err)
{
	auto_tar struct tar_in in = {0};
	struct archive_entry *e = NULL;
	size_t i = 0;
	int r = 1;

	if (n == 0)
		return 0;
	if (tar_open(&in, src, err) < 0)
		return -1;
	while (i < n && (r = tar_next(&in, &e, err)) > 0) {
		if (start + (uint64_t)archive_read_header_position(in.a) != wanted[i])
			continue;
		if (archive_entry_size(e) < 0)
			return error_set(err, E_CORRUPT,
					 "malformed tar: impossible size");
		if (extract(&in, (uint64_t)archive_entry_size(e), i, put, ctx, err) < 0)
			return -1;
		i++;
	}
	if (r < 0)
		return -1;
	return i == n ? 0 : no_file_at(wanted[i], err);
}

int treeload_extract(struct source *src, const uint64_t *wanted, size_t n, layer_put *put,
		     void *ctx, struct error *err)
{
	return extract_all(src, 0, wanted, n, put, ctx, err);
}

/* 1, 0 when the source ends before. */
static int skip(struct source *src, uint64_t len, struct error *err)
{
	auto_free char *block = xmalloc(BLOCK);

	while (len > 0) {
		ssize_t n =
			source_read(src, block, len < BLOCK ? (size_t)len : BLOCK, err);

		if (n <= 0)
			return (int)n;
		len -= (uint64_t)n;
	}
	return 1;
}

int treeload_extract_from(struct source *src, uint64_t at, const uint64_t *wanted,
			  size_t n, layer_put *put, void *ctx, struct error *err)
{
	int r;

	if (n == 0)
		return 0;
	if (wanted[0] < at)
		return no_file_at(wanted[0], err);
	/* libarchive begins where an entry does */
	r = skip(src, wanted[0] - at, err);
	if (r <= 0)
		return r < 0 ? -1 : no_file_at(wanted[0], err);
	return extract_all(src, wanted[0], wanted, n, put, ctx, err);
}
