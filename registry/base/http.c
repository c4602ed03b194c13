#include "registry/base/http.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/http_net.h"
#include "registry/base/interrupt.h"
#include "registry/base/job.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"

#define CONNECT_SECONDS 30L
#define STALL_SECONDS 60L
#define SMALL_SECONDS 300L
#define MAX_BODY (1u << 20)
#define MAX_CA_FILE (16u << 20)
#define RETRY_MS 1000
#define MAX_RETRY_AFTER_MS 60000

struct http {
	struct net net;
	char *user_agent;
	bool tls_verify;
	char *ca_file, *ca_path; /* NULL: curl's own */
	struct buf ca_blob;      /* both files, when there is no folder to add */
	struct curl_slist *connect_to;
	unsigned retry_ms;
};

static const char *env_path(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/*
 * --ca-file adds to what the system trusts.  curl takes one file and one folder: the
 * folder stays the system's, where there is one, else both files are joined.  Without
 * --ca-file no folder is set, since curl keeps the parsed file only then.
 */
static int setup_ca(struct http *h, const char *own, struct error *err)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	const char *file = env_path("SSL_CERT_FILE"), *path = env_path("SSL_CERT_DIR");
	bool replaced = file || path;

	if (!replaced) {
		file = v->cainfo;
		path = v->capath;
		if (!own && file && access(file, R_OK) == 0)
			path = NULL;
	}
	h->ca_path = path ? xstrdup(path) : NULL;
	if (!own) {
		h->ca_file = file ? xstrdup(file) : NULL;
		return 0;
	}
	if (file_read(AT_FDCWD, own, MAX_CA_FILE, &h->ca_blob, err) < 0)
		goto bad;
	if (!strstr(h->ca_blob.data, "-----BEGIN ")) {
		error_set(err, E_INPUT, "%s holds no certificate in PEM form", own);
		goto bad;
	}
	if (path && !replaced) {
		buf_release(&h->ca_blob);
		h->ca_file = xstrdup(own);
		return 0;
	}
	buf_addc(&h->ca_blob, '\n');
	if (file && (!path || replaced) && access(file, R_OK) == 0 &&
	    file_read(AT_FDCWD, file, MAX_CA_FILE, &h->ca_blob, err) < 0)
		return -1;
	return 0;
bad:
	if (err)
		err->kind = E_INPUT;
	return error_wrap(err, "--ca-file");
}

/* host:port:addr:port; brackets around IPv6, empty parts match everything (curl). */
static int setup_connect_to(struct http *h, const char *list, struct error *err)
{
	const char *p = list, *end;

	for (; p && *p; p = *end ? end + 1 : end) {
		auto_free char *entry = NULL;
		unsigned colons = 0, depth = 0;

		end = p + strcspn(p, ",");
		entry = xstrndup(p, (size_t)(end - p));
		for (const char *c = entry; *c; c++) {
			depth += *c == '[';
			depth -= *c == ']' && depth > 0;
			colons += *c == ':' && depth == 0;
		}
		if (*entry && colons != 3)
			return error_set(
				err, E_USAGE,
				"HOD_CONNECT_TO: \"%s\" is not host:port:addr:port",
				entry);
		if (*entry)
			h->connect_to = curl_slist_append(h->connect_to, entry);
	}
	return 0;
}

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void free_parts(struct http *h)
{
	curl_slist_free_all(h->connect_to);
	buf_release(&h->ca_blob);
	free(h->ca_file);
	free(h->ca_path);
	free(h->user_agent);
	free(h);
}

struct http *http_new(const struct http_options *o, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *ms = env_path("HOD_RETRY_MS");
	struct http *h = xcalloc(1, sizeof(*h));

	pthread_once(&once, global_init);
	h->ca_blob = (struct buf)BUF_INIT;
	h->tls_verify = o->tls_verify;
	h->user_agent = xstrdup(o->user_agent ? o->user_agent : "hod");
	h->retry_ms = ms ? (unsigned)strtoul(ms, NULL, 10) % 3600000 : RETRY_MS;
	if (setup_ca(h, o->ca_file, err) == 0 &&
	    setup_connect_to(h, o->connect_to, err) == 0 && net_start(&h->net, err) == 0)
		return h;
	free_parts(h);
	return NULL;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	net_stop(&h->net);
	free_parts(h);
}

static bool is_loopback(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL;
	bool yes = false;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		yes = strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
		      (strncmp(host, "127.", 4) == 0 &&
		       strspn(host, "0123456789.") == strlen(host));
	curl_free(host);
	curl_url_cleanup(u);
	return yes;
}

static void set_tls(const struct http *h, CURL *e)
{
	struct curl_blob blob = {h->ca_blob.data, h->ca_blob.len, CURL_BLOB_NOCOPY};

	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, (long)h->tls_verify);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, h->tls_verify ? 2L : 0L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_CAPATH, h->ca_path);
	if (h->ca_blob.len)
		curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
	else
		curl_easy_setopt(e, CURLOPT_CAINFO, h->ca_file);
}

static void set_method(struct transfer *t, const struct http_request *req,
		       uint64_t *reported)
{
	CURL *e = t->easy;

	if (req->has_body || req->body_len) {
		t->upload = (struct upload){.data = req->body,
					    .fd = req->body_fd,
					    .len = req->body_len,
					    .reported = reported,
					    .sent = req->sent,
					    .ctx = req->sent_ctx};
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body_len);
		curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
	}
	if (strcmp(req->method, "HEAD") == 0)
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, req->method);
	for (size_t i = 0; req->headers && i < req->headers->n; i++)
		t->headers = curl_slist_append(t->headers, req->headers->v[i]);
	/* Without the second of waiting for a 100 that few registries send. */
	t->headers = curl_slist_append(t->headers, "Expect:");
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
}

static struct transfer *new_transfer(struct http *h, const struct http_request *req,
				     uint64_t *reported)
{
	struct transfer *t = transfer_new(&h->net);
	CURL *e;

	if (!t)
		return NULL;
	e = t->easy;
	t->job = req->job;
	t->stream = req->stream;
	t->max_body = req->max_body ? req->max_body : MAX_BODY;
	curl_easy_setopt(e, CURLOPT_URL, req->url);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	/*
	 * HTTP/2 would put all transfers to a host on one connection, where a
	 * paused one holds up the others (curl 7.88); on connections of their own
	 * it is only slower than 1.1.
	 */
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, h->user_agent);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
	/* small answers: a registry that drips them is as good as silent */
	if (!req->stream && req->body_fd < 0)
		curl_easy_setopt(e, CURLOPT_TIMEOUT, SMALL_SECONDS);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 256L << 10);
	curl_easy_setopt(e, CURLOPT_CONNECT_TO, h->connect_to);
	if (is_loopback(req->url))
		curl_easy_setopt(e, CURLOPT_PROXY, "");
	else if (strncasecmp(req->url, "http:", 5) == 0 && !env_path("http_proxy"))
		curl_easy_setopt(e, CURLOPT_PROXY, env_path("HTTP_PROXY"));
	set_tls(h, e);
	set_method(t, req, reported);
	return t;
}

/* A streamed body: the ring's source, and the transfer that must outlive it. */
struct http_stream {
	struct source source;
	struct source *ring;
	struct transfer *transfer;
	char *url;
};

static ssize_t stream_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct http_stream *st = (struct http_stream *)s;
	ssize_t n = source_read(st->ring, buf, len, err);

	if (n < 0)
		error_wrap(err, "GET %s", st->url);
	return n;
}

static void stream_close(struct source *s)
{
	struct http_stream *st = (struct http_stream *)s;

	source_close(st->ring);
	transfer_free(st->transfer);
	free(st->url);
	free(st);
}

static struct source *stream_new(struct transfer *t, const char *url)
{
	static const struct source_ops ops = {stream_read, stream_close};
	struct http_stream *st = xcalloc(1, sizeof(*st));

	st->source.ops = &ops;
	st->ring = steal_ptr(&t->source);
	st->transfer = t;
	st->url = http_display_url(url);
	return &st->source;
}

/* OpenSSL's words for bytes that are no TLS record. */
static bool speaks_no_tls(const struct transfer *t)
{
	static const char *const words[] = {"wrong version number",
					    "packet length too long", "http request",
					    "unknown protocol"};

	if (t->code != CURLE_SSL_CONNECT_ERROR)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(t->text, words[i]))
			return true;
	return false;
}

/* Fills err for a transfer without an answer; true when another try may help. */
static bool explain(const struct transfer *t, const struct http_request *req, bool no_tls,
		    struct error *err)
{
	auto_free char *url = http_display_url(req->url);
	const char *text = t->text[0] ? t->text : curl_easy_strerror(t->code);
	enum error_kind kind = E_NETWORK;

	if (t->err.kind != E_NONE) {
		*err = t->err;
		error_wrap(err, "%s %s", req->method, url);
		return false;
	}
	switch (t->code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		error_set(err, E_AUTH, "%s %s: %s", req->method, url, text);
		if (strstr(text, "subject name") || strstr(text, "host name"))
			error_hint(err,
				   "the certificate is for another name: is this the "
				   "right registry?");
		else
			error_hint(err,
				   "name the certificate authority with --ca-file FILE, "
				   "if you trust it");
		return false;
	case CURLE_SSL_CACERT_BADFILE:
		error_set(err, E_INPUT, "cannot read the certificates to trust: %s",
			  text);
		return false;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_LOGIN_DENIED:
		kind = E_FAILED;
		break;
	default:
		break;
	}
	error_set(err, kind, "%s %s: %s", req->method, url, text);
	if (no_tls)
		error_hint(err,
			   "what listens there does not speak TLS; --plain-http allows "
			   "http");
	else if (t->code == CURLE_COULDNT_RESOLVE_HOST)
		error_hint(err, "check the registry's name, the network and the proxy");
	return kind == E_NETWORK && !no_tls;
}

/* One try.  *retry: whether another may help. */
static int attempt(struct http *h, const struct http_request *req,
		   struct http_response *res, uint64_t *reported, bool *retry,
		   struct error *err)
{
	struct transfer *t = new_transfer(h, req, reported);
	bool answered;

	*retry = false;
	if (!t)
		return error_set(err, E_BUG, "cannot start a request");
	transfer_start(t);
	transfer_wait(t);
	/* A source is there as soon as, and only if, a stream was answered. */
	answered = t->source || (t->code == CURLE_OK && t->err.kind == E_NONE);
	if (!answered) {
		res->not_tls = speaks_no_tls(t);
		*retry = explain(t, req, res->not_tls, err);
		transfer_free(t);
		return -1;
	}
	res->status = t->status;
	res->content_length = t->content_length;
	res->headers = t->answer;
	t->answer = (struct strv)STRV_INIT;
	if (t->source) {
		res->stream = stream_new(t, req->url);
	} else {
		res->body = t->body;
		t->body = (struct buf)BUF_INIT;
		transfer_free(t);
	}
	*retry = http_retry_status(res->status);
	return 0;
}

bool http_retry_status(int status)
{
	static const int list[] = {408, 429, 499, 500, 502, 503, 504, 522};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (status == list[i])
			return true;
	return false;
}

static uint64_t retry_after_ms(const struct http_response *res)
{
	const char *v = res ? http_header(res, "retry-after") : NULL;
	time_t at;
	double seconds;

	if (!v || !*v)
		return 0;
	if (strspn(v, "0123456789") == strlen(v)) {
		seconds = strtod(v, NULL);
	} else {
		at = curl_getdate(v, NULL);
		seconds = at < 0 ? 0 : difftime(at, time(NULL));
	}
	if (seconds <= 0)
		return 0;
	return seconds > 60 ? MAX_RETRY_AFTER_MS : (uint64_t)(seconds * 1000);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int http_backoff(struct http *h, unsigned tries, const struct http_response *res,
		 struct job *job, struct error *err)
{
	uint64_t start = now_ms(), ms = h->retry_ms, asked = retry_after_ms(res), gone;
	struct timespec tick;

	for (unsigned i = 1; i < tries; i++)
		ms *= 3;
	/* Between half and all of it, so that many clients come back apart. */
	ms -= ms * (start * 2654435761u % 1024) / 2048;
	if (asked)
		ms = asked;
	if (ms >= 5000)
		log_info("waiting %u s before the next try",
			 (unsigned)((ms + 999) / 1000));
	for (;;) {
		if ((job ? job_check(job, err) : interrupt_check(err)) < 0)
			return -1;
		gone = now_ms() - start;
		if (gone >= ms)
			return 0;
		gone = ms - gone > 100 ? 100 : ms - gone;
		tick = (struct timespec){.tv_nsec = (long)gone * 1000000};
		nanosleep(&tick, NULL);
	}
}

int http_perform(struct http *h, const struct http_request *req,
		 struct http_response *res, struct error *err)
{
	auto_free char *url = http_display_url(req->url);
	uint64_t reported = 0;
	struct error e = ERROR_INIT;
	bool retry;
	int rc;

	for (unsigned tries = 1;; tries++) {
		http_response_release(res);
		rc = attempt(h, req, res, &reported, &retry, &e);
		if (rc == 0)
			log_debug("%s %s: %d", req->method, url, res->status);
		else
			log_debug("%s", e.msg);
		if (!retry || req->no_retry || tries == HTTP_TRIES)
			break;
		if (http_backoff(h, tries, rc == 0 ? res : NULL, req->job, &e) < 0) {
			rc = -1;
			break;
		}
	}
	if (rc < 0 && err)
		*err = e;
	return rc;
}

void http_response_release(struct http_response *res)
{
	source_close(res->stream);
	strv_release(&res->headers);
	buf_release(&res->body);
	*res = (struct http_response)HTTP_RESPONSE_INIT;
}

const char *http_header(const struct http_response *res, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < res->headers.n; i++)
		if (strncmp(res->headers.v[i], name, len) == 0 &&
		    strncmp(res->headers.v[i] + len, ": ", 2) == 0)
			return res->headers.v[i] + len + 2;
	return NULL;
}
