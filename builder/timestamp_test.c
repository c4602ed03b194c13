#include "builder/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Seconds by GNU date: date -u -d TEXT +%s */
static const struct {
	const char *text;
	int64_t seconds;
} instants[] = {
	{"1970-01-01T00:00:00Z", 0},
	{"1970-12-31T23:59:59Z", 31535999},
	{"1972-02-29T12:00:00Z", 68212800},
	{"1979-12-31T23:59:59Z", 315532799},
	{"1980-01-01T00:00:00Z", TIMESTAMP_FLOOR},
	{"1999-12-31T23:59:59Z", 946684799},
	{"2000-02-29T00:00:00Z", 951782400},
	{"2000-03-01T00:00:00Z", 951868800},
	{"2024-12-31T00:00:00Z", 1735603200},
	{"2026-01-02T03:04:05Z", 1767323045},
	{"2038-01-19T03:14:08Z", 2147483648},
	{"2100-02-28T23:59:59Z", 4107542399},
	{"2100-03-01T00:00:00Z", 4107542400},
	{"2400-02-29T00:00:00Z", 13574563200},
	{"9999-12-31T23:59:59Z", TIMESTAMP_MAX},
};

static void an_instant_has_one_text_and_back(void **state)
{
	char text[TIMESTAMP_TEXT];
	int64_t t;

	(void)state;
	for (size_t i = 0; i < sizeof(instants) / sizeof(*instants); i++) {
		assert_string_equal(timestamp_text(instants[i].seconds, text),
				    instants[i].text);
		assert_true(timestamp_parse(instants[i].text, &t));
		assert_int_equal(t, instants[i].seconds);
	}
}

static void every_day_of_four_centuries_comes_back(void **state)
{
	char text[TIMESTAMP_TEXT];
	int64_t back;

	(void)state;
	for (int64_t t = 86399; t < 400LL * 366 * 86400; t += 86400) {
		assert_true(timestamp_parse(timestamp_text(t, text), &back));
		assert_int_equal(back, t);
	}
}

static void what_lies_outside_becomes_the_nearest_end(void **state)
{
	char text[TIMESTAMP_TEXT];

	(void)state;
	assert_string_equal(timestamp_text(-1, text), "1970-01-01T00:00:00Z");
	assert_string_equal(timestamp_text(INT64_MAX, text), "9999-12-31T23:59:59Z");
}

static void fractions_and_offsets_are_understood(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {
		{"2026-01-02T03:04:05.999999999Z", 1767323045},
		{"2026-01-02T03:04:05.1z", 1767323045},
		{"2026-01-02t03:04:05+00:00", 1767323045},
		{"2026-01-02T04:34:05+01:30", 1767323045},
		{"2026-01-01T19:04:05-08:00", 1767323045},
		{"0001-01-01T00:00:00Z", -62135596800}, /* Go's zero time */
		{"0000-01-01T00:00:00Z", -62167219200},
		{"0000-12-31T00:00:00Z", -62135683200},
	};
	int64_t t;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(timestamp_parse(cases[i].text, &t));
		assert_int_equal(t, cases[i].seconds);
	}
}

static void malformed_texts_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"2026",
		"2026-01-02",
		"2026-01-02 03:04:05Z",
		"2026-01-02T03:04:05",
		"2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05Z ",
		" 2026-01-02T03:04:05Z",
		"2026-1-02T03:04:05Z",
		"2026-00-02T03:04:05Z",
		"2026-13-02T03:04:05Z",
		"2026-01-00T03:04:05Z",
		"2026-02-29T03:04:05Z",
		"2100-02-29T03:04:05Z",
		"2026-04-31T03:04:05Z",
		"2026-01-02T24:04:05Z",
		"2026-01-02T03:60:05Z",
		"2026-01-02T03:04:60Z",
		"2026-01-02T03:04:05+0100",
		"2026-01-02T03:04:05+24:00",
		"2026-01-02T03:04:05+01:60",
		"12026-01-02T03:04:05Z",
		"-026-01-02T03:04:05Z",
	};
	int64_t t = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_false(timestamp_parse(cases[i], &t));
	assert_int_equal(t, 7);
}

static void seconds_are_plain_decimal(void **state)
{
	static const char *const bad[] = {
		"",    "-1",   "+1",  " 1",           "1 ",
		"1.5", "0x10", "1e3", "253402300800", "99999999999999999999999999999999",
	};
	int64_t t;

	(void)state;
	assert_true(timestamp_parse_seconds("0", &t));
	assert_int_equal(t, 0);
	assert_true(timestamp_parse_seconds("0315532800", &t));
	assert_int_equal(t, TIMESTAMP_FLOOR);
	assert_true(timestamp_parse_seconds("253402300799", &t));
	assert_int_equal(t, TIMESTAMP_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(timestamp_parse_seconds(bad[i], &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_instant_has_one_text_and_back),
		cmocka_unit_test(every_day_of_four_centuries_comes_back),
		cmocka_unit_test(what_lies_outside_becomes_the_nearest_end),
		cmocka_unit_test(fractions_and_offsets_are_understood),
		cmocka_unit_test(malformed_texts_are_refused),
		cmocka_unit_test(seconds_are_plain_decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
