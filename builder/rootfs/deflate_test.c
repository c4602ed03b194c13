#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "builder/rootfs/deflate.h"
#include "builder/rootfs/layer.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

static uint32_t seed = 1;

static uint32_t next(void)
{
	return (seed = seed * 1664525 + 1013904223) >> 8;
}

static void fill(uint8_t *data, size_t len)
{
	uint32_t bytes = next() << 8 ^ next(); /* four, other ones each time */

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(bytes >> 8 * (next() & 3));
}

static void a_piece_inflates_to_itself_and_ends_on_a_byte(void **state)
{
	static const size_t sizes[] = {1, 5, 512, 3000, 70000, 1048576, 2000000};
	size_t out_len;

	(void)state;
	for (int level = 0; level <= LAYER_LEVEL_MAX; level++) {
		struct deflater *d = deflater_new(level);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			auto_free uint8_t *data = xmalloc(sizes[i]),
					  *back = xmalloc(sizes[i] + 1),
					  *out = xmalloc(deflate_room(sizes[i]) + 2);
			z_stream z = {0};

			fill(data, sizes[i]);
			assert_int_equal(
				deflate_piece(d, data, sizes[i], out, &out_len, NULL), 0);
			memcpy(out + out_len, "\3", 2); /* the final, empty block */
			assert_int_equal(inflateInit2(&z, -15), Z_OK);
			z.next_in = out;
			z.avail_in = (uInt)out_len + 2;
			z.next_out = back;
			z.avail_out = (uInt)sizes[i] + 1;
			assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
			assert_int_equal(z.total_out, sizes[i]);
			assert_int_equal(z.avail_in, 0);
			inflateEnd(&z);
			assert_memory_equal(back, data, sizes[i]);
		}
		deflater_free(d);
	}
}

/* Two states at other addresses, with other pieces behind them: see place_state(). */
static void a_piece_depends_on_nothing_but_its_bytes(void **state)
{
	enum { SIZE = 700 };
	uint8_t data[SIZE], one[SIZE * 2 + 1024], two[SIZE * 2 + 1024];
	size_t len1, len2;

	(void)state;
	for (int level = 0; level <= 2; level++) {
		struct deflater *a = deflater_new(level), *b = deflater_new(level);

		for (int i = 0; i < 15000; i++) {
			fill(data, SIZE);
			assert_int_equal(deflate_piece(a, data, SIZE, one, &len1, NULL),
					 0);
			assert_int_equal(deflate_piece(b, data, SIZE, two, &len2, NULL),
					 0);
			assert_int_equal(len1, len2);
			assert_memory_equal(one, two, len1);
			if (i % 100 == 0) /* another past */
				deflate_piece(b, data, SIZE / 2, two, &len2, NULL);
		}
		deflater_free(a);
		deflater_free(b);
	}
}

static void a_compressor_has_a_name(void **state)
{
	(void)state;
	assert_memory_equal(layer_compressor(1), "isal 2.", 7);
	assert_non_null(strstr(layer_compressor(1), " level 1 "));
	assert_memory_equal(layer_compressor(6), "zlib 1.", 7);
	assert_non_null(strstr(layer_compressor(6), " level 6"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_piece_inflates_to_itself_and_ends_on_a_byte),
		cmocka_unit_test(a_piece_depends_on_nothing_but_its_bytes),
		cmocka_unit_test(a_compressor_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
