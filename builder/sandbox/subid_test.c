#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "builder/sandbox/subid.h"
#include "registry/base/buf.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* "INSIDE:OUTSIDE:COUNT " of each. */
static void assert_ranges(const struct id_ranges *r, const char *want)
{
	auto_buf struct buf text = BUF_INIT;

	for (size_t i = 0; i < r->n; i++)
		buf_addf(&text, "%s%u:%u:%u", i ? " " : "", r->v[i].inside,
			 r->v[i].outside, r->v[i].count);
	assert_string_equal(text.data, want);
}

static void lines_of_the_user_count_by_name_and_by_number(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"ann:100000:65536\n", "0:100000:65536"},
		{"ann:100000:65536", "0:100000:65536"},
		{"1000:5:7\n", "0:5:7"},
		{"bob:1:2\nann:3:4\n1000:5:6\n10001:7:8\nann:9:10\n",
		 "0:3:4 0:5:6 0:9:10"},
		{"anna:1:2\nan:1:2\n100:1:2\n01000:1:2\n", ""},
		{"ann:0:1\n", "0:0:1"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct id_ranges r = {0};

		subid_parse(cases[i].text, strlen(cases[i].text), "ann", 1000, &r);
		assert_ranges(&r, cases[i].want);
		id_ranges_release(&r);
	}
}

static void lines_that_are_anything_else_are_skipped(void **state)
{
	static const char *const lines[] = {
		"ann",
		"ann:",
		"ann:1",
		"ann:1:",
		"ann::1",
		"ann:1:2:3",
		"ann:1:0",
		"ann:-1:2",
		"ann:+1:2",
		"ann: 1:2",
		"ann:1:2 ",
		"ann:1:2\r",
		"ann:0x10:2",
		"ann:010:2",
		"ann:1:02",
		"#ann:1:2",
		" ann:1:2",
		"ann:4294967295:1",
		"ann:4294967296:1",
		"ann:99999999999:1",
		"ann:1:4294967295",
		"ann:4294967294:2",
		"ann:1:99999999999",
		":1:2",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		auto_buf struct buf text = BUF_INIT;
		struct id_ranges r = {0};

		buf_addf(&text, "%s\nann:77:88\n", lines[i]);
		subid_parse(text.data, text.len, "ann", 1000, &r);
		assert_ranges(&r, "0:77:88");
		id_ranges_release(&r);
	}
}

static void a_user_without_a_name_is_found_by_number_only(void **state)
{
	static const char text[] = ":1:2\n(null):3:4\n1000:5:6\n";
	struct id_ranges r = {0};

	(void)state;
	subid_parse(text, strlen(text), NULL, 1000, &r);
	assert_ranges(&r, "0:5:6");
	id_ranges_release(&r);
}

static void bytes_that_are_no_text_do_no_harm(void **state)
{
	static const char text[] = "\0\0:::\n\xff\xfe:1:2\nann\0:1:2\nann:1\0:2\nann:7:8";
	struct id_ranges r = {0};

	(void)state;
	subid_parse(text, sizeof(text) - 1, "ann", 1000, &r);
	assert_ranges(&r, "0:7:8");
	id_ranges_release(&r);
}

/* The kernel refuses a map in which an id is twice. */
static void a_map_has_each_id_once(void **state)
{
	static const struct {
		uint32_t own;
		const char *text, *want;
	} cases[] = {
		{1000, "u:100000:65536\n", "0:1000:1 1:100000:65536"},
		{1000, "u:10:5\nu:20:5\n", "0:1000:1 1:10:5 6:20:5"},
		/* the second range comes first when it stands first */
		{1000, "u:20:5\nu:10:5\n", "0:1000:1 1:20:5 6:10:5"},
		/* the own id within a range, at its start, at its end, alone */
		{1000, "u:999:3\n", "0:1000:1 1:999:1 2:1001:1"},
		{1000, "u:1000:3\n", "0:1000:1 1:1001:2"},
		{1000, "u:998:3\n", "0:1000:1 1:998:2"},
		{1000, "u:1000:1\n", "0:1000:1"},
		/* ranges that overlap: twice the same, shifted, one within the other */
		{1000, "u:10:5\nu:10:5\n", "0:1000:1 1:10:5"},
		{1000, "u:10:5\nu:12:5\n", "0:1000:1 1:10:5 6:15:2"},
		{1000, "u:12:5\nu:10:5\n", "0:1000:1 1:12:5 6:10:2"},
		{1000, "u:12:2\nu:10:6\n", "0:1000:1 1:12:2 3:10:2 5:14:2"},
		/* all ids that there are */
		{5, "u:0:4294967295\n", "0:5:1 1:0:5 6:6:4294967289"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct id_ranges found = {0}, map = {0};

		subid_parse(cases[i].text, strlen(cases[i].text), "u", 1000, &found);
		subid_map(cases[i].own, &found, &map);
		assert_ranges(&map, cases[i].want);
		id_ranges_release(&found);
		id_ranges_release(&map);
	}
}

/* user_namespaces(7): 340 lines, and the write is smaller than a page. */
static void a_map_is_no_longer_than_the_kernel_takes(void **state)
{
	static const uint32_t first[] = {10, 3000000000};

	(void)state;
	for (size_t i = 0; i < COUNT(first); i++) {
		auto_buf struct buf text = BUF_INIT;
		struct id_ranges found = {0}, map = {0};

		for (uint32_t id = 0; id < 1000; id++)
			id_ranges_add(&found, 0, first[i] + 2 * id, 1);
		subid_map(7, &found, &map);
		for (size_t k = 0; k < map.n; k++)
			buf_addf(&text, "%u %u %u\n", map.v[k].inside, map.v[k].outside,
				 map.v[k].count);
		assert_true(map.n <= 340);
		assert_true(text.len < 4096);
		assert_true(map.n > 200);
		id_ranges_release(&found);
		id_ranges_release(&map);
	}
}

static void advice_names_ids_that_are_nobodys(void **state)
{
	static const struct {
		const char *text;
		uint32_t want;
	} cases[] = {
		{"", 100000},
		{"a:1000:10\n", 100000},
		{"a:100000:65536\n", 165536},
		{"a:165536:65536\nb:100000:65536\nrubbish\n", 231072},
		{"a:4294900000:65536\n", 100000},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(
			subid_free(cases[i].text, strlen(cases[i].text), SUBID_FIRST),
			cases[i].want);
}

static void a_missing_file_has_no_ranges(void **state)
{
	struct id_ranges r = {0};

	(void)state;
	assert_int_equal(subid_read("/nonexistent/subuid", "ann", 1000, &r, NULL), 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(subid_read("/proc", "ann", 1000, &r, NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_the_user_count_by_name_and_by_number),
		cmocka_unit_test(lines_that_are_anything_else_are_skipped),
		cmocka_unit_test(a_user_without_a_name_is_found_by_number_only),
		cmocka_unit_test(bytes_that_are_no_text_do_no_harm),
		cmocka_unit_test(a_map_has_each_id_once),
		cmocka_unit_test(a_map_is_no_longer_than_the_kernel_takes),
		cmocka_unit_test(advice_names_ids_that_are_nobodys),
		cmocka_unit_test(a_missing_file_has_no_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
