#include "registry/client_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "registry/auth.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/json.h"
#include "registry/base/log.h"
#include "registry/reference.h"

#define MAX_REDIRECTS 5
/* Of a registry's message; the rest is cut. */
#define MAX_MESSAGE 300

struct client *client_new(const struct client_options *o)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->http = o->http;
	c->auth = o->auth;
	c->plain_http = o->plain_http;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void client_free(struct client *c)
{
	struct host *h;

	if (!c)
		return;
	while ((h = c->hosts)) {
		c->hosts = h->next;
		free(h->name);
		free(h);
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void call_release(struct call *call)
{
	free(call->target);
	free(call->url);
	*call = (struct call)CALL_INIT;
}

/* Called with the lock; made where it is new. */
static struct host *find_host(struct client *c, const char *name)
{
	struct host *h;

	for (h = c->hosts; h; h = h->next)
		if (strcmp(h->name, name) == 0)
			return h;
	h = xcalloc(1, sizeof(*h));
	h->name = xstrdup(name);
	h->next = c->hosts;
	c->hosts = h;
	return h;
}

static struct host get_host(struct client *c, const char *name)
{
	struct host h;

	pthread_mutex_lock(&c->lock);
	h = *find_host(c, name);
	pthread_mutex_unlock(&c->lock);
	return h;
}

static void learn_scheme(struct client *c, const char *name, int scheme)
{
	pthread_mutex_lock(&c->lock);
	find_host(c, name)->scheme = scheme;
	pthread_mutex_unlock(&c->lock);
}

static void learn_basic(struct client *c, const char *name)
{
	pthread_mutex_lock(&c->lock);
	find_host(c, name)->basic = true;
	pthread_mutex_unlock(&c->lock);
}

static void first_line(const struct http_response *res, struct buf *out)
{
	const char *type = http_header(res, "content-type");
	size_t n = strcspn(res->body.data, "\r\n");

	if (n > 0 && type && strncasecmp(type, "text/plain", 10) == 0)
		buf_addf(out, ": %.*s", n > MAX_MESSAGE ? MAX_MESSAGE : (int)n,
			 res->body.data);
}

/* distribution-spec, "Error Codes": {"errors":[{"code","message","detail"}]}. */
void client_error_text(const struct http_response *res, struct buf *out)
{
	auto_json cJSON *root = json_parse(res->body.data, res->body.len, "error", NULL);
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "errors");
	const cJSON *one = cJSON_GetArrayItem(list, 0);
	const cJSON *code = cJSON_GetObjectItemCaseSensitive(one, "code");
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(one, "message");

	if (cJSON_IsString(code))
		buf_addf(out, " %.64s", code->valuestring);
	if (cJSON_IsString(message) && *message->valuestring)
		buf_addf(out, ": %.*s", MAX_MESSAGE, message->valuestring);
	if (!root)
		first_line(res, out);
}

static enum error_kind kind_of(int status)
{
	if (status == 401 || status == 403)
		return E_AUTH;
	if (status == 404)
		return E_MISSING;
	return status >= 500 || http_retry_status(status) ? E_NETWORK : E_FAILED;
}

int client_fail(const struct call *call, const struct http_response *res,
		struct error *err)
{
	auto_free char *url = http_display_url(call->url ? call->url : "");
	auto_buf struct buf text = BUF_INIT;

	client_error_text(res, &text);
	error_set(err, kind_of(res->status), "%s %s: the registry answered %d%s",
		  call->http.method, url, res->status, text.data);
	if (res->status == 403)
		error_hint(err, "check the permissions on %s and the login for %s",
			   call->ref->path, call->ref->host);
	else if (res->status == 429)
		error_hint(err, "the registry limits requests; wait, or use a login");
	return -1;
}

static enum challenge_scheme challenge_of(const struct http_response *res)
{
	static const char name[] = "www-authenticate: ";
	enum challenge_scheme s = CHALLENGE_NONE;

	for (size_t i = 0; s == CHALLENGE_NONE && i < res->headers.n; i++)
		if (strncmp(res->headers.v[i], name, sizeof(name) - 1) == 0)
			s = challenge_parse(res->headers.v[i] + sizeof(name) - 1);
	return s;
}

/* A login that goes with the requests of one call. */
struct login {
	char *secret;       /* the header's value, NULL: none */
	const char *source; /* where it came from; borrowed */
};

static void login_release(struct login *l)
{
	auth_wipe(l->secret);
	l->secret = NULL;
}

static bool may_send_login(const struct call *call, const char *url)
{
	return strncmp(url, "https:", 6) == 0 || reference_is_loopback(call->ref);
}

/* The registry answered 401.  0: try again with login; -1. */
static int answer_challenge(struct client *c, const struct call *call,
			    const struct http_response *res, struct login *login,
			    struct error *err)
{
	const char *host = call->ref->host;

	switch (challenge_of(res)) {
	case CHALLENGE_BEARER:
		return error_set(err, E_AUTH,
				 "%s asks for a Bearer token, which is not supported yet",
				 host);
	case CHALLENGE_NONE:
		return client_fail(call, res, err);
	case CHALLENGE_BASIC:
		break;
	}
	if (login->secret) {
		error_set(err, E_AUTH,
			  "%s refused the user name and password of %s (401)", host,
			  login->source);
		return error_hint(err, "check the entry for %s in %s", host,
				  login->source);
	}
	if (!may_send_login(call, call->url)) {
		error_set(err, E_AUTH,
			  "%s asks for a password, which is not sent without TLS", host);
		return error_hint(err, "leave out --plain-http");
	}
	if (auth_basic(c->auth, call->ref, &login->secret, &login->source, err) < 0)
		return -1;
	if (!login->secret) {
		error_set(err, E_AUTH,
			  "%s asks for a login and no credentials for it are known",
			  host);
		return error_hint(err,
				  "add an entry for %s under \"auths\" to "
				  "~/.docker/config.json, or name a file with --authfile",
				  host);
	}
	learn_basic(c, host);
	return 0;
}

static void wipe_headers(struct strv *h)
{
	for (size_t i = 0; i < h->n; i++)
		explicit_bzero(h->v[i], strlen(h->v[i]));
	strv_release(h);
}

/* A fresh list for each hop.  Another origin than the registry's gets what says which
 * bytes are wanted, and nothing else. */
static void make_headers(const struct call *call, const char *url, const char *origin,
			 const struct login *login, struct strv *h)
{
	bool home = http_same_origin(url, origin);

	if (call->accept)
		strv_addf(h, "Accept: %s", call->accept);
	if (call->range_from)
		strv_addf(h, "Range: bytes=%llu-", (unsigned long long)call->range_from);
	if (call->content_type)
		strv_addf(h, "Content-Type: %s", call->content_type);
	if (home && login->secret)
		strv_addf(h, "Authorization: %s", login->secret);
}

static bool is_redirect(const struct call *call, const struct http_response *res)
{
	bool reads = strcmp(call->http.method, "GET") == 0 ||
		     strcmp(call->http.method, "HEAD") == 0;

	if (!http_header(res, "location"))
		return false;
	switch (res->status) {
	case 301:
	case 302:
	case 303:
		return reads;
	case 307:
	case 308:
		return true;
	default:
		return false;
	}
}

/* Moves call->url on. */
static int follow(struct call *call, const struct http_response *res, unsigned *hops,
		  struct error *err)
{
	auto_free char *shown = http_display_url(call->url);
	char *next = http_resolve_url(call->url, http_header(res, "location"));

	if (++*hops > MAX_REDIRECTS) {
		free(next);
		return error_set(err, E_FAILED, "%s: more than %d redirects", shown,
				 MAX_REDIRECTS);
	}
	if (!next)
		return error_set(err, E_FAILED,
				 "%s: redirects to what is no http address", shown);
	if (strncasecmp(call->url, "https:", 6) == 0 &&
	    strncasecmp(next, "https:", 6) != 0) {
		free(next);
		return error_set(err, E_FAILED, "%s: redirects to an address without TLS",
				 shown);
	}
	free(call->url);
	call->url = next;
	return 0;
}

/* From call->url on, whose origin is the registry's or another (an upload's). */
static int perform(struct client *c, struct call *call, const char *origin,
		   struct http_response *res, struct error *err)
{
	__attribute__((cleanup(login_release))) struct login login = {0};
	unsigned hops = 0;
	int rc;

	if (get_host(c, call->ref->host).basic && may_send_login(call, origin) &&
	    auth_basic(c->auth, call->ref, &login.secret, &login.source, err) < 0)
		return -1;
	for (;;) {
		struct strv headers = STRV_INIT;

		make_headers(call, call->url, origin, &login, &headers);
		call->http.url = call->url;
		call->http.headers = &headers;
		rc = http_perform(c->http, &call->http, res, err);
		call->http.url = NULL;
		call->http.headers = NULL;
		wipe_headers(&headers);
		if (rc < 0)
			return -1;
		if (res->status == 401 && http_same_origin(call->url, origin)) {
			if (answer_challenge(c, call, res, &login, err) < 0)
				return -1;
		} else if (is_redirect(call, res)) {
			if (follow(call, res, &hops, err) < 0)
				return -1;
		} else {
			return 0;
		}
	}
}

int client_request(struct client *c, struct call *call, struct http_response *res,
		   struct error *err)
{
	const struct reference *ref = call->ref;
	struct host known = get_host(c, ref->host);
	bool http = c->plain_http || known.scheme == SCHEME_HTTP;
	auto_free char *origin = NULL;
	struct error e = ERROR_INIT;
	int rc;

	for (;;) {
		free(origin);
		origin = xasprintf("%s://%s", http ? "http" : "https",
				   reference_wire_host(ref));
		free(call->url);
		call->url = call->target[0] == '/'
				    ? xasprintf("%s%s", origin, call->target)
				    : xstrdup(call->target);
		rc = perform(c, call, origin, res, &e);
		if (rc < 0 && res->not_tls && !http && known.scheme == SCHEME_UNKNOWN &&
		    reference_is_loopback(ref) && http_same_origin(call->url, origin)) {
			log_debug("%s does not speak TLS: trying http", ref->host);
			http = true;
			continue;
		}
		break;
	}
	if (rc == 0 && known.scheme == SCHEME_UNKNOWN && !c->plain_http)
		learn_scheme(c, ref->host, http ? SCHEME_HTTP : SCHEME_HTTPS);
	if (rc < 0 && err)
		*err = e;
	return rc;
}
