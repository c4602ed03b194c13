#include "builder/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

#include "builder/build_test.h"
#include "builder/rootfs/content.h"
#include "registry/base/stream.h"

static struct store *store;

static struct context *open_context(const char *dockerfile, struct error *err)
{
	auto_free char *dir = in_folder("ctx"), *file = in_folder(dockerfile);

	return context_open(dir, file, store, err);
}

static struct context *must_open(const char *dockerfile)
{
	struct error err = ERROR_INIT;
	struct context *c = open_context(dockerfile, &err);

	if (!c)
		fail_msg("%s", err.msg);
	return c;
}

static void list(struct tree *t, struct node *dir, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct cursor cur;
	struct node *n;

	fine(tree_children(t, dir, &cur, &err), &err);
	while ((n = cursor_next(&cur))) {
		if (out->len)
			buf_addc(out, ' ');
		tree_path(n, out);
		if (n->type == NODE_DIR)
			list(t, n, out);
	}
}

static struct node *find(struct context *c, const char *path)
{
	struct error err = ERROR_INIT;
	struct node *n;

	if (tree_resolve(context_tree(c), path, 0, &n, NULL, &err) != 1)
		fail_msg("%s: %s", path, err.msg);
	return n;
}

static void make_files(void)
{
	static const char *const folders[] = {"ctx", "ctx/dir", "ctx/dir/sub",
					      "ctx/other", "d"};
	static const char *const files[] = {"ctx/.hidden",      "ctx/a",
					    "ctx/b.txt",        "ctx/dir/a",
					    "ctx/dir/sub/drop", "ctx/dir/sub/keep",
					    "ctx/dir/y.txt",    "ctx/other/z.txt"};

	remove_all("ctx");
	remove_all("d");
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		make_folder(folders[i], 0755);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		write_file(files[i], "text", 0644);
}

#define REST ".hidden a b.txt dir dir/a dir/sub dir/sub/drop dir/sub/keep dir/y.txt"
#define ALL REST " other other/z.txt"

/* 15.2 to 15.5 */
static void ignored_files_are_not_there(void **state)
{
	static const struct {
		const char *ignore, *left;
	} v[] = {
		{"", ALL},
		{"# a\n\n   \n", ALL},
		{"nothing\n", ALL},
		{".\n", ALL},
		{"a", ".hidden b.txt dir dir/a dir/sub dir/sub/drop dir/sub/keep "
		      "dir/y.txt other other/z.txt"},
		{"\357\273\277a\r\n", ".hidden b.txt dir dir/a dir/sub dir/sub/drop "
				      "dir/sub/keep dir/y.txt other other/z.txt"},
		{"**/a\n", ".hidden b.txt dir dir/sub dir/sub/drop dir/sub/keep "
			   "dir/y.txt other other/z.txt"},
		{"*.txt\n", ".hidden a dir dir/a dir/sub dir/sub/drop dir/sub/keep "
			    "dir/y.txt other other/z.txt"},
		{"*/*.txt\n",
		 ".hidden a b.txt dir dir/a dir/sub dir/sub/drop dir/sub/keep other"},
		{"**/*.txt\n",
		 ".hidden a dir dir/a dir/sub dir/sub/drop dir/sub/keep other"},
		{"dir\n", ".hidden a b.txt other other/z.txt"},
		{" /dir/ \n", ".hidden a b.txt other other/z.txt"},
		{"./x/../dir\n", ".hidden a b.txt other other/z.txt"},
		{"dir/**\n", ".hidden a b.txt dir other other/z.txt"},
		{"other\n.hidden\n",
		 "a b.txt dir dir/a dir/sub dir/sub/drop dir/sub/keep dir/y.txt"},
		{"?\n[b-c].*\n", ".hidden dir dir/a dir/sub dir/sub/drop dir/sub/keep "
				 "dir/y.txt other other/z.txt"},
		/* exceptions: the last match decides, folders on the way stay */
		{"a\n!a\n", ALL},
		{"!a\na\n", ".hidden b.txt dir dir/a dir/sub dir/sub/drop dir/sub/keep "
			    "dir/y.txt other other/z.txt"},
		{"*\n!a\n", "a"},
		{"*\n! ./a \n", "a"},
		{"**\n!**/*.txt\n", "b.txt dir dir/y.txt other other/z.txt"},
		{"*\n!dir/sub/keep\n", "dir dir/sub dir/sub/keep"},
		{"dir\n!dir/sub/keep\n",
		 ".hidden a b.txt dir dir/sub dir/sub/keep other other/z.txt"},
		{"*\n!dir\n", "dir dir/a dir/sub dir/sub/drop dir/sub/keep dir/y.txt"},
		{"*\n!dir\ndir/sub\n", "dir dir/a dir/y.txt"},
		{"*\n!dir\ndir/sub\n!dir/sub/drop",
		 "dir dir/a dir/sub dir/sub/drop dir/y.txt"},
		{"dir/*\n!dir/sub\n", ".hidden a b.txt dir dir/sub dir/sub/drop "
				      "dir/sub/keep other other/z.txt"},
		{"*\n!dir/none/x\n!no*\n", ""},
		{"**\n", ""},
	};

	(void)state;
	make_files();
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_buf struct buf got = BUF_INIT;
		struct context *c;

		write_file("d/Dockerfile.dockerignore", v[i].ignore, 0644);
		c = must_open("d/Dockerfile");
		list(context_tree(c), tree_root(context_tree(c)), &got);
		if (strcmp(got.data, v[i].left))
			fail_msg("%s: %s", v[i].ignore, got.data);
		context_close(c);
	}
}

/* 15.1 */
static void the_dockerfiles_own_ignore_file_goes_before_the_common_one(void **state)
{
	auto_buf struct buf got = BUF_INIT;
	struct context *c;

	(void)state;
	make_files();
	write_file("ctx/.dockerignore", "*\n!a\n", 0644);
	write_file("ctx/sp.Dockerfile.dockerignore", "*\n!b.txt\n", 0644);
	c = must_open("ctx/Dockerfile");
	list(context_tree(c), tree_root(context_tree(c)), &got);
	assert_string_equal(got.data, "a");
	context_close(c);
	buf_reset(&got);
	c = must_open("ctx/sp.Dockerfile");
	list(context_tree(c), tree_root(context_tree(c)), &got);
	assert_string_equal(got.data, "b.txt");
	context_close(c);
}

static void a_malformed_ignore_file_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} v[] = {{"a\n\n!\n", 3}, {"# x\n[a\n", 2}, {"a\\\n", 1}};

	(void)state;
	make_files();
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct error err = ERROR_INIT;

		write_file("ctx/.dockerignore", v[i].text, 0644);
		assert_null(open_context("ctx/Dockerfile", &err));
		assert_int_equal(err.kind, E_INPUT);
		assert_int_equal(err.line, v[i].line);
		assert_non_null(strstr(err.file, "ctx/.dockerignore"));
	}
}

static void a_context_that_is_no_folder_is_wrong_input(void **state)
{
	struct error err = ERROR_INIT;
	auto_free char *none = in_folder("none"), *file = in_folder("ctx/a");

	(void)state;
	make_files();
	assert_null(context_open(none, "Dockerfile", store, &err));
	assert_int_equal(err.kind, E_INPUT);
	err = (struct error)ERROR_INIT;
	assert_null(context_open(file, "Dockerfile", store, &err));
	assert_int_equal(err.kind, E_INPUT);
}

static void make_socket(const char *name)
{
	auto_free char *path = in_folder(name);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(a.sun_path));
	memcpy(a.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	assert_int_equal(chmod(path, 0640), 0);
}

/* 8.7, 8.16, 8.17; hod-layers(5), LAYERS */
static void a_node_is_what_the_file_is_but_for_its_owner(void **state)
{
	auto_free char *fifo = in_folder("ctx/p"), *file = in_folder("ctx/f"),
		       *dev = in_folder("ctx/null"), *dir = in_folder("ctx/dir");
	struct context *c;
	struct node *n;
	bool has_device;

	(void)state;
	make_files();
	make_socket("ctx/s");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	write_file("ctx/f", "12345", 04751);
	assert_int_equal(chmod(dir, 01711), 0);
	make_link("ctx/dangling", "/no/where");
	make_link("ctx/up", "../../../etc");
	has_device = mknod(dev, S_IFCHR | 0622, makedev(1, 3)) == 0;
	if (getuid() == 0)
		assert_int_equal(chown(file, 12, 34), 0);
	assert_int_equal(chmod(file, 04751), 0);
	set_mtime("ctx/f", 1234567890);

	c = must_open("ctx/Dockerfile");
	n = find(c, "s");
	assert_int_equal(n->type, NODE_FILE);
	assert_int_equal(n->size, 0);
	assert_int_equal(n->attrs.mode, 0640);
	n = find(c, "p");
	assert_int_equal(n->type, NODE_FIFO);
	n = find(c, "f");
	assert_int_equal(n->type, NODE_FILE);
	assert_int_equal(n->size, 5);
	assert_int_equal(n->attrs.mode, 04751);
	assert_int_equal(n->attrs.uid, 0);
	assert_int_equal(n->attrs.gid, 0);
	assert_null(n->attrs.xattrs);
	assert_int_equal(n->group, 0);
	assert_int_equal(n->mtime, 1234567890);
	n = find(c, "dir");
	assert_int_equal(n->type, NODE_DIR);
	assert_int_equal(n->attrs.mode, 01711);
	n = find(c, "dangling");
	assert_int_equal(n->type, NODE_SYMLINK);
	assert_string_equal(n->link, "/no/where");
	assert_int_equal(n->attrs.mode, 0777);
	assert_string_equal(find(c, "up")->link, "../../../etc");
	if (has_device) {
		n = find(c, "null");
		assert_int_equal(n->type, NODE_CHAR);
		assert_int_equal(n->major, 1);
		assert_int_equal(n->minor, 3);
	}
	context_close(c);
}

/* 8.5 */
static void links_are_resolved_inside_the_context(void **state)
{
	struct error err = ERROR_INIT;
	struct context *c;
	struct node *n;
	auto_free char *rest = NULL;

	(void)state;
	make_files();
	write_file("secret", "outside", 0644);
	make_link("ctx/out", "../secret");
	make_link("ctx/abs", "/dir/sub");
	make_link("ctx/loop", "loop");
	c = must_open("ctx/Dockerfile");
	assert_int_equal(tree_resolve(context_tree(c), "abs/keep", 0, &n, NULL, &err), 1);
	assert_int_equal(
		tree_resolve(context_tree(c), "out", TREE_FOLLOW_LAST, &n, &rest, &err),
		0);
	assert_string_equal(rest, "secret");
	assert_int_equal(
		tree_resolve(context_tree(c), "loop", TREE_FOLLOW_LAST, &n, NULL, &err),
		-1);
	assert_int_equal(err.kind, E_INPUT);
	context_close(c);
}

static void names_of_one_inode_are_a_group(void **state)
{
	auto_free char *a = in_folder("ctx/a"), *b = in_folder("ctx/dir/link"),
		       *out = in_folder("outside");
	struct context *c;

	(void)state;
	make_files();
	unlink(out);
	assert_int_equal(link(a, b), 0);
	assert_int_equal(link(a, out), 0);
	c = must_open("ctx/Dockerfile");
	assert_int_not_equal(find(c, "a")->group, 0);
	assert_int_equal(find(c, "a")->group, find(c, "dir/link")->group);
	assert_int_equal(find(c, "b.txt")->group, 0);
	context_close(c);
}

static void names_are_bytes(void **state)
{
	auto_buf struct buf got = BUF_INIT;
	struct context *c;

	(void)state;
	remove_all("ctx");
	make_folder("ctx", 0755);
	write_file("ctx/\377\376", "1", 0644);
	write_file("ctx/new\nline", "2", 0644);
	write_file("ctx/ blank ", "3", 0644);
	c = must_open("ctx/Dockerfile");
	list(context_tree(c), tree_root(context_tree(c)), &got);
	assert_string_equal(got.data, " blank  new\nline \377\376");
	context_close(c);
}

/* sha256sum's digest of "text" */
#define TEXT_DIGEST "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"

static void a_digest_is_read_once_and_then_remembered(void **state)
{
	const struct timespec ts = {.tv_nsec = 150000000};
	struct error err = ERROR_INIT;
	struct context *c;
	struct node *n;
	char hex[DIGEST_HEX];

	(void)state;
	make_files();
	nanosleep(&ts, NULL);
	c = must_open("ctx/Dockerfile");
	n = find(c, "dir/a");
	assert_false(n->content.has_digest);
	fine(context_digest(c, n, &err), &err);
	assert_string_equal(digest_hex(&n->content.digest, hex), TEXT_DIGEST);
	context_close(c);
	c = must_open("ctx/Dockerfile");
	n = find(c, "dir/a");
	assert_true(n->content.has_digest);
	assert_string_equal(digest_hex(&n->content.digest, hex), TEXT_DIGEST);
	assert_false(find(c, "a")->content.has_digest);
	context_close(c);
	write_file("ctx/dir/a", "next", 0644); /* same size */
	c = must_open("ctx/Dockerfile");
	assert_false(find(c, "dir/a")->content.has_digest);
	context_close(c);
}

static void a_file_that_changes_meanwhile_is_an_error(void **state)
{
	struct error err = ERROR_INIT;
	struct context *c;
	struct node *n;

	(void)state;
	make_files();
	c = must_open("ctx/Dockerfile");
	n = find(c, "a");
	write_file("ctx/a", "longer than before", 0644);
	assert_int_equal(context_digest(c, n, &err), -1);
	assert_int_equal(err.kind, E_FAILED);
	assert_non_null(strstr(err.msg, "changed"));
	n = find(c, "b.txt");
	remove_all("ctx/b.txt");
	make_link("ctx/b.txt", "/etc/passwd");
	err = (struct error)ERROR_INIT;
	assert_int_equal(context_digest(c, n, &err), -1);
	context_close(c);
}

static void what_is_hidden_is_told_from_what_is_missing(void **state)
{
	struct context *c;

	(void)state;
	make_files();
	write_file("ctx/.dockerignore", "dir\n!dir/sub/keep\n", 0644);
	c = must_open("ctx/Dockerfile");
	assert_true(context_ignores(c, "dir/a"));
	assert_true(context_ignores(c, "/dir/a"));
	assert_false(context_ignores(c, "dir/nope"));
	assert_false(context_ignores(c, "dir/sub/keep"));
	assert_false(context_ignores(c, "a"));
	assert_false(context_ignores(c, ""));
	context_close(c);
}

static int begin(void **state)
{
	if (set_up(state))
		return -1;
	store = open_store();
	return 0;
}

static int end(void **state)
{
	store_close(store);
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ignored_files_are_not_there),
		cmocka_unit_test(
			the_dockerfiles_own_ignore_file_goes_before_the_common_one),
		cmocka_unit_test(a_malformed_ignore_file_is_named_with_its_line),
		cmocka_unit_test(a_context_that_is_no_folder_is_wrong_input),
		cmocka_unit_test(a_node_is_what_the_file_is_but_for_its_owner),
		cmocka_unit_test(links_are_resolved_inside_the_context),
		cmocka_unit_test(names_of_one_inode_are_a_group),
		cmocka_unit_test(names_are_bytes),
		cmocka_unit_test(a_digest_is_read_once_and_then_remembered),
		cmocka_unit_test(a_file_that_changes_meanwhile_is_an_error),
		cmocka_unit_test(what_is_hidden_is_told_from_what_is_missing),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
