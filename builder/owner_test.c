#include "builder/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/build_test.h"
#include "builder/stage.h"

#define PASSWD                                       \
	"root:x:0:0:root:/root:/bin/sh\n"            \
	"bin:x:1:1:bin:/bin:/bin/false\n"            \
	"\n"                                         \
	"# a comment\n"                              \
	"nocolons\n"                                 \
	"short:x:7\n"                                \
	":x:8:8::/:\n"                               \
	"words:x:seven:9::/:\n"                      \
	"huge:x:4294967296:1::/:\n"                  \
	"overflow:x:99999999999999999999999:1::/:\n" \
	"most:x:4294967294:4294967293::/:\n"         \
	"app:x:1000:1001:App,,,:/home/app:/bin/sh\n" \
	"app:x:2000:2001:again::/\n"                 \
	"appendix:x:3000:3001::/:\n"                 \
	"last:x:500:501:no newline:/:"
#define GROUP                  \
	"root:x:0:\n"          \
	"staff:x:50:app,bin\n" \
	"short:x\n"            \
	"huge:x:4294967296:\n" \
	"wheel:x:10"

static void resolves(struct tree *t, const char *text, uint32_t uid, uint32_t gid)
{
	struct build b = {0};
	struct stage_state s = {.build = &b, .tree = t};
	struct error err = ERROR_INIT;
	uint32_t u = 77, g = 77;

	fine(owner_resolve(&s, text, &u, &g, &err), &err);
	if (u != uid || g != gid)
		fail_msg("%s is %u:%u", text, u, g);
}

/* 8.19 */
static void owners_are_numbers_or_the_images_names(void **state)
{
	static const struct {
		const char *text;
		uint32_t uid, gid;
	} cases[] = {
		{"1000", 1000, 1000}, /* no look-up, even where there is an account */
		{"5:6", 5, 6},
		{"0", 0, 0},
		{"4294967294:4294967293", 4294967294, 4294967293},
		{"root", 0, 0},
		{"root:root", 0, 0},
		{"root:5", 0, 5},
		{"app", 1000, 1001}, /* the first of two */
		{"app:staff", 1000, 50},
		{"app:6", 1000, 6},
		{"5:staff", 5, 50},
		{"app:root", 1000, 0},
		{"last", 500, 501},
		{"bin:wheel", 1, 10},
		{"appendix", 3000, 3001},
		{"most", 4294967294, 4294967293},
		{"app:", 1000, 1001},
		{":5", 0, 5},
		{":wheel", 0, 10},
		/* unknown names are 0, with a warning */
		{"nobody", 0, 0},
		{"nobody:staff", 0, 50},
		{"app:nogroup", 1000, 0},
		{"appe", 0, 0},
		{"ap", 0, 0},
		{"App", 0, 0},
		/* as are those whose line is of no use */
		{"nocolons", 0, 0},
		{"huge", 0, 0},
		{"overflow", 0, 0},
		{"# a comment", 0, 0},
		{"5:short", 5, 0},
		{"5:huge", 5, 0},
	};
	struct tree *t = account_tree(PASSWD, GROUP);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		resolves(t, cases[i].text, cases[i].uid, cases[i].gid);
	tree_free(t);
}

static void without_account_files_every_name_is_zero(void **state)
{
	struct tree *none = tree_of(""), *empty = account_tree("", "");

	(void)state;
	resolves(none, "app:staff", 0, 0);
	resolves(none, "root", 0, 0);
	resolves(none, "12:13", 12, 13);
	resolves(empty, "app:staff", 0, 0);
	resolves(empty, "app", 0, 0);
	tree_free(none);
	tree_free(empty);
}

static void an_account_file_behind_a_link_is_the_images_own(void **state)
{
	struct tree *t =
		tree_of("d 0755 0:0 etc\nd 0755 0:0 usr\nl 0:0 etc/passwd -> "
			"../../../usr/passwd\nf 0644 0:0 usr/passwd =app:x:5:6::/:\n"
			"d 0755 0:0 etc/group\n");

	(void)state;
	resolves(t, "app", 5, 6);
	resolves(t, "app:staff", 5, 0); /* a folder is no group file */
	tree_free(t);
}

/* NUL bytes and a carriage return are characters of a field. */
static void other_bytes_of_a_line_are_part_of_its_fields(void **state)
{
	static char odd[] = "a\0b:x:5:6::/:\napp:x:7:8\r\nsame:x:9:10:\n";
	struct tree *t = account_tree("app:x:1:2\r\nsame:x:9:10:\n", NULL);
	struct node *n;
	struct error err = ERROR_INIT;

	(void)state;
	resolves(t, "same", 9, 10);
	assert_int_equal(tree_resolve(t, "etc/passwd", 0, &n, NULL, &err), 1);
	n->content.bytes = odd;
	n->size = sizeof(odd) - 1;
	resolves(t, "same", 9, 10);
	resolves(t, "a", 0, 0);
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners_are_numbers_or_the_images_names),
		cmocka_unit_test(without_account_files_every_name_is_zero),
		cmocka_unit_test(an_account_file_behind_a_link_is_the_images_own),
		cmocka_unit_test(other_bytes_of_a_line_are_part_of_its_fields),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
