#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/unicode.h"

static void every_character_survives_a_round_trip(void **state)
{
	(void)state;
	for (uint32_t c = 1; c < 0x110000; c++) {
		uint32_t back;
		char utf8[4];
		size_t n = unicode_encode(c, utf8);

		if (c >= 0xd800 && c < 0xe000)
			continue;
		if (unicode_decode(utf8, n, &back) != n || back != c)
			fail_msg("U+%04x", c);
		if (n > 1 &&
		    (unicode_decode(utf8, n - 1, &back) != 1 || back != UNICODE_BAD))
			fail_msg("cut U+%04x", c);
	}
}

static void bad_bytes_are_one_by_one(void **state)
{
	static const char *const bad[] = {
		"\x80",         "\xff",         "\xc0\x80",         "\xc1\xbf",
		"\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
		"\xc3(",        "\xe2\x82(",    "\xf5\x80\x80\x80"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint32_t c;

		assert_int_equal(unicode_decode(bad[i], strlen(bad[i]), &c), 1);
		assert_int_equal(c, UNICODE_BAD);
	}
}

static void classes_are_those_of_unicode(void **state)
{
	static const struct {
		uint32_t c;
		bool letter, digit, space, printable;
	} cases[] = {
		{'a', true, false, false, true},
		{'5', false, true, false, true},
		{'_', false, false, false, true},
		{' ', false, false, true, true},
		{'\n', false, false, true, false},
		{0x7f, false, false, false, false},
		{0x85, false, false, true, false},
		{0xa0, false, false, true, false},
		{0xaa, true, false, false, true},
		{0xad, false, false, false, false},
		{0xb2, false, false, false, true},
		{0xe9, true, false, false, true},
		{0x301, false, false, false, true},
		{0x663, false, true, false, true},
		{0x4e16, true, false, false, true},
		{0x200b, false, false, false, false},
		{0x2003, false, false, true, false},
		{0x20ac, false, false, false, true},
		{0xe000, false, false, false, false},
		{0xfffd, false, false, false, true},
		{0x1f600, false, false, false, true},
		{0xe0001, false, false, false, false},
		{0x10ffff, false, false, false, false},
		{UNICODE_BAD, false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (unicode_letter(cases[i].c) != cases[i].letter ||
		    unicode_digit(cases[i].c) != cases[i].digit ||
		    unicode_space(cases[i].c) != cases[i].space ||
		    unicode_printable(cases[i].c) != cases[i].printable)
			fail_msg("U+%04x", cases[i].c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_survives_a_round_trip),
		cmocka_unit_test(bad_bytes_are_one_by_one),
		cmocka_unit_test(classes_are_those_of_unicode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
