#include "builder/rootfs/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "registry/base/buf.h"

/* POSIX pax, "ustar Interchange Format": offset and width of each field. */
enum {
	NAME = 0,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	MTIME = 136,
	SUM = 148,
	TYPE = 156,
	LINK = 157,
	MAGIC = 257,
	MAJOR = 329,
	MINOR = 337,
	PREFIX = 345
};

static void repeat(char *out, char c, size_t n)
{
	memset(out, c, n);
	out[n] = '\0';
}

static void assert_checksum(const char *h)
{
	unsigned sum = 0;
	char want[9];

	for (int i = 0; i < 512; i++)
		sum += i >= SUM && i < SUM + 8 ? ' ' : (unsigned char)h[i];
	snprintf(want, sizeof(want), "%06o%c ", sum, 0);
	assert_memory_equal(h + SUM, want, 8);
}

static void a_plain_header_is_these_bytes(void **state)
{
	struct tar_entry e = {.path = "etc/hosts",
			      .type = NODE_FILE,
			      .attrs = {.uid = 1000, .gid = 8, .mode = 04755},
			      .mtime = 315532800,
			      .size = 513};
	auto_buf struct buf b = BUF_INIT;
	char want[512] = "etc/hosts";

	(void)state;
	tar_header(&e, &b);
	memcpy(want + MODE, "0004755", 8);
	memcpy(want + UID, "0001750", 8);
	memcpy(want + GID, "0000010", 8);
	memcpy(want + SIZE, "00000001001", 12);
	memcpy(want + MTIME, "02263523000", 12);
	want[TYPE] = '0';
	memcpy(want + MAGIC, "ustar\00000", 8);
	memcpy(want + MAJOR, "0000000", 8);
	memcpy(want + MINOR, "0000000", 8);
	assert_int_equal(b.len, 512);
	assert_memory_equal(b.data, want, SUM);
	assert_memory_equal(b.data + SUM + 8, want + SUM + 8, 512 - SUM - 8);
	assert_checksum(b.data);
}

static void each_type_has_its_flag_and_only_its_fields(void **state)
{
	static const struct {
		enum node_type type;
		bool hardlink;
		char flag;
		const char *mode, *size, *major, *link, *name;
	} cases[] = {
		{NODE_FILE, false, '0', "0000640", "00000000011", "0000000", "", "d/n"},
		{NODE_FILE, true, '1', "0000640", "00000000000", "0000000", "to", "d/n"},
		{NODE_SYMLINK, false, '2', "0000777", "00000000000", "0000000", "to",
		 "d/n"},
		{NODE_SYMLINK, true, '1', "0000777", "00000000000", "0000000", "to",
		 "d/n"},
		{NODE_CHAR, false, '3', "0000640", "00000000000", "0000007", "", "d/n"},
		{NODE_BLOCK, false, '4', "0000640", "00000000000", "0000007", "", "d/n"},
		{NODE_BLOCK, true, '1', "0000640", "00000000000", "0000000", "to", "d/n"},
		{NODE_DIR, false, '5', "0000640", "00000000000", "0000000", "", "d/n/"},
		{NODE_FIFO, false, '6', "0000640", "00000000000", "0000000", "", "d/n"},
		{NODE_WHITEOUT, false, '0', "0000644", "00000000000", "0000000", "",
		 "d/.wh.n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tar_entry e = {.path = "d/n",
				      .type = cases[i].type,
				      .hardlink = cases[i].hardlink,
				      .attrs = {.mode = 0640, .uid = 1},
				      .size = 9,
				      .link = "to",
				      .major = 7};
		auto_buf struct buf b = BUF_INIT;

		tar_header(&e, &b);
		assert_int_equal(b.len, 512);
		assert_string_equal(b.data, cases[i].name);
		assert_int_equal(b.data[TYPE], cases[i].flag);
		assert_string_equal(b.data + MODE, cases[i].mode);
		assert_string_equal(b.data + UID, cases[i].type == NODE_WHITEOUT
							  ? "0000000"
							  : "0000001");
		assert_string_equal(b.data + SIZE, cases[i].size);
		assert_string_equal(b.data + MAJOR, cases[i].major);
		assert_string_equal(b.data + LINK, cases[i].link);
		assert_checksum(b.data);
	}
}

static void the_root_is_dot_slash(void **state)
{
	struct tar_entry e = {.path = "", .type = NODE_DIR};
	auto_buf struct buf b = BUF_INIT;

	(void)state;
	tar_header(&e, &b);
	assert_string_equal(b.data, "./");
}

/* A path of parts of these lengths; what stands in prefix and name, or pax. */
static void names_split_at_the_rightmost_slash_that_fits(void **state)
{
	static const struct {
		size_t parts[4];
		enum node_type type;
		size_t prefix, name; /* lengths; prefix 999: pax */
	} cases[] = {
		{{100}, NODE_FILE, 0, 100},
		{{99}, NODE_DIR, 0, 100},
		{{50, 49}, NODE_FILE, 0, 100},
		{{50, 50}, NODE_FILE, 50, 50},
		{{1, 1, 100}, NODE_FILE, 3, 100},
		{{101}, NODE_FILE, 999, 0},
		{{100},
		 NODE_DIR,
		 999,
		 0}, /* the slash counts, and nothing stands after it */
		{{1, 101}, NODE_FILE, 999, 0},
		{{155, 100}, NODE_FILE, 155, 100},
		{{155, 99}, NODE_DIR, 155, 100},
		{{155, 100}, NODE_DIR, 999, 0},
		{{156, 1}, NODE_FILE, 999, 0},
		{{100, 54, 10, 10}, NODE_FILE, 155, 21},
		{{100, 53, 10, 10}, NODE_FILE, 154, 21},
		{{60, 30, 30, 30}, NODE_FILE, 122, 30},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf path = BUF_INIT, b = BUF_INIT, full = BUF_INIT;
		char part[300];
		struct tar_entry e = {.type = cases[i].type};
		size_t p = cases[i].prefix, n = cases[i].name;

		for (size_t j = 0; j < 4 && cases[i].parts[j]; j++) {
			repeat(part, (char)('a' + j), cases[i].parts[j]);
			buf_addf(&path, "%s%s", j ? "/" : "", part);
		}
		e.path = path.data;
		tar_header(&e, &b);
		tar_path(&e, &full);
		if (p == 999) {
			assert_int_equal(b.len, 3 * 512);
			assert_int_equal(b.data[TYPE], 'x');
			assert_memory_equal(b.data + 1024, full.data, 100);
			assert_int_equal(b.data[1024 + PREFIX], 0);
			continue;
		}
		assert_int_equal(b.len, 512);
		assert_int_equal(strnlen(b.data + PREFIX, 155), p);
		assert_memory_equal(b.data + PREFIX, full.data, p);
		assert_int_equal(strnlen(b.data, 100), n);
		assert_memory_equal(b.data, full.data + full.len - n, n);
		assert_int_equal(full.len, p + (p ? 1 : 0) + n);
	}
}

static void pax_records_stand_in_order_and_count_themselves(void **state)
{
	struct {
		size_t n;
		struct xattr v[2];
	} x = {2, {{"user.B", "\0\n", 2}, {"user.a", "", 0}}};
	char path[102], link[102];
	struct tar_entry e = {.path = path,
			      .type = NODE_SYMLINK,
			      .link = link,
			      .attrs = {.uid = 2097152,
					.gid = 4294967294,
					.mode = 0777,
					.xattrs = (struct xattrs *)&x},
			      .mtime = -5,
			      .pax_mtime = 8};
	auto_buf struct buf b = BUF_INIT, want = BUF_INIT;

	(void)state;
	repeat(path, 'p', 101);
	repeat(link, 'l', 101);
	/* 3 digits, blank, "path=", 101 bytes, newline: 111 */
	buf_addf(&want, "111 path=%s\n115 linkpath=%s\n", path, link);
	buf_adds(&want, "15 uid=2097152\n18 gid=4294967294\n12 mtime=-5\n");
	buf_add(&want, "26 SCHILY.xattr.user.B=\0\n\n", 26);
	buf_adds(&want, "24 SCHILY.xattr.user.a=\n");
	tar_header(&e, &b);
	assert_int_equal(b.len, 3 * 512);
	assert_string_equal(b.data, "@PaxHeader");
	assert_string_equal(b.data + MODE, "0000644");
	assert_string_equal(b.data + MTIME, "00000000010");
	assert_int_equal(strtoul(b.data + SIZE, NULL, 8), want.len);
	assert_memory_equal(b.data + 512, want.data, want.len);
	for (size_t i = 512 + want.len; i < 1024; i++)
		assert_int_equal(b.data[i], 0);
	assert_memory_equal(b.data + 1024, path, 100);
	assert_memory_equal(b.data + 1024 + LINK, link, 100);
	assert_string_equal(b.data + 1024 + UID, "0000000");
	assert_string_equal(b.data + 1024 + GID, "0000000");
	assert_string_equal(b.data + 1024 + MTIME, "00000000000");
	assert_checksum(b.data);
	assert_checksum(b.data + 1024);
}

static void numbers_at_the_edge_of_octal(void **state)
{
	static const struct {
		uint32_t uid;
		uint64_t size;
		int64_t mtime;
		const char *record; /* NULL: none */
	} cases[] = {
		{2097151, 8589934591, 8589934591, NULL},
		{2097152, 0, 0, "15 uid=2097152\n"},
		{0, 8589934592, 0, "19 size=8589934592\n"},
		{0, 0, 8589934592, "20 mtime=8589934592\n"},
		{0, 0, -1, "12 mtime=-1\n"},
		{0, 0, INT64_MIN, "30 mtime=-9223372036854775808\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tar_entry e = {.path = "f",
				      .type = NODE_FILE,
				      .attrs = {.uid = cases[i].uid},
				      .size = cases[i].size,
				      .mtime = cases[i].mtime};
		auto_buf struct buf b = BUF_INIT;

		tar_header(&e, &b);
		assert_int_equal(b.len, cases[i].record ? 3 * 512 : 512);
		if (cases[i].record)
			assert_string_equal(b.data + 512, cases[i].record);
	}
}

static void padding_fills_the_block(void **state)
{
	(void)state;
	assert_int_equal(tar_padding(0), 0);
	assert_int_equal(tar_padding(1), 511);
	assert_int_equal(tar_padding(511), 1);
	assert_int_equal(tar_padding(512), 0);
	assert_int_equal(tar_padding(UINT64_C(1) << 40 | 513), 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_header_is_these_bytes),
		cmocka_unit_test(each_type_has_its_flag_and_only_its_fields),
		cmocka_unit_test(the_root_is_dot_slash),
		cmocka_unit_test(names_split_at_the_rightmost_slash_that_fits),
		cmocka_unit_test(pax_records_stand_in_order_and_count_themselves),
		cmocka_unit_test(numbers_at_the_edge_of_octal),
		cmocka_unit_test(padding_fills_the_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
