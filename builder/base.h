/*
 * base.h - images that FROM and COPY --from name, each resolved once a build
 */
#ifndef HOD_BASE_H
#define HOD_BASE_H

#include <stdbool.h>

#include "registry/transfer.h"

struct build;
struct error;
struct from;
struct platform;
struct stage_state;

struct base_image {
	char *key; /* reference or layout, and platform */
	struct image image;
	struct stage_state *as_stage; /* for COPY --from; NULL until asked for */
};

/* The image of a FROM_IMAGE or FROM_CONTEXT, from the store, a registry or its
 * layout; borrowed from b.  NULL and err. */
struct base_image *base_resolve(struct build *b, const struct from *from,
				const struct platform *want, bool want_explicit,
				struct error *err);
/* A stage to copy from that is nothing but the image. */
struct stage_state *base_as_stage(struct build *b, struct base_image *base,
				  struct error *err);
/* Frees all of b's. */
void base_release(struct build *b);

#endif
