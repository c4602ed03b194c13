#include "builder/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Go: path.Clean("/" + path), without the leading slash. */
static void a_clean_path_has_no_dots_and_stays_below_the_root(void **state)
{
	static const struct {
		const char *path, *clean;
	} cases[] = {
		{"", ""},
		{".", ""},
		{"/", ""},
		{"//", ""},
		{"..", ""},
		{"../..", ""},
		{"a", "a"},
		{"/a", "a"},
		{"a/", "a"},
		{"./a/./b/", "a/b"},
		{"a//b", "a/b"},
		{"a/..", ""},
		{"a/../b", "b"},
		{"a/b/..", "a"},
		{"a/b/../../c", "c"},
		{"../../etc/passwd", "etc/passwd"},
		{"a/../../b", "b"},
		{"...", "..."},
		{"..a/b..", "..a/b.."},
		{".a/.b", ".a/.b"},
		{"a b/c", "a b/c"},
		{"/../a/../../b/.", "b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *clean = path_clean(cases[i].path);

		assert_string_equal(clean, cases[i].clean);
		free(clean);
	}
}

static void joining_starts_at_the_base_unless_the_path_is_absolute(void **state)
{
	static const struct {
		const char *base, *path, *joined;
	} cases[] = {
		{NULL, "", "/"},
		{NULL, "a", "/a"},
		{"/", "a", "/a"},
		{"/app", "a/b", "/app/a/b"},
		{"/app", "", "/app"},
		{"/app", ".", "/app"},
		{"/app/", "./x/", "/app/x"},
		{"/app", "/etc", "/etc"},
		{"/app", "/", "/"},
		{"/app", "..", "/"},
		{"/app/b", "../c", "/app/c"},
		{"/app", "../../..", "/"},
		{"app", "x", "/app/x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *joined = path_join(cases[i].base, cases[i].path);

		assert_string_equal(joined, cases[i].joined);
		free(joined);
	}
}

static void the_last_part_of_a_path_is_its_base(void **state)
{
	(void)state;
	assert_string_equal(path_base("a/b/c"), "c");
	assert_string_equal(path_base("c"), "c");
	assert_string_equal(path_base("a/"), "");
	assert_string_equal(path_base(""), "");
}

static void a_path_climbs_when_dots_lead_above_its_start(void **state)
{
	static const struct {
		const char *path;
		bool climbs;
	} cases[] = {
		{"", false},          {"a/b", false},         {"a/..", false},
		{"a/b/../..", false}, {"..", true},           {"../a", true},
		{"a/../..", true},    {"a/../../b/c", true},  {"./..", true},
		{"..a", false},       {"a/../b/../c", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(path_climbs(cases[i].path), cases[i].climbs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_path_has_no_dots_and_stays_below_the_root),
		cmocka_unit_test(joining_starts_at_the_base_unless_the_path_is_absolute),
		cmocka_unit_test(the_last_part_of_a_path_is_its_base),
		cmocka_unit_test(a_path_climbs_when_dots_lead_above_its_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
