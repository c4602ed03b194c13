/*
 * Streams read on from every point are compared with what zlib was given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/restart.h"
#include "registry/base/stream.h"

#define MIB ((size_t)1 << 20)

static uint32_t seed;

static uint32_t next_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Words with repeats near and far, noise, zeros: what a tar has. */
static void make_data(struct buf *b, size_t len)
{
	seed = 5;
	buf_reserve(b, len + 300);
	while (b->len < len) {
		size_t n = next_random() % 280 + 1, back = next_random() % 33000;
		unsigned what = next_random() % 64;
		char *to = b->data + b->len;

		if (what < 40 && back > n && back <= b->len)
			memcpy(to, to - back, n);
		else
			for (size_t i = 0; i < n; i++)
				to[i] = (char)(what < 60   ? 'a' + next_random() % 20
					       : what < 62 ? (int)(next_random() & 255)
							   : 0);
		b->len += n;
	}
	buf_truncate(b, len);
}

static void add_member(struct buf *out, const char *data, size_t len, int level,
		       int strategy)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 8, strategy), Z_OK);
	buf_reserve(out, deflateBound(&z, len) + 100);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

static int memory_file(const struct buf *b)
{
	struct error err = ERROR_INIT;
	int fd = memfd_create("blob", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, b->data, b->len, &err), 0);
	return fd;
}

/* Reads s (taken) with reads of `bite` bytes, odd ones when 0; the kind of failure. */
static enum error_kind read_all(struct source *s, size_t bite, struct buf *out)
{
	struct error err = ERROR_INIT;
	ssize_t n;

	buf_reset(out);
	do {
		size_t len = bite ? bite : next_random() % 70000 + 1;

		buf_reserve(out, len);
		n = source_read(s, out->data + out->len, len, &err);
		out->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	source_close(s);
	return err.kind;
}

/* Inflates gz with notes; the points' file. */
static int note(const struct buf *gz, size_t bite, const struct buf *want,
		struct digest *blob)
{
	auto_buf struct buf got = BUF_INIT;
	int fd = memfd_create("points", MFD_CLOEXEC);
	struct restart_writer *w = restart_writer_new(fd);
	struct error err = ERROR_INIT;

	digest_of(blob, gz->data, gz->len);
	assert_int_equal(
		read_all(source_inflate_noting(source_bytes(gz->data, gz->len), w), bite,
			 &got),
		E_NONE);
	assert_int_equal(got.len, want->len);
	assert_memory_equal(got.data, want->data, want->len);
	if (restart_writer_end(w, blob, &err) < 0)
		fail_msg("%s", err.msg);
	return fd;
}

/* From every point, and from places between, the same bytes follow. */
static size_t check_points(const struct buf *gz, size_t noted, size_t bite,
			   const struct buf *want)
{
	auto_buf struct buf got = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest blob;
	auto_fd int fd = note(gz, noted, want, &blob), in = memory_file(gz);
	struct restarts *r = restarts_open(fd, &blob, &err);
	size_t n;

	if (!r)
		fail_msg("%s", err.msg);
	n = restarts_count(r);
	for (size_t i = 0; i < n; i++) {
		uint64_t at = 1, from = restarts_offset(r, i);
		struct source *s = restarts_read(r, in, from + i % 2 * 1000, &at, &err);

		if (!s)
			fail_msg("%s", err.msg);
		assert_int_equal(at, from);
		assert_int_equal(read_all(s, bite, &got), E_NONE);
		assert_int_equal(got.len, want->len - at);
		assert_memory_equal(got.data, want->data + at, got.len);
		if (i)
			assert_true(from - restarts_offset(r, i - 1) >= RESTART_DISTANCE);
	}
	restarts_close(r);
	return n;
}

static void every_point_of_every_level_goes_on_with_the_same_bytes(void **state)
{
	static const size_t noted[] = {0, 262144, 65536, 4093, 1 << 22, 16384, 32768, 99};
	static const size_t bites[] = {262144, 0, 7001, 65536, 1 << 20, 0, 512, 32768};
	auto_buf struct buf data = BUF_INIT;

	(void)state;
	make_data(&data, 13 * MIB + 77);
	for (int level = 0; level <= 9; level++) {
		auto_buf struct buf gz = BUF_INIT;

		add_member(&gz, data.data, data.len, level, Z_DEFAULT_STRATEGY);
		/* one for each 4 MiB and what the reads overshoot */
		assert_int_equal(
			check_points(&gz, noted[level % 8], bites[level % 8], &data), 4);
	}
}

static void all_kinds_of_blocks_can_be_gone_on_from(void **state)
{
	static const int strategies[] = {Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_FILTERED};
	auto_buf struct buf data = BUF_INIT;

	(void)state;
	make_data(&data, 9 * MIB);
	for (size_t i = 0; i < 4; i++) {
		auto_buf struct buf gz = BUF_INIT;

		add_member(&gz, data.data, data.len, 6, strategies[i]);
		assert_int_equal(check_points(&gz, 0, 0, &data), 3);
	}
}

static void zeros_and_noise_have_points_too(void **state)
{
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT;

	(void)state;
	buf_reserve(&data, 18 * MIB);
	memset(data.data, 0, 9 * MIB);
	for (size_t i = 9 * MIB; i < 18 * MIB; i++)
		data.data[i] = (char)next_random();
	data.len = 18 * MIB;
	add_member(&gz, data.data, data.len, 9, Z_DEFAULT_STRATEGY);
	assert_int_equal(check_points(&gz, 262144, 0, &data), 5);
}

static void several_members_have_points_in_and_between_them(void **state)
{
	static const size_t sizes[] = {3 * MIB, 1, 5 * MIB + 3, 0, 10 * MIB, 2 * MIB};
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT;
	size_t at = 0;

	(void)state;
	make_data(&data, 20 * MIB + 4);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		add_member(&gz, data.data + at, sizes[i], 6, Z_DEFAULT_STRATEGY);
		at += sizes[i];
	}
	assert_int_equal(at, data.len);
	assert_true(check_points(&gz, 100000, 0, &data) >= 5);
}

static void many_small_members_have_points_too(void **state)
{
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT;

	(void)state;
	make_data(&data, 10 * MIB);
	for (size_t at = 0; at < data.len; at += MIB / 16)
		add_member(&gz, data.data + at, MIB / 16, 6, Z_DEFAULT_STRATEGY);
	assert_int_equal(check_points(&gz, 262144, 0, &data), 3);
}

static void a_tiny_stream_has_the_point_at_its_start(void **state)
{
	static const size_t sizes[] = {0, 1, 511, 40000};
	auto_buf struct buf data = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		auto_buf struct buf gz = BUF_INIT;

		buf_reset(&data);
		make_data(&data, sizes[i]);
		add_member(&gz, data.data, data.len, 6, Z_DEFAULT_STRATEGY);
		assert_int_equal(check_points(&gz, 0, 0, &data), 1);
	}
}

static void what_is_not_gzip_or_not_read_to_its_end_has_no_points(void **state)
{
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT, got = BUF_INIT;
	struct digest blob = {{1}};
	struct error err = ERROR_INIT;

	(void)state;
	make_data(&data, 9 * MIB);
	for (int i = 0; i < 3; i++) {
		auto_fd int fd = memfd_create("points", MFD_CLOEXEC);
		struct restart_writer *w = restart_writer_new(fd);
		struct source *s;

		buf_reset(&gz);
		if (i == 0) {
			buf_add(&gz, data.data, data.len);
		} else if (i == 1) {
			buf_reserve(&gz, ZSTD_compressBound(data.len));
			gz.len = ZSTD_compress(gz.data, gz.cap, data.data, data.len, 1);
		} else {
			add_member(&gz, data.data, data.len, 1, Z_DEFAULT_STRATEGY);
			gz.len /= 2;
		}
		s = source_inflate_noting(source_bytes(gz.data, gz.len), w);
		assert_int_equal(read_all(s, 65536, &got), i < 2 ? E_NONE : E_CORRUPT);
		assert_int_equal(restart_writer_end(w, &blob, &err), -1);
		assert_int_equal(err.kind, E_FAILED);
	}
}

static void a_stretch_that_changed_is_not_handed_out(void **state)
{
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT, got = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest blob;
	uint64_t at;

	(void)state;
	/* stored blocks: a flipped byte inflates well */
	make_data(&data, 13 * MIB);
	add_member(&gz, data.data, data.len, 0, Z_DEFAULT_STRATEGY);
	auto_fd int fd = note(&gz, 65536, &data, &blob);
	gz.data[6 * MIB] ^= 1;
	auto_fd int in = memory_file(&gz);
	struct restarts *r = restarts_open(fd, &blob, &err);

	assert_non_null(r);
	assert_int_equal(restarts_count(r), 4);
	for (size_t i = 0; i < 4; i++) {
		struct source *s = restarts_read(r, in, restarts_offset(r, i), &at, &err);
		enum error_kind kind = read_all(s, 0, &got);

		assert_int_equal(kind, i < 2 ? E_CORRUPT : E_NONE);
		/* all before the bad stretch, nothing of it */
		assert_int_equal(got.len,
				 i < 2 ? restarts_offset(r, 1) - at : data.len - at);
		assert_memory_equal(got.data, data.data + at, got.len);
	}
	restarts_close(r);
}

static void points_are_bound_to_their_blob_and_their_own_checksums(void **state)
{
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT, file = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest blob, other = {{9}};

	(void)state;
	make_data(&data, 9 * MIB);
	add_member(&gz, data.data, data.len, 6, Z_DEFAULT_STRATEGY);
	auto_fd int fd = note(&gz, 0, &data, &blob), in = memory_file(&gz);
	assert_null(restarts_open(fd, &other, &err));
	assert_int_equal(err.kind, E_CORRUPT);
	assert_int_equal(file_read_fd(fd, 64 << 20, &file, &err), 0);
	for (size_t i = 0; i < file.len; i += i + 400 < file.len ? 307 : 1) {
		struct error bad = ERROR_INIT;
		struct restarts *r;

		file.data[i] ^= 4;
		auto_fd int copy = memory_file(&file);
		file.data[i] ^= 4;
		r = restarts_open(copy, &blob, &bad);
		if (!r) {
			assert_int_equal(bad.kind, E_CORRUPT);
			continue;
		}
		/* a state: it is found when it is wanted */
		bool refused = false;
		for (size_t k = 0; k < restarts_count(r); k++) {
			uint64_t at;
			struct source *s =
				restarts_read(r, in, restarts_offset(r, k), &at, &bad);
			refused |= !s;
			source_close(s);
		}
		assert_true(refused);
		assert_int_equal(bad.kind, E_CORRUPT);
		restarts_close(r);
	}
	for (size_t len = 0; len < file.len; len += len / 2 + 1) {
		struct buf cut = {.data = file.data, .len = len};
		auto_fd int copy = memory_file(&cut);

		assert_null(restarts_open(copy, &blob, &err));
	}
}

/* What hod's own layers are: pieces that end with an empty stored block. */
static void points_at_blocks_need_no_state(void **state)
{
	auto_buf struct buf data = BUF_INIT, gz = BUF_INIT, got = BUF_INIT;
	auto_fd int fd = memfd_create("points", MFD_CLOEXEC);
	struct restart_writer *w = restart_writer_new(fd);
	struct error err = ERROR_INIT;
	struct digest blob;
	z_stream z = {0};
	uint64_t at;

	(void)state;
	make_data(&data, 9 * MIB + 5);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	buf_reserve(&gz, 12 * MIB);
	z.next_in = (Bytef *)data.data;
	z.next_out = (Bytef *)gz.data;
	z.avail_out = (uInt)gz.cap;
	for (size_t i = 0; i <= 2; i++) {
		z.avail_in = (uInt)(i < 2 ? 4 * MIB : MIB + 5);
		assert_int_equal(deflate(&z, i < 2 ? Z_FULL_FLUSH : Z_FINISH),
				 i < 2 ? Z_OK : Z_STREAM_END);
		uint32_t crc = (uint32_t)crc32(0, (Bytef *)data.data, (uInt)z.total_in);
		if (i < 2)
			restart_writer_add(w, z.total_out, z.total_in, crc);
		else
			restart_writer_all(w, z.total_in, crc);
	}
	gz.len = z.total_out;
	deflateEnd(&z);
	digest_of(&blob, gz.data, gz.len);
	assert_int_equal(restart_writer_end(w, &blob, &err), 0);
	auto_fd int in = memory_file(&gz);
	struct restarts *r = restarts_open(fd, &blob, &err);

	assert_non_null(r);
	assert_int_equal(restarts_count(r), 3);
	for (size_t i = 0; i < 3; i++) {
		struct source *s = restarts_read(r, in, i * 4 * MIB + 17, &at, &err);

		assert_int_equal(at, i * 4 * MIB);
		assert_int_equal(read_all(s, 0, &got), E_NONE);
		assert_int_equal(got.len, data.len - at);
		assert_memory_equal(got.data, data.data + at, got.len);
	}
	restarts_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_point_of_every_level_goes_on_with_the_same_bytes),
		cmocka_unit_test(all_kinds_of_blocks_can_be_gone_on_from),
		cmocka_unit_test(zeros_and_noise_have_points_too),
		cmocka_unit_test(several_members_have_points_in_and_between_them),
		cmocka_unit_test(many_small_members_have_points_too),
		cmocka_unit_test(a_tiny_stream_has_the_point_at_its_start),
		cmocka_unit_test(what_is_not_gzip_or_not_read_to_its_end_has_no_points),
		cmocka_unit_test(a_stretch_that_changed_is_not_handed_out),
		cmocka_unit_test(points_are_bound_to_their_blob_and_their_own_checksums),
		cmocka_unit_test(points_at_blocks_need_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
