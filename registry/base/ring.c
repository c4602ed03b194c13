#include <pthread.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/interrupt.h"
#include "registry/base/job.h"
#include "registry/base/stream.h"

/*
 * One circle of bytes.  Copies happen outside the lock: the writer owns the free
 * part, the reader the filled one.  A waiting side is woken for a whole block or
 * for the end only; smaller amounts are noticed at its next tick.
 */
struct ring {
	pthread_mutex_t lock;
	pthread_cond_t filled, emptied; /* the reader, the writer waits */
	size_t block, cap;
	size_t head, used; /* first filled byte; number of filled bytes */
	bool writer_done, reader_gone, failed;
	bool reader_waits, writer_waits, waking;
	struct error error; /* when failed */
	void (*wake)(void *ctx);
	void *wake_ctx;
	size_t wake_room;
	int sides; /* that are open */
	struct sink sink;
	struct source source;
	char *data;
};

static struct ring *ring_of_sink(struct sink *s)
{
	return (struct ring *)((char *)s - offsetof(struct ring, sink));
}

static struct ring *ring_of_source(struct source *s)
{
	return (struct ring *)((char *)s - offsetof(struct ring, source));
}

/* Called with the lock, which it gives up; frees when it was the last side. */
static void leave(struct ring *r)
{
	bool last = --r->sides == 0;

	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->filled);
	pthread_cond_destroy(&r->emptied);
	free(r->data);
	free(r);
}

/* Waits for room.  Called with the lock. */
static int wait_room(struct ring *r, struct error *err)
{
	int rc = 0;

	while (r->used == r->cap && !r->reader_gone && rc == 0) {
		r->writer_waits = true;
		cond_wait_tick(&r->emptied, &r->lock);
		rc = interrupt_check(err);
	}
	r->writer_waits = false;
	if (rc == 0 && r->reader_gone)
		rc = error_set(err, E_INTERRUPTED, "the reader is gone");
	return rc;
}

static int ring_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct ring *r = ring_of_sink(s);
	const char *from = data;
	size_t at, n;
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (len > 0 && (rc = wait_room(r, err)) == 0) {
		at = r->head + r->used;
		if (at >= r->cap)
			at -= r->cap;
		n = r->cap - r->used;
		if (n > r->cap - at)
			n = r->cap - at;
		if (n > len)
			n = len;
		pthread_mutex_unlock(&r->lock);
		memcpy(r->data + at, from, n);
		from += n;
		len -= n;
		pthread_mutex_lock(&r->lock);
		r->used += n;
		if (r->reader_waits && r->used >= r->block)
			pthread_cond_signal(&r->filled);
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

/* The writer leaves: no wake comes after this.  Called with the lock. */
static void writer_leave(struct ring *r)
{
	r->wake = NULL;
	while (r->waking)
		cond_wait_tick(&r->emptied, &r->lock);
	r->writer_done = true;
	pthread_cond_signal(&r->filled);
	leave(r);
}

static int ring_commit(struct sink *s, struct error *err)
{
	struct ring *r = ring_of_sink(s);
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	if (r->failed) {
		if (err)
			*err = r->error;
		rc = -1;
	}
	writer_leave(r);
	return rc;
}

static void fail_locked(struct ring *r, const struct error *err)
{
	if (r->failed || r->writer_done)
		return;
	r->failed = true;
	r->error = *err;
	pthread_cond_signal(&r->filled);
}

static void ring_abort(struct sink *s)
{
	struct ring *r = ring_of_sink(s);
	struct error err = ERROR_INIT;

	error_set(&err, E_FAILED, "the stream was given up before its end");
	pthread_mutex_lock(&r->lock);
	fail_locked(r, &err);
	writer_leave(r);
}

void ring_fail(struct ring *r, const struct error *err)
{
	pthread_mutex_lock(&r->lock);
	fail_locked(r, err);
	pthread_mutex_unlock(&r->lock);
}

/* After bytes were taken: wakes the writer.  Called with the lock. */
static void made_room(struct ring *r)
{
	size_t room = r->cap - r->used;
	void (*wake)(void *ctx) = r->wake;
	void *ctx = r->wake_ctx;

	if (r->writer_waits && (room >= r->block || r->reader_gone))
		pthread_cond_signal(&r->emptied);
	if (!wake || (room < r->wake_room && !r->reader_gone))
		return;
	r->wake = NULL;
	r->waking = true;
	pthread_mutex_unlock(&r->lock);
	wake(ctx);
	pthread_mutex_lock(&r->lock);
	r->waking = false;
	pthread_cond_signal(&r->emptied);
}

/* Waits for bytes or the end.  1: bytes are there.  Called with the lock. */
static int wait_bytes(struct ring *r, struct error *err)
{
	int rc = 0;

	while (r->used == 0 && !r->writer_done && !r->failed && rc == 0) {
		r->reader_waits = true;
		cond_wait_tick(&r->filled, &r->lock);
		rc = interrupt_check(err);
	}
	r->reader_waits = false;
	if (rc < 0)
		return -1;
	if (r->used > 0)
		return 1;
	if (!r->failed)
		return 0;
	if (err)
		*err = r->error;
	return -1;
}

static ssize_t ring_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct ring *r = ring_of_source(s);
	size_t n;
	int rc;

	if (len == 0)
		return 0;
	pthread_mutex_lock(&r->lock);
	rc = wait_bytes(r, err);
	if (rc <= 0) {
		pthread_mutex_unlock(&r->lock);
		return rc;
	}
	n = r->cap - r->head;
	if (n > r->used)
		n = r->used;
	if (n > len)
		n = len;
	pthread_mutex_unlock(&r->lock);
	memcpy(buf, r->data + r->head, n);
	pthread_mutex_lock(&r->lock);
	r->head += n;
	if (r->head == r->cap)
		r->head = 0;
	r->used -= n;
	made_room(r);
	pthread_mutex_unlock(&r->lock);
	return (ssize_t)n;
}

static void ring_close(struct source *s)
{
	struct ring *r = ring_of_source(s);

	pthread_mutex_lock(&r->lock);
	r->reader_gone = true;
	made_room(r);
	leave(r);
}

struct ring *ring_new(size_t block_size, size_t nblocks)
{
	struct ring *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	cond_init(&r->filled);
	cond_init(&r->emptied);
	r->block = block_size;
	r->cap = block_size * nblocks;
	r->data = xreallocarray(NULL, nblocks, block_size);
	r->sides = 2;
	return r;
}

struct sink *ring_sink(struct ring *r)
{
	static const struct sink_ops ops = {ring_write, ring_commit, ring_abort};

	r->sink.ops = &ops;
	return &r->sink;
}

struct source *ring_source(struct ring *r)
{
	static const struct source_ops ops = {ring_read, ring_close};

	r->source.ops = &ops;
	return &r->source;
}

bool ring_writable(struct ring *r, size_t len, void (*wake)(void *ctx), void *ctx)
{
	bool fits;

	if (len > r->cap)
		len = r->cap;
	pthread_mutex_lock(&r->lock);
	fits = r->cap - r->used >= len || r->reader_gone;
	if (!fits) {
		/* Half of the ring, so that the writer is not woken for each block. */
		r->wake = wake;
		r->wake_ctx = ctx;
		r->wake_room = len > r->cap / 2 ? len : r->cap / 2;
	}
	pthread_mutex_unlock(&r->lock);
	return fits;
}
