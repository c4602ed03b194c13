/*
 * step_private.h - what all file steps share: their key, the cache, their layer
 *
 * A step makes its text, then its key, then asks step_use_cached; on a miss it explains
 * itself, does its work, and records what came of it.
 */
#ifndef HOD_STEP_PRIVATE_H
#define HOD_STEP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "builder/cache.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"

struct error;
struct layer;
struct progress_step;
struct stage_state;

/* A file step on its way: what the cache needs to know of it. */
struct step {
	struct stage_state *stage;
	struct progress_step *ui;
	struct buf text; /* the instruction as it acts */
	struct digest prefix, key;
	struct cache_place place;
	struct buf listing; /* of what it reads */
	bool listed;
};

void step_init(struct step *st, struct stage_state *s, struct progress_step *ui);
void step_release(struct step *st);

/* The prefix follows from the key before, the text, and a second text, which the first
 * alone would not tell from its other parts. */
void step_prefix(struct step *st, const char *dest);
/* Where in the Dockerfile the step stands; step_prefix does it as well. */
void step_place(struct step *st);
/* Says why the step was not found. */
void step_explain(struct step *st);

/* Uses what the cache has under st->key: 1, 0 when it has nothing, -1. */
int step_use_cached(struct step *st, bool *empty, struct error *err);
/* Adds a layer of the store to the stage (in_tree: stage_add_layer). */
int step_add_layer(struct stage_state *s, const struct digest *digest, uint64_t size,
		   const struct digest *diff_id, bool in_tree, struct error *err);
/* What the tree's current step set becomes the stage's next layer. */
int step_write_layer(struct stage_state *s, struct layer *out, struct error *err);
/* Records the layer, or that there is none (NULL); the stage's key is then st->key. */
void step_record_layer(struct step *st, const struct layer *layer);

#endif
