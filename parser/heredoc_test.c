#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/heredoc.h"

static const char *show(struct arena *a, const char *line)
{
	struct heredocs found = {0};
	struct text t = {.arena = a};
	const char *why = heredocs_find(a, line, strlen(line), &found);

	if (why)
		return "error";
	for (size_t i = 0; i < found.n; i++)
		text_printf(&t, "[%s%s%s%s]", found.v[i].name,
			    found.v[i].expand ? " x" : "",
			    found.v[i].strip_tabs ? " t" : "",
			    found.v[i].fd ? arena_printf(a, "%u", found.v[i].fd) : "");
	return text_done(&t);
}

/* x: expanded, t: tabs stripped (5.1, 5.2) */
static void words_that_open_heredocs_are_found(void **state)
{
	static const struct {
		const char *line, *want;
	} cases[] = {
		{"RUN <<EOF", "[EOF x]"},
		{"RUN <<-EOF", "[EOF x t]"},
		{"RUN << EOF", "[EOF x]"},
		{"RUN 3<<EOF", "[EOF x3]"},
		{"COPY <<a <<b /x", "[a x][b x]"},
		{"RUN cat <<\"EOF\" >x", "[EOF]"},
		{"RUN <<'EOF'", "[EOF]"},
		{"RUN <<E\"O\"F", "[EOF]"},
		{"RUN <<'one two'", "[one two]"},
		{"RUN <<eo\\'f", "[eo'f x]"},
		{"RUN <<e\\of", "[eof x]"},
		{"RUN <<$EOF", "[$EOF x]"},
		{"RUN <<${EOF}", "[${EOF} x]"},
		{"RUN echo '<<EOF'", ""},
		{"RUN echo \"<<EOF\"", ""},
		{"RUN a <<<EOF", ""},
		{"RUN a<<EOF", ""},
		{"RUN echo $((1<<3))", ""},
		{"RUN \\<<EOF", ""},
		{"RUN echo \"x <<EOF", ""},
		{"RUN <<", ""},
		{"RUN a < b", ""},
		{"RUN x", ""},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(show(&a, cases[i].line), cases[i].want);
	arena_release(&a);
}

static void tabs_are_stripped_from_every_line(void **state)
{
	static const char body[] = "\t\ta\tb\n c\n\t\n\t \td\r\n";
	struct arena a = ARENA_INIT;
	size_t len = strlen(body);

	(void)state;
	assert_string_equal(heredoc_strip_tabs(&a, body, &len), "a\tb\n c\n\n \td\r\n");
	assert_int_equal(len, 13);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_open_heredocs_are_found),
		cmocka_unit_test(tabs_are_stripped_from_every_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
