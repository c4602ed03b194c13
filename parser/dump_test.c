#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "parser/dump.h"

#define FOLDER "testdata/parser"

static char *read_file(struct arena *a, const char *name, size_t *len)
{
	FILE *f = fopen(name, "rbe");
	struct text t = {.arena = a};
	char buf[4096];
	size_t n;

	if (!f)
		fail_msg("cannot read %s (run the test from the top folder)", name);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		text_add(&t, buf, n);
	fclose(f);
	*len = t.len;
	return text_done(&t);
}

static void check_folder(const char *name)
{
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};
	size_t len, want_len;
	char *text = read_file(&a, arena_printf(&a, FOLDER "/%s/Dockerfile", name), &len);
	char *want =
		read_file(&a, arena_printf(&a, FOLDER "/%s/result", name), &want_len);
	char *got = dockerfile_dump_sexp(&a, dockerfile_parse(&a, text, len, &d));

	if (strcmp(got, want) != 0)
		fail_msg("%s gives\n%s, not\n%s", name, got, want);
	arena_release(&a);
}

static void every_folder_gives_its_result(void **state)
{
	DIR *dir = opendir(FOLDER);
	struct dirent *e;
	int n = 0;

	(void)state;
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		check_folder(e->d_name);
		n++;
	}
	closedir(dir);
	assert_true(n >= 12);
}

static void json_has_all_that_was_parsed(void **state)
{
	static const char text[] =
		"# syntax=s\n# escape=`\nARG a=\"1\" b\nFROM --platform=p x AS N\n"
		"ONBUILD RUN <<-E\n\tq\"\xff\n\tE\nFOO\n";
	static const char want[] =
		"{\"syntax\": \"s\", \"check\": null, \"escape\": \"`\",\n"
		" \"global\": [\n"
		"  {\"instruction\": \"ARG\", \"line\": 3, \"endLine\": 3, \"column\": "
		"1, "
		"\"source\": \"ARG a=\\\"1\\\" b\", \"flags\": [], \"json\": false, "
		"\"args\": [\"a=\\\"1\\\"\", \"b\"], "
		"\"pairs\": [{\"key\": \"a\", \"value\": \"\\\"1\\\"\"}, "
		"{\"key\": \"b\", \"value\": null}], \"heredocs\": [], \"trigger\": "
		"null}],\n"
		" \"stages\": [\n"
		"  {\"name\": \"n\", \"base\": \"x\", \"platform\": \"p\", \"line\": 4,\n"
		"   \"instructions\": [\n"
		"    {\"instruction\": \"FROM\", \"line\": 4, \"endLine\": 4, "
		"\"column\": 1, "
		"\"source\": \"FROM --platform=p x AS N\", "
		"\"flags\": [{\"name\": \"platform\", \"value\": \"p\"}], \"json\": "
		"false, "
		"\"args\": [\"x\", \"AS\", \"N\"], \"pairs\": [], \"heredocs\": [], "
		"\"trigger\": null},\n"
		"    {\"instruction\": \"ONBUILD\", \"line\": 5, \"endLine\": 7, "
		"\"column\": 1, "
		"\"source\": \"ONBUILD RUN <<-E\", \"flags\": [], \"json\": false, "
		"\"args\": [], "
		"\"pairs\": [], \"heredocs\": [{\"name\": \"E\", \"expand\": true, "
		"\"stripTabs\": true, \"line\": 6, \"body\": "
		"\"\\tq\\\"\xef\xbf\xbd\\n\"}], "
		"\"trigger\": {\"instruction\": \"RUN\", \"line\": 5, \"endLine\": 7, "
		"\"column\": 9, \"source\": \"RUN <<-E\", \"flags\": [], \"json\": "
		"false, "
		"\"args\": [\"<<-E\"], \"pairs\": [], \"heredocs\": [{\"name\": \"E\", "
		"\"expand\": true, \"stripTabs\": true, \"line\": 6, "
		"\"body\": \"\\tq\\\"\xef\xbf\xbd\\n\"}], \"trigger\": null}},\n"
		"    {\"instruction\": null, \"line\": 8, \"endLine\": 8, \"column\": 1, "
		"\"source\": \"FOO\", \"flags\": [], \"json\": false, \"args\": [], "
		"\"pairs\": [], \"heredocs\": [], \"trigger\": null}]}]}\n";
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};

	(void)state;
	assert_string_equal(
		dockerfile_dump_json(&a, dockerfile_parse(&a, text, strlen(text), &d)),
		want);
	arena_release(&a);
}

static void a_long_chain_of_onbuilds_is_not_followed(void **state)
{
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};
	struct text t = {.arena = &a};

	(void)state;
	text_str(&t, "FROM x\n");
	for (int i = 0; i < 8000; i++)
		text_str(&t, "ONBUILD ");
	assert_string_equal(
		dockerfile_dump_sexp(&a, dockerfile_parse(&a, t.s, t.len, &d)),
		"(from \"x\")\n(onbuild (onbuild))\n");
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_folder_gives_its_result),
		cmocka_unit_test(json_has_all_that_was_parsed),
		cmocka_unit_test(a_long_chain_of_onbuilds_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
