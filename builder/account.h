/*
 * account.h - who runs a command: USER by the image's own files
 *
 * Rules 12: /etc/passwd and /etc/group of the stage's tree (passwd.h), never the host's.
 */
#ifndef HOD_ACCOUNT_H
#define HOD_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct stage_state;

struct account {
	uint32_t uid, gid;
	uint32_t *groups; /* supplementary ones */
	size_t ngroups;
	char *home; /* "/" when unknown */
};
void account_release(struct account *a);

/* user is USER's text or NULL (root).  An unknown name is E_INPUT; *out is then empty. */
int account_find(struct stage_state *s, const char *user, struct account *out,
		 struct error *err);

#endif
