/* Points in a store: when they are noted, kept and given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/restart.h"
#include "registry/base/stream.h"
#include "registry/points.h"
#include "registry/store.h"

static char *folder;

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	folder = xasprintf("%s/points_test.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	file_remove_tree(AT_FDCWD, folder, NULL);
	free(folder);
	return 0;
}

static struct store *open_store(const char *name)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	struct store *st = store_open(path, NULL);

	assert_non_null(st);
	return st;
}

static void make_gzip(struct buf *out, size_t len)
{
	auto_free Bytef *plain = xcalloc(1, len);
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	buf_reserve(out, len);
	z.next_in = plain;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)out->data;
	z.avail_out = (uInt)len;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len = z.total_out;
	deflateEnd(&z);
}

static void inflate_noting(const struct buf *gz, struct points *p)
{
	static char block[65536];
	struct source *src =
		source_inflate_noting(source_bytes(gz->data, gz->len), p->writer);

	while (source_read(src, block, sizeof(block), NULL) > 0)
		;
	source_close(src);
}

static void points_are_kept_once_committed_and_not_noted_again(void **state)
{
	struct store *st = open_store("a");
	struct points p = POINTS_INIT;
	auto_buf struct buf gz = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest blob;

	(void)state;
	make_gzip(&gz, 9 << 20);
	digest_of(&blob, gz.data, gz.len);
	for (int i = 0; i < 2; i++) {
		points_begin(&p, st, &blob);
		assert_non_null(p.writer);
		inflate_noting(&gz, &p);
		if (i == 0) {
			points_abort(&p);
			assert_null(points_open(st, &blob, &err));
			assert_int_equal(err.kind, E_MISSING);
		}
	}
	points_commit(&p, st, &blob);
	points_abort(&p);
	struct restarts *r = points_open(st, &blob, &err);
	assert_non_null(r);
	assert_int_equal(restarts_count(r), 3);
	restarts_close(r);
	points_begin(&p, st, &blob);
	assert_null(p.writer);
	points_commit(&p, st, &blob);
	points_drop(st, &blob);
	assert_null(points_open(st, &blob, &err));
	store_close(st);
}

static void what_is_small_or_cut_has_no_file(void **state)
{
	struct store *st = open_store("b");
	auto_buf struct buf gz = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct points p = POINTS_INIT;
		struct digest blob = {{(uint8_t)(i + 1)}};

		buf_reset(&gz);
		make_gzip(&gz, i ? 9 << 20 : 4 << 20);
		if (i)
			gz.len -= 9;
		points_begin(&p, st, &blob);
		inflate_noting(&gz, &p);
		points_commit(&p, st, &blob);
		assert_null(p.writer);
		assert_null(points_open(st, &blob, &err));
		assert_int_equal(err.kind, E_MISSING);
	}
	store_close(st);
}

static void damaged_points_are_removed(void **state)
{
	struct store *st = open_store("c");
	struct points p = POINTS_INIT;
	auto_buf struct buf gz = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest blob;
	char hex[DIGEST_HEX];

	(void)state;
	make_gzip(&gz, 9 << 20);
	digest_of(&blob, gz.data, gz.len);
	points_begin(&p, st, &blob);
	inflate_noting(&gz, &p);
	points_commit(&p, st, &blob);
	auto_free char *name = xasprintf("trees/%s.points", digest_hex(&blob, hex));
	auto_fd int fd = openat(store_dirfd(st), name, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 3), 1);
	assert_null(points_open(st, &blob, &err));
	assert_int_equal(err.kind, E_MISSING);
	assert_int_equal(faccessat(store_dirfd(st), name, F_OK, 0), -1);
	store_close(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points_are_kept_once_committed_and_not_noted_again),
		cmocka_unit_test(what_is_small_or_cut_has_no_file),
		cmocka_unit_test(damaged_points_are_removed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
