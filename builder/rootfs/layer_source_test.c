/*
 * hod's own layers from the middle on, compared with what zlib inflates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "builder/rootfs/layer.h"
#include "builder/rootfs/layer_source.h"
#include "builder/rootfs/tar.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/restart.h"
#include "registry/base/stream.h"
#include "registry/store.h"

#define MIB ((size_t)1 << 20)

static char *folder; /* of this run */

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	folder = xasprintf("%s/layer_source_test.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	file_remove_tree(AT_FDCWD, folder, NULL);
	free(folder);
	return 0;
}

static struct store *open_store(void)
{
	auto_free char *path = xasprintf("%s/store", folder);
	struct error err = ERROR_INIT;
	struct store *st = store_open(path, &err);

	if (!st)
		fail_msg("%s", err.msg);
	return st;
}

/* A layer of some large and many small files, about 25 MiB. */
static void write_layer(struct store *st, int level, unsigned threads, struct layer *out)
{
	struct layer_options o = {.store = st, .level = level, .threads = threads};
	struct error err = ERROR_INIT;
	struct layer_writer *w = layer_writer_open(&o, &err);
	auto_buf struct buf bytes = BUF_INIT;
	uint32_t seed = 3;

	assert_non_null(w);
	for (size_t i = 0; i < 6 * MIB; i++) {
		seed = seed * 1664525 + 1013904223;
		buf_addc(&bytes, (char)(seed >> 24 & (i & 4096 ? 255 : 15)));
	}
	for (int i = 0; i < 2000; i++) {
		auto_free char *path = xasprintf("f%04d", i);
		struct tar_entry e = {
			.path = path, .type = NODE_FILE, .attrs.mode = 0644};

		e.size = i % 700 == 3 ? bytes.len : (unsigned)i * 37 % 9000;
		if (layer_writer_add(w, &e, source_bytes(bytes.data, e.size), NULL, NULL,
				     &err) < 0)
			fail_msg("%s", err.msg);
	}
	if (layer_writer_end(w, out, &err) < 0)
		fail_msg("%s", err.msg);
}

static void unzip(struct store *st, const struct layer *l, struct buf *tar)
{
	auto_buf struct buf gz = BUF_INIT;
	z_stream z = {0};

	assert_int_equal(store_read(st, &l->digest, 256 * MIB, &gz, NULL), 0);
	buf_reserve(tar, l->tar_size);
	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	z.next_in = (Bytef *)gz.data;
	z.avail_in = (uInt)gz.len;
	z.next_out = (Bytef *)tar->data;
	z.avail_out = (uInt)l->tar_size;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	tar->len = l->tar_size;
}

/* What follows from the point before `from` on; the kind of failure. */
static enum error_kind read_from(struct store *st, const struct layer *l, uint64_t from,
				 uint64_t *at, struct buf *got)
{
	struct error err = ERROR_INIT;
	struct source *s = layer_source(st, &l->digest, l->size, from, at, &err);
	ssize_t n;

	buf_reset(got);
	if (!s)
		return err.kind;
	do {
		buf_reserve(got, 100000);
		n = source_read(s, got->data + got->len, 100000, &err);
		got->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	source_close(s);
	return err.kind;
}

static char *points_file(const struct layer *l)
{
	char hex[DIGEST_HEX];

	return xasprintf("%s/store/trees/%s.points", folder, digest_hex(&l->digest, hex));
}

static void hods_own_layers_begin_at_each_of_their_points(void **state)
{
	static const int levels[] = {0, 1, 2, 6};
	auto_buf struct buf tar = BUF_INIT, got = BUF_INIT;
	struct store *st = open_store();
	struct layer l;

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		auto_free uint64_t *v = NULL;
		uint64_t at;
		size_t n;

		write_layer(st, levels[k], (unsigned)k + 1, &l);
		buf_reset(&tar);
		unzip(st, &l, &tar);
		layer_points(st, &l.digest, &v, &n);
		assert_true(n > 4 && n <= 1 + l.tar_size / RESTART_DISTANCE);
		assert_int_equal(v[0], 0);
		for (size_t i = 0; i < n; i++) {
			uint64_t end = i + 1 < n ? v[i + 1] : l.tar_size;

			assert_true(end - v[i] <= RESTART_DISTANCE + 2 * MIB);
			assert_int_equal(read_from(st, &l, end - 1, &at, &got), E_NONE);
			assert_int_equal(at, v[i]);
			assert_int_equal(got.len, tar.len - at);
			assert_memory_equal(got.data, tar.data + at, got.len);
		}
	}
	store_close(st);
}

static void without_good_points_a_layer_is_read_from_its_start(void **state)
{
	auto_buf struct buf got = BUF_INIT;
	struct store *st = open_store();
	struct layer l;
	uint64_t at = 1;

	(void)state;
	write_layer(st, 1, 0, &l);
	auto_free char *path = points_file(&l);
	for (int i = 0; i < 2; i++) {
		auto_free uint64_t *v = NULL;
		size_t n;

		if (i == 0)
			assert_int_equal(truncate(path, 300), 0);
		assert_int_equal(read_from(st, &l, 20 * MIB, &at, &got), E_NONE);
		assert_int_equal(at, 0);
		assert_int_equal(got.len, l.tar_size);
		assert_int_equal(access(path, F_OK), -1); /* damaged: gone */
		layer_points(st, &l.digest, &v, &n);
		assert_int_equal(n, 1);
		assert_int_equal(v[0], 0);
	}
	store_close(st);
}

static void damage_is_found_with_and_without_points(void **state)
{
	auto_buf struct buf got = BUF_INIT;
	struct store *st = open_store();
	struct layer l;
	char hex[DIGEST_HEX];
	uint64_t at;

	(void)state;
	write_layer(st, 0, 0, &l);
	auto_free char *path =
		xasprintf("%s/store/blobs/sha256/%s", folder, digest_hex(&l.digest, hex));
	auto_free char *points = points_file(&l);
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "damaged!", 8, (off_t)l.size / 2), 8);
	assert_int_equal(read_from(st, &l, l.tar_size - 1, &at, &got), E_NONE);
	assert_int_equal(read_from(st, &l, 0, &at, &got), E_CORRUPT);
	assert_true(got.len < l.tar_size / 2 + RESTART_DISTANCE);
	assert_int_equal(unlink(points), 0);
	assert_int_equal(read_from(st, &l, l.tar_size - 1, &at, &got), E_CORRUPT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(read_from(st, &l, 0, &at, &got), E_MISSING);
	store_close(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hods_own_layers_begin_at_each_of_their_points),
		cmocka_unit_test(without_good_points_a_layer_is_read_from_its_start),
		cmocka_unit_test(damage_is_found_with_and_without_points),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
