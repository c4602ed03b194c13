#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "builder/rootfs/content.h"
#include "builder/rootfs/pyc.h"
#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/stream.h"

static const struct node_value folder = {.type = NODE_DIR, .attrs = {.mode = 0755}};

static struct node *dir(struct tree *t, struct node *parent, const char *name)
{
	return tree_put(t, parent, name, strlen(name), &folder, NULL);
}

static struct node *file(struct tree *t, struct node *parent, const char *name,
			 const void *bytes, size_t size, int64_t mtime)
{
	const struct node_value v = {.type = NODE_FILE,
				     .attrs = {.mode = 0644},
				     .size = size,
				     .mtime = mtime,
				     .content = {.kind = CONTENT_INLINE, .bytes = bytes}};

	return tree_put(t, parent, name, strlen(name), &v, NULL);
}

static void a_name_with_a_header_is_bytecode(void **state)
{
	static const struct {
		const char *name;
		size_t size;
		bool is;
	} table[] = {{"m.cpython-38.pyc", 16, true}, {"m.pyc", 100, true},
		     {"m.pyc", 15, false},           {".pyc", 16, false},
		     {"m.py", 100, false},           {"m.pyo", 100, false}};
	struct tree *t = tree_new();

	(void)state;
	tree_begin_step(t);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_int_equal(pyc_is(file(t, tree_root(t), table[i].name,
					     "0123456789abcdef", table[i].size, 0)),
				 table[i].is);
	tree_free(t);
}

/* PEP 3147 and 488: where the source of a name is. */
static void the_source_is_beside_or_one_folder_up(void **state)
{
	struct tree *t = tree_new();
	struct node *app, *cache, *m, *beside, *got;
	struct error err = ERROR_INIT;
	static const char *const cached[] = {
		"m.cpython-38.pyc", "m.cpython-311.opt-1.pyc", "m.cpython-311.opt-2.pyc"};
	static const char *const lost[] = {"none.cpython-38.pyc", "sub.cpython-38.pyc"};

	(void)state;
	tree_begin_step(t);
	app = dir(t, tree_root(t), "app");
	cache = dir(t, app, "__pycache__");
	m = file(t, app, "m.py", "x", 1, 0);
	dir(t, app, "sub.py");
	for (size_t i = 0; i < sizeof(cached) / sizeof(*cached); i++) {
		struct node *n = file(t, cache, cached[i], "0123456789abcdef", 16, 0);

		assert_int_equal(pyc_source(t, n, &got, &err), 0);
		assert_ptr_equal(got, m);
	}
	for (size_t i = 0; i < sizeof(lost) / sizeof(*lost); i++) {
		struct node *n = file(t, cache, lost[i], "0123456789abcdef", 16, 0);

		assert_int_equal(pyc_source(t, n, &got, &err), 0);
		assert_null(got);
	}
	beside = file(t, app, "m.pyc", "0123456789abcdef", 16, 0);
	assert_int_equal(pyc_source(t, beside, &got, &err), 0);
	assert_ptr_equal(got, m);
	tree_free(t);
}

/* PEP 552: flags 0, then mtime and size, little-endian, both cut to 32 bits. */
static void a_header_is_valid_when_flags_time_and_size_match(void **state)
{
	static const uint8_t header[16] = {0x55, 0x0d, '\r', '\n', 0, 0, 0, 0,
					   0x00, 0xf1, 0x53, 0x65, 4, 3, 2, 1};
	uint8_t hashed[16];

	(void)state;
	memcpy(hashed, header, sizeof(hashed));
	hashed[4] = 1;
	assert_true(pyc_header_valid(header, 1700000000, 0x01020304));
	assert_true(pyc_header_valid(header, 1700000000 + (1LL << 32), 0x501020304));
	assert_false(pyc_header_valid(header, 1700000001, 0x01020304));
	assert_false(pyc_header_valid(header, 1700000000, 0x01020305));
	assert_false(pyc_header_valid(hashed, 1700000000, 0x01020304));
}

static void a_stamp_replaces_four_bytes_however_they_are_read(void **state)
{
	struct tree *t = tree_new();
	struct node *n;

	(void)state;
	tree_begin_step(t);
	n = file(t, tree_root(t), "m.pyc", "0123456789abcdefgh", 18, 0);
	n->content.restamped = true;
	n->content.stamp = 0x44434241;
	for (size_t piece = 1; piece < 20; piece++) {
		struct error err = ERROR_INIT;
		struct source *src = content_open(n, &err);
		char got[32];
		size_t at = 0;
		ssize_t len;

		while ((len = source_read(src, got + at, piece, &err)) > 0)
			at += (size_t)len;
		assert_int_equal(at, 18);
		assert_memory_equal(got, "01234567ABCDcdefgh", 18);
		source_close(src);
	}
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_with_a_header_is_bytecode),
		cmocka_unit_test(the_source_is_beside_or_one_folder_up),
		cmocka_unit_test(a_header_is_valid_when_flags_time_and_size_match),
		cmocka_unit_test(a_stamp_replaces_four_bytes_however_they_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
