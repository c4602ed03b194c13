/*
 * passwd.h - /etc/passwd and /etc/group of an image
 *
 * Read from a stage's tree, never the host's.  Lines that are of no use (too short, ids
 * that are no numbers or beyond 32 bits) are passed over; of several entries with one
 * name the first counts.
 */
#ifndef HOD_PASSWD_H
#define HOD_PASSWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;
struct stage_state;

#define PASSWD_FILE "/etc/passwd"
#define GROUP_FILE "/etc/group"

/* A decimal number that fits; false otherwise. */
bool passwd_id(const char *text, size_t len, uint32_t *out);

/* Appends the file; nothing when it is missing or no regular file. */
int passwd_read(struct stage_state *s, const char *path, struct buf *out,
		struct error *err);

/* An entry; the texts point into the file. */
struct passwd_entry {
	const char *name, *home;
	size_t name_len, home_len;
	uint32_t uid, gid;
};
bool passwd_by_name(const struct buf *passwd, const char *name, struct passwd_entry *out);
bool passwd_by_id(const struct buf *passwd, uint32_t uid, struct passwd_entry *out);

bool group_by_name(const struct buf *group, const char *name, uint32_t *gid);
/* The groups that name their members this user: each call gives the next one, from
 * *at = 0 on; false after the last. */
bool group_next_of(const struct buf *group, const char *user, size_t len, size_t *at,
		   uint32_t *gid);

#endif
