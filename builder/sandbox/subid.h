/*
 * subid.h - /etc/subuid and /etc/subgid, and the map of ids that follows
 *
 * Private to builder/sandbox.  subuid(5): lines NAME:FIRST:COUNT, where NAME may also be
 * a number.  Lines that are anything else are skipped, as newuidmap does.
 */
#ifndef HOD_SANDBOX_SUBID_H
#define HOD_SANDBOX_SUBID_H

#include <stddef.h>
#include <stdint.h>

#include "builder/sandbox/idmap.h"

struct error;

#define SUBUID_FILE "/etc/subuid"
#define SUBGID_FILE "/etc/subgid"

/* Appends the ranges of a user (name may be NULL: by number only), in their order, with
 * `inside` 0. */
void subid_parse(const char *text, size_t len, const char *name, uint32_t uid,
		 struct id_ranges *out);
/* The same from a file; one that is missing has none, one that cannot be read is
 * E_SANDBOX. */
int subid_read(const char *path, const char *name, uint32_t uid, struct id_ranges *out,
	       struct error *err);

/* What useradd gives by default: so many, from here on (login.defs(5)). */
#define SUBID_FIRST 100000
#define SUBID_COUNT 65536
/* Where SUBID_COUNT ids begin, at `from` or later, that are nobody's yet; `from` when
 * there is no room. */
uint32_t subid_free(const char *text, size_t len, uint32_t from);
uint32_t subid_advice(void); /* in both files of this host */

/* The map of 0 to `own`, and of 1 on to what was found.  An id that is already mapped is
 * left out, since the kernel wants each at most once; so is what is more than the kernel
 * takes in one write (user_namespaces(7)). */
void subid_map(uint32_t own, const struct id_ranges *found, struct id_ranges *map);

/* 0 when newuidmap and newgidmap are there; -1, E_SANDBOX and a hint (idmap.c). */
int idmap_programs(struct error *err);

void id_ranges_add(struct id_ranges *r, uint32_t inside, uint32_t outside,
		   uint32_t count);
void id_ranges_release(struct id_ranges *r);
/* How many ids there are, or 2^32 - 1 when that many. */
uint32_t id_ranges_count(const struct id_ranges *r);

#endif
