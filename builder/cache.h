/*
 * cache.h - what a step made the last time
 *
 * steps/KEY in the store says which layer a step with that key made, or that it
 * made none.  A key is made in two parts: the prefix (the key before it and what
 * the instruction does) and the digest of the files it reads.  Beside the
 * records lie what the prefix read last, and what stood at this place of the
 * Dockerfile last: a prefix that was never met cannot hit, so that its files
 * need not be read twice, and a miss can be explained.
 *
 * Records are hints: one that is damaged, or whose layer is gone, is no record.
 */
#ifndef HOD_CACHE_H
#define HOD_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/digest.h"

struct error;
struct store;

struct step_record {
	bool empty;           /* the step made no layer */
	struct digest digest; /* of the gzip */
	struct digest diff_id;
	uint64_t size; /* of the gzip */
};

/* key = SHA-256 of (prefix, inputs). */
void cache_key(const struct digest *prefix, const struct digest *inputs,
	       struct digest *key);
/* True and *out when there is a usable record: its layer's blob is in the store. */
bool cache_find(struct store *st, const struct digest *key, struct step_record *out);
/* Failing to record is not an error. */
void cache_record(struct store *st, const struct digest *key,
		  const struct step_record *r);

/* What a prefix read last (copy_inputs' listing); false when it was never met. */
bool cache_inputs(struct store *st, const struct digest *prefix, struct buf *listing);
/* Whether it was ever met, without reading what it read. */
bool cache_met(struct store *st, const struct digest *prefix);
/* Both write only what is new. */
void cache_set_inputs(struct store *st, const struct digest *prefix,
		      const struct buf *listing);

/* A place in a Dockerfile: which text its step had last, and on which parent. */
struct cache_place {
	struct digest id;     /* names the place */
	struct digest parent; /* key before the step */
	const char *text; /* the instruction as it acts, one line; then, each in a line of
			     its own, 16 digits of a digest and the name of something else
			     that it depends on, such as a variable */
	bool first;       /* the first file step on its base */
};
void cache_set_place(struct store *st, const struct cache_place *place);
/* Why the step was not found, for people; yours to free.  listing: what it reads
 * now, NULL when that was not needed to know. */
char *cache_explain(struct store *st, const struct cache_place *place,
		    const struct digest *prefix, const struct buf *listing);

#endif
