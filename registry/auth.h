/*
 * auth.h - who we are to a registry
 *
 * Credentials come from the first of these that has some for the registry:
 * --authfile, the JSON text in $DOCKER_AUTH_CONFIG, $DOCKER_CONFIG/config.json,
 * $REGISTRY_AUTH_FILE, ~/.docker/config.json (not where DOCKER_CONFIG is set),
 * $XDG_RUNTIME_DIR/containers/auth.json and
 * ${XDG_CONFIG_HOME:-~/.config}/containers/auth.json (both not where
 * REGISTRY_AUTH_FILE is set).  `auths` entries are matched from host/path up to
 * host.  A credential is only ever sent to the registry that it is for, over TLS
 * (or to a loopback registry); it is never printed.  Credential helpers are not
 * run: where only one would know, that is E_AUTH by name.
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

/* authfile may be NULL.  Files are read at the first look-up; a malformed one is E_INPUT
 * then. */
struct auth *auth_new(const char *authfile);
void auth_free(struct auth *a);

/* *ret: the value of an Authorization header for Basic ("Basic dXNlcjpwdw=="), or
 * NULL when no credential is known; yours, for auth_wipe.  `source` (may be NULL)
 * gets the file's name for messages, when there is one: borrowed from a.
 * 0, or -1: E_INPUT for a malformed file, E_AUTH for a helper. */
int auth_basic(struct auth *a, const struct reference *ref, char **ret,
	       const char **source, struct error *err);
void auth_wipe(char *secret); /* clears and frees; NULL is fine */

enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };
/* The first Basic or Bearer challenge in a WWW-Authenticate value (RFC 9110, 11.6.1). */
enum challenge_scheme challenge_parse(const char *header);

#endif
