#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

/* A layer of a path (a folder with a final slash, else a file) and, if link is not
 * NULL, a symlink of that name to it. */
static struct index *layer(const char *path, const char *link)
{
	struct index_entry e[2] = {{.path = path, .type = NODE_FILE},
				   {.path = link, .type = NODE_SYMLINK, .link = path}};
	struct index_builder *b = index_builder_new();
	static const struct digest none;
	auto_buf struct buf bytes = BUF_INIT;
	struct error err = ERROR_INIT;

	if (path[strlen(path) - 1] == '/')
		e[0].type = NODE_DIR;
	for (size_t i = 0; i < (link ? 2 : 1); i++)
		if (index_builder_add(b, &e[i], &err) < 0)
			fail_msg("%s", err.msg);
	assert_int_equal(index_builder_finish(b, &none, &bytes, &err), 0);
	index_builder_free(b);
	struct index *ix = index_open_bytes(bytes.data, bytes.len, NULL, &err);
	if (!ix)
		fail_msg("%s", err.msg);
	return ix;
}

/* "d/" `times` times. */
static char *nested(const char *before, unsigned times, const char *after)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, before);
	for (unsigned i = 0; i < times; i++)
		buf_adds(&b, "d/");
	buf_adds(&b, after);
	return b.data;
}

/* Pushes two layers: folders with a link `l` to the innermost one, and a file below it.
 */
static int push_below_link(unsigned lower, unsigned upper, struct error *err)
{
	auto_free char *deep = nested("", lower, ""), *file = nested("l/", upper, "f");
	struct index *first = layer(deep, "l"), *second = layer(file, NULL);
	struct tree *t = tree_new();

	assert_int_equal(tree_push_index(t, first, err), 0);
	int r = tree_push_index(t, second, err);
	index_unref(first);
	index_unref(second);
	tree_free(t);
	return r;
}

static void what_a_link_puts_too_deep_is_refused(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(push_below_link(200, 54, &err), 0);
	assert_int_equal(push_below_link(200, 55, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_non_null(strstr(err.msg, "255"));
	assert_int_equal(push_below_link(250, 250, &err), -1);
}

/* Each layer goes on where the layer before ended, behind a link. */
static void links_do_not_stack_layers_without_end(void **state)
{
	struct tree *t = tree_new();
	struct error err = ERROR_INIT;
	auto_free char *deep = nested("", 100, "");
	struct index *ix = layer(deep, "l0");
	int r = tree_push_index(t, ix, &err), i;

	(void)state;
	index_unref(ix);
	for (i = 0; r == 0 && i < 200; i++) {
		auto_free char *name = xasprintf("l%d/", i);
		auto_free char *below = nested(name, 100, "");
		auto_free char *next = xasprintf("l%d", i + 1);
		ix = layer(below, next);
		r = tree_push_index(t, ix, &err);
		index_unref(ix);
	}
	assert_int_equal(r, -1);
	assert_int_equal(i, 2);
	tree_free(t);
}

static void a_step_cannot_nest_deeper_than_an_index_holds(void **state)
{
	static const struct node_value v = {.type = NODE_DIR, .attrs.mode = 0755};
	struct tree *t = tree_new();
	struct error err = ERROR_INIT;
	struct node *n = tree_root(t);
	unsigned depth = 0;

	(void)state;
	tree_begin_step(t);
	while (depth < 1000 && (n = tree_put(t, n, "d", 1, &v, &err)))
		depth++;
	assert_int_equal(depth, 255);
	assert_int_equal(err.kind, E_INPUT);
	assert_non_null(strstr(err.msg, "nested more than 255 folders deep"));
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_link_puts_too_deep_is_refused),
		cmocka_unit_test(links_do_not_stack_layers_without_end),
		cmocka_unit_test(a_step_cannot_nest_deeper_than_an_index_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
