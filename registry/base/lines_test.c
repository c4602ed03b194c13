#include "registry/base/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "registry/base/buf.h"

static void put(void *ctx, const char *line)
{
	buf_addf(ctx, "<%s>", line);
}

/* Fed in pieces of `step` bytes. */
static void lines_of(const char *in, size_t len, size_t step, struct buf *out)
{
	struct lines l = LINES_INIT;

	for (size_t i = 0; i < len; i += step)
		lines_add(&l, in + i, len - i < step ? len - i : step, put, out);
	lines_end(&l, put, out);
}

static void output_comes_as_lines_however_it_is_cut(void **state)
{
	static const struct {
		const char *in, *want;
	} v[] = {
		{"", ""},
		{"a\n", "<a>"},
		{"a", "<a>"},
		{"a\nb", "<a><b>"},
		{"\n", "<>"},
		{"\n\na\n", "<><><a>"},
		{"a\r\nb\r\n", "<a><b>"},
		{"1%\r50%\r100%\n", "<100%>"},
		{"1%\r50%\r", "<50%>"},
		{"long\rab\n", "<ab>"}, /* a terminal would show "abng" */
		{"a\r\r\nb\n", "<a><b>"},
		{"\033[31mred\033[0m\n", "<red>"},
		{"\033[1;31;40mx\033[K\n", "<x>"},
		{"\033]x\033Mb\n", "<xb>"}, /* no CSI: two bytes */
		{"\033[31\nb\n", "<><b>"},  /* a line ends a sequence */
		{"a\033", "<a>"},
		{"\t\x01\x7f", "<\t\x01\x7f>"}, /* log.h makes them printable */
		{"\xff\xfe\n", "<\xff\xfe>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		for (size_t step = 1; step < 6; step++) {
			auto_buf struct buf got = BUF_INIT;

			lines_of(v[i].in, strlen(v[i].in), step, &got);
			if (strcmp(got.data, v[i].want))
				fail_msg("%zu by %zu: %s, not %s", i, step, got.data,
					 v[i].want);
		}
	}
}

static void nul_bytes_go(void **state)
{
	auto_buf struct buf got = BUF_INIT;

	(void)state;
	lines_of("a\0b\0\n\0", 6, 3, &got);
	assert_string_equal(got.data, "<ab><>");
}

/* What comes out in pieces is what went in, and no character is torn. */
static void a_long_line_goes_out_in_pieces(void **state)
{
	static const char *const characters[] = {"a", "\xc3\xa4", "\xe2\x82\xac",
						 "\xf0\x9f\x98\x80", "\x80"};

	(void)state;
	for (size_t k = 0; k < 5; k++) {
		auto_buf struct buf in = BUF_INIT, got = BUF_INIT, joined = BUF_INIT;
		size_t n = strlen(characters[k]), pieces = 0;

		buf_addc(&in, 'x');
		while (in.len < 5 * LINES_MAX)
			buf_adds(&in, characters[k]);
		lines_of(in.data, in.len, 777, &got);
		for (const char *p = got.data; *p; pieces++) {
			size_t len = strcspn(++p, ">");

			assert_in_range(len, LINES_MAX - 4, LINES_MAX);
			assert_int_equal((len - (pieces ? 0 : 1)) % n, 0);
			buf_add(&joined, p, len);
			p += len + 1;
			if (strlen(p) < LINES_MAX - 4) { /* the last one */
				buf_add(&joined, p + 1, *p ? strlen(p) - 2 : 0);
				break;
			}
		}
		assert_string_equal(joined.data, in.data);
	}
}

static void a_line_of_exactly_the_longest_length_is_one(void **state)
{
	auto_buf struct buf in = BUF_INIT, got = BUF_INIT;

	(void)state;
	while (in.len < LINES_MAX)
		buf_addc(&in, 'y');
	buf_addc(&in, '\n');
	lines_of(in.data, in.len, 100, &got);
	assert_int_equal(got.len, LINES_MAX + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_comes_as_lines_however_it_is_cut),
		cmocka_unit_test(nul_bytes_go),
		cmocka_unit_test(a_long_line_goes_out_in_pieces),
		cmocka_unit_test(a_line_of_exactly_the_longest_length_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
