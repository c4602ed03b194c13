/*
 * step.h - instructions that change files: COPY, WORKDIR
 *
 * A step is looked up in the cache; on a miss it changes the stage's tree, and
 * what it set becomes a layer.
 */
#ifndef HOD_STEP_H
#define HOD_STEP_H

#include <stdbool.h>

struct error;
struct instruction;
struct progress_step;
struct stage_state;

/* Both apply one instruction, its history entry and config change included.  Errors have
 * no place: the caller adds it.  *cached: it came from the cache. */
int step_copy(struct stage_state *s, const struct instruction *in,
	      struct progress_step *ui, bool *cached, struct error *err);
int step_workdir(struct stage_state *s, const struct instruction *in,
		 struct progress_step *ui, bool *cached, struct error *err);

#endif
