#include "registry/client.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/http.h"
#include "registry/base/job.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/client_request.h"
#include "registry/manifest.h"
#include "registry/reference.h"

/* Resumptions of one blob's download. */
#define MAX_RESUMES 3

/* A registry that finds no type it may send says 404. */
static const char accept_manifests[] =
	MT_OCI_MANIFEST ", " MT_OCI_INDEX ", " MT_DOCKER_MANIFEST ", " MT_DOCKER_LIST;

static void set_target(struct call *call, const struct reference *ref, const char *kind,
		       const struct digest *d)
{
	char text[DIGEST_TEXT];

	call->ref = ref;
	call->target = xasprintf("/v2/%s/%s/%s", ref->path, kind, digest_text(d, text));
}

/* A digest beats a tag when reading. */
static void set_manifest(struct call *call, const struct reference *ref)
{
	call->ref = ref;
	if (ref->has_digest)
		set_target(call, ref, "manifests", &ref->digest);
	else
		call->target = xasprintf("/v2/%s/manifests/%s", ref->path,
					 ref->tag ? ref->tag : "latest");
	call->accept = accept_manifests;
}

/* True when the registry names a digest that hod can compare. */
static bool answered_digest(const struct http_response *res, struct digest *d)
{
	const char *text = http_header(res, "docker-content-digest");

	return text && digest_parse(d, text, NULL) == 0;
}

/* Content-Type without parameters, in lower case; NULL when there is none. */
static char *media_type_of(const struct http_response *res)
{
	const char *type = http_header(res, "content-type");
	size_t n = type ? strcspn(type, "; \t") : 0;
	char *text = n ? xstrndup(type, n) : NULL;

	for (size_t i = 0; i < n; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] += 'a' - 'A';
	return text;
}

static int not_found(const struct reference *ref, const struct http_response *res,
		     struct error *err)
{
	auto_free char *name = reference_familiar(ref);
	auto_buf struct buf text = BUF_INIT;

	client_error_text(res, &text);
	error_set(err, E_MISSING, "image %s not found at %s: the registry answered 404%s",
		  name, ref->host, text.data);
	return error_hint(err, "check the name and the tag");
}

static int mismatch(const char *what, const struct digest *got, const struct digest *want,
		    struct error *err)
{
	char a[DIGEST_TEXT], b[DIGEST_TEXT];

	return error_set(err, E_CORRUPT, "%s: hashes to %s instead of %s", what,
			 digest_text(got, a), digest_text(want, b));
}

int client_get_manifest(struct client *c, const struct reference *ref, struct buf *raw,
			char **media_type, struct digest *digest, struct job *job,
			struct error *err)
{
	auto_call struct call call = CALL_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;
	auto_free char *name = reference_familiar(ref);
	struct digest want, got;

	set_manifest(&call, ref);
	call.http.job = job;
	call.http.max_body = MANIFEST_MAX_BYTES;
	if (client_request(c, &call, &res, err) < 0)
		return -1;
	if (res.status == 404)
		return not_found(ref, &res, err);
	if (res.status != 200)
		return client_fail(&call, &res, err);
	digest_of(&got, res.body.data, res.body.len);
	if (ref->has_digest && !digest_equal(&got, &ref->digest))
		return mismatch(name, &got, &ref->digest, err);
	if (answered_digest(&res, &want) && !digest_equal(&got, &want))
		return mismatch(name, &got, &want, err);
	*digest = got;
	*media_type = media_type_of(&res);
	buf_release(raw);
	*raw = res.body;
	res.body = (struct buf)BUF_INIT;
	return 0;
}

int client_has_manifest(struct client *c, const struct reference *ref,
			struct digest *digest, struct job *job, struct error *err)
{
	auto_call struct call call = CALL_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;

	set_manifest(&call, ref);
	call.http.method = "HEAD";
	call.http.job = job;
	if (client_request(c, &call, &res, err) < 0)
		return -1;
	if (res.status == 404)
		return 0;
	if (res.status != 200)
		return client_fail(&call, &res, err);
	if (!answered_digest(&res, digest))
		memset(digest, 0, sizeof(*digest));
	return 1;
}

int client_has_blob(struct client *c, const struct reference *repo,
		    const struct digest *d, struct job *job, struct error *err)
{
	auto_call struct call call = CALL_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;

	set_target(&call, repo, "blobs", d);
	call.http.method = "HEAD";
	call.http.job = job;
	if (client_request(c, &call, &res, err) < 0)
		return -1;
	if (res.status == 404)
		return 0;
	return res.status == 200 ? 1 : client_fail(&call, &res, err);
}

/* A download that goes on where it broke. */
struct blob_source {
	struct source source;
	struct client *client;
	struct reference ref;
	struct digest digest;
	uint64_t size, offset;
	struct job *job;
	struct source *body;
	unsigned resumes;
};

/* "bytes FIRST-LAST/TOTAL", TOTAL may be `*` (RFC 9110, 14.4). */
static bool range_matches(const struct http_response *res, uint64_t first, uint64_t total)
{
	const char *v = http_header(res, "content-range");
	unsigned long long a, b, t;
	char *end;

	if (!v || strncasecmp(v, "bytes ", 6) != 0)
		return false;
	v += 6 + strspn(v + 6, " ");
	a = strtoull(v, &end, 10);
	if (end == v || *end != '-')
		return false;
	v = end + 1;
	b = strtoull(v, &end, 10);
	if (end == v || *end != '/')
		return false;
	v = end + 1;
	t = strcmp(v, "*") == 0 ? total : strtoull(v, &end, 10);
	return a == first && b + 1 == total && t == total;
}

/* What a registry sends that cannot do ranges. */
static int skip(struct source *body, uint64_t n, struct error *err)
{
	char junk[16384];
	ssize_t got;

	for (; n > 0; n -= (uint64_t)got) {
		got = source_read(body, junk, n < sizeof(junk) ? (size_t)n : sizeof(junk),
				  err);
		if (got < 0)
			return -1;
		if (got == 0)
			return error_set(err, E_NETWORK,
					 "the download ended early again");
	}
	return 0;
}

static int check_answer(const struct blob_source *b, const struct call *call,
			const struct http_response *res, struct error *err)
{
	char text[DIGEST_TEXT];

	digest_text(&b->digest, text);
	if (res->status == 404) {
		auto_buf struct buf why = BUF_INIT;

		client_error_text(res, &why);
		return error_set(err, E_MISSING, "blob %s not found in %s/%s: 404%s",
				 text, b->ref.host, b->ref.path, why.data);
	}
	if (res->status == 206 && b->offset > 0) {
		if (range_matches(res, b->offset, b->size))
			return 0;
		return error_set(err, E_CORRUPT,
				 "blob %s: the registry sent another range", text);
	}
	if (res->status != 200)
		return client_fail(call, res, err);
	if (res->content_length >= 0 && (uint64_t)res->content_length != b->size)
		return error_set(
			err, E_CORRUPT,
			"blob %s: the registry sends %lld bytes, expected are %llu", text,
			(long long)res->content_length, (unsigned long long)b->size);
	return 0;
}

static int blob_open(struct blob_source *b, struct error *err)
{
	auto_call struct call call = CALL_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;

	set_target(&call, &b->ref, "blobs", &b->digest);
	call.http.job = b->job;
	call.http.stream = true;
	call.range_from = b->offset;
	if (client_request(b->client, &call, &res, err) < 0 ||
	    check_answer(b, &call, &res, err) < 0)
		return -1;
	if (res.status == 200 && skip(res.stream, b->offset, err) < 0)
		return -1;
	b->body = steal_ptr(&res.stream);
	return 0;
}

/* One try; an end before the size is a broken connection. */
static ssize_t blob_try(struct blob_source *b, void *buf, size_t len, struct error *err)
{
	ssize_t n;

	if (!b->body && blob_open(b, err) < 0)
		return -1;
	n = source_read(b->body, buf, len, err);
	if (n > 0)
		b->offset += (uint64_t)n;
	if (n == 0 && b->offset < b->size)
		return error_set(
			err, E_NETWORK, "the download ended after %llu of %llu bytes",
			(unsigned long long)b->offset, (unsigned long long)b->size);
	return n;
}

static ssize_t blob_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct blob_source *b = (struct blob_source *)s;
	struct error e = ERROR_INIT;
	ssize_t n;

	for (;;) {
		n = blob_try(b, buf, len, &e);
		if (n >= 0)
			return n;
		source_close(b->body);
		b->body = NULL;
		if (e.kind != E_NETWORK || b->resumes == MAX_RESUMES)
			break;
		log_debug("%s: going on after %llu bytes", e.msg,
			  (unsigned long long)b->offset);
		if (http_backoff(b->client->http, ++b->resumes, NULL, b->job, &e) < 0)
			break;
	}
	if (err)
		*err = e;
	return -1;
}

static void blob_close(struct source *s)
{
	struct blob_source *b = (struct blob_source *)s;

	source_close(b->body);
	reference_release(&b->ref);
	free(b);
}

struct source *client_get_blob(struct client *c, const struct reference *repo,
			       const struct digest *d, uint64_t size, struct job *job,
			       struct error *err)
{
	static const struct source_ops ops = {blob_read, blob_close};
	struct blob_source *b = xcalloc(1, sizeof(*b));

	b->source.ops = &ops;
	b->client = c;
	reference_copy(&b->ref, repo);
	b->digest = *d;
	b->size = size;
	b->job = job;
	if (blob_open(b, err) == 0)
		return source_verify(&b->source, d, size, true);
	blob_close(&b->source);
	return NULL;
}

/* Where an upload goes, from the answer to its POST. */
static char *upload_location(const struct call *call, const struct http_response *res,
			     struct error *err)
{
	const char *location = http_header(res, "location");
	char *url = location ? http_resolve_url(call->url, location) : NULL;

	if (!url) {
		auto_free char *shown = http_display_url(call->url);

		error_set(err, E_FAILED,
			  "%s: the registry names no usable upload location", shown);
	} else if (strncasecmp(call->url, "https:", 6) == 0 &&
		   strncasecmp(url, "https:", 6) != 0) {
		error_set(err, E_FAILED, "the registry wants the upload without TLS");
		free(steal_ptr(&url));
	}
	return url;
}

/* POST .../blobs/uploads/QUERY with an empty body. */
static int post_upload(struct client *c, struct call *call, const struct reference *repo,
		       const char *query, struct job *job, struct http_response *res,
		       struct error *err)
{
	call->ref = repo;
	call->target = xasprintf("/v2/%s/blobs/uploads/%s", repo->path, query);
	call->http.method = "POST";
	call->http.has_body = true;
	call->http.job = job;
	return client_request(c, call, res, err);
}

int client_mount_blob(struct client *c, const struct reference *repo,
		      const struct digest *d, const char *from_path, char **session,
		      struct job *job, struct error *err)
{
	auto_call struct call call = CALL_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;
	auto_free char *query = NULL;
	char text[DIGEST_TEXT];

	*session = NULL;
	query = xasprintf("?mount=%s&from=%s", digest_text(d, text), from_path);
	if (post_upload(c, &call, repo, query, job, &res, err) < 0)
		return -1;
	if (res.status == 201)
		return 1;
	if (res.status == 202)
		return (*session = upload_location(&call, &res, err)) ? 0 : -1;
	/* A refusal may concern the source alone: the upload itself will tell. */
	if (res.status >= 400 && res.status < 500 && !http_retry_status(res.status))
		return 0;
	return client_fail(&call, &res, err);
}

/* One upload with its tries. */
struct upload_job {
	struct client *client;
	const struct reference *repo;
	const struct digest *digest;
	int fd;
	const void *bytes;
	uint64_t size;
	struct job *job;
	void (*sent)(void *ctx, uint64_t bytes);
	void *ctx;
	uint64_t now, reported; /* of this try, of all */
};

/* Progress counts each byte once, however often it is sent. */
static void upload_sent(void *ctx, uint64_t bytes)
{
	struct upload_job *u = ctx;

	u->now += bytes;
	if (u->now <= u->reported)
		return;
	if (u->sent)
		u->sent(u->ctx, u->now - u->reported);
	u->reported = u->now;
}

static char *start_upload(struct upload_job *u, struct error *err)
{
	auto_call struct call call = CALL_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;

	if (post_upload(u->client, &call, u->repo, "", u->job, &res, err) < 0)
		return NULL;
	if (res.status == 202)
		return upload_location(&call, &res, err);
	client_fail(&call, &res, err);
	return NULL;
}

/* PUT to a session.  *res is the answer; *again: another session may help. */
static int put_upload(struct upload_job *u, const char *session,
		      struct http_response *res, bool *again, struct error *err)
{
	auto_call struct call call = CALL_INIT;
	char text[DIGEST_TEXT];
	struct digest got;
	struct error e = ERROR_INIT;

	call.ref = u->repo;
	call.target =
		xasprintf("%.*s%cdigest=%s", (int)strcspn(session, "#"), session,
			  strchr(session, '?') ? '&' : '?', digest_text(u->digest, text));
	call.content_type = "application/octet-stream";
	call.http.method = "PUT";
	call.http.has_body = true;
	call.http.body_fd = u->fd;
	call.http.body = u->bytes;
	call.http.body_len = u->size;
	call.http.no_retry = true;
	call.http.sent = upload_sent;
	call.http.sent_ctx = u;
	call.http.job = u->job;
	u->now = 0;
	if (client_request(u->client, &call, res, &e) < 0) {
		*again = e.kind == E_NETWORK;
		if (err)
			*err = e;
		return -1;
	}
	if (res->status != 201 && res->status != 204) {
		/* 404: the session is gone. */
		*again = http_retry_status(res->status) || res->status == 404;
		return client_fail(&call, res, err);
	}
	if (answered_digest(res, &got) && !digest_equal(&got, u->digest))
		return mismatch("an uploaded blob", &got, u->digest, err);
	return 0;
}

static int upload(struct upload_job *u, char *first, struct error *err)
{
	struct error e = ERROR_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;

	for (unsigned tries = 1;; tries++) {
		auto_free char *session = first ? first : start_upload(u, &e);
		bool again = false;

		first = NULL;
		if (session && put_upload(u, session, &res, &again, &e) == 0)
			return 0;
		if (!again || tries == HTTP_TRIES ||
		    http_backoff(u->client->http, tries, &res, u->job, &e) < 0)
			break;
		log_debug("%s: once more", e.msg);
		/* It may have worked although the answer was lost. */
		if (client_has_blob(u->client, u->repo, u->digest, u->job, NULL) == 1)
			return 0;
	}
	if (err)
		*err = e;
	return -1;
}

int client_put_blob(struct client *c, const struct reference *repo,
		    const struct digest *d, int body_fd, const void *bytes, uint64_t size,
		    char *session, void (*sent)(void *ctx, uint64_t bytes), void *ctx,
		    struct job *job, struct error *err)
{
	struct upload_job u = {.client = c,
			       .repo = repo,
			       .digest = d,
			       .fd = body_fd,
			       .bytes = bytes,
			       .size = size,
			       .job = job,
			       .sent = sent,
			       .ctx = ctx};

	return upload(&u, session, err);
}

int client_put_manifest(struct client *c, const struct reference *ref,
			const char *media_type, const struct buf *raw,
			const struct digest *d, struct job *job, struct error *err)
{
	auto_call struct call call = CALL_INIT;
	auto_response struct http_response res = HTTP_RESPONSE_INIT;
	struct digest got;

	if (ref->tag) {
		call.ref = ref;
		call.target = xasprintf("/v2/%s/manifests/%s", ref->path, ref->tag);
	} else {
		set_target(&call, ref, "manifests", d);
	}
	call.content_type = media_type;
	call.http.method = "PUT";
	call.http.has_body = true;
	call.http.body = raw->data;
	call.http.body_len = raw->len;
	call.http.job = job;
	if (client_request(c, &call, &res, err) < 0)
		return -1;
	if (res.status < 200 || res.status > 299)
		return client_fail(&call, &res, err);
	if (answered_digest(&res, &got) && !digest_equal(&got, d))
		return mismatch("the manifest that the registry took", &got, d, err);
	return 0;
}
