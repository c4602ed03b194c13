/*
 * pieces.h - the pieces of a layer through deflate and both hashes into a blob
 *
 *	caller fills a piece -> SHA-256 and CRC of the tar (in order, one thread)
 *	                     -> deflate (workers) -> SHA-256 of the gzip, store (in order,
 *one thread)
 *
 * A piece is filled in place and reused when all are done with it: memory is a fixed
 * number of pieces.  Threads start only when there is enough to do.  One
 * caller's thread at a time.
 */
#ifndef HOD_PIECES_H
#define HOD_PIECES_H

#include <stdint.h>

#include "builder/rootfs/layer.h"

#define PIECE_SIZE 1048576

struct buf;
struct error;

struct pieces;
struct pieces *pieces_open(const struct layer_options *o, struct error *err);
/* The piece that is being filled; stays the same until pieces_cut.  Waits for a
 * free one; NULL and the first error of the pipe, or the job's. */
struct buf *pieces_buf(struct pieces *p, struct error *err);
/* Ends the piece that is being filled; none or an empty one is left as it is. */
int pieces_cut(struct pieces *p, struct error *err);
/* Bytes of the tar so far, the open piece included. */
uint64_t pieces_offset(const struct pieces *p);
/* Ends the last piece and the stream, commits the blob, fills all of out but `entries`;
 * the layer's restart points are kept beside it (registry/points.h).  Frees p, also on
 * -1. */
int pieces_end(struct pieces *p, struct layer *out, struct error *err);
void pieces_abort(struct pieces *p); /* NULL is fine; nothing stays in the store */

#endif
