#include "registry/base/http_net.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/interrupt.h"
#include "registry/base/job.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"

/* A stream holds this much before its transfer is paused. */
#define RING_BLOCK (64u << 10)
#define RING_BLOCKS 16
/* curl bounds a header line, not their sum. */
#define MAX_ANSWER_HEADERS (256u << 10)
/* For an answer once a body was sent whole. */
#define ANSWER_SECONDS 600L
/* How soon a cancelled job is noticed. */
#define TICK_MS 100
#define IDLE_MS 60000

/* Called with net->lock. */
static void enqueue(struct transfer *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->queue_next = t->net->queue;
	t->net->queue = t;
}

static void set_state(struct transfer *t, enum transfer_state state)
{
	pthread_mutex_lock(&t->net->lock);
	t->state = state;
	pthread_cond_broadcast(&t->net->changed);
	pthread_mutex_unlock(&t->net->lock);
}

/* A new answer begins: after a 100 the real one. */
static void answer_begin(struct transfer *t, const char *line, size_t len)
{
	const char *p = memchr(line, ' ', len);
	int status = 0;

	strv_release(&t->answer);
	t->content_length = -1;
	for (p = p ? p + 1 : line + len; p < line + len && *p >= '0' && *p <= '9'; p++)
		status = status < 1000 ? status * 10 + (*p - '0') : status;
	t->status = status;
}

static void answer_line(struct transfer *t, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *v;
	char *text;
	size_t name = colon ? (size_t)(colon - line) : 0;

	if (!colon || name == 0)
		return;
	for (v = colon + 1; v < line + len && (*v == ' ' || *v == '\t'); v++)
		;
	text = xasprintf("%.*s: %.*s", (int)name, line, (int)(line + len - v), v);
	for (size_t i = 0; i < name && text[i]; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] += 'a' - 'A';
	strv_take(&t->answer, text);
}

/* The final headers are in: a stream goes to its reader now. */
static void answer_end(struct transfer *t)
{
	curl_off_t length = -1;

	t->headers_done = true;
	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	t->content_length = length;
	if (!t->stream || t->status < 200 || t->status > 299)
		return;
	t->ring = ring_new(RING_BLOCK, RING_BLOCKS);
	t->sink = ring_sink(t->ring);
	t->source = ring_source(t->ring);
	set_state(t, TRANSFER_ANSWERED);
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	size_t len = size * n;

	if (t->headers_done) /* trailers */
		return size * n;
	t->answer_bytes += len;
	if (t->answer_bytes > MAX_ANSWER_HEADERS) {
		error_set(&t->err, E_CORRUPT, "the answer's headers are over %u KiB",
			  MAX_ANSWER_HEADERS >> 10);
		return 0;
	}
	while (len > 0 && strchr("\r\n \t", data[len - 1]))
		len--;
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0 && t->answer.n == 0)
		answer_begin(t, data, len);
	else if (len > 0)
		answer_line(t, data, len);
	else if (t->status >= 200)
		answer_end(t);
	else
		strv_release(&t->answer); /* of a 1xx */
	return size * n;
}

/* The reader's thread: room in the ring, or nobody there to read. */
static void unpause(void *ctx)
{
	struct transfer *t = ctx;

	pthread_mutex_lock(&t->net->lock);
	t->want_unpause = true;
	enqueue(t);
	pthread_mutex_unlock(&t->net->lock);
	curl_multi_wakeup(t->net->multi);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	size_t len = size * n;

	if (len == 0)
		return 0;
	if (t->sink) {
		if (!ring_writable(t->ring, len, unpause, t))
			return CURL_WRITEFUNC_PAUSE;
		log_add_traffic(len, 0);
		return sink_write(t->sink, data, len, &t->err) < 0 ? 0 : len;
	}
	log_add_traffic(len, 0);
	if (len <= t->max_body - t->body.len) {
		buf_add(&t->body, data, len);
		return len;
	}
	if (t->status > 299) {
		buf_add(&t->body, data, t->max_body - t->body.len);
		t->cut = true;
	} else {
		error_set(&t->err, E_CORRUPT, "the answer is larger than %zu bytes",
			  t->max_body);
	}
	return 0;
}

static size_t on_read(char *out, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	struct upload *u = &t->upload;
	size_t want = size * n;
	ssize_t got;

	if (want > u->len - u->offset)
		want = (size_t)(u->len - u->offset);
	if (want == 0)
		return 0;
	if (u->fd < 0) {
		memcpy(out, (const char *)u->data + u->offset, want);
		got = (ssize_t)want;
	} else {
		do
			got = pread(u->fd, out, want, (off_t)u->offset);
		while (got < 0 && errno == EINTR);
	}
	if (got <= 0) {
		if (got < 0)
			error_errno(&t->err, "cannot read what is uploaded");
		else
			error_set(&t->err, E_CORRUPT, "what is uploaded has shrunk");
		return CURL_READFUNC_ABORT;
	}
	u->offset += (uint64_t)got;
	log_add_traffic(0, (uint64_t)got);
	if (u->offset == u->len)
		curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME, ANSWER_SECONDS);
	if (u->offset > *u->reported) {
		if (u->sent)
			u->sent(u->ctx, u->offset - *u->reported);
		*u->reported = u->offset;
	}
	return (size_t)got;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
	struct transfer *t = ctx;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->upload.len)
		return CURL_SEEKFUNC_FAIL;
	t->upload.offset = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* What a stream's reader is told; http.c words the other failures. */
static void stream_error(struct transfer *t, struct error *err)
{
	if (t->err.kind != E_NONE)
		*err = t->err;
	else
		error_set(err, E_NETWORK, "the connection broke: %s",
			  t->text[0] ? t->text : curl_easy_strerror(t->code));
}

static void finish(struct transfer *t, CURLcode code)
{
	struct net *n = t->net;
	struct error err = ERROR_INIT;

	curl_multi_remove_handle(n->multi, t->easy);
	curl_easy_cleanup(t->easy);
	t->easy = NULL;
	if (t->prev)
		t->prev->next = t->next;
	else
		n->active = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->code = code;
	/* Of an error's answer the headers are enough. */
	if (t->err.kind == E_NONE && t->headers_done && (t->cut || t->status > 299))
		t->code = CURLE_OK;
	if (t->sink && (t->code != CURLE_OK || t->err.kind != E_NONE)) {
		stream_error(t, &err);
		ring_fail(t->ring, &err);
		sink_abort(t->sink);
	} else if (t->sink) {
		sink_commit(t->sink, NULL);
	}
	t->sink = NULL;
	set_state(t, TRANSFER_DONE);
}

static void begin(struct transfer *t)
{
	struct net *n = t->net;

	t->prev = NULL;
	t->next = n->active;
	if (n->active)
		n->active->prev = t;
	n->active = t;
	if (curl_multi_add_handle(n->multi, t->easy) != CURLM_OK) {
		error_set(&t->err, E_BUG, "curl refuses the request");
		finish(t, CURLE_FAILED_INIT);
	}
}

/* Does what other threads asked for.  A transfer that is done may be freed by
 * its owner at any time, so it is looked at under the lock only. */
static bool take_commands(struct net *n)
{
	struct transfer *t;
	bool start, cancel, cont, stop;
	CURLcode code;

	pthread_mutex_lock(&n->lock);
	while ((t = n->queue)) {
		n->queue = t->queue_next;
		t->queued = false;
		start = t->want_start;
		cancel = t->want_cancel;
		cont = t->want_unpause;
		t->want_start = t->want_unpause = false;
		if (t->state == TRANSFER_DONE)
			continue;
		pthread_mutex_unlock(&n->lock);
		if (start)
			begin(t);
		else if (cancel) {
			error_set(&t->err, E_INTERRUPTED, "the transfer was given up");
			finish(t, CURLE_ABORTED_BY_CALLBACK);
		} else if (cont) {
			code = curl_easy_pause(t->easy, CURLPAUSE_CONT);
			if (code != CURLE_OK)
				finish(t, code);
		}
		pthread_mutex_lock(&n->lock);
	}
	stop = n->stop;
	pthread_mutex_unlock(&n->lock);
	return !stop;
}

static void end_cancelled(struct net *n, bool all)
{
	struct transfer *t, *next;
	struct error err = ERROR_INIT;

	for (t = n->active; t; t = next) {
		next = t->next;
		if (!all &&
		    (t->job ? job_check(t->job, &err) : interrupt_check(&err)) == 0)
			continue;
		if (all)
			error_set(&err, E_INTERRUPTED, "the program ends");
		t->err = err;
		finish(t, CURLE_ABORTED_BY_CALLBACK);
	}
}

static void *net_main(void *arg)
{
	struct net *n = arg;
	struct transfer *t;
	CURLMsg *msg;
	int left;

	while (take_commands(n)) {
		curl_multi_perform(n->multi, &left);
		while ((msg = curl_multi_info_read(n->multi, &left))) {
			if (msg->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
					  (char **)&t);
			finish(t, msg->data.result);
		}
		end_cancelled(n, false);
		curl_multi_poll(n->multi, NULL, 0, n->active ? TICK_MS : IDLE_MS, NULL);
	}
	end_cancelled(n, true);
	return NULL;
}

int net_start(struct net *n, struct error *err)
{
	int rc;

	n->multi = curl_multi_init();
	if (!n->multi)
		return error_set(err, E_BUG, "cannot start curl");
	/* One transfer to a connection: a paused one must not hold up others. */
	curl_multi_setopt(n->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(n->multi, CURLMOPT_MAXCONNECTS, 32L);
	pthread_mutex_init(&n->lock, NULL);
	cond_init(&n->changed);
	rc = pthread_create(&n->thread, NULL, net_main, n);
	if (rc == 0)
		return 0;
	pthread_mutex_destroy(&n->lock);
	pthread_cond_destroy(&n->changed);
	curl_multi_cleanup(n->multi);
	return error_set(err, E_FAILED, "cannot start a thread: %s", strerrordesc_np(rc));
}

void net_stop(struct net *n)
{
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_mutex_unlock(&n->lock);
	curl_multi_wakeup(n->multi);
	pthread_join(n->thread, NULL);
	curl_multi_cleanup(n->multi);
	pthread_mutex_destroy(&n->lock);
	pthread_cond_destroy(&n->changed);
}

struct transfer *transfer_new(struct net *n)
{
	struct transfer *t = xcalloc(1, sizeof(*t));
	CURL *e = curl_easy_init();

	if (!e) {
		free(t);
		return NULL;
	}
	t->net = n;
	t->easy = e;
	t->content_length = -1;
	t->body = (struct buf)BUF_INIT;
	t->upload.fd = -1;
	curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->text);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(e, CURLOPT_READDATA, t);
	curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
	return t;
}

void transfer_start(struct transfer *t)
{
	pthread_mutex_lock(&t->net->lock);
	t->state = TRANSFER_RUNNING;
	t->want_start = true;
	enqueue(t);
	pthread_mutex_unlock(&t->net->lock);
	curl_multi_wakeup(t->net->multi);
}

static void wait_state(struct transfer *t, enum transfer_state state)
{
	while (t->state < state)
		cond_wait_tick(&t->net->changed, &t->net->lock);
}

void transfer_wait(struct transfer *t)
{
	pthread_mutex_lock(&t->net->lock);
	wait_state(t, TRANSFER_ANSWERED);
	pthread_mutex_unlock(&t->net->lock);
}

/* After the transfer is done only its reader can still have queued it. */
static void dequeue(struct transfer *t)
{
	struct transfer **p = &t->net->queue;

	while (*p && *p != t)
		p = &(*p)->queue_next;
	if (*p)
		*p = t->queue_next;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->net->lock);
	if (t->state == TRANSFER_RUNNING || t->state == TRANSFER_ANSWERED) {
		t->want_cancel = true;
		enqueue(t);
		curl_multi_wakeup(t->net->multi);
		wait_state(t, TRANSFER_DONE);
	}
	dequeue(t);
	pthread_mutex_unlock(&t->net->lock);
	source_close(t->source);
	if (t->easy)
		curl_easy_cleanup(t->easy);
	for (struct curl_slist *h = t->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data)); /* they may hold a password */
	curl_slist_free_all(t->headers);
	strv_release(&t->answer);
	buf_release(&t->body);
	free(t);
}
