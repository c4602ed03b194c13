/*
 * probe_private.h - the steps of a probe
 *
 * Private to probe.c and probe_steps.c.
 */
#ifndef HOD_SANDBOX_PROBE_PRIVATE_H
#define HOD_SANDBOX_PROBE_PRIVATE_H

#include <stdbool.h>

#include "builder/sandbox/idmap.h"
#include "builder/sandbox/probe.h"

struct error;

/* What the steps of one probe share. */
struct trial {
	enum sandbox_mode mode;
	struct idmap map;
	int dir;                       /* an own folder in the store */
	int lower, upper, work, place; /* below it */
	int root;                      /* of the overlay */
};

/* One step: does it, and says what it did in text (PROBE_TEXT bytes); -1 and err. */
struct probe_step {
	const char *name;
	bool needed;
	int (*run)(struct trial *t, char *text, struct error *err);
};

/* Those of the process that enters the user namespace, those of process 1 in a sandbox;
 * each ends with a name NULL.  At most PROBE_CHECKS together. */
extern const struct probe_step probe_outer[], probe_inner[];

#endif
