/*
 * owner.h - user and group names of an image
 *
 * COPY --chown and WORKDIR resolve `user[:group]` by the stage's own /etc/passwd
 * and /etc/group, never the host's (rules 8.19, 10.2).
 */
#ifndef HOD_OWNER_H
#define HOD_OWNER_H

#include <stdint.h>

struct error;
struct stage_state;

/* Numbers are taken as they are, `root` is 0; a number without a group is also
 * the gid; a name without a group has its primary gid.  An unknown name, or a
 * missing file, is 0 with a warning, as BuildKit has it. */
int owner_resolve(struct stage_state *s, const char *text, uint32_t *uid, uint32_t *gid,
		  struct error *err);

#endif
