/*
 * client.h - the distribution API, for one registry at a time
 *
 * A client joins http, auth and a registry's habits: pinging is skipped, a 401
 * is answered once, redirects are followed by hand (at most 5, no https to
 * http, Authorization dropped when scheme, host or port change; the only other
 * headers are Accept, Range and Content-Type), error bodies become errors with
 * the registry's code and message.  A loopback registry that does not speak TLS
 * is spoken to in plain http; no other is, and none after a certificate error.
 * Status to kind: 401, 403 E_AUTH; 404 E_MISSING; 429, 5xx E_NETWORK (after the
 * retries); others E_FAILED.  Follows distribution-spec v1.1.
 *
 * Any thread may use a client.
 */
#ifndef HOD_CLIENT_H
#define HOD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/digest.h"

struct auth;
struct error;
struct http;
struct job;
struct reference;
struct source;

struct client_options {
	struct http *http; /* borrowed; outlives streams too */
	struct auth *auth; /* borrowed */
	bool plain_http;   /* --plain-http: http for every host */
};

/* One for a process: keeps what it learned about each host (scheme, challenge). */
struct client;
struct client *client_new(const struct client_options *o);
void client_free(struct client *c);

/* Manifest or index by ref's digest, else tag (with all four Accept types).  raw gets the
 * bytes (at most 4 MiB), media_type the Content-Type without parameters (yours
 * to free), *digest what the bytes hash to, which was compared with the digest
 * asked for or the Docker-Content-Digest answered: else E_CORRUPT. */
int client_get_manifest(struct client *c, const struct reference *ref, struct buf *raw,
			char **media_type, struct digest *digest, struct job *job,
			struct error *err);
/* HEAD of the same: 1 and *digest (zero when the registry does not say), 0 not
 * there, -1. */
int client_has_manifest(struct client *c, const struct reference *ref,
			struct digest *digest, struct job *job, struct error *err);
/* The blob's bytes; size and digest are checked as they are read (source_verify), a
 * connection lost on the way is resumed with Range, up to three times.  client and
 * job outlive the source. */
struct source *client_get_blob(struct client *c, const struct reference *repo,
			       const struct digest *d, uint64_t size, struct job *job,
			       struct error *err);
/* 1 there, 0 not there, -1. */
int client_has_blob(struct client *c, const struct reference *repo,
		    const struct digest *d, struct job *job, struct error *err);
/* Tries to mount d from another repository of the same registry: 1 done, 0 not
 * (upload it; *session, yours to free, may hold an upload URL to use), -1. */
int client_mount_blob(struct client *c, const struct reference *repo,
		      const struct digest *d, const char *from_path, char **session,
		      struct job *job, struct error *err);
/* Monolithic upload (POST, PUT), with a fresh session for each try.  The body is
 * body_fd's bytes from offset 0, or `bytes` when body_fd is -1.  session: from
 * client_mount_blob or NULL; taken.  sent: progress, each byte once however often
 * it is sent again. */
int client_put_blob(struct client *c, const struct reference *repo,
		    const struct digest *d, int body_fd, const void *bytes, uint64_t size,
		    char *session, void (*sent)(void *ctx, uint64_t bytes), void *ctx,
		    struct job *job, struct error *err);
/* PUT by tag, or by digest when ref has no tag.  The digest answered must be *d. */
int client_put_manifest(struct client *c, const struct reference *ref,
			const char *media_type, const struct buf *raw,
			const struct digest *d, struct job *job, struct error *err);

#endif
