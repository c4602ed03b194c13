/*
 * points.h - restart points of layers (restart.h), kept in the store
 *
 * trees/BLOB.points, by the blob's digest.  They are noted while a layer is read as a
 * whole, and kept when it was verified.  A failure costs time only, so it is logged and
 * nothing else.
 */
#ifndef HOD_POINTS_H
#define HOD_POINTS_H

#include "registry/base/file.h"

struct digest;
struct error;
struct restart_writer;
struct restarts;
struct store;

struct points {
	struct tmp tmp;
	struct restart_writer *writer; /* NULL: none are noted */
};
#define POINTS_INIT                             \
	{                                       \
		.tmp = TMP_INIT, .writer = NULL \
	}

/* Begins to note those of a layer, unless they are there.  blob NULL: not known yet. */
void points_begin(struct points *p, struct store *st, const struct digest *blob);
/* Keeps what was noted, if the layer has more than the point at its start. */
void points_commit(struct points *p, struct store *st, const struct digest *blob);
void points_abort(struct points *p); /* fine when never begun or committed */
#define auto_points __attribute__((cleanup(points_abort)))

/* Those of a blob; NULL and E_MISSING when there are none, or when they were damaged
 * (then they are removed). */
struct restarts *points_open(struct store *st, const struct digest *blob,
			     struct error *err);
void points_drop(struct store *st, const struct digest *blob);

#endif
