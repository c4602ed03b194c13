/*
 * restart_priv.h - what inflate.c, restart.c and restart_state.c share
 */
#ifndef HOD_RESTART_PRIV_H
#define HOD_RESTART_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/restart.h"

struct buf;
struct inflate_state;
struct source;

/* A decompressor's state as bytes that can be packed, with nothing that says where it
 * was in memory.  false: it is at a place (within a block's header, past the last block)
 * that cannot be gone on from. */
bool restart_save_(const struct inflate_state *s, struct buf *out);
/* The state back into a fresh one.  All that ISA-L would use as an index or a length is
 * checked; false when it fits no stream. */
bool restart_load_(const void *raw, size_t len, struct inflate_state *s);
#define RESTART_RAW_MAX ((size_t)96 << 10) /* of those bytes */

/* What the noting source tells.  `packed` and `offset` count compressed and inflated
 * bytes from the stream's start. */
void restart_member_(struct restart_writer *w, uint64_t packed, uint64_t offset);
void restart_member_end_(struct restart_writer *w, const struct inflate_state *s,
			 uint64_t offset);
void restart_state_(struct restart_writer *w, const struct inflate_state *s,
		    uint64_t packed, uint64_t offset);
void restart_end_(struct restart_writer *w, bool gzip, uint64_t offset);
/* How much of len to read, so that points lie evenly. */
size_t restart_room_(const struct restart_writer *w, uint64_t offset, size_t len);

/* Inflates the gzip stream of inner (taken) from a state (taken, from malloc) on, or from
 * a member's header when that is NULL. */
struct source *inflate_resume_(struct source *inner, struct inflate_state *s);

#endif
