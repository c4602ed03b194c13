/*
 * restart.h - places in a gzip stream from which it can be read on
 *
 * While a layer is inflated for the first time, a point is noted about every 4 MiB of its
 * tar: the decompressor's state, and a checksum of what lies between two points.  A
 * later reader begins at the point before what it wants.  Points are a cache: a file with
 * its own checksum, bound to the blob, and to the library and processor that made it; one
 * that does not fit is no file.  Point 0 is the stream's start.
 *
 *	w = restart_writer_new(fd)
 *	source_inflate_noting(blob, w), read to its end
 *	restart_writer_end(w, digest)
 *
 * The checksums are against damage: who may write to the file may also write to the
 * store's other caches.  What they do not see is checked before it is used.
 */
#ifndef HOD_RESTART_H
#define HOD_RESTART_H

#include <stddef.h>
#include <stdint.h>

struct digest;
struct error;
struct restart_writer;
struct restarts;
struct source;

#define RESTART_DISTANCE ((uint64_t)4 << 20) /* of inflated bytes */

/* Notes points into a file at fd (empty; it stays yours), while the source that it is
 * given to is read to its end (source_inflate_noting).  What is not gzip gets none. */
struct restart_writer *restart_writer_new(int fd);
/* Points noted so far, with the one at the start. */
size_t restart_writer_count(const struct restart_writer *w);
/* Completes the file; blob names what was read.  Frees w, also on -1.  A stream that was
 * not read to its end, or is not gzip, is E_FAILED. */
int restart_writer_end(struct restart_writer *w, const struct digest *blob,
		       struct error *err);
void restart_writer_abort(struct restart_writer *w); /* NULL is fine */
/* As source_inflate (stream.h).  w (NULL: no points are noted) is borrowed until the
 * source is closed; a failure to write comes from restart_writer_end, not from here. */
struct source *source_inflate_noting(struct source *inner, struct restart_writer *w);

/* For who makes a stream of one member itself: at its byte `packed` (ascending) a deflate
 * block begins that refers to nothing before it; crc is the CRC-32 of the `offset` bytes
 * before.  At last the stream's whole size and CRC-32. */
void restart_writer_add(struct restart_writer *w, uint64_t packed, uint64_t offset,
			uint32_t crc);
void restart_writer_all(struct restart_writer *w, uint64_t size, uint32_t crc);

/* Maps and checks the file; fd stays yours.  NULL and E_CORRUPT when it is damaged, of
 * another blob, or made by another library. */
struct restarts *restarts_open(int fd, const struct digest *blob, struct error *err);
void restarts_close(struct restarts *r);         /* NULL is fine */
size_t restarts_count(const struct restarts *r); /* at least 1 */
/* In the inflated stream, ascending; that of point 0 is 0. */
uint64_t restarts_offset(const struct restarts *r, size_t i);

/* The inflated stream from the last point at or before offset on; *at is where it begins.
 * r and blob_fd (read with pread) are borrowed and must outlive the source.  Each
 * stretch between two points is compared with its checksum before any of it is handed
 * out: E_CORRUPT.  One stretch is kept in memory.  Any number of threads may use one
 * restarts. */
struct source *restarts_read(const struct restarts *r, int blob_fd, uint64_t offset,
			     uint64_t *at, struct error *err);

#endif
