#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "registry/base/error.h"
#include "registry/base/stream.h"

#define BLOCK 4096
#define BLOCKS 4

/* A writer on its own thread: total bytes in chunks of changing size. */
struct writer {
	struct ring *ring;
	struct sink *sink;
	size_t total;
	enum { COMMIT, FAIL, ABORT } end;
	int rc;
	struct error err;
};

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

static void *write_all(void *arg)
{
	struct writer *w = arg;
	unsigned char chunk[9000];
	struct error why = ERROR_INIT;
	size_t at = 0, n;

	while (at < w->total && w->rc == 0) {
		n = 1 + at * 7919 % sizeof(chunk);
		if (n > w->total - at)
			n = w->total - at;
		for (size_t i = 0; i < n; i++)
			chunk[i] = byte_at(at + i);
		w->rc = sink_write(w->sink, chunk, n, &w->err);
		at += n;
	}
	if (w->end == FAIL) {
		error_set(&why, E_NETWORK, "connection reset");
		ring_fail(w->ring, &why);
	}
	if (w->end == COMMIT && w->rc == 0)
		w->rc = sink_commit(w->sink, &w->err);
	else
		sink_abort(w->sink);
	return NULL;
}

/* Reads until the end, an error or max bytes; checks each byte. */
static ssize_t read_all(struct source *s, size_t max, struct error *err)
{
	unsigned char buf[5000];
	size_t at = 0;
	ssize_t n;

	while (at < max) {
		n = source_read(s, buf, 1 + at * 31 % sizeof(buf), err);
		if (n <= 0)
			return n < 0 ? -1 : (ssize_t)at;
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(at + (size_t)i))
				return -2;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

static ssize_t run(struct writer *w, size_t max, struct error *err)
{
	struct ring *r = ring_new(BLOCK, BLOCKS);
	struct source *s = ring_source(r);
	pthread_t thread;
	ssize_t n;

	w->ring = r;
	w->sink = ring_sink(r);
	pthread_create(&thread, NULL, write_all, w);
	n = read_all(s, max, err);
	source_close(s);
	pthread_join(thread, NULL);
	return n;
}

static void all_bytes_come_through_in_order(void **state)
{
	static const size_t totals[] = {
		0, 1, BLOCK, BLOCK * BLOCKS, BLOCK * BLOCKS + 1, 10000000};

	(void)state;
	for (size_t i = 0; i < sizeof(totals) / sizeof(*totals); i++) {
		struct error err = ERROR_INIT;
		struct writer w = {.total = totals[i]};

		assert_int_equal(run(&w, SIZE_MAX, &err), totals[i]);
		assert_int_equal(w.rc, 0);
	}
}

static void a_reader_that_leaves_stops_the_writer(void **state)
{
	struct error err = ERROR_INIT;
	struct writer w = {.total = 1000000};

	(void)state;
	assert_true(run(&w, 10, &err) >= 10);
	assert_int_equal(w.rc, -1);
	assert_int_equal(w.err.kind, E_INTERRUPTED);
}

static void the_reader_gets_the_writers_error_after_the_bytes(void **state)
{
	struct error err = ERROR_INIT;
	struct writer w = {.total = 1000, .end = FAIL};
	struct ring *r = ring_new(BLOCK, BLOCKS);
	struct source *s = ring_source(r);

	(void)state;
	w.ring = r;
	w.sink = ring_sink(r);
	write_all(&w);
	assert_int_equal(read_all(s, 1000, &err), 1000);
	assert_int_equal(read_all(s, 1, &err), -1);
	assert_int_equal(err.kind, E_NETWORK);
	assert_string_equal(err.msg, "connection reset");
	source_close(s);
}

static void a_stream_that_is_aborted_is_not_whole(void **state)
{
	struct error err = ERROR_INIT;
	struct writer w = {.total = 100000, .end = ABORT};

	(void)state;
	assert_int_equal(run(&w, SIZE_MAX, &err), -1);
	assert_int_equal(err.kind, E_FAILED);
}

static atomic_int woken;

static void wake(void *ctx)
{
	(void)ctx;
	woken++;
}

static void a_writer_that_may_not_block_is_woken_once(void **state)
{
	struct error err = ERROR_INIT;
	struct ring *r = ring_new(BLOCK, BLOCKS);
	struct source *s = ring_source(r);
	struct sink *k = ring_sink(r);
	static char data[BLOCK * BLOCKS];

	(void)state;
	woken = 0;
	assert_true(ring_writable(r, sizeof(data), wake, NULL));
	assert_int_equal(sink_write(k, data, sizeof(data), &err), 0);
	assert_false(ring_writable(r, 1, wake, NULL));
	assert_int_equal(woken, 0);
	assert_int_equal(source_read_full(s, data, BLOCK * BLOCKS, &err), BLOCK * BLOCKS);
	assert_int_equal(woken, 1);
	assert_true(ring_writable(r, 1, wake, NULL));

	assert_int_equal(sink_write(k, data, sizeof(data), &err), 0);
	assert_false(ring_writable(r, 1, wake, NULL));
	source_close(s);
	assert_int_equal(woken, 2);
	assert_true(ring_writable(r, 1, wake, NULL));
	assert_int_equal(sink_write(k, data, 1, &err), -1);
	sink_abort(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_bytes_come_through_in_order),
		cmocka_unit_test(a_reader_that_leaves_stops_the_writer),
		cmocka_unit_test(the_reader_gets_the_writers_error_after_the_bytes),
		cmocka_unit_test(a_stream_that_is_aborted_is_not_whole),
		cmocka_unit_test(a_writer_that_may_not_block_is_woken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
