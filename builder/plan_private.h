/*
 * plan_private.h - what the files of the plan share
 */
#ifndef HOD_PLAN_PRIVATE_H
#define HOD_PLAN_PRIVATE_H

#include "builder/plan.h"

/* E_INPUT with the line as its place.  Returns -1. */
int plan_refuse_at(struct error *err, const struct plan *p, unsigned line,
		   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The instructions of a needed stage; none where a named context replaces it. */
const struct instruction *plan_instructions(const struct plan *p, size_t stage,
					    size_t *n);

/* What this version cannot build.  All of it: whoever brings a Dockerfile wants to know
 * at once what is missing.  The last one becomes err, the others are printed. */
int plan_refuse(const struct plan *p, const struct build_request *req, const char *text,
		size_t len, struct error *err);

#endif
