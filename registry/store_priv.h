/*
 * store_priv.h - what store.c and store_names.c share
 */
#ifndef HOD_STORE_PRIV_H
#define HOD_STORE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "registry/base/map.h"
#include "registry/store.h"

struct tmpdir;

#define BLOBS "blobs/sha256"

struct store {
	char *path;
	int dirfd;
	bool root;             /* hod's own, not a foreign layout */
	pthread_mutex_t lock;  /* of all below */
	int blobs;             /* blobs/sha256; -1 while a layout has none */
	struct tmpdir *tmpdir; /* NULL: a layout that nothing was put into */
	atomic_uint dropped;   /* damaged blobs that were removed */
	struct map verified;   /* hex of blobs that this process wrote or verified */
};

/* The lock under which index.json changes and first appears: a fd whose close releases
 * it, -1, or -2 where the file system has no such locks (a foreign layout's). */
int store_lock_(struct store *st, struct error *err);
/* blobs/sha256, -1 when a layout has none. */
int store_blobs_(struct store *st);
/* Folder for temporaries and blobs/sha256, made when they are missing. */
struct tmpdir *store_writable_(struct store *st, struct error *err);
/* Waits until a blob's bytes are on the disk; a missing one is fine. */
int store_sync_blob_(struct store *st, const struct digest *d, struct error *err);
/* The folder entries of all blobs, likewise. */
int store_sync_blobs_(struct store *st, struct error *err);

#endif
