#include "builder/goformat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* strconv.Quote: Go's escapes; \xNN for control characters below 0x80 and for bytes that
 * are no UTF-8; \uNNNN and \UNNNNNNNN for what is not printable (strconv.IsPrint). */
static void a_string_is_quoted_as_go_does(void **state)
{
	static const struct {
		const char *text, *quoted;
	} cases[] = {
		{"", "\"\""},
		{"plain text", "\"plain text\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"it's", "\"it's\""},
		{"\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\""},
		{"\x01\x1b\x1f\x7f", "\"\\x01\\x1b\\x1f\\x7f\""},
		{"gr\303\274n", "\"gr\303\274n\""},           /* U+00FC */
		{"\360\237\230\200", "\"\360\237\230\200\""}, /* U+1F600 */
		{"\357\277\275", "\"\357\277\275\""},         /* U+FFFD itself */
		{"\302\200", "\"\\u0080\""},
		{"\302\240", "\"\\u00a0\""},             /* no-break space */
		{"\302\255", "\"\\u00ad\""},             /* soft hyphen: Cf */
		{"\343\200\200", "\"\\u3000\""},         /* ideographic space */
		{"\342\200\213", "\"\\u200b\""},         /* zero width space */
		{"\356\200\200", "\"\\ue000\""},         /* private use */
		{"\363\240\200\201", "\"\\U000e0001\""}, /* language tag */
		{"\377", "\"\\xff\""},
		{"a\303", "\"a\\xc3\""},                          /* cut short */
		{"\300\257", "\"\\xc0\\xaf\""},                   /* overlong */
		{"\355\240\200", "\"\\xed\\xa0\\x80\""},          /* a surrogate */
		{"\364\220\200\200", "\"\\xf4\\x90\\x80\\x80\""}, /* beyond U+10FFFF */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf out = BUF_INIT;

		go_quote(&out, cases[i].text);
		assert_string_equal(out.data, cases[i].quoted);
	}
}

static void lists_are_in_brackets_with_blanks_between(void **state)
{
	auto_strv struct strv list = STRV_INIT;
	auto_buf struct buf out = BUF_INIT;

	(void)state;
	go_list(&out, &list);
	go_quote_list(&out, &list);
	assert_string_equal(out.data, "[][]");
	buf_reset(&out);
	strv_add(&list, "a b");
	strv_add(&list, "");
	strv_add(&list, "\"c\"");
	go_list(&out, &list);
	assert_string_equal(out.data, "[a b  \"c\"]");
	buf_reset(&out);
	go_quote_list(&out, &list);
	assert_string_equal(out.data, "[\"a b\" \"\" \"\\\"c\\\"\"]");
}

/* time.Duration.String: "Durations less than one second format use a smaller unit to
 * ensure that the leading digit is non-zero"; trailing zeros of the fraction go; hours
 * and minutes stand in front once they are not zero. */
static void a_duration_is_written_as_go_does(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
		{0, "0s"},
		{1, "1ns"},
		{999, "999ns"},
		{1000, "1\302\265s"},
		{1100, "1.1\302\265s"},
		{999999, "999.999\302\265s"},
		{1000000, "1ms"},
		{2200000, "2.2ms"},
		{1000001, "1.000001ms"},
		{999999999, "999.999999ms"},
		{1000000000, "1s"},
		{3300000000, "3.3s"},
		{1000000001, "1.000000001s"},
		{59999999999, "59.999999999s"},
		{60000000000, "1m0s"},
		{245000000000, "4m5s"},
		{245001000000, "4m5.001s"},
		{3600000000000, "1h0m0s"},
		{18367001000000, "5h6m7.001s"},
		{360000000000000, "100h0m0s"},
		{-1500000000, "-1.5s"},
		{INT64_MAX, "2562047h47m16.854775807s"},
		{INT64_MIN, "-2562047h47m16.854775808s"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf out = BUF_INIT;

		go_duration(&out, cases[i].ns);
		assert_string_equal(out.data, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_string_is_quoted_as_go_does),
		cmocka_unit_test(lists_are_in_brackets_with_blanks_between),
		cmocka_unit_test(a_duration_is_written_as_go_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
