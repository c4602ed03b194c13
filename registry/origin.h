/*
 * origin.h - other repositories that may have a blob
 *
 * For what the image's own repository does not give, and for mounts.  Shared by
 * fetch.c and push.c.
 */
#ifndef HOD_ORIGIN_H
#define HOD_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "registry/manifest.h"
#include "registry/reference.h"

struct client;
struct error;
struct job;
struct source;
struct store;

struct origin {
	const struct reference *ref; /* borrowed */
	bool known;                  /* the store has its manifest */
	struct manifest manifest;
};

/* One for each reference, with what the store knows of it; never fails. */
struct origin *origins_load(struct store *st, const struct reference *refs, size_t n);
void origins_free(struct origin *v, size_t n); /* NULL is fine */
/* False when it is known not to have d. */
bool origin_may_have(const struct origin *o, const struct digest *d);
/* Opens a blob (client_get_blob) at the first origin that gives it, `not`'s repository
 * left out (NULL: none).  NULL when none does. */
struct source *origins_open(const struct origin *v, size_t n, struct client *c,
			    const struct reference * not, const struct descriptor *d,
			    struct job *job);

#endif
