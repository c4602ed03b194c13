#include "builder/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "registry/base/error.h"

#define MAX_ARGS 8

/* A command's table and a global one over plain values. */
struct fixture {
	bool quiet, force, debug;
	const char *file, *root;
	struct strv tags, operands;
	struct option own[5], global[2];
	struct option_table tables[2];
	struct error err;
};

static void set_up(struct fixture *f)
{
	const struct option own[] = {
		{"quiet", 'q', OPTION_BOOL, &f->quiet, NULL, "print only the id"},
		{"force", 'F', OPTION_BOOL, &f->force, NULL, "go on"},
		{"file", 'f', OPTION_STRING, &f->file, "FILE", "name of the Dockerfile"},
		{"tag", 't', OPTION_LIST, &f->tags, "NAME[:TAG]", "name the image"},
		{"a-name-that-is-longer-than-others", 0, OPTION_STRING, &f->root, "VALUE",
		 "has a line of its own"},
	};
	const struct option global[] = {
		{"debug", 0, OPTION_BOOL, &f->debug, NULL, "say more"},
		{"root", 0, OPTION_STRING, &f->root, "DIR", "where images are"},
	};

	memset(f, 0, sizeof(*f));
	memcpy(f->own, own, sizeof(own));
	memcpy(f->global, global, sizeof(global));
	f->tables[0] = (struct option_table){f->own, 5};
	f->tables[1] = (struct option_table){f->global, 2};
}

static void tear_down(struct fixture *f)
{
	strv_release(&f->tags);
	strv_release(&f->operands);
}

static int parse(struct fixture *f, const char *const *args)
{
	char *argv[MAX_ARGS + 2] = {(char[]){"verb"}};
	int argc = 1;

	for (; *args; args++)
		argv[argc++] = (char *)(uintptr_t)*args;
	return options_parse(f->tables, 2, argc, argv, &f->operands, &f->err);
}

/* a|b of a list, "" when empty. */
static void assert_list(const struct strv *list, const char *expected)
{
	auto_buf struct buf b = BUF_INIT;

	for (size_t i = 0; i < list->n; i++)
		buf_addf(&b, "%s%s", i ? "|" : "", list->v[i]);
	assert_string_equal(b.data, expected);
}

static void options_are_written_as_docker_allows(void **state)
{
	static const struct {
		const char *args[MAX_ARGS];
		bool quiet, force, debug;
		const char *file, *root, *tags, *operands;
	} cases[] = {
		{{NULL}, false, false, false, NULL, NULL, "", ""},
		{{"--file", "x", "."}, false, false, false, "x", NULL, "", "."},
		{{"--file=x", "."}, false, false, false, "x", NULL, "", "."},
		{{"--file="}, false, false, false, "", NULL, "", ""},
		{{"--file=a=b"}, false, false, false, "a=b", NULL, "", ""},
		{{"-f", "x"}, false, false, false, "x", NULL, "", ""},
		{{"-fx"}, false, false, false, "x", NULL, "", ""},
		{{"-f=x"}, false, false, false, "x", NULL, "", ""},
		{{"-f="}, false, false, false, "", NULL, "", ""},
		{{"-f", "-"}, false, false, false, "-", NULL, "", ""},
		{{"-f", "--quiet"}, false, false, false, "--quiet", NULL, "", ""},
		{{"-f", "a", "-f", "b"}, false, false, false, "b", NULL, "", ""},
		{{"-qf", "x", "y"}, true, false, false, "x", NULL, "", "y"},
		{{"-qFfx"}, true, true, false, "x", NULL, "", ""},
		{{"-q=false", "-F=true"}, false, true, false, NULL, NULL, "", ""},
		{{"-qF=false"}, true, false, false, NULL, NULL, "", ""},
		{{"--quiet", "false"}, true, false, false, NULL, NULL, "", "false"},
		{{"--quiet=true"}, true, false, false, NULL, NULL, "", ""},
		{{"--quiet", "--quiet=false"}, false, false, false, NULL, NULL, "", ""},
		{{"-t", "a", ".", "--tag=b", "-tc"},
		 false,
		 false,
		 false,
		 NULL,
		 NULL,
		 "a|b|c",
		 "."},
		{{"--debug", "--root", "/r", "x"},
		 false,
		 false,
		 true,
		 NULL,
		 "/r",
		 "",
		 "x"},
		{{"a", "-", "b"}, false, false, false, NULL, NULL, "", "a|-|b"},
		{{"--", "-q", "--"}, false, false, false, NULL, NULL, "", "-q|--"},
		{{"-q", "--", "--file"}, true, false, false, NULL, NULL, "", "--file"},
		{{"", "-q"}, true, false, false, NULL, NULL, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fixture f;

		set_up(&f);
		assert_int_equal(parse(&f, cases[i].args), 0);
		assert_int_equal(f.err.kind, E_NONE);
		assert_int_equal(f.quiet, cases[i].quiet);
		assert_int_equal(f.force, cases[i].force);
		assert_int_equal(f.debug, cases[i].debug);
		if (cases[i].file)
			assert_string_equal(f.file, cases[i].file);
		else
			assert_null(f.file);
		if (cases[i].root)
			assert_string_equal(f.root, cases[i].root);
		else
			assert_null(f.root);
		assert_list(&f.tags, cases[i].tags);
		assert_list(&f.operands, cases[i].operands);
		tear_down(&f);
	}
}

static void wrong_options_are_usage_errors_that_help(void **state)
{
	static const struct {
		const char *args[MAX_ARGS];
		const char *message, *hint;
	} cases[] = {
		{{"--fil", "x"}, "unknown option --fil", "did you mean --file?"},
		{{"--files=x"}, "unknown option --files", "did you mean --file?"},
		{{"--rot", "x"}, "unknown option --rot", "did you mean --root?"},
		{{"--xyzzyx"}, "unknown option --xyzzyx", ""},
		{{"--=x"}, "unknown option --", ""},
		{{"-x"}, "unknown option -x", ""},
		{{"-qx"}, "unknown option -x", ""},
		{{"--file"}, "option --file needs a value", "write --file FILE"},
		{{"-qt"}, "option --tag needs a value", "write --tag NAME[:TAG]"},
		{{"--quiet=maybe"}, "--quiet takes true or false, not \"maybe\"", ""},
		{{"-q="}, "--quiet takes true or false, not \"\"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fixture f;

		set_up(&f);
		assert_int_equal(parse(&f, cases[i].args), -1);
		assert_int_equal(f.err.kind, E_USAGE);
		assert_string_equal(f.err.msg, cases[i].message);
		assert_string_equal(f.err.hint, cases[i].hint);
		tear_down(&f);
	}
}

static void leading_options_end_at_the_first_operand(void **state)
{
	static const struct {
		const char *args[MAX_ARGS];
		int next;
		bool debug;
	} cases[] = {
		{{NULL}, 1, false},
		{{"build", "--debug"}, 1, false},
		{{"--debug", "build", "--unknown"}, 2, true},
		{{"--root", "build", "pull"}, 3, false},
		{{"--debug", "--", "--x"}, 3, true},
		{{"--debug"}, 2, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *argv[MAX_ARGS + 2] = {(char[]){"hod"}};
		struct fixture f;
		int argc = 1, next = 0;

		set_up(&f);
		for (const char *const *a = cases[i].args; *a; a++)
			argv[argc++] = (char *)(uintptr_t)*a;
		assert_int_equal(
			options_parse_leading(f.tables, 2, argc, argv, &next, &f.err), 0);
		assert_int_equal(next, cases[i].next);
		assert_int_equal(f.debug, cases[i].debug);
		tear_down(&f);
	}
}

static void usage_aligns_the_help_of_all_options(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	struct fixture f;

	(void)state;
	set_up(&f);
	options_usage(&f.tables[0], &out);
	assert_string_equal(out.data, "  -q, --quiet            print only the id\n"
				      "  -F, --force            go on\n"
				      "  -f, --file FILE        name of the Dockerfile\n"
				      "  -t, --tag NAME[:TAG]   name the image\n"
				      "      --a-name-that-is-longer-than-others VALUE\n"
				      "                         has a line of its own\n");
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_written_as_docker_allows),
		cmocka_unit_test(wrong_options_are_usage_errors_that_help),
		cmocka_unit_test(leading_options_end_at_the_first_operand),
		cmocka_unit_test(usage_aligns_the_help_of_all_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
