/*
 * treeload.h - layer indexes: read from a layer's tar while it streams, kept in the store
 *
 *	reader of image_fetch_layers -> treeload_read -> trees/DIFF_ID
 *	treeload_open -> tree_push_index
 *
 * A truncated or malformed tar, impossible owners, and what index_builder_add refuses
 * are E_CORRUPT.  No entry is not malformed: an empty stream, or zero blocks only.
 * Extended attributes are at most 64 KiB each, 1 MiB together.
 *
 * libarchive reads the headers (at most 8 MiB of them for one entry; in the C locale, so
 *that names stay bytes; one that a pax record cuts by a NUL ends there); data is skipped,
 *except for etc/passwd and etc/group (at most INDEX_INLINE_MAX bytes each), which are
 *kept inline.
 */
#ifndef HOD_TREELOAD_H
#define HOD_TREELOAD_H

#include <stddef.h>
#include <stdint.h>

#include <stdbool.h>

struct digest;
struct error;
struct index;
struct index_builder;
struct source;
struct store;
struct tmp;

/* Reads an uncompressed tar to its end into b; src stays yours. */
int treeload_read(struct source *src, struct index_builder *b, struct error *err);
/* treeload_read of all of src, which is taken; the index is saved as trees/DIFF_ID if
 * that is what the tar hashes to, else E_CORRUPT. */
int treeload_save(struct source *src, struct store *st, const struct digest *diff_id,
		  struct error *err);
/* Saves a finished builder (a layer that hod wrote). */
int treeload_save_index(struct index_builder *b, struct store *st,
			const struct digest *diff_id, struct error *err);
/* The same in two parts, for a layer that is verified only later: the index goes into a
 * temporary file of the store (so that b can be freed: a builder takes about twice the
 * memory), then it gets its name.  draft is TMP_INIT or an earlier draft, which is
 * dropped; tmp_abort it when it is not committed.  Drafts can be made on several threads
 * at once. */
int treeload_draft(struct index_builder *b, struct store *st,
		   const struct digest *diff_id, struct tmp *draft, struct error *err);
int treeload_commit(struct tmp *draft, struct store *st, const struct digest *diff_id,
		    struct error *err);
/* Notes that the blob of this digest was seen to be that layer, whole and verified; and
 * whether it was.  A base names both, and one of the two alone proves nothing: an index
 * that is there may have come from another, honest blob. */
int treeload_prove(struct store *st, const struct digest *diff_id,
		   const struct digest *blob, struct error *err);
bool treeload_proven(struct store *st, const struct digest *diff_id,
		     const struct digest *blob);
/* The saved index; NULL and E_MISSING when there is none, or when it was damaged
 * (then it is removed). */
struct index *treeload_open(struct store *st, const struct digest *diff_id,
			    struct error *err);

/* Copies the content of files out of one layer in one pass: wanted[] are tar header
 * offsets in ascending order, each once; for each, put(ctx, i, bytes, len) is called
 * in pieces, in order; bytes is NULL for a hole of a sparse file: len zeros, of which a
 * small tar can have as many as a size can say.  src is the layer's uncompressed
 * tar and stays yours.  A header that is not met is E_CORRUPT. */
typedef int layer_put(void *ctx, size_t i, const void *bytes, size_t len,
		      struct error *err);
int treeload_extract(struct source *src, const uint64_t *wanted, size_t n, layer_put *put,
		     void *ctx, struct error *err);
/* The same from within a tar: src begins at its offset `at`, a multiple of 512 that need
 * not be where an entry begins.  What comes before the first wanted header is passed over
 * unread; a wanted header before `at` is E_CORRUPT too.  It is the first of its entry,
 * pax and GNU headers included, as the index has it, so that nothing before it matters.
 * Returns after the last wanted file; the rest of src is not read. */
int treeload_extract_from(struct source *src, uint64_t at, const uint64_t *wanted,
			  size_t n, layer_put *put, void *ctx, struct error *err);

#endif
