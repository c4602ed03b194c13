#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/stream.h"

#define SIZE 300000

/* Gives a few bytes at a time, as a network may. */
struct slow_source {
	struct source base;
	const struct buf *from;
	size_t at, step;
};

static ssize_t slow_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct slow_source *d = (struct slow_source *)s;
	size_t n = d->from->len - d->at;

	(void)err;
	n = n < d->step ? n : d->step;
	n = n < len ? n : len;
	memcpy(buf, d->from->data + d->at, n);
	d->at += n;
	return (ssize_t)n;
}

static void slow_close(struct source *s)
{
	free(s);
}

static struct source *slow(const struct buf *from, size_t step)
{
	static const struct source_ops ops = {slow_read, slow_close};
	struct slow_source *d = xcalloc(1, sizeof(*d));

	*d = (struct slow_source){.base = {&ops}, .from = from, .step = step};
	return &d->base;
}

/* Text, noise and zeros. */
static void make_data(struct buf *b)
{
	uint32_t seed = 7;

	buf_reserve(b, SIZE);
	for (size_t i = 0; i < SIZE; i++) {
		seed = seed * 1664525 + 1013904223;
		b->data[i] = (char)(i % 3000 < 1000       ? 'a' + (seed >> 24 & 7)
				    : i / 100000 % 2 == 0 ? seed >> 24
							  : 0);
	}
	b->len = SIZE;
}

/* As one gzip member by zlib, with all header fields if asked for. */
static void add_gzip(struct buf *out, const void *data, size_t len, bool fields)
{
	z_stream z = {0};
	unsigned char name[] = "a name", extra[300] = {1, 2, 3}, comment[] = "words";
	gz_header head = {.name = name,
			  .comment = comment,
			  .extra = extra,
			  .extra_len = 300,
			  .hcrc = 1};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	if (fields)
		assert_int_equal(deflateSetHeader(&z, &head), Z_OK);
	buf_reserve(out, deflateBound(&z, len) + 1000);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

static void add_zstd(struct buf *out, const void *data, size_t len)
{
	size_t room = ZSTD_compressBound(len);

	buf_reserve(out, room);
	out->len += ZSTD_compress(out->data + out->len, room, data, len, 3);
}

/* Inflates in with reads of `bite` bytes; the kind of the failure. */
static enum error_kind inflate_all(const struct buf *in, size_t step, size_t bite,
				   struct buf *out)
{
	struct source *s = source_inflate(slow(in, step));
	struct error err = ERROR_INIT;
	ssize_t n;

	buf_reset(out);
	do {
		buf_reserve(out, bite);
		n = source_read(s, out->data + out->len, bite, &err);
		out->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n == 0)
		assert_int_equal(source_read(s, out->data, 1, &err), 0);
	else
		assert_int_equal(source_read(s, out->data, 1, NULL), -1);
	source_close(s);
	return err.kind;
}

static void assert_inflates(const struct buf *in, const void *want, size_t len)
{
	static const size_t steps[] = {1, 3, 1000, 1 << 20},
			    bites[] = {1, 17, 70000, 2000000};
	auto_buf struct buf out = BUF_INIT;

	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++) {
			if ((i == 0 || j == 0) && len > 10000)
				continue; /* too slow */
			assert_int_equal(inflate_all(in, steps[i], bites[j], &out),
					 E_NONE);
			assert_int_equal(out.len, len);
			assert_memory_equal(out.data, want, len);
		}
}

static void members_and_frames_are_joined(void **state)
{
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT, zst = BUF_INIT;

	(void)state;
	make_data(&data);
	add_gzip(&gz, data.data, 100000, true);
	add_zstd(&zst, data.data, 100000);
	add_gzip(&gz, "", 0, false);
	add_zstd(&zst, "", 0);
	add_gzip(&gz, data.data + 100000, SIZE - 100000, false);
	add_zstd(&zst, data.data + 100000, SIZE - 100000);
	assert_inflates(&gz, data.data, SIZE);
	assert_inflates(&zst, data.data, SIZE);
}

static void small_streams_and_other_bytes_pass(void **state)
{
	static const char *const plain[] = {
		"", "x", "\x1f", "\x1f\x8b", "\x28\xb5\x2f", "PK\3\4 and more"};
	auto_buf struct buf in = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		buf_reset(&in);
		buf_adds(&in, plain[i]);
		assert_inflates(&in, plain[i], strlen(plain[i]));
	}
	buf_reset(&in);
	add_gzip(&in, "", 0, false);
	assert_inflates(&in, "", 0);
	buf_reset(&in);
	add_gzip(&in, "tiny", 4, true);
	assert_inflates(&in, "tiny", 4);
	/* a skippable frame first (RFC 8878, 3.1.2) */
	buf_reset(&in);
	buf_add(&in, "\x53\x2a\x4d\x18\2\0\0\0xy", 10);
	add_zstd(&in, "tiny", 4);
	assert_inflates(&in, "tiny", 4);
}

static void a_cut_stream_is_corrupt(void **state)
{
	auto_buf struct buf whole = BUF_INIT, in = BUF_INIT, out = BUF_INIT,
			    data = BUF_INIT;

	(void)state;
	make_data(&data);
	for (int zstd = 0; zstd < 2; zstd++) {
		buf_reset(&whole);
		if (zstd)
			add_zstd(&whole, data.data, 5000);
		else
			add_gzip(&whole, data.data, 5000, true);
		for (size_t cut = 4; cut < whole.len; cut++) {
			buf_reset(&in);
			buf_add(&in, whole.data, cut);
			assert_int_equal(inflate_all(&in, 4096, 65536, &out), E_CORRUPT);
		}
	}
}

static void junk_and_damage_are_corrupt(void **state)
{
	static const struct {
		const char *junk;
		size_t len;
	} tails[] = {{"\0", 1},
		     {"\0\0\0\0\0\0\0\0", 8},
		     {"x", 1},
		     {"\x1f\x8b", 2},
		     {"junk and more junk", 18}};
	auto_buf struct buf in = BUF_INIT, out = BUF_INIT, data = BUF_INIT;

	(void)state;
	make_data(&data);
	for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++)
		for (int zstd = 0; zstd < 2; zstd++) {
			buf_reset(&in);
			if (zstd)
				add_zstd(&in, data.data, 5000);
			else
				add_gzip(&in, data.data, 5000, false);
			buf_add(&in, tails[i].junk, tails[i].len);
			assert_int_equal(inflate_all(&in, 1 << 20, 65536, &out),
					 E_CORRUPT);
			assert_int_equal(inflate_all(&in, 7, 100, &out), E_CORRUPT);
		}
	/* CRC, length, and the data itself */
	for (size_t back = 1; back <= 8; back++) {
		buf_reset(&in);
		add_gzip(&in, data.data, 5000, false);
		in.data[in.len - back] ^= 1;
		assert_int_equal(inflate_all(&in, 1 << 20, 65536, &out), E_CORRUPT);
	}
	buf_reset(&in);
	add_gzip(&in, data.data, 100000, false);
	in.data[in.len / 2] ^= 0x40;
	assert_int_equal(inflate_all(&in, 1 << 20, 65536, &out), E_CORRUPT);
}

static void a_huge_window_is_refused(void **state)
{
	/* RFC 8878, 3.1.1: no single segment, window descriptor 2^31 */
	static const char frame[] = "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
	auto_buf struct buf in = BUF_INIT, out = BUF_INIT;

	(void)state;
	buf_add(&in, frame, sizeof(frame) - 1);
	assert_int_equal(inflate_all(&in, 100, 100, &out), E_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_and_frames_are_joined),
		cmocka_unit_test(small_streams_and_other_bytes_pass),
		cmocka_unit_test(a_cut_stream_is_corrupt),
		cmocka_unit_test(junk_and_damage_are_corrupt),
		cmocka_unit_test(a_huge_window_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
