#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/source.h"

/* All logical lines of a text, each in [], with their line numbers. */
static const char *lines(struct arena *a, struct diags *d, const char *text, size_t len)
{
	struct text out = {.arena = a};
	struct source s;
	struct line l;

	source_init(&s, a, text, len, d);
	while (source_next(&s, &l))
		text_printf(&out, "%u-%u[%s]", l.line, l.end_line, l.text);
	return text_done(&out);
}

static void lines_are_glued_and_comments_go(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"A b\nC d", "1-1[A b]2-2[C d]"},
		{"A b\r\nC d\r\n", "1-1[A b]2-2[C d]"},
		{"A b\r\r\nC", "1-1[A b]2-2[C]"},
		{"\xef\xbb\xbf"
		 "A b\n",
		 "1-1[A b]"},
		{"\n\n  \t\n   A b\n", "4-4[A b]"},
		{"# c\n  # d\nA # e\n", "3-3[A # e]"},
		{"A b \\\n  c\n", "1-2[A b   c]"},
		{"A b \\  \t\n  c\n", "1-2[A b   c]"},
		{"A b \\\r\n  c\r\n", "1-2[A b   c]"},
		{"A \\\n# c\n  # c \\\nb\n", "1-4[A b]"},
		{"A 'x\\\n# c\ny'\n", "1-3[A 'xy']"},
		{"A \\\n\n\n b\n", "1-4[A  b]"},
		{"A b\\\\\nC\n", "1-1[A b\\\\]2-2[C]"},
		{"A \\\n\\\nb\n", "1-3[A b]"},
		{"A b \\", "1-1[A b ]"},
		{"A b \\\n", "1-1[A b ]"},
		{"\\\n A b\n", "1-2[ A b]"},
		{"\\\n", ""},
		{"# c \\\nA\n", "2-2[A]"},
		{"A `\nB\n", "1-1[A `]2-2[B]"},
		{"", ""},
		{"\n# only\n", ""},
		{"# escape=`\nA `\n b\\\nC\n", "2-3[A  b\\]4-4[C]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena a = ARENA_INIT;
		struct diags d = {.arena = &a};

		assert_string_equal(lines(&a, &d, cases[i].text, strlen(cases[i].text)),
				    cases[i].want);
		assert_int_equal(d.errors, 0);
		arena_release(&a);
	}
}

static void directives_end_with_the_first_other_line(void **state)
{
	static const struct {
		const char *text, *syntax, *check;
		char escape;
		const char *error;
	} cases[] = {
		{"# syntax=docker/dockerfile:1\n", "docker/dockerfile:1", NULL, '\\',
		 NULL},
		{"#syntax = a b \r\n#escape=`\n", "a b", NULL, '`', NULL},
		{"  # ESCAPE = ` \n", NULL, NULL, '`', NULL},
		{"\xef\xbb\xbf# escape=`\n", NULL, NULL, '`', NULL},
		{"# check=skip=all;error=true\n", NULL, "skip=all;error=true", '\\',
		 NULL},
		{"\n# escape=`\n", NULL, NULL, '\\', NULL},
		{"# hello\n# escape=`\n", NULL, NULL, '\\', NULL},
		{"# other=x\n# escape=`\n", NULL, NULL, '\\', NULL},
		{"#!/usr/bin/env x\n# escape=`\n", NULL, NULL, '\\', NULL},
		{"FROM x\n# escape=`\n", NULL, NULL, '\\', NULL},
		{"# escape\n", NULL, NULL, '\\', NULL},
		{"# escape=\n", NULL, NULL, '\\', NULL},
		{"# es cape=`\n", NULL, NULL, '\\', NULL},
		{"# escape=x\n", NULL, NULL, '\\',
		 "invalid escape token 'x' does not match ` or \\"},
		{"# escape=`\n# escape=\\\n", NULL, NULL, '`',
		 "only one escape parser directive can be used"},
		{"# syntax=a\n# Syntax=b\n", "a", NULL, '\\',
		 "only one syntax parser directive can be used"},
		{"# check=skp=A\n", NULL, "skp=A", '\\', "invalid check option: skp"},
		{"# check=error=maybe\n", NULL, "error=maybe", '\\',
		 "check option error: not a boolean: maybe"},
		{"# check=skip=A;error=true;experimental=all\n", NULL,
		 "skip=A;error=true;experimental=all", '\\', NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena a = ARENA_INIT;
		struct diags d = {.arena = &a};
		struct source s;

		source_init(&s, &a, cases[i].text, strlen(cases[i].text), &d);
		assert_int_equal(s.escape, cases[i].escape);
		assert_int_equal(s.syntax != NULL, cases[i].syntax != NULL);
		if (s.syntax)
			assert_string_equal(s.syntax, cases[i].syntax);
		assert_int_equal(s.check != NULL, cases[i].check != NULL);
		if (s.check)
			assert_string_equal(s.check, cases[i].check);
		assert_int_equal(d.errors, cases[i].error != NULL);
		if (cases[i].error)
			assert_string_equal(d.v[0].message, cases[i].error);
		arena_release(&a);
	}
}

static void a_blank_line_in_a_continuation_warns_once(void **state)
{
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};

	(void)state;
	lines(&a, &d, "A \\\n\n \n b\n", 10);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.v[0].level, DIAG_WARNING);
	assert_int_equal(d.v[0].line, 2);
	assert_string_equal(d.v[0].rule, "NoEmptyContinuation");
	arena_release(&a);
}

static void a_line_may_have_65535_bytes_and_no_more(void **state)
{
	static char text[65535 + 10];

	(void)state;
	for (size_t n = 65535; n <= 65536; n++) {
		struct arena a = ARENA_INIT;
		struct diags d = {.arena = &a};

		memset(text, 'x', n);
		memcpy(text, "RUN ", 4);
		text[n] = '\n';
		lines(&a, &d, text, n + 1);
		assert_int_equal(d.errors, n > 65535);
		d.errors = 0;
		lines(&a, &d, text, n);
		assert_int_equal(d.errors, n > 65535);
		arena_release(&a);
	}
}

static void a_place_in_a_glued_line_is_found_in_the_file(void **state)
{
	static const char text[] = "\n  RUN a \\\n# c\n   b \\\nc\n";
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};
	unsigned line, column;
	struct source s;
	struct line l;

	(void)state;
	source_init(&s, &a, text, strlen(text), &d);
	assert_true(source_next(&s, &l));
	assert_string_equal(l.text, "RUN a    b c");
	line_position(&l, 0, &line, &column);
	assert_int_equal(line, 2);
	assert_int_equal(column, 3);
	line_position(&l, 4, &line, &column);
	assert_int_equal(column, 7);
	line_position(&l, 9, &line, &column);
	assert_int_equal(line, 4);
	assert_int_equal(column, 4);
	line_position(&l, 11, &line, &column);
	assert_int_equal(line, 5);
	assert_int_equal(column, 1);
	arena_release(&a);
}

static void a_heredoc_ends_at_its_word_alone(void **state)
{
	static const struct {
		const char *text;
		bool strip;
		const char *body, *rest;
	} cases[] = {
		{"a\nEOF\nX", false, "a\n", "X"},
		{"a\r\nEOF\r\nX", false, "a\r\n", "X"},
		{"EOF", false, "", NULL},
		{" EOF\nEOF \nEOF\n", false, " EOF\nEOF \n", NULL},
		{"\ta\n\t\tEOF\nX", true, "\ta\n", "X"},
		{"\tEOF\nEOF\n", false, "\tEOF\n", NULL},
		{"# c\n\nA \\\nEOF\nX", false, "# c\n\nA \\\n", "X"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena a = ARENA_INIT;
		struct diags d = {.arena = &a};
		struct heredoc h = {.name = "EOF", .strip_tabs = cases[i].strip};
		struct source s;
		struct line l;

		source_init(&s, &a, "", 0, &d);
		s.next = cases[i].text;
		s.end = s.next + strlen(s.next);
		assert_true(source_heredoc(&s, &h));
		assert_string_equal(h.body, cases[i].body);
		assert_int_equal(h.body_len, strlen(cases[i].body));
		assert_int_equal(source_next(&s, &l), cases[i].rest != NULL);
		if (cases[i].rest)
			assert_string_equal(l.text, cases[i].rest);
		arena_release(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_glued_and_comments_go),
		cmocka_unit_test(directives_end_with_the_first_other_line),
		cmocka_unit_test(a_blank_line_in_a_continuation_warns_once),
		cmocka_unit_test(a_line_may_have_65535_bytes_and_no_more),
		cmocka_unit_test(a_place_in_a_glued_line_is_found_in_the_file),
		cmocka_unit_test(a_heredoc_ends_at_its_word_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
