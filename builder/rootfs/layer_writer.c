#include <string.h>

#include "builder/rootfs/layer.h"
#include "builder/rootfs/pieces.h"
#include "builder/rootfs/tar.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/stream.h"

/* A file from here on has pieces of its own. */
#define LARGE_FILE PIECE_SIZE
/* Read and hash while it is in the processor's cache. */
#define READ_SIZE ((size_t)128 * 1024)

struct layer_writer {
	struct pieces *pieces;
	int64_t mtime;
	size_t entries;
	struct hash path_hash, content_hash;
	struct buf path;
};

struct layer_writer *layer_writer_open(const struct layer_options *o, struct error *err)
{
	struct pieces *p = pieces_open(o, err);
	struct layer_writer *w;

	if (!p)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	w->pieces = p;
	w->mtime = o->mtime;
	w->path = (struct buf)BUF_INIT;
	hash_init(&w->path_hash);
	hash_init(&w->content_hash);
	return w;
}

static void release(struct layer_writer *w)
{
	hash_release(&w->path_hash);
	hash_release(&w->content_hash);
	buf_release(&w->path);
	free(w);
}

void layer_writer_abort(struct layer_writer *w)
{
	if (!w)
		return;
	pieces_abort(w->pieces);
	release(w);
}

/* One path in 64 begins a piece, so that an insertion shifts little. */
static bool cuts(struct layer_writer *w, const struct tar_entry *e)
{
	struct digest d;

	buf_reset(&w->path);
	tar_path(e, &w->path);
	if (e->type == NODE_DIR)
		buf_truncate(&w->path, w->path.len - 1);
	hash_restart(&w->path_hash);
	hash_add(&w->path_hash, w->path.data, w->path.len);
	hash_peek(&w->path_hash, &d);
	return (d.bytes[0] & 63) == 0;
}

/* Reads exactly len bytes of data to the end of the open piece. */
static int fill(struct layer_writer *w, struct source *data, uint64_t len, bool hashed,
		struct error *err)
{
	struct buf *b = pieces_buf(w->pieces, err);
	size_t want;
	ssize_t n;

	if (!b)
		return -1;
	buf_reserve(b, (size_t)len + tar_padding(len));
	for (; len > 0; len -= want) {
		want = len < READ_SIZE ? (size_t)len : READ_SIZE;
		n = source_read_full(data, b->data + b->len, want, err);
		if (n < 0)
			return -1;
		if ((size_t)n < want)
			return error_set(err, E_FAILED,
					 "the file shrank while it was read");
		if (hashed)
			hash_add(&w->content_hash, b->data + b->len, want);
		b->len += want;
		b->data[b->len] = '\0';
	}
	return 0;
}

static int pad(struct layer_writer *w, uint64_t size, struct error *err)
{
	static const char zeros[512];
	struct buf *b = pieces_buf(w->pieces, err);

	if (!b)
		return -1;
	buf_add(b, zeros, tar_padding(size));
	return 0;
}

static int add_large(struct layer_writer *w, struct source *data, uint64_t size,
		     bool hashed, struct error *err)
{
	uint64_t n, left;

	for (left = size; left > 0; left -= n) {
		/* The head before the data, then the full piece of it. */
		if (pieces_cut(w->pieces, err) < 0)
			return -1;
		n = left < PIECE_SIZE ? left : PIECE_SIZE;
		if (fill(w, data, n, hashed, err) < 0)
			return -1;
	}
	if (pad(w, size, err) < 0)
		return -1;
	return pieces_cut(w->pieces, err);
}

/* The end is read too: it is where sources find what is wrong. */
static int expect_end(struct source *data, struct error *err)
{
	char more;
	ssize_t n = source_read(data, &more, 1, err);

	if (n > 0)
		return error_set(err, E_FAILED, "the file grew while it was read");
	return (int)n;
}

static int add_content(struct layer_writer *w, const struct tar_entry *e,
		       struct source *data, struct digest *digest, struct error *err)
{
	int rc = 0;

	if (digest)
		hash_restart(&w->content_hash);
	if (e->size >= LARGE_FILE)
		rc = add_large(w, data, e->size, digest, err);
	else if (e->size > 0)
		rc = fill(w, data, e->size, digest, err) < 0 ? -1 : pad(w, e->size, err);
	if (rc < 0 || (data && expect_end(data, err) < 0))
		return -1;
	if (digest)
		hash_peek(&w->content_hash, digest);
	return 0;
}

static int add(struct layer_writer *w, const struct tar_entry *entry, struct source *data,
	       struct digest *digest, uint64_t *header, struct error *err)
{
	struct tar_entry e = *entry;
	bool content = e.type == NODE_FILE && !e.hardlink;
	struct buf *b;

	e.pax_mtime = w->mtime;
	if (content && e.size > 0 && !data)
		return error_set(err, E_BUG, "no content for a file");
	if (cuts(w, &e) && pieces_cut(w->pieces, err) < 0)
		return -1;
	b = pieces_buf(w->pieces, err);
	if (!b)
		return -1;
	if (header)
		*header = pieces_offset(w->pieces);
	tar_header(&e, b);
	w->entries++;
	if (content && add_content(w, &e, data, digest, err) < 0)
		return -1;
	if (content && e.size >= LARGE_FILE)
		return 0;
	b = pieces_buf(w->pieces, err);
	if (!b)
		return -1;
	return b->len >= PIECE_SIZE ? pieces_cut(w->pieces, err) : 0;
}

int layer_writer_add(struct layer_writer *w, const struct tar_entry *e,
		     struct source *data, struct digest *digest, uint64_t *header,
		     struct error *err)
{
	int rc = add(w, e, data, digest, header, err);

	source_close(data);
	return rc;
}

int layer_writer_end(struct layer_writer *w, struct layer *out, struct error *err)
{
	static const char end[TAR_END];
	struct buf *b = pieces_buf(w->pieces, err);
	int rc = -1;

	if (b) {
		buf_add(b, end, sizeof(end));
		out->entries = w->entries;
		rc = pieces_end(w->pieces, out, err);
	} else {
		pieces_abort(w->pieces);
	}
	release(w);
	return rc;
}
