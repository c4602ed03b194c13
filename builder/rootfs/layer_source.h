/*
 * layer_source.h - a layer of the store as its tar, from the middle on
 *
 * trees/BLOB.points in the store has the points at which the layer can be inflated on
 * (registry/base/restart.h): noted while a base's layer is read for the first time, or
 * by the writer of hod's own layers.  What is missing or damaged costs time only: the
 * layer is then read from its start.
 */
#ifndef HOD_LAYER_SOURCE_H
#define HOD_LAYER_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct digest;
struct error;
struct source;
struct store;

/* The tar of the layer with that blob (size bytes), from its last point at or before
 * `from`; *at is the offset in the tar where it begins.  Without points *at is 0, and the
 * blob's digest is verified at its end; from points the checksum of each stretch is,
 * which is E_CORRUPT too.  E_MISSING when the store has no such blob.  Any thread; the
 * source is one thread's. */
struct source *layer_source(struct store *st, const struct digest *blob, uint64_t size,
			    uint64_t from, uint64_t *at, struct error *err);

/* Offsets in the tar of the points that layer_source can begin at, ascending, the first
 * 0; only 0 when there are none.  *v is yours to free. */
void layer_points(struct store *st, const struct digest *blob, uint64_t **v, size_t *n);

#endif
