/*
 * auth.h - who we are to a registry
 *
 * Credentials come from docker's files: --authfile, $DOCKER_CONFIG/config.json
 * if set, $REGISTRY_AUTH_FILE, ~/.docker/config.json, then the containers ones
 * (aws.md 6).  `auths` entries are matched from host/path up to host.  A
 * credential is only ever sent to the registry that it is for, over TLS (or to
 * a loopback registry); it is never printed.
 *
 * Challenges: Basic is answered; Bearer is recognised and refused by name until
 * tokens are spoken; see client.c.
 */
#ifndef HOD_AUTH_H
#define HOD_AUTH_H

#include <stdbool.h>

struct error;
struct reference;
struct auth;

/* authfile may be NULL.  Files are read at the first look-up; a malformed one is E_INPUT then. */
struct auth *auth_new(const char *authfile);
void auth_free(struct auth *a);

/* The value of an Authorization header for Basic ("Basic dXNlcjpwdw=="), or
 * NULL when no credential is known (*err untouched) or -1 style failure via err->kind.
 * *ret is yours to free (it is cleared by auth_wipe). `source` (may be NULL) gets
 * the file's name for messages: borrowed from a. */
int auth_basic(struct auth *a, const struct reference *ref, char **ret, const char **source,
	       struct error *err);
void auth_wipe(char *secret); /* clears and frees; NULL is fine */

enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };
/* The first Basic or Bearer challenge in a WWW-Authenticate value (aws.md 1.2). */
enum challenge_scheme challenge_parse(const char *header);

#endif
