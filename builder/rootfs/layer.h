/*
 * layer.h - a step's changes to a reproducible layer: tar, gzip pieces, both digests
 *
 * One pipe on all cores: entries -> pieces (hod-layers(5), GZIP) -> {SHA-256 of the
 * tar} and {deflate on workers} -> in order -> SHA-256 of the gzip -> store.
 * Memory is a fixed number of pieces whatever the layer's size; temporary space
 * is the compressed layer.  The bytes depend on the entries and the level only.
 */
#ifndef HOD_LAYER_H
#define HOD_LAYER_H

#include <stdint.h>

#include "builder/rootfs/tree.h"
#include "registry/base/digest.h"

struct error;
struct job;
struct store;

#define LAYER_LEVEL_DEFAULT 1
#define LAYER_LEVEL_MAX 9

struct layer_options {
	struct store *store;
	int level;        /* 0-2 ISA-L, 3-9 zlib */
	int64_t mtime;    /* of every entry (T) ... */
	bool keep_mtime;  /* ... unless --timestamp keep: each node's own */
	unsigned threads; /* 0: all processors */
	struct job *job;  /* cancellation; or NULL */
};

struct layer {
	struct digest digest;  /* of the gzip */
	struct digest diff_id; /* of the tar */
	uint64_t size;         /* of the gzip */
	uint64_t tar_size;
	size_t entries;
};

/* Writes what the tree's current step set as a blob of the store, its index as
 * trees/DIFF_ID, and points the nodes' contents into the layer.  Regular files' content
 * digests are computed on the way (content.has_digest set).  Contents that lie in a layer
 * must have been spooled before. */
int layer_write(struct tree *t, const struct layer_options *o, struct layer *out,
		struct error *err);

/* The same machine over any entries, for tests and other writers: begin, one
 * add per entry in final order, end.  data may be NULL for entries without content. */
struct layer_writer;
struct tar_entry;
struct source;
struct layer_writer *layer_writer_open(const struct layer_options *o, struct error *err);
/* data: size bytes are read from it; taken (closed).  digest (may be NULL) gets
 * the content's SHA-256; *header (may be NULL) the offset of the entry in the tar. */
int layer_writer_add(struct layer_writer *w, const struct tar_entry *e,
		     struct source *data, struct digest *digest, uint64_t *header,
		     struct error *err);
/* Ends the streams and commits the blob.  Frees w, also on -1. */
int layer_writer_end(struct layer_writer *w, struct layer *out, struct error *err);
void layer_writer_abort(struct layer_writer *w);

/* "isal 2.30 level 1 x86_64" or "zlib 1.2.13 level 6": part of step keys. */
const char *layer_compressor(int level);

#endif
