/*
 * idmap.h - whose ids a sandbox has
 *
 * Three modes, from the most to the least that a command can do:
 *
 *	root	real root: all ids are what they are
 *	range	a user namespace with subordinate ids (/etc/subuid, newuidmap): 0 is the
 *		user, 1 to 65535 and more are of the range
 *	one	a user namespace with one id: 0 is the user, there is no other
 */
#ifndef HOD_IDMAP_H
#define HOD_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;

enum sandbox_mode { SANDBOX_ROOT, SANDBOX_RANGE, SANDBOX_ONE };
#define SANDBOX_MODES 3

/* "root", "userns", "userns with one id" */
const char *sandbox_mode_name(enum sandbox_mode mode);

/* inside ids first ... first + count - 1 are outside ids from `outside` on */
struct id_range {
	uint32_t inside, outside, count;
};
struct id_ranges {
	struct id_range *v;
	size_t n;
};
struct idmap {
	enum sandbox_mode mode;
	struct id_ranges uids, gids; /* SANDBOX_ROOT: none */
};
void idmap_release(struct idmap *m);

/* The map that this user has in a mode.  SANDBOX_RANGE: 0 is the user, then all ranges of
 * /etc/subuid and /etc/subgid (by name or number) in their order; E_SANDBOX with a hint
 * when there is none, or newuidmap and newgidmap are missing. */
int idmap_find(struct idmap *m, enum sandbox_mode mode, struct error *err);
bool idmap_has(const struct idmap *m, uint32_t uid, uint32_t gid);
/* How owners lie on disk under this map, as part of a folder's name: "root", "one",
 * "range-HEX" of the ranges. */
void idmap_text(const struct idmap *m, struct buf *out);

/* The calling process, which has one thread, enters a new user namespace with this map
 * and a private mount namespace, and becomes 0:0 in it without other groups.
 * SANDBOX_ROOT: a private mount namespace only.  E_SANDBOX, with a hint on what refuses
 * it. */
int idmap_enter(const struct idmap *m, struct error *err);

#endif
