#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/pattern.h"

/* Semantics of Go's filepath.Match (8.2). */
static void components_match_as_in_go(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool match;
	} cases[] = {
		{"abc", "abc", true},
		{"*", "abc", true},
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"*c", "abc", true},
		{"a*", "a", true},
		{"a*", "abc", true},
		{"a*b*c*d*e*", "axbxcxdxe", true},
		{"a*b*c*d*e*", "axbxcxdxexxx", true},
		{"a*b*c*d*e*", "axbxcxdxxx", false},
		{"a*b?c*x", "abxbbxdbxebxczzx", true},
		{"a*b?c*x", "abxbbxdbxebxczzy", false},
		{"*", ".hidden", true},
		{"?hidden", ".hidden", true},
		{"**", "abc", true},
		{"a**c", "abc", true},
		{"ab[c]", "abc", true},
		{"ab[b-d]", "abc", true},
		{"ab[e-g]", "abc", false},
		{"ab[^c]", "abc", false},
		{"ab[^b-d]", "abc", false},
		{"ab[^e-g]", "abc", true},
		{"a\\*b", "a*b", true},
		{"a\\*b", "ab", false},
		{"a?b",
		 "a\xe2\x98\xba"
		 "b",
		 true},
		{"a[^a]b",
		 "a\xe2\x98\xba"
		 "b",
		 true},
		{"a???b",
		 "a\xe2\x98\xba"
		 "b",
		 false},
		{"[a-\xce\xb6]*", "\xce\xb1", true},
		{"*[a-\xce\xb6]", "A", false},
		{"[\\]a]", "]", true},
		{"[\\-]", "-", true},
		{"[x\\-]", "x", true},
		{"[x\\-]", "-", true},
		{"[x\\-]", "z", false},
		{"[\\-x]", "a", false},
		{"[!a]", "!", true},
		{"[!a]", "b", false},
		{"*x", "xxx", true},
		{"a?", "a\xff", true},
		{"\xff", "\xff", true},
		{"\\[x", "[x", true},
		{"\\\\[x]", "\\x", true},
		{"*.txt", "a.txt.gz", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (pattern_match_component(cases[i].pattern, cases[i].name) !=
		    cases[i].match)
			fail_msg("%s on %s", cases[i].pattern, cases[i].name);
}

static void malformed_patterns_are_known_and_match_nothing(void **state)
{
	static const char *const bad[] = {"[]a]", "[-]",  "[x-]", "[-x]",   "[",
					  "[^",   "[^bc", "a[",   "a\\",    "[a",
					  "[a-",  "[\\",  "[a-]", "[\xff]", "x[]"};
	static const char *const good[] = {"",      "*",     "[a]", "a]", "\\[",
					   "[a-z]", "[z-a]", "]",   "-"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(pattern_valid(bad[i]));
		assert_false(pattern_match_component(bad[i], bad[i]));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(pattern_valid(good[i]));
}

static void wildcards_are_seen_unless_escaped(void **state)
{
	char literal[] = "a\\*\\\\b\\";

	(void)state;
	assert_true(pattern_has_wildcard("a*"));
	assert_true(pattern_has_wildcard("a?"));
	assert_true(pattern_has_wildcard("[a"));
	assert_true(pattern_has_wildcard("\\\\*"));
	assert_false(pattern_has_wildcard("a\\*\\?\\["));
	assert_false(pattern_has_wildcard("ab]"));
	pattern_unescape(literal);
	assert_string_equal(literal, "a*\\b\\");
}

/* 15.3, 15.4; a match of a parent counts. */
static void paths_match_with_double_stars(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
		{"foo", "foo", true},
		{"foo", "foo/bar", true},
		{"foo", "food", false},
		{"foo", "a/foo", false},
		{"*", "a", true},
		{"*", "a/b", true},
		{"*", ".a", true},
		{"*/b", "a/b", true},
		{"*/b", "a/c/b", false},
		{"**/foo", "foo", true},
		{"**/foo", "a/b/foo", true},
		{"**/foo", "a/b/foo/c", true},
		{"**/foo", "xfoo", false},
		{"**/foo", "a/xfoo", false},
		{"**/foo", "foox/foo", true},
		{"a/**", "a/b", true},
		{"a/**", "a/b/c", true},
		{"a/**", "a", false},
		{"a/**", "ab", false},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "a/xb", false},
		{"**", "a", true},
		{"**", "a/b", true},
		{"**/*.go", "x.go", true},
		{"**/*.go", "a/b/x.go", true},
		{"**/*.go", "a/b/x.gob", false},
		{"a**b", "ab", true},
		{"a**b", "axb", false},
		{"a**b", "ax/b", true},
		{"**foo", "xfoo", true},
		{"a?c", "abc", true},
		{"a?c", "a/c", false},
		{"a[b-d]e", "ace", true},
		{"a[^b]e", "abe", false},
		{"a\\*", "a*", true},
		{"a\\*", "ab", false},
		{"a.b", "axb", false},
		{"a+(b)|{c}$", "a+(b)|{c}$", true},
		{"d\xc3\xa9?", "d\xc3\xa9\xc3\xa9", true},
		{"*/a", "x/a/y", true},
		{"x/*/z", "x/y/z/w", true},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why;
		struct pattern *p = pattern_compile(&a, cases[i].pattern, &why);

		assert_non_null(p);
		if (pattern_match_path(p, cases[i].path) != cases[i].match)
			fail_msg("%s on %s", cases[i].pattern, cases[i].path);
	}
	arena_release(&a);
}

static void what_may_match_below_is_foreseen(void **state)
{
	static const struct {
		const char *pattern, *dir;
		bool may;
	} cases[] = {
		{"a/b/c", "a", true},
		{"a/b/c", "a/b", true},
		{"a/b/c", "b", false},
		{"a/b/c", "ab", false},
		{"**/x", "any/thing", true},
		{"*/x", "a", true},
		{"*/x", "a/b", false},
		{"a", "a/b", true},
		{"*.go", "dir", false},
		{"d*/x", "dir", true},
		{"a", "a", true},
		{"a/b*", "a", true},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why;
		struct pattern *p = pattern_compile(&a, cases[i].pattern, &why);

		if (pattern_may_match_below(p, cases[i].dir) != cases[i].may)
			fail_msg("%s below %s", cases[i].pattern, cases[i].dir);
	}
	arena_release(&a);
}

static void wrong_path_patterns_are_refused(void **state)
{
	static char text[PATTERN_MAX + 2];
	struct arena a = ARENA_INIT;
	const char *why = "";

	(void)state;
	assert_null(pattern_compile(&a, "a/[", &why));
	assert_string_equal(why, "malformed pattern: a/[");
	memset(text, '?', PATTERN_MAX + 1);
	assert_null(pattern_compile(&a, text, &why));
	text[PATTERN_MAX] = '\0';
	assert_non_null(pattern_compile(&a, text, &why));
	arena_release(&a);
}

static void many_stars_take_no_time(void **state)
{
	static char name[20001], stars[PATTERN_MAX];
	struct arena a = ARENA_INIT;
	const char *why;
	struct pattern *p;

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	for (size_t i = 0; i + 2 < 200; i += 2)
		memcpy(stars + i, "a*", 2);
	strncat(stars, "b", 2);
	assert_false(pattern_match_component(stars, name));
	p = pattern_compile(&a, stars, &why);
	assert_false(pattern_match_path(p, name));
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(components_match_as_in_go),
		cmocka_unit_test(malformed_patterns_are_known_and_match_nothing),
		cmocka_unit_test(wildcards_are_seen_unless_escaped),
		cmocka_unit_test(paths_match_with_double_stars),
		cmocka_unit_test(what_may_match_below_is_foreseen),
		cmocka_unit_test(wrong_path_patterns_are_refused),
		cmocka_unit_test(many_stars_take_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
