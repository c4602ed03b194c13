/*
 * deflate.h - one piece of a layer to raw deflate, the same bytes every time
 *
 * A piece is compressed by itself from a fresh state and ends on a byte
 * boundary, so that pieces can be made on any thread and joined (hod-layers(5), GZIP).
 */
#ifndef HOD_DEFLATE_H
#define HOD_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* Level 0-2: ISA-L; 3-9: zlib.  Memory is taken at the first piece.  One thread at a
 * time. */
struct deflater;
struct deflater *deflater_new(int level);
void deflater_free(struct deflater *d); /* NULL is fine */

/* Room that out must have for len bytes. */
size_t deflate_room(size_t len);
/* Compresses len > 0 bytes into out; the length of the result in *out_len.
 * E_BUG if the library fails. */
int deflate_piece(struct deflater *d, const void *data, size_t len, uint8_t *out,
		  size_t *out_len, struct error *err);

#endif
