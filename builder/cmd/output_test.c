#include "builder/cmd/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

static const char *absent(const char *field)
{
	return !strcmp(field, "Cmd") ? "[]" : NULL;
}

static const char sample[] =
	"{\"Id\":\"sha256:1\",\"Size\":12345678901,\"Empty\":\"\",\"Cmd\":null,"
	"\"Config\":{\"Env\":[\"A=1\",\"B=2\"],\"On\":true,\"None\":[],"
	"\"Labels\":{\"b\":\"2\",\"a\":\"1 x\"},\"Ports\":{\"80/tcp\":{}}}}";

static void fields_look_as_go_prints_them(void **state)
{
	/* fmt.Print of the same Go values; map keys sorted */
	static const struct {
		const char *format, *text;
	} cases[] = {
		{"{{.Id}}", "sha256:1"},
		{"{{ .Id }}", "sha256:1"},
		{"<{{.Id}}|{{.Size}}>", "<sha256:1|12345678901>"},
		{"{{.Empty}}", ""},
		{"{{.Config.Env}}", "[A=1 B=2]"},
		{"{{.Config.None}}", "[]"},
		{"{{.Config.On}}", "true"},
		{"{{.Config.Labels}}", "map[a:1 x b:2]"},
		{"{{.Config.Labels.b}}", "2"},
		{"{{.Config.Ports}}", "map[80/tcp:{}]"},
		{"{{.Cmd}}", "[]"},
		{"a\\tb\\nc", "a\tb\nc"},
		{"}} is text", "}} is text"},
		{"", ""},
	};
	struct error err = ERROR_INIT;
	auto_json cJSON *obj = json_parse(sample, strlen(sample), "sample", &err);

	(void)state;
	assert_non_null(obj);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf out = BUF_INIT;

		assert_int_equal(format_check(cases[i].format, &err), 0);
		assert_int_equal(format_write(cases[i].format, obj, absent, &out, &err),
				 0);
		assert_string_equal(out.data, cases[i].text);
	}
}

static void other_templates_are_refused_by_name(void **state)
{
	static const char *const cases[] = {
		"{{json .}}",     "{{.}}",       "{{}}",      "{{.Id | upper}}",
		"{{range .Env}}", "{{.A..B}}",   "{{..A}}",   "{{.A.}}",
		"{{index .A 0}}", "text {{.Id}", "{{.Id\"}}", "{{-.Id}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(format_check(cases[i], &err), -1);
		assert_int_equal(err.kind, E_USAGE);
	}
}

static void an_unknown_field_is_an_error(void **state)
{
	static const char *const cases[] = {"{{.Nope}}", "{{.Id.X}}", "{{.Cmd.X}}",
					    "{{.id}}", "{{.Config.Cnv}}"};
	struct error err = ERROR_INIT;
	auto_json cJSON *obj = json_parse(sample, strlen(sample), "sample", &err);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf out = BUF_INIT;

		err = (struct error)ERROR_INIT;
		assert_int_equal(format_write(cases[i], obj, absent, &out, &err), -1);
		assert_int_equal(err.kind, E_USAGE);
	}
}

static void json_is_indented_as_docker_does(void **state)
{
	/* python3 -c 'print(json.dumps(x, indent=4))' */
	static const struct {
		const char *compact, *text;
	} cases[] = {
		{"[]", "[]"},
		{"[{}]", "[\n    {}\n]"},
		{"{\"a\":[1,2],\"b\":{\"c\":\"x:,{}[]\\\"\\\\\"},\"d\":[]}",
		 "{\n    \"a\": [\n        1,\n        2\n    ],\n    \"b\": {\n"
		 "        \"c\": \"x:,{}[]\\\"\\\\\"\n    },\n    \"d\": []\n}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf out = BUF_INIT;

		json_indent(cases[i].compact, strlen(cases[i].compact), &out);
		assert_string_equal(out.data, cases[i].text);
	}
}

static void sizes_and_ages_read_as_docker_shows_them(void **state)
{
	/* the tables of docker/go-units' tests, and its rules' edges */
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0B"},
		{999, "999B"},
		{1000, "1kB"},
		{1024, "1.02kB"},
		{999600, "1MB"},
		{187000000, "187MB"},
		{1050000000, "1.05GB"},
		{1000000000000, "1TB"},
	};
	static const struct {
		int64_t seconds;
		const char *text;
	} ages[] = {
		{-5, "Less than a second ago"},
		{0, "Less than a second ago"},
		{1, "1 second ago"},
		{45, "45 seconds ago"},
		{60, "About a minute ago"},
		{119, "About a minute ago"},
		{180, "3 minutes ago"},
		{3600, "About an hour ago"},
		{2 * 3600, "2 hours ago"},
		{47 * 3600, "47 hours ago"},
		{48 * 3600, "2 days ago"},
		{13 * 86400, "13 days ago"},
		{14 * 86400, "2 weeks ago"},
		{60 * 86400, "2 months ago"},
		{729 * 86400, "24 months ago"},
		{3 * 365 * 86400, "3 years ago"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		auto_free char *text = human_size(sizes[i].bytes);

		assert_string_equal(text, sizes[i].text);
	}
	for (size_t i = 0; i < sizeof(ages) / sizeof(*ages); i++) {
		auto_free char *text = human_age(ages[i].seconds);

		assert_string_equal(text, ages[i].text);
	}
}

static void table_columns_are_aligned(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	struct table t = {.columns = 3};
	static const char *const cells[] = {"NAME",         "ID", "SIZE",      "a",
					    "123456789012", "1B", "a/bcdefgh", "1",
					    "20MB"};

	(void)state;
	for (size_t i = 0; i < 9; i++)
		strv_add(&t.cells, cells[i]);
	table_write(&t, &out);
	assert_string_equal(out.data, "NAME        ID             SIZE\n"
				      "a           123456789012   1B\n"
				      "a/bcdefgh   1              20MB\n");
	strv_release(&t.cells);
}

static void a_result_file_is_replaced_as_a_whole(void **state)
{
	char dir[] = "/tmp/hod-output.XXXXXX";
	auto_buf struct buf got = BUF_INIT;
	struct error err = ERROR_INIT;
	auto_free char *path = NULL, *below = NULL;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/id", dir);
	below = xasprintf("%s/no/id", dir);
	assert_int_equal(result_file_write(path, "old", 3, &err), 0);
	assert_int_equal(result_file_prepare(path, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	umask(027);
	assert_int_equal(result_file_write(path, "new", 3, &err), 0);
	umask(022);
	assert_int_equal(file_read(AT_FDCWD, path, 10, &got, &err), 0);
	assert_string_equal(got.data, "new");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);

	assert_int_equal(result_file_prepare(below, &err), -1);
	assert_int_equal(err.kind, E_USAGE);
	assert_int_equal(result_file_prepare(dir, &err), -1);
	assert_int_equal(result_file_prepare(NULL, &err), 0);
	assert_int_equal(result_file_write(NULL, "x", 1, &err), 0);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(result_file_prepare(path, &err), 0);
	assert_int_equal(result_file_write(path, "x", 1, &err), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* and nothing else is in it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_look_as_go_prints_them),
		cmocka_unit_test(other_templates_are_refused_by_name),
		cmocka_unit_test(an_unknown_field_is_an_error),
		cmocka_unit_test(json_is_indented_as_docker_does),
		cmocka_unit_test(sizes_and_ages_read_as_docker_shows_them),
		cmocka_unit_test(table_columns_are_aligned),
		cmocka_unit_test(a_result_file_is_replaced_as_a_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
