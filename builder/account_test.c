#include "builder/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/build_test.h"
#include "builder/stage.h"

#define PASSWD                                       \
	"root:x:0:0:root:/root:/bin/sh\n"            \
	"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n" \
	"app:x:1000:1001:App,,,:/home/app:/bin/sh\n" \
	"app:x:2000:2001:again:/home/second:/\n"     \
	"alias:x:1000:1009::/home/alias:/bin/sh\n"   \
	"homeless:x:7:7:::/bin/sh\n"                 \
	"short:x:8:9\n"                              \
	"broken:x:seven:9::/:\n"                     \
	"500:x:600:601::/home/number:/bin/sh\n"      \
	"most:x:4294967295:1::/:/\n"
#define GROUP                   \
	"root:x:0:\n"           \
	"staff:x:50:bin,app\n"  \
	"apps:x:1001:app\n"     \
	"none:x:60:apple,ap,\n" \
	"bad:x:six:app\n"       \
	"wheel:x:10:root,app\n" \
	"most:x:4294967295:app\n"

static int find(struct tree *t, const char *user, struct account *out, struct error *err)
{
	struct build b = {0};
	struct stage_state s = {.build = &b, .tree = t};

	return account_find(&s, user, out, err);
}

/* "uid:gid group,group home" */
static void is(struct tree *t, const char *user, const char *want)
{
	struct error err = ERROR_INIT;
	struct account a;
	auto_buf struct buf got = BUF_INIT;

	fine(find(t, user, &a, &err), &err);
	buf_addf(&got, "%u:%u", a.uid, a.gid);
	for (size_t i = 0; i < a.ngroups; i++)
		buf_addf(&got, "%c%u", i ? ',' : ' ', a.groups[i]);
	buf_addf(&got, " %s", a.home);
	if (strcmp(got.data, want))
		fail_msg("%s is %s, not %s", user ? user : "(none)", got.data, want);
	account_release(&a);
}

/* 12.2 and, for the home, 9.2 */
static void a_user_is_what_the_images_files_say(void **state)
{
	static const struct {
		const char *user, *want;
	} v[] = {
		{NULL, "0:0 10 /root"},
		{"", "0:0 10 /root"},
		{"root", "0:0 10 /root"},
		{"0", "0:0 10 /root"},
		/* a name, or a number with an entry: its group and those that list it */
		{"app", "1000:1001 50,1001,10 /home/app"},
		{"1000", "1000:1001 50,1001,10 /home/app"},
		{"app:", "1000:1001 50,1001,10 /home/app"},
		{"alias", "1000:1009 /home/alias"},
		/* a number without an entry: group 0 */
		{"1234", "1234:0 /"},
		/* with a group: no others */
		{"app:staff", "1000:50 /home/app"},
		{"app:77", "1000:77 /home/app"},
		{"1000:77", "1000:77 /home/app"},
		{"1234:staff", "1234:50 /"},
		{"1234:77", "1234:77 /"},
		{":staff", "0:50 /root"},
		{":77", "0:77 /root"},
		/* digits are an id, whoever is called so */
		{"500", "500:0 /"},
		{"4294967294:4294967294", "4294967294:4294967294 /"},
		{"homeless", "7:7 /"},
		{"short", "8:9 /"},
	};
	struct tree *t = account_tree(PASSWD, GROUP);

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		is(t, v[i].user, v[i].want);
	tree_free(t);
}

static void names_must_be_in_the_image(void **state)
{
	static const struct {
		const char *user, *why;
	} v[] = {
		{"nobody", "the user nobody is not in the image's /etc/passwd"},
		{"App", "the user App"},
		{"broken", "the user broken"},
		{"app:nogroup", "the group nogroup is not in the image's /etc/group"},
		{"7:bad", "the group bad"},
		{"4294967295", "too large"},
		{"99999999999999999999", "too large"},
		{"0:4294967295", "too large"},
		{"most", "too large"},
	};
	struct tree *t = account_tree(PASSWD, GROUP);

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct error err = ERROR_INIT;
		struct account a;

		if (find(t, v[i].user, &a, &err) != -1)
			fail_msg("%s", v[i].user);
		if (err.kind != E_INPUT || !strstr(err.msg, v[i].why))
			fail_msg("%s: %s", v[i].user, err.msg);
		assert_null(a.home);
		assert_null(a.groups);
	}
	tree_free(t);
}

static void an_image_without_account_files_has_numbers_and_root(void **state)
{
	struct tree *none = tree_of(""),
		    *passwd = account_tree("root:x:0:5::/r:\n", NULL);
	struct error err = ERROR_INIT;
	struct account a;

	(void)state;
	is(none, NULL, "0:0 /");
	is(none, "5", "5:0 /");
	is(none, "5:6", "5:6 /");
	assert_int_equal(find(none, "root", &a, &err), -1);
	assert_int_equal(find(none, "0:staff", &a, &err), -1);
	is(passwd, NULL, "0:5 /r");
	tree_free(none);
	tree_free(passwd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_is_what_the_images_files_say),
		cmocka_unit_test(names_must_be_in_the_image),
		cmocka_unit_test(an_image_without_account_files_has_numbers_and_root),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
