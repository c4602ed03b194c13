#include "builder/copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/build_test.h"

#define NO_MODE (-1)

/* One COPY from a stage's tree into another tree: what the step sets, or why not. */
struct copy_case {
	const char *rule; /* of hod-dockerfile(5), RULES */
	const char *from, *to;
	const char *sources; /* separated by | */
	const char *dest;
	const char *want;  /* the step's changes, NULL when it fails: */
	const char *error; /* part of the message */
	int chown;         /* -1, or the uid; the gid is one more */
	int chmod;
};
#define PLAIN .chown = -1, .chmod = NO_MODE

static const struct copy_case cases[] = {
	{"8.1 sources are rooted, .. is clamped", "f 0644 0:0 a =1\n", "", "../../a",
	 "/b", "f 0644 0:0 b =1\n", PLAIN},
	{"8.1 a leading slash means nothing", "f 0644 0:0 a =1\n", "", "/a", "/b",
	 "f 0644 0:0 b =1\n", PLAIN},
	{"8.1 a final slash on a source means nothing", "f 0644 0:0 a =1\n", "", "a/",
	 "/b", "f 0644 0:0 b =1\n", PLAIN},
	{"8.2 * does not cross a slash and takes leading dots",
	 "f 0644 0:0 .h =1\nd 0755 0:0 d\nf 0644 0:0 d/x.h =2\nf 0644 0:0 y.h =3\n", "",
	 "*.h", "/o/", "d 0755 0:0 o\nf 0644 0:0 o/.h =1\nf 0644 0:0 o/y.h =3\n", PLAIN},
	{"8.2 ? and sets",
	 "f 0644 0:0 a1 =1\nf 0644 0:0 b2 =2\nf 0644 0:0 c3 =3\nf 0644 0:0 d44 =4\n", "",
	 "[a-b^]?|[^a-b]?", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/a1 =1\nf 0644 0:0 o/b2 =2\nf 0644 0:0 o/c3 =3\n",
	 PLAIN},
	{"8.2 a backslash makes the next character literal",
	 "f 0644 0:0 a* =star\nf 0644 0:0 ab =other\n", "", "a\\*", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/a* =star\n", PLAIN},
	{"8.2 ** is just *",
	 "d 0755 0:0 p\nf 0644 0:0 p/x =1\nd 0755 0:0 p/q\nf 0644 0:0 p/q/x =2\n", "",
	 "**/x", "/o/", "d 0755 0:0 o\nf 0644 0:0 o/x =1\n", PLAIN},
	{"8.2 links before the first wildcard are followed",
	 "d 0755 0:0 real\nf 0644 0:0 real/x1 =1\nl 0:0 link -> /real\n", "", "link/x*",
	 "/o/", "d 0755 0:0 o\nf 0644 0:0 o/x1 =1\n", PLAIN},
	{"8.2 links within the walk are not followed",
	 "d 0755 0:0 real\nf 0644 0:0 real/x =1\nl 0:0 rlink -> real\n", "", "r*/x",
	 "/o/", "d 0755 0:0 o\nf 0644 0:0 o/x =1\n", PLAIN},
	{"8.2 a malformed set is an error", "f 0644 0:0 a =1\n", "", "[a", "/o/", NULL,
	 "malformed", PLAIN},
	{"8.3 a wildcard that matches nothing is skipped", "f 0644 0:0 a =1\n", "", "x*",
	 "/o/", "", PLAIN},
	{"8.3 also among others", "f 0644 0:0 a =1\n", "", "x*|a|none/*", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/a =1\n", PLAIN},
	{"8.3 a literal source that is missing is an error naming it",
	 "f 0644 0:0 a =1\n", "", "missing.txt", "/o/", NULL, "not found", PLAIN},
	{"8.3 of several the one that is missing", "f 0644 0:0 a =1\n", "",
	 "a|missing.txt|b", "/o/", NULL, "missing.txt: not found", PLAIN},
	{"8.3 what lies below a file is missing", "f 0644 0:0 a =1\n", "", "a/b", "/o/",
	 NULL, "a/b", PLAIN},
	{"8.4 a folder gives its contents, not itself",
	 "d 0700 5:6 d\nf 0644 0:0 d/x =1\nd 0711 0:0 d/e\nf 0600 0:0 d/e/y =2\n", "",
	 "d", "/o",
	 "d 0755 0:0 o\nd 0711 0:0 o/e\nf 0600 0:0 o/e/y =2\nf 0644 0:0 o/x =1\n", PLAIN},
	{"8.4 each folder that a wildcard matches is merged",
	 "d 0755 0:0 d1\nf 0644 0:0 d1/x =1\nd 0755 0:0 d2\nf 0644 0:0 d2/y =2\n", "",
	 "d*", "/o/", "d 0755 0:0 o\nf 0644 0:0 o/x =1\nf 0644 0:0 o/y =2\n", PLAIN},
	{"8.5 a link that is named is followed inside the root",
	 "d 0755 0:0 r\nf 0644 0:0 r/real =1\nl 0:0 link -> /r/real\n", "", "link", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/link =1\n", PLAIN},
	{"8.5 a link to a folder is the folder",
	 "d 0755 0:0 r\nf 0644 0:0 r/x =1\nl 0:0 k -> r\n", "", "k", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/x =1\n", PLAIN},
	{"8.5 a link out of the root stays inside",
	 "f 0644 0:0 x =1\nl 0:0 k -> ../../../x\n", "", "k", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/k =1\n", PLAIN},
	{"8.5 a link that is matched is followed", "f 0644 0:0 x =1\nl 0:0 k1 -> x\n", "",
	 "k*", "/o/", "d 0755 0:0 o\nf 0644 0:0 o/k1 =1\n", PLAIN},
	{"8.5 links inside a folder stay links, dangling ones too",
	 "d 0755 0:0 d\nl 3:4 d/a -> ../none\nl 0:0 d/b -> /etc/passwd\n", "", "d", "/o/",
	 "d 0755 0:0 o\nl 3:4 o/a -> ../none\nl 0:0 o/b -> /etc/passwd\n", PLAIN},
	{"8.5 a named link that leads nowhere is an error", "l 0:0 k -> none\n", "", "k",
	 "/o/", NULL, "not found", PLAIN},
	{"8.5 a loop of links is an error", "l 0:0 a -> b\nl 0:0 b -> a\n", "", "a",
	 "/o/", NULL, "a", PLAIN},
	{"8.6 later sources overwrite earlier ones",
	 "d 0755 0:0 p\nf 0644 0:0 p/x =1\nd 0755 0:0 q\nf 0600 0:0 q/x =2\n", "",
	 "p/x|q/x", "/o/", "d 0755 0:0 o\nf 0600 0:0 o/x =2\n", PLAIN},
	{"8.6 a file destination is overwritten in turn",
	 "f 0644 0:0 a =1\nf 0644 0:0 b =2\n", "", "a|b", "/o", "f 0644 0:0 o =2\n",
	 PLAIN},
	{"8.7 FIFOs and devices of a stage are made again",
	 "d 0755 0:0 d\np 0620 1:2 d/p\nc 0666 0:5 d/null 1,3\n", "", "d", "/o/",
	 "d 0755 0:0 o\nc 0666 0:5 o/null 1,3\np 0620 1:2 o/p\n", PLAIN},
	{"8.8 an empty source is the root", "f 0644 0:0 a =1\n", "", "", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/a =1\n", PLAIN},
	{"8.8 so is a dot", "f 0644 0:0 a =1\n", "", ".", "/o/",
	 "d 0755 0:0 o\nf 0644 0:0 o/a =1\n", PLAIN},
	{"8.9 a final slash makes a folder", "f 0644 0:0 a =1\n", "", "a", "/o/p/",
	 "d 0755 0:0 o\nd 0755 0:0 o/p\nf 0644 0:0 o/p/a =1\n", PLAIN},
	{"8.9 into an existing folder", "f 0644 0:0 a =1\n", "d 0700 7:8 o\n", "a", "/o",
	 "f 0644 0:0 o/a =1\n", PLAIN},
	{"8.9 the root is one", "f 0644 0:0 a =1\n", "", "a", "/", "f 0644 0:0 a =1\n",
	 PLAIN},
	{"8.9 without a slash, missing: the new name", "f 0644 0:0 a =1\n", "", "a",
	 "/o/p", "d 0755 0:0 o\nf 0644 0:0 o/p =1\n", PLAIN},
	{"8.9 an existing file is replaced", "f 0644 0:0 a =1\n", "f 0600 9:9 o =old\n",
	 "a", "/o", "f 0644 0:0 o =1\n", PLAIN},
	{"8.9 a file with a slash behind it is no folder", "f 0644 0:0 a =1\n",
	 "f 0600 9:9 o =old\n", "a", "/o/", NULL, "no folder", PLAIN},
	{"8.9 the name is the source's as written",
	 "d 0755 0:0 r\nf 0644 0:0 r/real =1\nl 0:0 s -> r/real\n", "d 0755 0:0 o\n",
	 "./s", "/o", "f 0644 0:0 o/s =1\n", PLAIN},
	{"8.10 a folder's destination is made", "d 0755 0:0 d\nf 0644 0:0 d/x =1\n", "",
	 "d", "/o/p", "d 0755 0:0 o\nd 0755 0:0 o/p\nf 0644 0:0 o/p/x =1\n", PLAIN},
	{"8.10 even where the folder is empty", "d 0755 0:0 d\n", "", "d", "/o",
	 "d 0755 0:0 o\n", PLAIN},
	{"8.10 a file cannot receive a folder", "d 0755 0:0 d\nf 0644 0:0 d/x =1\n",
	 "f 0644 0:0 o =old\n", "d", "/o", NULL, "no folder", PLAIN},
	{"8.11 a link as destination is resolved", "f 0644 0:0 a =1\n",
	 "d 0755 0:0 r\nl 0:0 o -> /r\n", "a", "/o/", "f 0644 0:0 r/a =1\n", PLAIN},
	{"8.11 without a slash too", "f 0644 0:0 a =1\n", "d 0755 0:0 r\nl 0:0 o -> r\n",
	 "a", "/o", "f 0644 0:0 r/a =1\n", PLAIN},
	{"8.11 a link to a file: the file is replaced, the link stays",
	 "f 0644 0:0 a =1\n", "d 0755 0:0 r\nf 0600 0:0 r/f =old\nl 0:0 o -> r/f\n", "a",
	 "/o", "f 0644 0:0 r/f =1\n", PLAIN},
	{"8.11 links on the way are resolved", "f 0644 0:0 a =1\n",
	 "d 0755 0:0 usr\nd 0755 0:0 usr/lib\nl 0:0 lib -> usr/lib\n", "a", "/lib/x/",
	 "d 0755 0:0 usr/lib/x\nf 0644 0:0 usr/lib/x/a =1\n", PLAIN},
	{"8.11 a dangling link: its target is made", "f 0644 0:0 a =1\n",
	 "l 0:0 o -> /q/new\n", "a", "/o", "d 0755 0:0 q\nf 0644 0:0 q/new =1\n", PLAIN},
	{"8.11 a dangling link as folder", "d 0755 0:0 d\nf 0644 0:0 d/x =1\n",
	 "l 0:0 o -> q/new\n", "d", "/o",
	 "d 0755 0:0 q\nd 0755 0:0 q/new\nf 0644 0:0 q/new/x =1\n", PLAIN},
	{"8.11 a link above the root stays inside", "f 0644 0:0 a =1\n",
	 "l 0:0 o -> ../../../e\n", "a", "/o", "f 0644 0:0 e =1\n", PLAIN},
	{"8.11 a loop of links is an error", "f 0644 0:0 a =1\n",
	 "l 0:0 o -> p\nl 0:0 p -> o\n", "a", "/o/", NULL, "links", PLAIN},
	{"8.12 a folder onto a link is an error", "d 0755 0:0 r\nd 0755 0:0 r/bin\n",
	 "d 0755 0:0 usr\nd 0755 0:0 usr/bin\nl 0:0 bin -> usr/bin\n", "r", "/", NULL,
	 "/bin", PLAIN},
	{"8.12 a folder onto a file is an error", "d 0755 0:0 r\nd 0755 0:0 r/x\n",
	 "f 0644 0:0 x =old\n", "r", "/", NULL, "/x", PLAIN},
	{"8.12 a file onto a folder is an error", "d 0755 0:0 r\nf 0644 0:0 r/x =1\n",
	 "d 0755 0:0 x\n", "r", "/", NULL, "/x", PLAIN},
	{"8.12 a link onto a folder is an error", "d 0755 0:0 r\nl 0:0 r/x -> y\n",
	 "d 0755 0:0 x\n", "r", "/", NULL, "/x", PLAIN},
	{"8.12 a single file onto a folder of its name is an error", "f 0644 0:0 x =1\n",
	 "d 0755 0:0 o\nd 0755 0:0 o/x\n", "x", "/o/", NULL, "/o/x", PLAIN},
	{"8.12 a file onto a link replaces the link", "d 0755 0:0 r\nf 0644 0:0 r/x =1\n",
	 "f 0644 0:0 y =old\nl 0:0 x -> y\n", "r", "/", "f 0644 0:0 x =1\n", PLAIN},
	{"8.12 a link onto a file replaces the file", "d 0755 0:0 r\nl 0:0 r/x -> y\n",
	 "f 0644 0:0 x =old\n", "r", "/", "l 0:0 x -> y\n", PLAIN},
	{"8.12 a single file in a folder replaces a link there", "f 0644 0:0 x =1\n",
	 "d 0755 0:0 o\nf 0644 0:0 y =old\nl 0:0 o/x -> ../y\n", "x", "/o/",
	 "f 0644 0:0 o/x =1\n", PLAIN},
	{"8.13 parents that are there are untouched", "f 0644 0:0 a =1\n",
	 "d 0700 7:8 o\nd 1777 9:9 o/p\n", "a", "/o/p/q/a",
	 "d 0755 0:0 o/p/q\nf 0644 0:0 o/p/q/a =1\n", PLAIN},
	{"8.13 missing parents have --chmod's mode and --chown's owner",
	 "f 0644 0:0 a =1\n", "", "a", "/o/p/a",
	 "d 0700 10:11 o\nd 0700 10:11 o/p\nf 0700 10:11 o/p/a =1\n", NULL, 10, 0700},
	{"8.14 a new destination has not the source's mode or owner",
	 "d 1777 5:6 d\nf 0644 5:6 d/x =1\n", "", "d", "/o",
	 "d 0755 0:0 o\nf 0644 5:6 o/x =1\n", PLAIN},
	{"8.14 an existing one keeps its own", "d 0700 5:6 d\nf 0644 0:0 d/x =1\n",
	 "d 1777 0:0 tmp\n", "d", "/tmp", "f 0644 0:0 tmp/x =1\n", PLAIN},
	{"8.14 the root keeps its own", "f 0644 0:0 x =1\n", "", ".", "/",
	 "f 0700 10:11 x =1\n", NULL, 10, 0700},
	{"8.15 deeper folders take the source's even if they are there",
	 "d 0755 0:0 d\nd 0711 5:6 d/e\nf 0644 0:0 d/e/x =1\n",
	 "d 0755 0:0 o\nd 1777 7:8 o/e\nf 0600 7:8 o/e/old =old\n", "d", "/o",
	 "d 0711 5:6 o/e\nf 0644 0:0 o/e/x =1\n", PLAIN},
	{"8.16 between stages owners stay", "f 0644 12:34 a =1\n", "", "a", "/a",
	 "f 0644 12:34 a =1\n", PLAIN},
	{"8.16 unless --chown says otherwise",
	 "d 0755 1:2 d\nf 0644 12:34 d/a =1\nl 12:34 d/l -> a\nd 0700 3:4 d/e\n", "", "d",
	 "/o",
	 "d 0755 10:11 o\nf 0644 10:11 o/a =1\nd 0700 10:11 o/e\nl 10:11 o/l -> a\n",
	 NULL, 10, NO_MODE},
	{"8.17 setuid, setgid and sticky stay",
	 "d 0755 0:0 d\nf 4755 0:0 d/u =1\nf 2755 0:0 d/g =1\nd 3777 0:0 d/s\n", "", "d",
	 "/o", "d 0755 0:0 o\nf 2755 0:0 o/g =1\nd 3777 0:0 o/s\nf 4755 0:0 o/u =1\n",
	 PLAIN},
	{"8.17 --chown does not clear them", "f 6755 0:0 u =1\n", "", "u", "/u",
	 "f 6755 10:11 u =1\n", NULL, 10, NO_MODE},
	{"8.18 hard links of one match stay",
	 "d 0755 0:0 d\nh 0644 0:0 d/a =1 #1\nh 0644 0:0 d/b =1 #1\nh 0644 0:0 d/c =2 "
	 "#2\n",
	 "", "d", "/o",
	 "d 0755 0:0 o\nh 0644 0:0 o/a =1 #1\nh 0644 0:0 o/b =1 #1\nh 0644 0:0 o/c =2 "
	 "#2\n",
	 PLAIN},
	{"8.18 not across sources", "h 0644 0:0 a =1 #1\nh 0644 0:0 b =1 #1\n", "", "a|b",
	 "/o/", "d 0755 0:0 o\nh 0644 0:0 o/a =1 #1\nh 0644 0:0 o/b =1 #2\n", PLAIN},
	{"8.18 nor with what was there",
	 "d 0755 0:0 d\nh 0644 0:0 d/a =1 #1\nh 0644 0:0 d/b =1 #1\n",
	 "h 0644 0:0 x =o #1\nh 0644 0:0 y =o #1\n", "d", "/",
	 "h 0644 0:0 a =1 #1\nh 0644 0:0 b =1 #1\n", PLAIN},
	{"8.19 --chown reaches what is made for it", "d 0755 0:0 d\nf 0644 0:0 d/x =1\n",
	 "d 0755 5:5 o\n", "d", "/o/p/q",
	 "d 0755 10:11 o/p\nd 0755 10:11 o/p/q\nf 0644 10:11 o/p/q/x =1\n", NULL, 10,
	 NO_MODE},
	{"8.20 an octal --chmod applies to files and folders, not to links",
	 "d 0755 0:0 d\nf 0644 0:0 d/a =1\nd 0700 0:0 d/e\nl 0:0 d/l -> a\n", "", "d",
	 "/o", "d 0751 0:0 o\nf 0751 0:0 o/a =1\nd 0751 0:0 o/e\nl 0:0 o/l -> a\n", NULL,
	 -1, 0751},
};

static int run_copy(const struct copy_case *c, struct tree *from, struct tree *to,
		    struct error *err)
{
	struct copy copy = {.from = from, .dest = c->dest};
	const char *at = c->sources;
	int rc;

	for (;;) {
		size_t n = strcspn(at, "|");

		strv_take(&copy.sources, xstrndup(at, n));
		if (!at[n])
			break;
		at += n + 1;
	}
	if (c->chown >= 0) {
		copy.has_owner = true;
		copy.uid = (uint32_t)c->chown;
		copy.gid = (uint32_t)c->chown + 1;
	}
	if (c->chmod >= 0) {
		copy.has_mode = true;
		copy.mode = (uint16_t)c->chmod;
	}
	tree_begin_step(to);
	rc = copy_match(&copy, err);
	if (!rc)
		rc = copy_apply(&copy, to, 1000000000, err);
	copy_release(&copy);
	return rc;
}

static void check_case(const struct copy_case *c)
{
	struct tree *from = tree_of(c->from), *to = tree_of(c->to);
	auto_buf struct buf got = BUF_INIT;
	struct error err = ERROR_INIT;
	int rc = run_copy(c, from, to, &err);

	if (c->want && rc < 0)
		fail_msg("%s: %s", c->rule, err.msg);
	if (!c->want && (rc == 0 || err.kind != E_INPUT || !strstr(err.msg, c->error)))
		fail_msg("%s: %d, \"%s\"", c->rule, rc, err.msg);
	if (c->want) {
		describe_step(to, &got);
		if (strcmp(got.data, c->want))
			fail_msg("%s:\n%s-- but it is --\n%s", c->rule, c->want,
				 got.data);
	}
	tree_free(from);
	tree_free(to);
}

static void every_rule_of_copy_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_case(&cases[i]);
}

/* A node's children with the numbers of the case's lines have no xattrs: these do. */
static void xattrs_of_users_and_capabilities_are_kept_all_else_goes(void **state)
{
	static const char value[] = "\1\0\2";
	static const char *const names[] = {"security.capability", "security.selinux",
					    "trusted.overlay.opaque", "user.mime"};
	const struct copy_case c = {.from = "", .sources = "d", .dest = "/o", PLAIN};
	struct tree *from = tree_of("d 0755 0:0 d\n"), *to = tree_of("");
	auto_free struct xattrs *set = xcalloc(1, sizeof(*set) + 4 * sizeof(set->v[0]));
	struct node_value v = {.type = NODE_FILE, .attrs = {.mode = 0644, .xattrs = set}};
	auto_buf struct buf got = BUF_INIT;
	struct error err = ERROR_INIT;
	struct node *dir, *f;

	(void)state;
	set->n = 4;
	for (size_t i = 0; i < 4; i++)
		set->v[i] = (struct xattr){names[i], value, sizeof(value)};
	assert_int_equal(tree_resolve(from, "d", 0, &dir, NULL, &err), 1);
	assert_non_null(tree_put(from, dir, "x", 1, &v, &err));
	fine(run_copy(&c, from, to, &err), &err);
	describe_step(to, &got);
	assert_string_equal(got.data,
			    "d 0755 0:0 o\nf 0644 0:0 o/x = @security.capability "
			    "@user.mime\n");
	assert_int_equal(tree_resolve(to, "o/x", 0, &f, NULL, &err), 1);
	assert_int_equal(f->attrs.xattrs->v[0].len, sizeof(value));
	assert_memory_equal(f->attrs.xattrs->v[1].value, value, sizeof(value));
	tree_free(from);
	tree_free(to);
}

static void a_missing_source_comes_with_advice(void **state)
{
	static const struct {
		const char *from, *source, *hint;
	} v[] = {
		{"f 0644 0:0 requirements.txt =x\n", "requirments.txt",
		 "did you mean requirements.txt?"},
		{"d 0755 0:0 src\nf 0644 0:0 src/main.c =x\n", "src/mian.c",
		 "did you mean src/main.c?"},
		{"f 0644 0:0 a =x\n", "../outside", "outside the context"},
		{"l 0:0 k -> /etc/passwd\n", "k", "a link to /etc/passwd"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct copy_case c = {.sources = v[i].source, .dest = "/o/", PLAIN};
		struct tree *from = tree_of(v[i].from), *to = tree_of("");
		struct error err = ERROR_INIT;

		assert_int_equal(run_copy(&c, from, to, &err), -1);
		assert_int_equal(err.kind, E_INPUT);
		if (!strstr(err.hint, v[i].hint))
			fail_msg("%s: %s", v[i].source, err.hint);
		tree_free(from);
		tree_free(to);
	}
}

/* The inputs' digest of sources in a tree. */
static void inputs_of(const char *from, const char *sources, bool times,
		      struct digest *out, struct buf *listing)
{
	struct tree *t = tree_of(from);
	struct copy c = {.from = t, .dest = "/", .keep_mtime = times};
	struct error err = ERROR_INIT;

	strv_add(&c.sources, sources);
	fine(copy_match(&c, &err), &err);
	fine(copy_inputs(&c, out, listing, &err), &err);
	copy_release(&c);
	tree_free(t);
}

/* 16.1 and hod-store(5): path, type, mode, owner, link target, device, hard-link group,
 * content. */
static void everything_that_a_copy_reads_is_in_its_key(void **state)
{
	static const char *const trees[] = {
		"d 0755 0:0 d\nf 0644 0:0 d/x =1\n",
		"d 0755 0:0 d\nf 0644 0:0 d/x =2\n",
		"d 0755 0:0 d\nf 0644 0:0 d/x =\n",
		"d 0755 0:0 d\nf 0600 0:0 d/x =1\n",
		"d 0700 0:0 d\nf 0644 0:0 d/x =1\n",
		"d 0755 0:0 d\nf 0644 1:0 d/x =1\n",
		"d 0755 0:0 d\nf 0644 0:1 d/x =1\n",
		"d 0755 0:0 d\nf 0644 0:0 d/y =1\n",
		"d 0755 0:0 d\nf 0644 0:0 d/x =1\nf 0644 0:0 d/y =1\n",
		"d 0755 0:0 d\nh 0644 0:0 d/x =1 #1\nh 0644 0:0 d/y =1 #1\n",
		"d 0755 0:0 d\nl 0:0 d/x -> 1\n",
		"d 0755 0:0 d\nl 0:0 d/x -> 2\n",
		"d 0755 0:0 d\nd 0644 0:0 d/x\n",
		"d 0755 0:0 d\np 0644 0:0 d/x\n",
		"d 0755 0:0 d\nc 0644 0:0 d/x 1,2\n",
		"d 0755 0:0 d\nc 0644 0:0 d/x 2,1\n",
		"d 0755 0:0 d\nd 0755 0:0 d/x\nf 0644 0:0 d/x/y =1\n",
	};
	enum { N = sizeof(trees) / sizeof(*trees) };
	struct digest v[N];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		auto_buf struct buf listing = BUF_INIT;

		inputs_of(trees[i], "d", false, &v[i], &listing);
		for (size_t k = 0; k < i; k++)
			if (digest_equal(&v[i], &v[k]))
				fail_msg("%s and %s", trees[i], trees[k]);
	}
}

/* Which names are one inode counts, not what the inode is called, nor names that the
 * step does not see. */
static void the_numbers_of_hard_link_groups_are_not_in_the_key(void **state)
{
	static const char *const same[][2] = {
		{"d 0755 0:0 d\nh 0644 0:0 d/x =1 #1\nh 0644 0:0 d/y =1 #1\n",
		 "d 0755 0:0 d\nh 0644 0:0 d/x =1 #7\nh 0644 0:0 d/y =1 #7\n"},
		{"d 0755 0:0 d\nf 0644 0:0 d/x =1\n",
		 "d 0755 0:0 d\nh 0644 0:0 d/x =1 #3\nh 0644 0:0 other =1 #3\n"},
		{"d 0755 0:0 d\nh 0644 0:0 d/a =1 #1\nh 0644 0:0 d/b =1 #1\nh 0644 0:0 "
		 "d/c =1 #2\n"
		 "h 0644 0:0 d/d =1 #2\n",
		 "d 0755 0:0 d\nh 0644 0:0 d/a =1 #2\nh 0644 0:0 d/b =1 #2\nh 0644 0:0 "
		 "d/c =1 #1\n"
		 "h 0644 0:0 d/d =1 #1\n"},
	};
	static const char crossed[] = "d 0755 0:0 d\nh 0644 0:0 d/a =1 #1\nh 0644 0:0 "
				      "d/b =1 #2\nh 0644 0:0 d/c =1 #1\n"
				      "h 0644 0:0 d/d =1 #2\n";
	struct digest a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		auto_buf struct buf listing = BUF_INIT;

		inputs_of(same[i][0], "d", false, &a, &listing);
		inputs_of(same[i][1], "d", false, &b, &listing);
		if (!digest_equal(&a, &b))
			fail_msg("%s", same[i][1]);
	}
	auto_buf struct buf listing = BUF_INIT;

	inputs_of(crossed, "d", false, &b, &listing);
	assert_false(digest_equal(&a, &b));
}

static void the_listing_has_a_line_for_each_path(void **state)
{
	auto_buf struct buf listing = BUF_INIT;
	struct digest d;
	char *line, *save = NULL;
	size_t n = 0;
	static const char *const paths[] = {"d", "d/e", "d/e/y", "d/x"};

	(void)state;
	inputs_of(
		"d 0755 0:0 d\nf 0644 0:0 d/x =1\nd 0755 0:0 d/e\nf 0644 0:0 d/e/y =1\n",
		"d", false, &d, &listing);
	for (line = strtok_r(listing.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		assert_true(n < 4);
		assert_int_equal(strspn(line, "0123456789abcdef"), 16);
		assert_string_equal(line + 17, paths[n++]);
	}
	assert_int_equal(n, 4);
}

/* A context's view: folders in folders, without end. */
static int fill_endless(void *ctx, struct tree *t, struct node *dir, struct error *err)
{
	static const struct node_value v = {.type = NODE_DIR, .attrs = {.mode = 0755}};

	(void)ctx, (void)err;
	tree_add(t, dir, "d", 1, &v);
	return 0;
}

static void folders_nested_too_deep_are_refused_before_they_are_read(void **state)
{
	struct tree *from = tree_new_view(fill_endless, NULL), *to = tree_of("");
	struct copy c = {.from = from, .dest = "/"};
	auto_buf struct buf listing = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest d;

	(void)state;
	strv_add(&c.sources, ".");
	fine(copy_match(&c, &err), &err);
	assert_int_equal(copy_inputs(&c, &d, &listing, &err), -1);
	assert_int_equal(err.kind, E_INPUT);
	assert_non_null(strstr(err.msg, "nested more than 255 folders deep"));
	err = (struct error)ERROR_INIT;
	tree_begin_step(to);
	assert_int_equal(copy_apply(&c, to, 0, &err), -1);
	assert_int_equal(err.kind, E_INPUT);
	assert_non_null(strstr(err.msg, "nested more than 255 folders deep"));
	copy_release(&c);
	tree_free(from);
	tree_free(to);
}

static void a_file_that_no_layer_could_take_is_refused_by_name(void **state)
{
	static const uint64_t sizes[] = {COPY_SIZE_MAX, COPY_SIZE_MAX + 1, INT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		static const struct digest layer = {{1}};
		struct tree *from = tree_new(), *to = tree_of("");
		struct copy c = {.from = from, .dest = "/o/"};
		struct node_value v = {.type = NODE_FILE, .size = sizes[i]};
		auto_buf struct buf listing = BUF_INIT;
		struct error err = ERROR_INIT;
		struct digest d;
		int want = sizes[i] > COPY_SIZE_MAX ? -1 : 0;

		v.content.kind = CONTENT_LAYER;
		v.content.layer.diff_id = &layer;
		assert_non_null(tree_put(from, tree_root(from), "huge", 4, &v, &err));
		strv_add(&c.sources, "huge");
		fine(copy_match(&c, &err), &err);
		assert_int_equal(copy_inputs(&c, &d, &listing, &err), want);
		err = (struct error)ERROR_INIT;
		tree_begin_step(to);
		assert_int_equal(copy_apply(&c, to, 0, &err), want);
		if (want < 0) {
			assert_int_equal(err.kind, E_INPUT);
			assert_string_equal(err.msg, "huge: larger than 8 TiB: no layer "
						     "can take that");
		}
		copy_release(&c);
		tree_free(from);
		tree_free(to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_of_copy_holds),
		cmocka_unit_test(xattrs_of_users_and_capabilities_are_kept_all_else_goes),
		cmocka_unit_test(a_missing_source_comes_with_advice),
		cmocka_unit_test(everything_that_a_copy_reads_is_in_its_key),
		cmocka_unit_test(the_numbers_of_hard_link_groups_are_not_in_the_key),
		cmocka_unit_test(the_listing_has_a_line_for_each_path),
		cmocka_unit_test(
			folders_nested_too_deep_are_refused_before_they_are_read),
		cmocka_unit_test(a_file_that_no_layer_could_take_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
