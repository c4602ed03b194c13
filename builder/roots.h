/*
 * roots.h - folders that RUN stands on, kept in the store
 *
 *	roots/CHAIN_ID.IDS	layers of an image, flattened into one folder
 *	uppers/DIFF_ID.IDS	one layer that hod made, as an overlay's lower folder
 *
 * IDS is idmap_text: how owners lie on disk.  A folder that can be seen is whole; it is
 * made in the store's temporary folder and renamed.  A file NAME.boot beside it names the
 * boot in which it was written or last checked: after another (a crash may have lost
 *data), and after a day, it is checked before it is used (unpack_check), and made anew
 *when it is not right.  A folder in use is held by a shared flock of the folder itself.
 */
#ifndef HOD_ROOTS_H
#define HOD_ROOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "builder/sandbox/idmap.h"
#include "registry/base/digest.h"

struct error;
struct store;
struct tree;

/* A layer as the store has it. */
struct root_layer {
	struct digest blob;
	uint64_t size; /* of the blob */
	struct digest diff_id;
};

/* Whether the flattened folder is there (it may still prove bad).  Cheap. */
bool roots_has(struct store *st, const struct idmap *ids, const struct root_layer *layers,
	       size_t n);
/* Opens the folder of the first n layers flattened, making it when it is missing: the
 * blobs must then be in the store (E_MISSING).  n may be 0: an empty folder.  The caller
 * is in the map's user namespace.  look: check it in any case.  An fd that holds the lock
 * until it is closed; -1. */
int roots_open(struct store *st, const struct idmap *ids, const struct root_layer *layers,
	       size_t n, bool look, struct error *err);
/* The same for one layer that hod made. */
int uppers_open(struct store *st, const struct idmap *ids, const struct root_layer *layer,
		bool look, struct error *err);
/* Keeps a folder (a name below dirfd) that diff_upper made equal to that layer.  Another
 * process may have kept the same already: then this one is removed. */
int uppers_keep(struct store *st, const struct idmap *ids, const struct digest *diff_id,
		int dirfd, const char *name, struct error *err);

#endif
