#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/words.h"

/* Words, each in []. */
static const char *show(struct arena *a, const struct spans *s)
{
	struct text t = {.arena = a};

	for (size_t i = 0; i < s->n; i++)
		text_printf(&t, "[%s]", s->v[i].text);
	return text_done(&t);
}

struct table {
	const char *line, *want;
};

static void blanks_alone_part_plain_words(void **state)
{
	static const struct table cases[] = {
		{"a b", "[a][b]"},
		{"  a\t\vb  ", "[a][b]"},
		{"\"a b\" /x", "[\"a][b\"][/x]"},
		{"a\\ b", "[a\\][b]"},
		{"a\xc2\xa0"
		 "b",
		 "[a\xc2\xa0"
		 "b]"},
		{"", ""},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spans s = {0};

		words_split(&a, cases[i].line, 0, strlen(cases[i].line), &s);
		assert_string_equal(show(&a, &s), cases[i].want);
	}
	arena_release(&a);
}

static void the_quoted_splitter_keeps_quotes_and_escapes(void **state)
{
	static const struct {
		const char *line;
		char escape;
		const char *want;
	} cases[] = {
		{"a=b c=d", '\\', "[a=b][c=d]"},
		{"a=\"b c\" d='e f'", '\\', "[a=\"b c\"][d='e f']"},
		{"a=b\\ c", '\\', "[a=b\\ c]"},
		{"a=b\\", '\\', "[a=b]"},
		{"a='b\\' c", '\\', "[a='b\\'][c]"},
		{"a=\"b\\\" c\" d", '\\', "[a=\"b\\\" c\"][d]"},
		{"a=\\\"b c", '\\', "[a=\\\"b][c]"},
		{"a=\"b c", '\\', "[a=\"b c]"},
		{"a=\"b\\", '\\', "[a=\"b]"},
		{"a=b` c\\ d", '`', "[a=b` c\\][d]"},
		{"a=\xc3\xa9\xc2\xa0x", '\\', "[a=\xc3\xa9][x]"},
		{"\"\" x", '\\', "[\"\"][x]"},
		{"\\", '\\', ""},
		{"", '\\', ""},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spans s = {0};

		words_quoted(&a, cases[i].line, 0, strlen(cases[i].line), cases[i].escape,
			     &s);
		assert_string_equal(show(&a, &s), cases[i].want);
	}
	arena_release(&a);
}

static void flags_are_the_leading_dashed_words(void **state)
{
	static const struct {
		const char *line, *want, *rest;
	} cases[] = {
		{"--a=b --c x --d", "[--a=b][--c]", "x --d"},
		{"x --a", "", "x --a"},
		{"-a x", "", "-a x"},
		{"--a='b c' x", "[--a=b c]", "x"},
		{"--a=\"b c\"d x", "[--a=b cd]", "x"},
		{"--a=b\\ c x", "[--a=b c]", "x"},
		{"--a=b\\", "[--a=b]", ""},
		{"--a -- --b x", "[--a]", " --b x"},
		{"--", "", ""},
		{"--a", "[--a]", ""},
		{"--a=\xc3\xa0 x", "[--a=\xc3\xa0]", "x"},
		{"", "", ""},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spans s = {0};
		size_t at = words_flags(&a, cases[i].line, 0, strlen(cases[i].line), &s);

		assert_string_equal(show(&a, &s), cases[i].want);
		assert_string_equal(cases[i].line + at, cases[i].rest);
	}
	arena_release(&a);
}

static void json_is_strict_and_of_strings(void **state)
{
	static const struct {
		const char *line;
		enum json_result result;
		const char *want;
	} cases[] = {
		{"[\"a\", \"b c\"]", JSON_STRINGS, "[a][b c]"},
		{"[]", JSON_STRINGS, ""},
		{" [ ] ", JSON_STRINGS, ""},
		{"[\"\"]", JSON_STRINGS, "[]"},
		{"[\"\\n\\t\\\\\\\"\\/\"]", JSON_STRINGS, "[\n\t\\\"/]"},
		{"[\"\\u00e9\"]", JSON_STRINGS, "[\xc3\xa9]"},
		{"[\"\\ud83d\\ude00\"]", JSON_STRINGS, "[\xf0\x9f\x98\x80]"},
		{"[\"\\ud83dx\"]", JSON_STRINGS, "[\xef\xbf\xbdx]"},
		{"[\"\xff\"]", JSON_STRINGS, "[\xef\xbf\xbd]"},
		{"['a']", JSON_NOT, ""},
		{"[\"a\"", JSON_NOT, ""},
		{"[\"a\",]", JSON_NOT, ""},
		{"[\"a\" \"b\"]", JSON_NOT, ""},
		{"[\"a\"] x", JSON_NOT, ""},
		{"[\"a\\w\"]", JSON_NOT, ""},
		{"[\"a\\u12\"]", JSON_NOT, ""},
		{"[\"a\tb\"]", JSON_NOT, ""},
		{"[\"a", JSON_NOT, ""},
		{"[a]", JSON_NOT, ""},
		{"[", JSON_NOT, ""},
		{"\"a\"", JSON_NOT, ""},
		{"{}", JSON_NOT, ""},
		{"", JSON_NOT, ""},
		{"[1]", JSON_NONSTRING, ""},
		{"[\"a\", null]", JSON_NONSTRING, ""},
		{"[true, false]", JSON_NONSTRING, ""},
		{"[-1.5e+3]", JSON_NONSTRING, ""},
		{"[[\"a\"]]", JSON_NONSTRING, ""},
		{"[{\"a\": [1, {}]}]", JSON_NONSTRING, ""},
		{"[01]", JSON_NOT, ""},
		{"[1.]", JSON_NOT, ""},
		{"[{\"a\"}]", JSON_NOT, ""},
		{"[1, x]", JSON_NOT, ""},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spans s = {0};
		size_t bad;

		assert_int_equal(
			words_json(&a, cases[i].line, 0, strlen(cases[i].line), &s, &bad),
			cases[i].result);
		assert_string_equal(show(&a, &s), cases[i].want);
	}
	arena_release(&a);
}

static void the_first_foreign_member_is_located(void **state)
{
	struct arena a = ARENA_INIT;
	struct spans s = {0};
	size_t bad;

	(void)state;
	assert_int_equal(words_json(&a, "[\"a\",  7, 8]", 0, 12, &s, &bad),
			 JSON_NONSTRING);
	assert_int_equal(bad, 7);
	arena_release(&a);
}

static void nesting_does_not_use_up_the_stack(void **state)
{
	static char deep[1000000];
	struct arena a = ARENA_INIT;
	struct spans s = {0};
	size_t bad;

	(void)state;
	memset(deep, '[', sizeof(deep));
	assert_int_equal(words_json(&a, deep, 0, sizeof(deep), &s, &bad), JSON_NOT);
	arena_release(&a);
}

static void unicode_blanks_are_trimmed(void **state)
{
	static const char line[] = "\xe3\x80\x80 \ta b\xc2\x85\xe2\x80\xa8";
	size_t at = 0, len = strlen(line);

	(void)state;
	span_trim(line, &at, &len);
	assert_int_equal(at, 5);
	assert_int_equal(len, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blanks_alone_part_plain_words),
		cmocka_unit_test(the_quoted_splitter_keeps_quotes_and_escapes),
		cmocka_unit_test(flags_are_the_leading_dashed_words),
		cmocka_unit_test(json_is_strict_and_of_strings),
		cmocka_unit_test(the_first_foreign_member_is_located),
		cmocka_unit_test(nesting_does_not_use_up_the_stack),
		cmocka_unit_test(unicode_blanks_are_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
