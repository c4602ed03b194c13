/*
 * Commands change a real overlay, as root and in a user namespace with one id;
 * testdata/overlaycase.py says what the layer must be, and whether the settled upper
 * folder is that layer unpacked.  Run from the root of the repository.
 *
 * Each case is this program again in a mount namespace of its own.  DIFF_SEEDS=N tries
 * more random cases, from DIFF_FIRST.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "builder/rootfs/diff.h"
#include "builder/rootfs/index.h"
#include "builder/rootfs/layer.h"
#include "builder/rootfs/treeload.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/stream.h"
#include "registry/store.h"

#define CASE "/usr/bin/python3 -IS testdata/overlaycase.py"
#define TIME 1700000000
#define STEPS 3

static const char *const covered[] = {"etc/hosts", "etc/resolv.conf", "proc"};

/* One case, in a process of its own. */

struct test_case {
	const char *folder;
	bool one, keep, bytecode, covers;
	struct store *store;
	int lowers[STEPS + 1]; /* the topmost last */
	size_t nlowers;
	struct digest layers[STEPS];
};

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->msg : strerror(errno));
	exit(1);
}

static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *fmt, ...)
{
	auto_free char *line = NULL;
	int status;
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		line = NULL;
	va_end(ap);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-ec", line, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || status) {
		fprintf(stderr, "failed: %s\n", line);
		return -1;
	}
	return 0;
}
#define SHELL(...)                      \
	do {                            \
		if (shell(__VA_ARGS__)) \
			exit(1);        \
	} while (0)

static const char *flags(const struct test_case *c)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s%s%s", c->one ? " --one" : "",
		 c->keep ? " --keep" : "", c->bytecode ? " --bytecode" : "");
	return text;
}

/* The tree as a later process sees it: from the layers' indexes. */
static struct tree *load_tree(const struct test_case *c, size_t nlayers)
{
	auto_free char *path = xasprintf("%s/base.tar", c->folder);
	auto_buf struct buf tar = BUF_INIT, bytes = BUF_INIT;
	struct error err = ERROR_INIT;
	struct index_builder *b = index_builder_new();
	struct tree *t = tree_new();
	struct digest d;

	if (file_read(AT_FDCWD, path, (size_t)1 << 30, &tar, &err) < 0)
		die("tar", &err);
	struct source *src = source_bytes(tar.data, tar.len);
	digest_of(&d, tar.data, tar.len);
	if (treeload_read(src, b, &err) < 0 ||
	    index_builder_finish(b, &d, &bytes, &err) < 0)
		die("index", &err);
	source_close(src);
	index_builder_free(b);
	for (size_t i = 0; i <= nlayers; i++) {
		struct index *ix = i ? treeload_open(c->store, &c->layers[i - 1], &err)
				     : index_open_bytes(bytes.data, bytes.len, &d, &err);

		if (!ix || tree_push_index(t, ix, &err) < 0)
			die("tree", &err);
		index_unref(ix);
	}
	return t;
}

static void mount_overlay(const struct test_case *c, const char *upper)
{
	auto_buf struct buf o = BUF_INIT;
	auto_free char *at = xasprintf("%s/merged", c->folder);

	for (size_t i = c->nlowers; i--;)
		buf_addf(&o, "%s%s/upper%zu", o.len ? ":" : "lowerdir=", c->folder, i);
	if (c->covers)
		buf_addf(&o, ":%s/stubs", c->folder);
	if (upper)
		buf_addf(&o, ",upperdir=%s,workdir=%s.work", upper, upper);
	else
		buf_addf(&o, ":%s/nothing", c->folder);
	buf_adds(&o, c->one ? ",userxattr"
			    : ",index=off,redirect_dir=nofollow,metacopy=off,xino=off");
	if (mount("overlay", at, "overlay", 0, o.data) < 0)
		die("mount", NULL);
}

static void unmount(const struct test_case *c)
{
	auto_free char *at = xasprintf("%s/merged", c->folder);

	if (umount(at) < 0)
		die("umount", NULL);
}

static int open_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die(path, NULL);
	return fd;
}

/* The upper folder's root looks as the tree's. */
static void make_upper(const struct test_case *c, const char *upper, size_t k)
{
	auto_free char *below = xasprintf("%s/upper%zu", c->folder, k - 1);
	struct stat st;
	char value[16];

	SHELL("mkdir %s %s.work", upper, upper);
	if (stat(below, &st) < 0 || chown(upper, st.st_uid, st.st_gid) < 0 ||
	    chmod(upper, st.st_mode & 07777) < 0)
		die(upper, NULL);
	ssize_t n = getxattr(below, "user.k", value, sizeof(value));
	if (n >= 0 && setxattr(upper, "user.k", value, (size_t)n, 0) < 0)
		die(upper, NULL);
}

/* unpack_owner of a namespace with one id */
static bool only_root(void *ctx, uint32_t uid, uint32_t gid)
{
	(void)ctx;
	return !uid && !gid;
}

static int write_step(struct test_case *c, size_t k, const char *upper, struct error *err)
{
	struct disk_root root = {.fd = open_folder(upper), .name = "upper"};
	struct tree *t = load_tree(c, k - 1);
	int lowers[STEPS + 1];
	struct diff_options o = {.upper = &root,
				 .lowers = lowers,
				 .nlowers = c->nlowers,
				 .user_namespace = c->one,
				 .has_owner = c->one ? only_root : NULL,
				 .covered = covered,
				 .ncovered = c->covers ? 3 : 0,
				 .time = TIME,
				 .keep_mtime = c->keep,
				 .bytecode = c->bytecode};
	struct layer_options l = {.store = c->store,
				  .level = 1,
				  .mtime = TIME,
				  .keep_mtime = c->keep,
				  .threads = 1};
	struct layer out = {0};
	int rc;

	for (size_t i = 0; i < c->nlowers; i++)
		lowers[i] = c->lowers[c->nlowers - 1 - i];
	tree_begin_step(t);
	rc = diff_upper(t, &o, err);
	if (!rc) {
		bool empty = tree_step_empty(t);

		rc = layer_write(t, &l, &out, err);
		if (!rc && empty != (out.entries == 0))
			die("tree_step_empty is wrong", NULL);
	}
	tree_free(t);
	if (rc < 0) {
		close(root.fd);
		return -1;
	}
	c->layers[k - 1] = out.diff_id;
	c->lowers[c->nlowers++] = root.fd;
	auto_free char *gz = xasprintf("%s/layer%zu.gz", c->folder, k);
	auto_fd int fd = store_get(c->store, &out.digest, NULL, err);
	auto_fd int to = open(gz, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	auto_buf struct buf blob = BUF_INIT;
	if (fd < 0 || to < 0 || file_read_fd(fd, (size_t)1 << 30, &blob, err) < 0 ||
	    file_write_all(to, blob.data, blob.len, err) < 0)
		die("blob", err);
	SHELL("gzip -dc %s > %s/layer%zu.tar", gz, c->folder, k);
	return 0;
}

/* The layer is what the rules say, the upper folder is the layer. */
static void check_step(const struct test_case *c, size_t k, const char *upper)
{
	const char *f = c->folder;

	SHELL(CASE " upper %s %s/layer%zu.tar %s", upper, f, k, flags(c));
	/* whose trees have paths that are none of the image */
	if (c->covers)
		return;
	SHELL(CASE " layer %s/tree%zu %s/after%zu %s/links%zu %s/layer%zu.tar %d "
		   "%s/tree%zu %s",
	      f, k - 1, f, k, f, k, f, k, TIME, f, k, flags(c));
	mount_overlay(c, NULL);
	SHELL(CASE " list %s/merged %s/again%zu", f, f, k);
	unmount(c);
	SHELL(CASE " same %s/tree%zu %s/again%zu %s", f, k, f, k, flags(c));
}

static int one_step(struct test_case *c, size_t k, const char *seed, const char *script,
		    struct error *err)
{
	auto_free char *upper = xasprintf("%s/upper%zu", c->folder, k);
	const char *f = c->folder;

	make_upper(c, upper, k);
	mount_overlay(c, upper);
	if (seed)
		SHELL(CASE " work %s.%zu %s/merged %d %s", seed, k, f, TIME, flags(c));
	else
		SHELL("cd %s/merged; umask 022; %s", f, script);
	SHELL(CASE " list %s/merged %s/after%zu", f, f, k);
	unmount(c);
	SHELL(CASE " links %s %s/links%zu", upper, f, k);
	if (write_step(c, k, upper, err) < 0)
		return -1;
	check_step(c, k, upper);
	return 0;
}

/* case FOLDER FLAGS SEED BASE WORK...: SEED "" for scripts */
static int run_case(char **argv)
{
	struct test_case c = {.folder = argv[0]};
	const char *f = c.folder, *seed = *argv[2] ? argv[2] : NULL;
	auto_free char *store = xasprintf("%s/store", f),
		       *base = xasprintf("%s/upper0", f);
	struct error err = ERROR_INIT;
	size_t k = 0;

	c.one = strchr(argv[1], '1');
	c.keep = strchr(argv[1], 'k');
	c.bytecode = strchr(argv[1], 'b');
	c.covers = strchr(argv[1], 'c');
	SHELL("cd %s; mkdir merged store nothing stubs stubs/etc stubs/proc; "
	      "touch stubs/etc/hosts stubs/etc/resolv.conf",
	      f);
	if (seed)
		SHELL(CASE " base %s %s/base.tar %s %s", seed, f, base, flags(&c));
	else
		SHELL("mkdir %s; (cd %s; umask 022; %s); " CASE " pack %s %s/base.tar %s",
		      base, base, argv[3], base, f, flags(&c));
	SHELL(CASE " tree %s/base.tar %s/tree0", f, f);
	c.store = store_open(store, &err);
	if (!c.store)
		die("store", &err);
	c.lowers[c.nlowers++] = open_folder(base);
	for (char **work = argv + 4; *work && k < STEPS; work++)
		if (one_step(&c, ++k, seed, *work, &err) < 0) {
			printf("error %d: %s\n", err.kind, err.msg);
			break;
		}
	while (c.nlowers)
		close(c.lowers[--c.nlowers]);
	store_close(c.store);
	if (err.kind == E_NONE && !seed)
		return shell("tar tf %s/layer%zu.tar | tr '\\n' ' '", f, k) ? 1 : 0;
	return seed && err.kind != E_NONE;
}

/* The tests */

static char *new_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	char *folder = xasprintf("%s/hod-diff.XXXXXX", tmp ? tmp : "/tmp");

	assert_non_null(mkdtemp(folder));
	return folder;
}

/* Runs a case; what it printed. */
static void in_namespace(struct buf *out, const char *what, const char *letters,
			 const char *seed, const char *base, const char *const *work)
{
	bool one = strchr(letters, '1');
	auto_free char *folder = new_folder();
	const char *argv[16] = {"unshare", one ? "-Urm" : "-m", "/proc/self/exe", "case"};
	auto_free char *self = realpath("/proc/self/exe", NULL);
	auto_free char *log = NULL;
	struct error err = ERROR_INIT;
	size_t n = 4;
	int status;

	argv[2] = self;
	argv[n++] = folder;
	argv[n++] = letters;
	argv[n++] = seed;
	argv[n++] = base;
	for (; *work; work++)
		argv[n++] = *work;
	log = xasprintf("%s/log", folder);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		dup2(fd, 1);
		dup2(fd, 2);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(file_read(AT_FDCWD, log, (size_t)1 << 20, out, &err), 0);
	if (status)
		fail_msg("%s (%s, in %s): %s", what, letters, folder, out->data);
	assert_int_equal(file_remove_tree(AT_FDCWD, folder, &err), 0);
}

static void random_cases(const char *letters, unsigned n)
{
	static const char *const steps[] = {"1", "2", "3", NULL};
	const char *more = getenv("DIFF_SEEDS"), *first = getenv("DIFF_FIRST");
	unsigned from = first ? (unsigned)strtoul(first, NULL, 10) : 1;

	if (more)
		n = (unsigned)strtoul(more, NULL, 10);
	for (unsigned i = from; i < from + n; i++) {
		auto_buf struct buf out = BUF_INIT;
		auto_free char *seed = xasprintf("%u", i);

		in_namespace(&out, seed, letters, seed, "", steps);
	}
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void what_root_changes_at_random_is_the_layer_of_the_rules(void **state)
{
	(void)state;
	need_root();
	random_cases("b", 3);
}

static void so_it_is_in_a_namespace_with_one_id(void **state)
{
	(void)state;
	random_cases("1b", 4);
}

static void so_it_is_without_the_rules_for_bytecode(void **state)
{
	(void)state;
	random_cases("1", 1);
}

static void so_it_is_where_mtimes_are_kept(void **state)
{
	(void)state;
	random_cases("1k", 2);
}

#define M5 "printf 'x = 1' >m.py; touch -d @5 m.py; "
#define PYC(field, size)                                                   \
	"mkdir -p __pycache__; printf '\\247\\r\\r\\n\\0\\0\\0\\0\\" field \
	"\\0\\0\\0\\" size "\\0\\0\\0code' >__pycache__/m.cpython-38.pyc; "

struct script {
	const char *what, *letters, *base, *work[3], *expect;
};

static const struct script scripts[] = {
	{"nothing", "1", "touch a", {":"}, ""},
	{"what is only touched is no change",
	 "1",
	 "mkdir d; echo a >d/a; ln -s a d/l; mkfifo d/p",
	 {": >>d/a; chmod 644 d/a; touch d d/a d/p; touch -h d/l; rm d/a; echo a >d/a; "
	  "mkdir n; rmdir n; echo >t; rm t"},
	 ""},
	{"a change names the folders on its way",
	 "1",
	 "mkdir -p d/e; echo a >d/e/a; echo b >d/e/b",
	 {"chmod 600 d/e/a"},
	 "d/ d/e/ d/e/a "},
	{"the topmost removed path is a whiteout",
	 "1",
	 "mkdir -p d/e/f; echo a >d/e/f/a; echo b >b",
	 {"rm -r d/e b"},
	 ".wh.b d/ d/.wh.e "},
	{"an opaque folder shows what is missing",
	 "1",
	 "mkdir -p d/e; echo a >d/a; echo b >d/b; echo c >d/e/c; echo f >d/e/f",
	 {"cp -a d d~; rm -r d; mv d~ d; rm d/b d/e/c"},
	 "d/ d/.wh.b d/e/ d/e/.wh.c "},
	{"another type needs no whiteout",
	 "1",
	 "mkdir d; echo a >d/a; echo f >f",
	 {"rm -r d; echo d >d; rm f; mkdir f; echo x >f/x"},
	 "d f/ f/x "},
	{"a new folder that was renamed",
	 "1",
	 "mkdir d",
	 {"mkdir d/n~; echo a >d/n~/a; mv d/n~ d/n"},
	 "d/ d/n/ d/n/a "},
	{"an unchanged name is no part of a group",
	 "1",
	 "echo a >a",
	 {"ln a b; ln a c"},
	 "b c "},
	{"one owner for all names of an inode",
	 "1",
	 "echo a >b",
	 {"echo x >>b; ln b a; ln b c"},
	 "a b c "},
	{"a socket replaces nothing",
	 "1",
	 "echo a >a",
	 {"rm a; python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); "
	  "s.bind(\"a\"); t = socket.socket(socket.AF_UNIX); t.bind(\"new\")'"},
	 ".wh.a "},
	{"the root", "1", "echo a >a", {"chmod 711 .; echo b >b"}, "./ b "},
	{"removed in one step, back in the next",
	 "1",
	 "mkdir d; echo a >d/a; echo b >d/b",
	 {"rm -r d", "mkdir d; echo a >d/a"},
	 "d/ d/a "},
	{"removed twice", "1", "mkdir d; echo a >d/a", {"rm d/a", "rm -r d"}, ".wh.d "},
	{"a name that says removed",
	 "1",
	 "mkdir d",
	 {"echo >d/.wh.a"},
	 "error 1: /d/.wh.a: a layer cannot have names that begin with .wh.\n"},
	{"a folder that says removed",
	 "1",
	 "mkdir d",
	 {"mkdir d/.wh.a"},
	 "error 1: /d/.wh.a: a layer cannot have names that begin with .wh.\n"},
	{"covered paths",
	 "1c",
	 "mkdir etc; echo h >etc/hosts; echo a >a",
	 {"echo x >etc/hosts; rm etc/resolv.conf; rmdir proc; echo b >b"},
	 "b "},
	{"a folder that covered paths made known",
	 "1c",
	 "echo a >a",
	 {"echo x >etc/hosts; touch proc; echo b >b"},
	 "b "},
	{"a folder that is used all the same",
	 "1c",
	 "echo a >a",
	 {"echo x >etc/hosts; echo new >etc/new"},
	 "etc/ etc/new "},
	{"valid bytecode of an unchanged source",
	 "1b",
	 M5,
	 {"touch -d @6 m.py; " PYC("006", "005")},
	 "__pycache__/ __pycache__/m.cpython-38.pyc "},
	{"compiled again to the same",
	 "1b",
	 M5 PYC("005", "005"),
	 {"touch -d @6 m.py; " PYC("006", "005")},
	 ""},
	{"a changed mode takes bytecode along",
	 "1b",
	 M5 PYC("005", "005"),
	 {"chmod 755 m.py"},
	 "__pycache__/ __pycache__/m.cpython-38.pyc m.py "},
	{"a touched source with another mode too",
	 "1b",
	 M5 PYC("005", "005"),
	 {"touch -d @9 m.py; chmod 755 m.py"},
	 "__pycache__/ __pycache__/m.cpython-38.pyc m.py "},
	{"pip's folder where one block ends and another begins",
	 "1b",
	 ":",
	 {"head -c 131062 /dev/zero >x.pyc; printf pip-target-abcdefgh/ >>x.pyc; "
	  "chmod 6755 x.pyc; cp -p x.pyc y"},
	 "x.pyc y "},
	{"one inode of bytecode for two sources",
	 "1b",
	 M5 "printf 'x = 2' >n.py; touch -d @8 n.py",
	 {PYC("005", "005") "cd __pycache__; ln m.cpython-38.pyc n.cpython-38.pyc"},
	 "__pycache__/ __pycache__/m.cpython-38.pyc __pycache__/n.cpython-38.pyc "},
	{"pip's folder in bytecode that was there before",
	 "1b",
	 M5 PYC("005",
		"005") "printf pip-target-abcdefgh/ >>__pycache__/m.cpython-38.pyc",
	 {"chmod 600 m.py __pycache__/m*"},
	 "__pycache__/ __pycache__/m.cpython-38.pyc m.py "},
	{"a source of the time 0",
	 "1b",
	 "printf 'x = 1' >m.py; touch -d @0 m.py",
	 {"touch -d @7 m.py; " PYC("000", "005")},
	 "__pycache__/ __pycache__/m.cpython-38.pyc "},
	{"an access control list",
	 "1",
	 "echo a >a",
	 {"python3 -c 'import os; os.setxattr(\"a\", \"system.posix_acl_access\", "
	  "bytes.fromhex(\"02000000 01000600ffffffff 0200060000000000 "
	  "04000400ffffffff 10000600ffffffff 20000400ffffffff\"))'"},
	 "a "},
	{"bytecode that would be found valid is not",
	 "1b",
	 M5,
	 {"touch -d @7 m.py; " PYC("007", "005") "printf 'x = 1 ' >m.py",
	  "printf 'x = 2' >m.py; touch -d @9 m.py"},
	 "m.py "},
	{"stale bytecode of a lower layer",
	 "1b",
	 ":",
	 {M5 PYC("005", "005"), "printf 'x = 2' >m.py; touch -d @9 m.py"},
	 "__pycache__/ __pycache__/m.cpython-38.pyc m.py "},
};

static void scripts_give_the_layers_of_the_rules(void **state)
{
	static const char *const modes[] = {"1", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++)
		for (size_t k = 0; k < (geteuid() == 0 ? 2 : 1); k++) {
			const struct script *s = &scripts[i];
			auto_free char *letters =
				xasprintf("%s%s", modes[k], s->letters + 1);
			const char *work[4] = {s->work[0], s->work[1], s->work[2]};
			auto_buf struct buf out = BUF_INIT;

			in_namespace(&out, s->what, letters, "", s->base, work);
			if (strcmp(out.data, s->expect) != 0)
				fail_msg("%s (%s): want \"%s\", got \"%s\"", s->what,
					 letters, s->expect, out.data);
		}
}

/* No overlay: what a folder holds is all new to an empty tree. */
static int plain_diff(const char *folder, const char *script, struct layer *out,
		      struct error *err)
{
	auto_free char *store = xasprintf("%s/store", folder),
		       *upper = xasprintf("%s/upper", folder);
	struct tree *t = tree_new();
	struct diff_options o = {.time = TIME,
				 .user_namespace = true,
				 .has_owner = only_root,
				 .bytecode = true};
	struct layer_options l = {.level = 1, .mtime = TIME, .threads = 1};
	struct disk_root root = {.name = "upper"};
	int rc;

	assert_int_equal(
		shell("mkdir -m 755 %s %s; cd %s; %s", store, upper, upper, script), 0);
	root.fd = open_folder(upper);
	o.upper = &root;
	l.store = store_open(store, err);
	assert_non_null(l.store);
	tree_begin_step(t);
	rc = diff_upper(t, &o, err);
	if (!rc)
		rc = layer_write(t, &l, out, err);
	tree_free(t);
	store_close(l.store);
	close(root.fd);
	return rc;
}

/* 255 names of 100 bytes are more than a path of a system call has. */
static void a_path_longer_than_a_system_call_takes_is_kept(void **state)
{
	auto_free char *folder = new_folder();
	struct error err = ERROR_INIT;
	struct layer out = {0};

	(void)state;
	if (plain_diff(
		    folder,
		    "python3 -c 'import os\n"
		    "for i in range(254): os.mkdir(\"n\" * 100); os.chdir(\"n\" * 100)\n"
		    "open(\"f\", \"w\").write(\"text\")\n"
		    "open(\"f.pyc\", \"w\").write(\"pip-target-abcdefgh/\")'",
		    &out, &err) < 0)
		fail_msg("%s", err.msg);
	/* to another user than root, the root folder is a change of owner too */
	assert_int_equal(out.entries, geteuid() ? 257 : 256);
	assert_int_equal(file_remove_tree(AT_FDCWD, folder, &err), 0);
}

static void a_path_of_too_many_folders_is_refused(void **state)
{
	auto_free char *folder = new_folder();
	struct error err = ERROR_INIT;
	struct layer out = {0};

	(void)state;
	assert_int_equal(plain_diff(folder,
				    "python3 -c 'import os\n"
				    "for i in range(256): os.mkdir(\"n\"); "
				    "os.chdir(\"n\")'",
				    &out, &err),
			 -1);
	assert_int_equal(err.kind, E_FAILED);
	assert_non_null(strstr(err.msg, "is nested more than 255 folders deep"));
	assert_int_equal(file_remove_tree(AT_FDCWD, folder, &err), 0);
}

static void a_file_larger_than_a_layer_takes_is_refused(void **state)
{
	/* a file system that takes such a size */
	auto_free char *folder = xstrdup("/dev/shm/hod-diff.XXXXXX");
	struct error err = ERROR_INIT;
	struct layer out = {0};

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(plain_diff(folder, "truncate -s 8796093022209 big", &out, &err),
			 -1);
	assert_int_equal(err.kind, E_FAILED);
	assert_string_equal(err.msg, "/big: a file of more than 8 TiB fits no layer");
	assert_int_equal(file_remove_tree(AT_FDCWD, folder, &err), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_give_the_layers_of_the_rules),
		cmocka_unit_test(what_root_changes_at_random_is_the_layer_of_the_rules),
		cmocka_unit_test(so_it_is_in_a_namespace_with_one_id),
		cmocka_unit_test(so_it_is_without_the_rules_for_bytecode),
		cmocka_unit_test(so_it_is_where_mtimes_are_kept),
		cmocka_unit_test(a_path_longer_than_a_system_call_takes_is_kept),
		cmocka_unit_test(a_path_of_too_many_folders_is_refused),
		cmocka_unit_test(a_file_larger_than_a_layer_takes_is_refused),
	};

	if (argc > 5 && !strcmp(argv[1], "case"))
		return run_case(argv + 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
