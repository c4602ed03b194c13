#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/manifest.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BARE "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}"

static int parse(struct image_config *c, const char *text, struct error *err)
{
	return image_config_parse(c, text, strlen(text), err);
}

static void rewritten_is(const char *text, const char *want)
{
	auto_image_config struct image_config c = IMAGE_CONFIG_INIT,
					      copy = IMAGE_CONFIG_INIT;
	auto_buf struct buf out = BUF_INIT;

	assert_int_equal(parse(&c, text, NULL), 0);
	image_config_copy(&copy, &c);
	image_config_write(&copy, &out);
	assert_string_equal(out.data, want);
}

static void every_field_is_written_in_its_place(void **state)
{
	/* hod-layers(5), JSON: the order of the text there */
	static const char want[] =
		"{\"created\":\"2023-01-02T03:04:05Z\",\"author\":\"me\","
		"\"architecture\":\"arm\","
		"\"os\":\"linux\",\"os.version\":\"1\",\"os.features\":[\"f\",\"e\"],"
		"\"variant\":\"v7\",\"config\":{\"User\":\"1000:1000\","
		"\"ExposedPorts\":{\"443/tcp\":{},\"80/tcp\":{}},"
		"\"Env\":[\"PATH=/bin\",\"A=b=c\",\"PATH=/x\"],\"Entrypoint\":[\"/"
		"e\",\"\"],"
		"\"Cmd\":[\"c\"],\"Volumes\":{\"/a\":{},\"/b\":{}},\"WorkingDir\":\"/w\","
		"\"Labels\":{\"a\":\"1\",\"a.b\":\"\",\"b\":\"x=\\\"y\\\"\\n\\u001f\"},"
		"\"StopSignal\":\"SIGINT\",\"Healthcheck\":{\"Test\":[\"CMD\",\"t\"],"
		"\"Interval\":30000000000,\"Timeout\":1000000,\"StartPeriod\":2000000,"
		"\"StartInterval\":3000000,\"Retries\":3},\"Shell\":[\"/bin/"
		"bash\",\"-c\"],"
		"\"OnBuild\":[\"RUN x\"],\"ArgsEscaped\":true},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX_A
		"\",\"sha256:" HEX_B "\"]},\"history\":[{\"created\":\"t\",\"created_"
		"by\":\"b\",\"author\":\"a\","
		"\"comment\":\"c\",\"empty_layer\":true},{},{\"created_by\":\"x\"}]}";
	static const char given[] =
		"{\"history\":[{\"empty_layer\":true,\"comment\":\"c\",\"author\":\"a\","
		"\"created_by\":\"b\",\"created\":\"t\"},null,{\"created_by\":\"x\","
		"\"empty_layer\":false}],\"rootfs\":{\"diff_ids\":[\"sha256:" HEX_A
		"\",\"sha256:" HEX_B "\"],\"type\":\"layers\"},"
		"\"config\":{\"ArgsEscaped\":true,\"OnBuild\":[\"RUN x\"],"
		"\"Shell\":[\"/bin/bash\",\"-c\"],\"Healthcheck\":{\"Retries\":3,"
		"\"StartInterval\":3000000,\"StartPeriod\":2000000,\"Timeout\":1000000,"
		"\"Interval\":30000000000,\"Test\":[\"CMD\",\"t\"]},\"StopSignal\":"
		"\"SIGINT\","
		"\"Labels\":{\"b\":\"x=\\\"y\\\"\\n\\u001f\",\"a.b\":\"\",\"a\":\"1\"},"
		"\"WorkingDir\":\"/w\",\"Volumes\":{\"/b\":{},\"/"
		"a\":null},\"Cmd\":[\"c\"],"
		"\"Entrypoint\":[\"/e\",\"\"],\"Env\":[\"PATH=/bin\",\"A=b=c\",\"PATH=/"
		"x\"],"
		"\"ExposedPorts\":{\"80/tcp\":{},\"443/tcp\":{},\"80/tcp\":{}},"
		"\"User\":\"1000:1000\",\"Hostname\":\"h\",\"AttachStdin\":false},"
		"\"variant\":\"v7\",\"os.features\":[\"f\",\"e\"],\"os.version\":\"1\","
		"\"os\":\"linux\",\"architecture\":\"arm\",\"author\":\"me\","
		"\"created\":\"2023-01-02T03:04:05Z\",\"moby.buildkit.buildinfo.v1\":"
		"\"e30=\"}";

	(void)state;
	rewritten_is(given, want);
	rewritten_is(want, want);
}

static void what_is_empty_is_absent_but_an_empty_cmd_stays(void **state)
{
	static const struct {
		const char *given, *want;
	} t[] = {
		{"{}", "{" BARE "}"},
		{"{\"config\":{},\"history\":[]}", "{" BARE "}"},
		{"{\"config\":{\"Cmd\":[]}}", "{\"config\":{\"Cmd\":[]}," BARE "}"},
		{"{\"config\":{\"Cmd\":null}}", "{" BARE "}"},
		{"{\"config\":{\"Entrypoint\":[]}}", "{" BARE "}"},
		{"{\"author\":\"\",\"os\":\"linux\"}", "{\"os\":\"linux\"," BARE "}"},
		{"{\"config\":{\"User\":\"\",\"Env\":[],\"Labels\":{},\"Volumes\":{},"
		 "\"ExposedPorts\":{},\"Shell\":[],\"OnBuild\":[],\"ArgsEscaped\":false}"
		 "}",
		 "{" BARE "}"},
		{"{\"config\":{\"Healthcheck\":{}}}",
		 "{\"config\":{\"Healthcheck\":{}}," BARE "}"},
		{"{\"config\":{\"Healthcheck\":{\"Test\":[\"NONE\"],\"Retries\":0}}}",
		 "{\"config\":{\"Healthcheck\":{\"Test\":[\"NONE\"]}}," BARE "}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		rewritten_is(t[i].given, t[i].want);
}

static void any_field_may_be_null(void **state)
{
	/* as AWS's base images have been seen: null history, null labels */
	static const char text[] =
		"{\"created\":null,\"author\":null,\"architecture\":\"amd64\",\"os\":"
		"\"linux\","
		"\"os.version\":null,\"os.features\":null,\"variant\":null,"
		"\"config\":{\"User\":null,\"ExposedPorts\":null,\"Env\":null,"
		"\"Entrypoint\":null,"
		"\"Cmd\":null,\"Volumes\":null,\"WorkingDir\":null,\"Labels\":null,"
		"\"StopSignal\":null,\"Healthcheck\":null,\"Shell\":null,\"OnBuild\":"
		"null,"
		"\"ArgsEscaped\":null},\"rootfs\":{\"type\":null,\"diff_ids\":null},"
		"\"history\":null,\"container_config\":null}";

	(void)state;
	rewritten_is(text, "{\"architecture\":\"amd64\",\"os\":\"linux\"," BARE "}");
	rewritten_is("{\"config\":null,\"rootfs\":null,\"history\":null}", "{" BARE "}");
}

static void history_that_does_not_fit_is_no_failure(void **state)
{
	auto_image_config struct image_config c = IMAGE_CONFIG_INIT;

	(void)state;
	assert_int_equal(
		parse(&c,
		      "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX_A
		      "\"]},\"history\":[{},{},{\"empty_layer\":true}]}",
		      NULL),
		0);
	assert_int_equal(c.ndiff_ids, 1);
	assert_int_equal(c.nhistory, 3);
	assert_true(c.history[2].empty_layer);
}

static void an_unreadable_time_is_as_good_as_none(void **state)
{
	struct image_config c = IMAGE_CONFIG_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(parse(&c, "{\"created\":{},\"os\":\"linux\"}", &err), 0);
	assert_null(c.created);
	assert_string_equal(c.os, "linux");
	image_config_release(&c);
}

static void wrong_types_are_refused_with_the_field(void **state)
{
	static const struct {
		const char *text, *says;
	} t[] = {
		{"", "malformed"},
		{"7", "no JSON object"},
		{"{\"os\":1}", "os"},
		{"{\"os.features\":\"x\"}", "os.features"},
		{"{\"config\":[]}", "config"},
		{"{\"config\":{\"Env\":{}}}", "Env"},
		{"{\"config\":{\"Env\":[1]}}", "Env"},
		{"{\"config\":{\"Cmd\":\"sh\"}}", "Cmd"},
		{"{\"config\":{\"Labels\":[]}}", "Labels"},
		{"{\"config\":{\"Labels\":{\"k\":{}}}}", "k is no string"},
		{"{\"config\":{\"ExposedPorts\":{\"80\":1}}}", "80"},
		{"{\"config\":{\"Healthcheck\":{\"Interval\":\"5s\"}}}", "Interval"},
		{"{\"config\":{\"Healthcheck\":{\"Interval\":1e30}}}", "Interval"},
		{"{\"config\":{\"ArgsEscaped\":1}}", "ArgsEscaped"},
		{"{\"rootfs\":[]}", "rootfs"},
		{"{\"rootfs\":{\"type\":\"layers+base\"}}", "layers+base"},
		{"{\"rootfs\":{\"diff_ids\":{}}}", "diff_ids"},
		{"{\"rootfs\":{\"diff_ids\":[null]}}", "diff_id 0"},
		{"{\"rootfs\":{\"diff_ids\":[\"sha256:" HEX_A "\",\"sha256:" HEX_A
		 "0\"]}}",
		 "diff_id 1"},
		{"{\"rootfs\":{\"diff_ids\":"
		 "[\"sha256:"
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]}}",
		 "diff_id 0"},
		{"{\"history\":{}}", "history"},
		{"{\"history\":[{},1]}", "history 1"},
		{"{\"history\":[{\"empty_layer\":\"yes\"}]}", "empty_layer"},
		{"{\"os\":\"a\\u0000b\"}", "NUL"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct image_config c = IMAGE_CONFIG_INIT;
		struct error err = ERROR_INIT;

		assert_int_equal(parse(&c, t[i].text, &err), -1);
		assert_int_equal(err.kind, E_CORRUPT);
		assert_non_null(strstr(err.msg, t[i].says));
		assert_null(c.diff_ids);
		assert_null(c.history);
	}
}

static void counts_and_sizes_are_bounded(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct image_config c = IMAGE_CONFIG_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	buf_adds(&b, "{\"rootfs\":{\"diff_ids\":[");
	for (int i = 0; i <= MANIFEST_MAX_LAYERS; i++)
		buf_addf(&b, "%s\"sha256:" HEX_A "\"", i ? "," : "");
	buf_adds(&b, "]}}");
	assert_int_equal(image_config_parse(&c, b.data, b.len, &err), -1);
	assert_non_null(strstr(err.msg, "1001 diff_ids"));

	buf_reset(&b);
	buf_adds(&b, "{}");
	while (b.len <= CONFIG_MAX_BYTES)
		buf_addc(&b, ' ');
	assert_int_equal(image_config_parse(&c, b.data, b.len, &err), -1);
	assert_non_null(strstr(err.msg, "larger"));

	/* many labels: linear */
	buf_reset(&b);
	buf_adds(&b, "{\"config\":{\"Labels\":{");
	for (int i = 0; i < 200000; i++)
		buf_addf(&b, "%s\"label%d\":\"\"", i ? "," : "", i);
	buf_adds(&b, "}}}");
	assert_int_equal(image_config_parse(&c, b.data, b.len, &err), 0);
	assert_int_equal(c.labels.n, 200000);
	image_config_release(&c);
}

static void what_is_added_is_written(void **state)
{
	auto_image_config struct image_config c = IMAGE_CONFIG_INIT;
	auto_buf struct buf out = BUF_INIT;
	struct digest d;

	(void)state;
	assert_true(digest_parse_hex(&d, HEX_B, 64));
	image_config_add_diff_id(&c, &d);
	image_config_add_history(&c, "1980-01-01T00:00:00Z", "COPY a b # \xff buildkit",
				 false);
	image_config_add_history(&c, NULL, "CMD [\"x\"]", true);
	strv_set(&c.labels, "k", "2");
	strv_set(&c.labels, "k", "3");
	strv_add(&c.labels, "j=1");
	strv_add(&c.labels, "j=2");
	image_config_write(&c, &out);
	assert_string_equal(
		out.data, "{\"config\":{\"Labels\":{\"j\":\"2\",\"k\":\"3\"}},"
			  "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX_B
			  "\"]},\"history\":[{\"created\":\"1980-01-01T00:00:00Z\","
			  "\"created_by\":\"COPY a b # \xef\xbf\xbd buildkit\"},"
			  "{\"created_by\":\"CMD [\\\"x\\\"]\",\"empty_layer\":true}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_written_in_its_place),
		cmocka_unit_test(what_is_empty_is_absent_but_an_empty_cmd_stays),
		cmocka_unit_test(any_field_may_be_null),
		cmocka_unit_test(history_that_does_not_fit_is_no_failure),
		cmocka_unit_test(an_unreadable_time_is_as_good_as_none),
		cmocka_unit_test(wrong_types_are_refused_with_the_field),
		cmocka_unit_test(counts_and_sizes_are_bounded),
		cmocka_unit_test(what_is_added_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
