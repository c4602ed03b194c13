/*
 * client_request.h - one request to a registry: scheme, login, redirects, errors
 *
 * For client.c only.  What is learned about a host (does it speak TLS, does it
 * ask for a password) is kept for the process, so that later requests go right
 * at once.
 */
#ifndef HOD_CLIENT_REQUEST_H
#define HOD_CLIENT_REQUEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "registry/base/http.h"
#include "registry/client.h"

struct host {
	struct host *next;
	char *name;
	enum { SCHEME_UNKNOWN, SCHEME_HTTPS, SCHEME_HTTP } scheme;
	bool basic; /* asked for a password before */
};

struct client {
	struct http *http;
	struct auth *auth;
	bool plain_http;
	pthread_mutex_t lock;
	struct host *hosts; /* lock */
};

struct call {
	const struct reference *ref;       /* whose registry, whose credentials */
	struct http_request http;          /* all but url and headers */
	char *target;                      /* "/v2/..." or an absolute URL; owned */
	const char *accept, *content_type; /* NULL: not sent */
	uint64_t range_from;               /* 0: all */
	char *url;                         /* after: what answered; owned */
};
#define CALL_INIT                         \
	{                                 \
		.http = HTTP_REQUEST_INIT \
	}
void call_release(struct call *call);
#define auto_call __attribute__((cleanup(call_release)))
#define auto_response __attribute__((cleanup(http_response_release)))

/* 0 and an answer that is neither a redirect that may be followed nor a 401 of the
 * registry; -1 as http_perform, or E_AUTH, E_FAILED for a redirect that is refused. */
int client_request(struct client *c, struct call *call, struct http_response *res,
		   struct error *err);
/* The error that this status is, with the registry's code and message.  -1. */
int client_fail(const struct call *call, const struct http_response *res,
		struct error *err);
/* Appends " CODE: message" of an error's body, or nothing. */
void client_error_text(const struct http_response *res, struct buf *out);

#endif
