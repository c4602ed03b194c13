/*
 * run_failure.h - what to tell people of a RUN that failed
 */
#ifndef HOD_RUN_FAILURE_H
#define HOD_RUN_FAILURE_H

struct build;
struct error;
struct run_command;
struct run_result;

/* E_FAILED with BuildKit's words (9.4) and, where there is one, a hint.  Returns -1. */
int run_failure(const struct run_command *c, const struct run_result *r,
		const struct build *b, struct error *err);

#endif
