#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/ignore.h"

static struct ignore *parse(struct arena *a, const char *text)
{
	const char *why = NULL;
	unsigned line;
	struct ignore *ig = ignore_parse(a, text, strlen(text), &why, &line);

	if (!ig)
		fail_msg("%s: line %u: %s", text, line, why);
	return ig;
}

static void the_last_match_decides(void **state)
{
	static const struct {
		const char *text, *path;
		bool ignored;
	} cases[] = {
		{"", "a", false},
		{"a", "a", true},
		{"a", "a/b", true},
		{"a", "b/a", false},
		{"a\n!a/x", "a/x", false},
		{"a\n!a/x", "a/x/y", false},
		{"a\n!a/x", "a/y", true},
		{"a\n!a/x", "a", true},
		{"!a/x\na", "a/x", true},
		{"*\n!keep", "keep", false},
		{"*\n!keep", "other", true},
		{"**\n!keep/**\nkeep/no", "keep/yes", false},
		{"**\n!keep/**\nkeep/no", "keep/no", true},
		{"*.md\n!README*.md\nREADME-secret.md", "README.md", false},
		{"*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true},
		{"*.md\n!README*.md\nREADME-secret.md", "x.md", true},
		{"**/*.pyc", "a/b.pyc", true},
		{"# a\nb", "a", false},
		{" # a\nb", "# a", true},
		{"  a  \r\n", "a", true},
		{"\xef\xbb\xbf"
		 "a",
		 "a", true},
		{"\n\na\n", "a", true},
		{"/a", "a", true},
		{"./a/", "a", true},
		{"b/../a", "a", true},
		{"a//b/./c", "a/b/c", true},
		{"x\n! ./x", "x", false},
		{"x\n!/x", "x", false},
		{"/", "a", false},
		{".", "a", false},
		{"..", "a", false},
		{"../a", "a", false},
		{"../../a", "a", false},
		{"**", "", false},
		{"**", ".", false},
		{"a b", "a b", true},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (ignore_matches(parse(&a, cases[i].text), cases[i].path) !=
		    cases[i].ignored)
			fail_msg("%s on %s", cases[i].text, cases[i].path);
	assert_false(ignore_matches(NULL, "a"));
	arena_release(&a);
}

static void excluded_folders_are_walked_only_for_exceptions(void **state)
{
	static const struct {
		const char *text, *dir;
		bool walk;
	} cases[] = {
		{"a", "a", false},
		{"a\n!a/x", "a", true},
		{"a\n!b/x", "a", false},
		{"a\n!**/x", "a", true},
		{"*\n!b/x/y", "b/x", true},
		{"*\n!b/x/y", "b/z", false},
		{"*\n!b/x", "b/x/y", true},
		{"!a/x\na", "a", false},
		{"a\n!a/x\na", "a", false},
		{"*\n!*.txt", "dir", false},
		{"*\n!d*/*.txt", "dir", true},
		{"*\n!x", "", true},
		{"*", "", false},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (ignore_may_reinclude(parse(&a, cases[i].text), cases[i].dir) !=
		    cases[i].walk)
			fail_msg("%s for %s", cases[i].text, cases[i].dir);
	assert_true(ignore_has_exceptions(parse(&a, "!a")));
	assert_false(ignore_has_exceptions(parse(&a, "a")));
	assert_false(ignore_has_exceptions(NULL));
	arena_release(&a);
}

static void wrong_patterns_are_named_by_line(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		unsigned line;
		const char *why;
	} cases[] = {
		{"a\n!\n", 4, 2, "illegal exclusion pattern: \"!\""},
		{"a\n\n!  \n", 7, 3, "illegal exclusion pattern: \"!\""},
		{"x[\n", 3, 1, "malformed pattern: x["},
		{"a\nb\\", 4, 2, "malformed pattern: b\\"},
		{"a\nb\0c\n", 6, 2, "NUL byte"},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why = "";
		unsigned line = 0;

		assert_null(ignore_parse(&a, cases[i].text, cases[i].len, &why, &line));
		assert_int_equal(line, cases[i].line);
		assert_string_equal(why, cases[i].why);
	}
	arena_release(&a);
}

static void single_patterns_work_alike(void **state)
{
	static const char *const good[] = {"*.o", "!keep.o"}, *const bad[] = {"a", "["};
	struct arena a = ARENA_INIT;
	const char *why;
	size_t index = 7;
	struct ignore *ig = ignore_from_patterns(&a, good, 2, &why, &index);

	(void)state;
	assert_true(ignore_matches(ig, "x.o"));
	assert_false(ignore_matches(ig, "keep.o"));
	assert_null(ignore_from_patterns(&a, bad, 2, &why, &index));
	assert_int_equal(index, 1);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_match_decides),
		cmocka_unit_test(excluded_folders_are_walked_only_for_exceptions),
		cmocka_unit_test(wrong_patterns_are_named_by_line),
		cmocka_unit_test(single_patterns_work_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
