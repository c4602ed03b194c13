/*
 * refusal.h - why a host refuses to isolate, and what would help
 *
 * Private to builder/sandbox.  What refused() of steps_private.h told gets a hint here,
 * where the cause can be found out.
 */
#ifndef HOD_SANDBOX_REFUSAL_H
#define HOD_SANDBOX_REFUSAL_H

struct error;

/* These set the hint of a refusal that errno names; always -1. */
int refusal_userns(struct error *err, int errnum); /* unshare, or a map's write */
int refusal_mount(struct error *err, int errnum);  /* a mount inside a namespace */
/* newuidmap or newgidmap at path failed, saying text. */
int refusal_idmap_program(struct error *err, const char *path, const char *text);

/* A number in a file such as /proc/sys/user/max_user_namespaces; -1 when there is none.
 */
long refusal_sysctl(const char *path);

#endif
