#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/diag.h"

static const char *const names[] = {"ADD", "COPY", "CMD", NULL, "ENTRYPOINT", "build"};

static void a_misspelling_finds_its_word(void **state)
{
	static const struct {
		const char *word, *want;
	} cases[] = {
		{"COPPY", "COPY"},
		{"cpy", "COPY"},
		{"CPOY", "COPY"},
		{"ENTRYPINT", "ENTRYPOINT"},
		{"ENTYRPOIT", "ENTRYPOINT"},
		{"biuld", "build"},
		{"COPY", "COPY"},
		{"RUN", NULL},
		{"X", NULL},
		{"", NULL},
		{"COMPLETELY", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *near = diag_nearest(cases[i].word, names, 6);

		if (cases[i].want)
			assert_string_equal(near ? near : cases[i].word, cases[i].want);
		else
			assert_null(near);
	}
}

static void the_nearer_of_two_wins(void **state)
{
	static const char *const two[] = {"start-period", "start-interval"};

	(void)state;
	assert_string_equal(diag_nearest("start-intervall", two, 2), "start-interval");
}

static void a_very_long_word_has_no_neighbour(void **state)
{
	char word[2000];
	const char *const same[] = {word};

	(void)state;
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_null(diag_nearest(word, same, 1));
}

static void messages_are_counted_and_hinted(void **state)
{
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};

	(void)state;
	diag_hint(&d, "nothing to hint at");
	diag_error(&d, 3, 1, "bad %s", "thing");
	diag_hint(&d, "do %d", 7);
	diag_warn(&d, 1, 2, "SomeRule", "odd");
	assert_int_equal(d.n, 2);
	assert_int_equal(d.errors, 1);
	assert_string_equal(d.v[0].message, "bad thing");
	assert_string_equal(d.v[0].hint, "do 7");
	assert_null(d.v[1].hint);
	assert_string_equal(d.v[1].rule, "SomeRule");
	arena_release(&a);
}

static void sorting_is_by_place_and_keeps_equals(void **state)
{
	static const struct {
		unsigned line, column;
	} in[] = {{9, 1}, {2, 5}, {2, 1}, {9, 1}, {1, 7}};
	static const char *const want[] = {"4", "2", "1", "0", "3"};
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};

	(void)state;
	for (int i = 0; i < 5; i++)
		diag_error(&d, in[i].line, in[i].column, "%d", i);
	diag_sort(&d);
	for (int i = 0; i < 5; i++)
		assert_string_equal(d.v[i].message, want[i]);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_misspelling_finds_its_word),
		cmocka_unit_test(the_nearer_of_two_wins),
		cmocka_unit_test(a_very_long_word_has_no_neighbour),
		cmocka_unit_test(messages_are_counted_and_hinted),
		cmocka_unit_test(sorting_is_by_place_and_keeps_equals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
