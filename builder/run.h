/*
 * run.h - RUN
 *
 * The step's key is looked up first; on a miss a child process (run_worker.h) unpacks
 * what is missing on disk, runs the command, and turns what it changed into a layer,
 * which comes back as if it had been in the cache.  So a step that ran and one that was
 * cached give the same tree.
 */
#ifndef HOD_RUN_H
#define HOD_RUN_H

#include <stdbool.h>

struct error;
struct instruction;
struct progress_step;
struct stage_state;

/* As step_copy (step.h).  E_FAILED when the command failed, with its status in the
 * message; its last lines were shown. */
int step_run(struct stage_state *s, const struct instruction *in,
	     struct progress_step *ui, bool *cached, struct error *err);

#endif
