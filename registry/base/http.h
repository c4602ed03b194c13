/*
 * http.h - requests over libcurl: one network thread, kept connections
 *
 * Every request runs on one thread that owns a curl multi handle; any number of
 * other threads call http_perform() and wait.  Bodies stream: an upload is read
 * from a file or from memory, a download goes into a buffer (bounded) or comes
 * back as a source that the caller reads while the transfer goes on (paused when
 * the caller is slow).
 *
 * http knows connections, TLS, proxies (libcurl's environment), HOD_CONNECT_TO,
 * retries of one request, and never follows a redirect by itself: the status
 * and Location come back, and the caller decides with a fresh set of headers.
 * Header values are never logged; URLs are logged without their query.
 *
 * Retries: connection errors, 408, 429, 499, 500, 502, 503, 504, 522; three
 * more tries, jittered back-off from HOD_RETRY_MS (default 1000 ms) x 3,
 * Retry-After honoured up to 60 s.  A download that was already handed to the
 * caller is not retried here: see client.h, which resumes it.
 *
 * Time limits: 30 s to connect; a transfer that moves less than a byte a second
 * for 60 s is given up (not while its reader is what is slow); an answer to a body
 * that was sent whole may take ten minutes, since a registry checks and moves it.
 */
#ifndef HOD_HTTP_H
#define HOD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/buf.h"

struct error;
struct job;
struct source;

struct http_options {
	const char *ca_file;    /* NULL: the system's; SSL_CERT_FILE is honoured */
	bool tls_verify;        /* false only by --tls-verify=false */
	const char *connect_to; /* HOD_CONNECT_TO: comma-separated host:port:addr:port, or
				   NULL */
	const char *user_agent; /* "hod/0.1" */
};

struct http;
struct http *http_new(const struct http_options *o, struct error *err);
/* NULL is fine.  Streams are closed and requests have returned before. */
void http_free(struct http *h);

struct http_request {
	const char *method;         /* "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" */
	const char *url;            /* borrowed, as everything here */
	const struct strv *headers; /* "Name: value"; may be NULL */
	/* The body: bytes, or `body_len` bytes of a file from offset 0. */
	const void *body;
	int body_fd; /* -1: use body */
	uint64_t body_len;
	bool has_body;   /* send Content-Length even when it is 0 */
	size_t max_body; /* bound of the answer's body kept in memory; 0: 1 MiB */
	bool stream;     /* success (2xx): leave the body to http_response.stream */
	bool no_retry;
	void (*sent)(void *ctx,
		     uint64_t bytes); /* progress of an upload, any thread; or NULL */
	void *sent_ctx;
	/* Its cancellation ends the request; or NULL.  Outlives a stream. */
	struct job *job;
};
#define HTTP_REQUEST_INIT                      \
	{                                      \
		.method = "GET", .body_fd = -1 \
	}

struct http_response {
	int status;
	struct strv headers;    /* "name: value", names lower-case, in order, of the final
				   answer */
	struct buf body;        /* the body, unless streamed */
	struct source *stream;  /* yours to close, when asked for and status is 2xx */
	int64_t content_length; /* -1 when not given */
	bool not_tls; /* after -1: what answered an https URL does not speak TLS */
};
#define HTTP_RESPONSE_INIT                                          \
	{                                                           \
		.content_length = -1, .body = {.data = buf_empty_ } \
	}

/* Performs the request with retries; 0 whatever the status was (also 404, 500), -1 for
 * what gave no answer: E_NETWORK for connection trouble, time-outs, cut bodies;
 * E_AUTH for a certificate that does not verify (with a hint about --ca-file);
 * E_INTERRUPTED; E_CORRUPT for an answer over max_body.  The body of an answer
 * that is no success is cut there instead.  A stream is returned as soon as the
 * headers are in; its read then fails in the same ways. */
int http_perform(struct http *h, const struct http_request *req,
		 struct http_response *res, struct error *err);
void http_response_release(struct http_response *res); /* empty and reusable after */
/* First header of that lower-case name, NULL if none.  The value without blanks around.
 */
const char *http_header(const struct http_response *res, const char *name);

/* For callers that repeat more than one request (an upload has two): which
 * statuses are worth another try, and the wait before try number `tries` (1, 2,
 * ...; res may be NULL, else its Retry-After is honoured).  -1 when cancelled. */
bool http_retry_status(int status);
int http_backoff(struct http *h, unsigned tries, const struct http_response *res,
		 struct job *job, struct error *err);
#define HTTP_TRIES 4

/* The URL without query and fragment and user info, for messages; yours to free. */
char *http_display_url(const char *url);
/* Resolves Location (absolute or relative) against the URL it came from; an
 * absolute one stays as it is, byte for byte.  NULL when it cannot be parsed, is
 * neither http nor https, or names a user. */
char *http_resolve_url(const char *base, const char *location);
/* True when both have the same scheme, host and port (default ports folded). */
bool http_same_origin(const char *a, const char *b);

#endif
