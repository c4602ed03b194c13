/*
 * Folders on disk against what other programs say that they should show.  Run from the
 * root of the repository.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "builder/rootfs/treeload_test.h"
#include "builder/rootfs/unpack.h"
#include "registry/base/interrupt.h"

#define USER 4321

/* A stack of tars, and how they are opened. */
struct stack {
	struct buf tars[8];
	struct index *layers[8];
	size_t n;
	struct tree *tree;
	uint64_t distance;  /* of points; 0: only the start */
	atomic_uint opened; /* how often, and from within a tar */
	atomic_uint within;
	void (*at_open)(void); /* called before the first content is read */
	bool damaged;          /* the digest of each tar is wrong at its end */
};

static size_t layer_of(const struct stack *s, const struct digest *d)
{
	for (size_t i = 0; i < s->n; i++)
		if (digest_equal(index_diff_id(s->layers[i]), d))
			return i;
	fail_msg("a layer that is none of the stack");
	return 0;
}

static struct source *open_tar(void *ctx, const struct digest *d, uint64_t from,
			       uint64_t *at, struct error *err)
{
	static const struct digest wrong = {{1}};
	struct stack *s = ctx;
	const struct buf *tar = &s->tars[layer_of(s, d)];
	struct source *src;

	(void)err;
	if (s->at_open)
		s->at_open();
	*at = s->distance ? from / s->distance * s->distance : 0;
	atomic_fetch_add(&s->opened, 1);
	if (*at)
		atomic_fetch_add(&s->within, 1);
	src = source_bytes(tar->data + *at, tar->len - *at);
	return s->damaged ? source_verify(src, &wrong, tar->len - *at, false) : src;
}

static void points_of_tar(void *ctx, const struct digest *d, uint64_t **v, size_t *n)
{
	struct stack *s = ctx;
	size_t len = s->tars[layer_of(s, d)].len;

	*n = s->distance ? len / s->distance + 1 : 0;
	*v = xcalloc(*n, sizeof(**v));
	for (size_t i = 0; i < *n; i++)
		(*v)[i] = i * s->distance;
}

static struct unpack_options options(struct stack *s)
{
	return (struct unpack_options){.open = open_tar,
				       .points = points_of_tar,
				       .ctx = s,
				       .owners = geteuid() == 0,
				       .devices = geteuid() == 0,
				       .threads = 3};
}

static void stack_load(struct stack *s)
{
	struct error err = ERROR_INIT;

	*s = (struct stack){.tree = tree_new()};
	for (; s->n < 8; s->n++) {
		auto_free char *path = xasprintf("%s/%zu.tar", folder, s->n);
		auto_free char *name = xasprintf("%zu.tar", s->n);

		if (access(path, F_OK) < 0)
			break;
		s->tars[s->n] = (struct buf)BUF_INIT;
		read_file(name, &s->tars[s->n]);
		s->layers[s->n] = must_load(&s->tars[s->n]);
		if (tree_push_index(s->tree, s->layers[s->n], &err) < 0)
			fail_msg("%s", err.msg);
	}
	assert_true(s->n > 0);
}

static void stack_release(struct stack *s)
{
	tree_free(s->tree);
	for (size_t i = 0; i < s->n; i++) {
		index_unref(s->layers[i]);
		buf_release(&s->tars[i]);
	}
}
#define auto_stack __attribute__((cleanup(stack_release)))

/* 0.tar of Python lines that call add(name, type, data, **fields of TarInfo). */
static void make_tar(const char *name, const char *lines)
{
	auto_free char *path = xasprintf("%s/make.py", folder);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f,
		"import io, tarfile, struct\n"
		"t = tarfile.open('%s', 'w', format=tarfile.PAX_FORMAT, encoding='utf-8',"
		" errors='surrogateescape')\n"
		"def add(name, kind='0', data=b'', xattrs={}, **more):\n"
		" i = tarfile.TarInfo(name); i.type = kind.encode(); i.size = len(data)\n"
		" i.mode = 0o755 if kind == '5' else 0o644; i.mtime = 1000\n"
		" i.pax_headers = {'SCHILY.xattr.' + k: v for k, v in xattrs.items()}\n"
		" for k, v in more.items(): setattr(i, k, v)\n"
		" t.addfile(i, io.BytesIO(data))\n"
		"%s\nt.close()\n",
		name, lines);
	assert_int_equal(fclose(f), 0);
	sh(NULL, "rm -f [0-9].tar; %s make.py", PYTHON);
}

static int new_folder(const char *name)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail_msg("%s", path);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void must_unpack(struct stack *s, const struct unpack_options *o, const char *name)
{
	struct error err = ERROR_INIT;
	auto_fd int fd = new_folder(name);

	if (unpack_tree(s->tree, fd, o, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The kind of the error; *err says the rest. */
static void unpack_fails(struct stack *s, const char *name, struct error *err)
{
	struct unpack_options o = options(s);
	auto_fd int fd = new_folder(name);

	*err = (struct error)ERROR_INIT;
	assert_int_equal(unpack_tree(s->tree, fd, &o, err), -1);
}

/* In a child, as an ordinary user where asked for: 0 is all well. */
static void in_child(bool as_user, int (*check)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (as_user && geteuid() == 0 &&
		    (chown(folder, USER, USER) < 0 || setgid(USER) < 0 ||
		     setuid(USER) < 0))
			_exit(99);
		_exit(check(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int unpack_in_child(void *arg)
{
	struct stack *s = arg;
	struct unpack_options o = options(s);
	struct error err = ERROR_INIT;
	auto_fd int fd = new_folder("out");

	umask(027);
	if (unpack_tree(s->tree, fd, &o, &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.msg);
	return 1;
}

static void random_stack(unsigned seed, bool as_user)
{
	sh(NULL, "rm -rf out [0-9].tar; %s $TOP/testdata/mergetree.py %u . >want", PYTHON,
	   seed);
	auto_stack struct stack s;
	stack_load(&s);
	in_child(as_user, unpack_in_child, &s);
	sh(NULL, "%s $TOP/testdata/listtree.py %s out want", PYTHON,
	   as_user || geteuid() ? "--one --no-devices" : "");
	if (as_user)
		return;
	struct error err = ERROR_INIT;
	struct unpack_options o = options(&s);
	auto_fd int fd = new_folder("out");
	int same = unpack_check(s.tree, fd, &o, &err);
	if (same != 1)
		fail_msg("seed %u: %d %s", seed, same, err.msg);
}

static void random_layers_show_what_a_plain_merge_shows(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* the folders have modes that their owner cannot read */
	for (unsigned seed = 1; seed <= 20; seed++)
		random_stack(seed, false);
}

static void an_ordinary_user_gets_all_but_owners_and_devices(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* who could not read what comes out */
	for (unsigned seed = 50; seed <= 57; seed++)
		random_stack(seed, true);
}

static void a_large_layer_is_read_in_pieces_that_come_out_whole(void **state)
{
	(void)state;
	make_tar("0.tar",
		 "import random\n"
		 "R = random.Random(1)\n"
		 "for i in range(600):\n"
		 " add('d%d/f%d' % (i % 7, i), data=R.randbytes(R.choice([0, 1, 511, 512,"
		 " 3000, 70000])))\n"
		 " if i % 80 == 0: add('big%d' % i, data=R.randbytes(5000000 + i))\n");
	for (int i = 0; i < 3; i++) {
		auto_stack struct stack s;
		stack_load(&s);
		struct unpack_options o = options(&s);
		s.distance = i == 0 ? 0 : i == 1 ? (uint64_t)4 << 20 : 512 * 777;
		must_unpack(&s, &o, "out");
		if (i == 0) {
			assert_int_equal(s.opened, 1);
			sh(NULL, "mkdir want; tar -C want -xf 0.tar");
		} else {
			assert_true(s.within >= 3 && s.opened < 30);
		}
		sh(NULL, "diff -r want out; rm -rf out");
	}
}

static void what_a_layer_says_too_late_is_an_error(void **state)
{
	struct error err;

	(void)state;
	make_tar("0.tar", "add('f', data=b'x' * 5000)\nadd('g', data=b'y' * 9)\n"
			  "add('z', data=bytes(3000000))");
	auto_stack struct stack s;
	stack_load(&s);
	/* what is wanted comes long before the end, where the digest is seen to be wrong
	 */
	struct error none = ERROR_INIT;
	tree_remove(s.tree, tree_child(s.tree, tree_root(s.tree), "z", 1, &none));
	s.damaged = true;
	unpack_fails(&s, "out", &err);
	assert_int_equal(err.kind, E_CORRUPT);
	s.distance = (uint64_t)64 << 10; /* up to a point only */
	s.damaged = false;
	struct unpack_options o = options(&s);
	sh(NULL, "rm -rf out");
	must_unpack(&s, &o, "out");
}

static void set_id_bits_and_capabilities_survive_the_owner(void **state)
{
	struct stat st;
	unsigned char cap[64];

	(void)state;
	if (geteuid() != 0)
		skip();
	/* cap_net_raw=ep, as setcap(8) writes it */
	make_tar("0.tar",
		 "add('bin', '5')\n"
		 "add('bin/ping', data=b'x', uid=7, gid=8, mode=0o6755, xattrs={"
		 "'security.capability': struct.pack('<IIIII', 0x2000001, 0x2000, 0, 0,"
		 " 0).decode('latin-1')})\n"
		 "add('bin/bad', data=b'x', xattrs={'security.capability': 'abc'})\n"
		 "add('sticky', '5', mode=0o3777, uid=9, gid=9)\n");
	auto_stack struct stack s;
	stack_load(&s);
	struct unpack_options o = options(&s);
	must_unpack(&s, &o, "out");
	auto_fd int fd = new_folder("out");
	assert_int_equal(fstatat(fd, "bin/ping", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(st.st_gid, 8);
	auto_free char *path = xasprintf("%s/out/bin/ping", folder);
	assert_int_equal(getxattr(path, "security.capability", cap, sizeof(cap)), 20);
	assert_memory_equal(cap + 4, "\x00\x20\x00\x00", 4);
	assert_int_equal(fstatat(fd, "sticky", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 03777);
	assert_int_equal(st.st_uid, 9);
}

static void only_harmless_attributes_are_set(void **state)
{
	auto_buf struct buf out = BUF_INIT;

	(void)state;
	make_tar(
		"0.tar",
		"x = {'user.a': '1', 'user.overlay.opaque': 'y', 'user.hod.own': '0:0',\n"
		" 'user.containers.override_stat': 'x', 'user.rootlesscontainers': 'x',\n"
		" 'trusted.overlay.opaque': 'y', 'user.overlayz': '2',"
		" 'security.selinux': 'x'}\n"
		"add('f', data=b'x', mode=0o444, xattrs=x)\n"
		"add('e', mode=0, xattrs=x)\n"
		"add('d', '5', mode=0o555, xattrs=x)\n"
		"add('d/sub', '5')\n");
	auto_stack struct stack s;
	stack_load(&s);
	struct unpack_options o = options(&s);
	must_unpack(&s, &o, "out");
	sh(&out,
	   "%s -c \"import os\nfor p in 'def': print(sorted(os.listxattr('out/' + "
	   "p)))\"",
	   PYTHON);
	assert_string_equal(out.data, "['user.a', 'user.overlayz']\n"
				      "['user.a', 'user.overlayz']\n"
				      "['user.a', 'user.overlayz']\n");
}

static void holes_and_zeros_take_no_space(void **state)
{
	struct stat st;

	(void)state;
	make_tar("zero.tar", "add('zeros', data=bytes(3000000))");
	sh(NULL,
	   "truncate -s 1T hole; printf x | dd of=hole bs=1 seek=500G conv=notrunc "
	   "status=none; truncate -s 5M end; tar -S --format=gnu -cf 0.tar hole end; "
	   "mv zero.tar 1.tar");
	auto_stack struct stack s;
	stack_load(&s);
	struct unpack_options o = options(&s);
	must_unpack(&s, &o, "out");
	auto_fd int fd = new_folder("out");
	assert_int_equal(fstatat(fd, "hole", &st, 0), 0);
	assert_true(st.st_size == (off_t)1 << 40 && st.st_blocks < 1000);
	assert_int_equal(fstatat(fd, "end", &st, 0), 0);
	assert_true(st.st_size == (off_t)5 << 20 && st.st_blocks < 100);
	assert_int_equal(fstatat(fd, "zeros", &st, 0), 0);
	assert_true(st.st_size == 3000000 && st.st_blocks < 100);
	auto_fd int file = openat(fd, "hole", O_RDONLY | O_CLOEXEC);
	char byte = 0;
	assert_int_equal(pread(file, &byte, 1, (off_t)500 << 30), 1);
	assert_int_equal(byte, 'x');
}

/* What is below is longer than PATH_MAX. */
static void long_names_and_deep_folders_fit(void **state)
{
	auto_buf struct buf out = BUF_INIT;

	(void)state;
	make_tar("0.tar", "p = '/'.join(['%03d' % i + 'n' * 252 for i in range(30)])\n"
			  "add(p + '/f', data=b'deep')\n"
			  "add(p + '/g', '1', linkname=p + '/f')\n"
			  "add('/'.join('l' * 200) + '/f', data=b'levels')\n");
	auto_stack struct stack s;
	stack_load(&s);
	struct unpack_options o = options(&s);
	must_unpack(&s, &o, "out");
	sh(&out,
	   "cd out; for i in $(seq 30); do cd -P [0-9]*; done; stat -c %%h f; cat g; "
	   "cd ../../../../../../../../../../../../../../../../../../../../../../../../"
	   "../../../../../..; find l* -type f -exec cat {} +");
	assert_string_equal(out.data, "2\ndeeplevels");
}

static void what_stands_there_is_an_error_and_never_followed(void **state)
{
	static const struct {
		const char *before, *tar;
	} cases[] = {
		{"ln -s ../outside out/a", "add('a', '5')\nadd('a/f', data=b'x')"},
		{"ln -s ../outside/f out/f", "add('f', data=b'x')"},
		{"ln -s ../outside/f out/f", "add('f')"},
		{"ln -s ../outside/f out/f", "add('f', '2', linkname='x')"},
		{"ln -s ../outside/f out/f", "add('f', '6')"},
		{"ln -s ../outside/f out/f", "add('e', data=b'x')\nadd('f', '1', "
					     "linkname='e')"},
		{"mkdir out/a", "add('a', '5')"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err;

		make_tar("0.tar", cases[i].tar);
		sh(NULL, "rm -rf out outside; mkdir out outside; %s", cases[i].before);
		auto_stack struct stack s;
		stack_load(&s);
		unpack_fails(&s, "out", &err);
		assert_int_equal(err.kind, E_FAILED);
		sh(NULL, "test -z \"$(ls outside)\"");
	}
}

/* Between the walk and the contents a folder becomes a link out of the root. */
static void swap_folder(void)
{
	auto_free char *from = xasprintf("%s/out/a", folder),
		       *to = xasprintf("%s/out/moved", folder);

	if (rename(from, to) == 0 && symlink("../outside", from) < 0)
		abort();
}

static int swapped(void *arg)
{
	scmp_filter_ctx f;
	struct error err;

	make_tar("0.tar", "add('a/b/f', data=b'x')");
	sh(NULL, "rm -rf out outside; mkdir -p outside/b");
	auto_stack struct stack s;
	stack_load(&s);
	s.at_open = swap_folder;
	if (arg) {
		f = seccomp_init(SCMP_ACT_ALLOW);
		if (!f ||
		    seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0) ||
		    seccomp_load(f))
			return 2;
		seccomp_release(f);
	}
	unpack_fails(&s, "out", &err);
	sh(NULL, "test -L out/a && test -z \"$(ls outside/b)\"");
	/* and the same way works with a folder that stays one */
	s.at_open = NULL;
	struct unpack_options o = options(&s);
	must_unpack(&s, &o, "out2");
	sh(NULL, "test \"$(cat out2/a/b/f)\" = x; rm -rf out2");
	return 0;
}

static void a_folder_that_becomes_a_link_is_not_followed(void **state)
{
	bool without_openat2 = true;

	(void)state;
	swapped(NULL);
	in_child(false, swapped, &without_openat2);
}

static int on_small_disk(void *arg)
{
	const char *const *words = arg;
	auto_free char *place = xasprintf("%s/small", folder);
	struct error err;

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    (mkdir(place, 0700) && errno != EEXIST) ||
	    mount("small", place, "tmpfs", 0, words[0]))
		return 2;
	auto_stack struct stack s;
	stack_load(&s);
	unpack_fails(&s, "small", &err);
	if (err.kind == E_FAILED && strstr(err.msg, words[1]) && err.hint[0])
		return 0;
	fprintf(stderr, "%s\n", err.msg);
	return 1;
}

static void a_full_disk_says_how_much_is_missing(void **state)
{
	static const char *const known[] = {"size=4m",
					    "unpacking takes 10 MB, 6 MB more"};
	static const char *const late[] = {"size=4m", "about 1 MB more are needed"};
	static const char *const inodes[] = {"nr_inodes=50", " more files"};

	(void)state;
	if (geteuid() != 0)
		skip();
	make_tar("0.tar", "add('a', data=b'x' * 10000000)\nadd('b', data=b'x')");
	in_child(false, on_small_disk, (void *)(uintptr_t)known);
	/* a layer's last file: only its size with holes is known */
	make_tar("0.tar", "add('a', data=b'x' * 10000000)");
	in_child(false, on_small_disk, (void *)(uintptr_t)late);
	make_tar("0.tar", "for i in range(100): add('f%d' % i, data=b'x')");
	in_child(false, on_small_disk, (void *)(uintptr_t)inodes);
}

static void devices_are_made_only_where_asked_for(void **state)
{
	struct stat st;

	(void)state;
	make_tar("0.tar",
		 "add('dev', '5')\nadd('dev/null', '3', devmajor=1, devminor=3)\n"
		 "add('dev/white', '3')\nadd('dev/sda', '4', devmajor=8, devminor=300)\n"
		 "add('dev/far', '3', devmajor=5000, devminor=1)\nadd('dev/p', '6')\n");
	auto_stack struct stack s;
	stack_load(&s);
	for (int devices = 0; devices < (geteuid() == 0 ? 2 : 1); devices++) {
		struct unpack_options o = options(&s);
		struct error err = ERROR_INIT;

		o.devices = devices;
		sh(NULL, "rm -rf out");
		must_unpack(&s, &o, "out");
		auto_fd int fd = new_folder("out");
		assert_int_equal(faccessat(fd, "dev/null", F_OK, 0), devices ? 0 : -1);
		assert_int_equal(faccessat(fd, "dev/white", F_OK, 0), -1);
		assert_int_equal(faccessat(fd, "dev/far", F_OK, 0), -1);
		assert_int_equal(fstatat(fd, "dev/p", &st, 0), 0);
		assert_true(S_ISFIFO(st.st_mode));
		assert_int_equal(unpack_check(s.tree, fd, &o, &err), 1);
		if (!devices)
			continue;
		assert_int_equal(fstatat(fd, "dev/sda", &st, 0), 0);
		assert_int_equal(st.st_rdev, makedev(8, 300));
		o.devices = false;
		assert_int_equal(unpack_check(s.tree, fd, &o, &err), 0);
	}
}

static bool below_100(void *ctx, uint32_t uid, uint32_t gid)
{
	(void)ctx;
	return uid < 100 && gid < 100;
}

static void an_owner_that_cannot_be_is_left_out(void **state)
{
	struct stat st;
	struct error err = ERROR_INIT;

	(void)state;
	if (geteuid() != 0)
		skip();
	make_tar("0.tar", "add('a', uid=5, gid=6)\nadd('b', uid=5, gid=1000)\n"
			  "add('c', data=b'x', uid=99, gid=7)");
	auto_stack struct stack s;
	stack_load(&s);
	struct unpack_options o = options(&s);
	o.has_owner = below_100;
	must_unpack(&s, &o, "out");
	auto_fd int fd = new_folder("out");
	assert_int_equal(fstatat(fd, "a", &st, 0), 0);
	assert_true(st.st_uid == 5 && st.st_gid == 6);
	assert_int_equal(fstatat(fd, "b", &st, 0), 0);
	assert_true(st.st_uid == 0 && st.st_gid == 0);
	assert_int_equal(fstatat(fd, "c", &st, 0), 0);
	assert_true(st.st_uid == 99 && st.st_gid == 7);
	assert_int_equal(unpack_check(s.tree, fd, &o, &err), 1);
	o.has_owner = NULL;
	assert_int_equal(unpack_check(s.tree, fd, &o, &err), 0);
}

static void a_check_sees_each_difference(void **state)
{
	static const char *const changes[] = {
		"chmod 600 out/d/f",
		"chmod 700 out/d",
		"printf y >>out/d/f; touch -d @1000 out/d/f",
		"truncate -s 0 out/d/f; touch -d @1000 out/d/f",
		"touch -d @1001 out/d/f",
		"touch -d @1000.5 out/d/f",
		"touch -d @1001 out/d",
		"ln -sfn other out/l; touch -h -d @1000 out/l",
		"ln -sfn target2 out/l; touch -h -d @1000 out/l",
		"touch -h -d @1001 out/l",
		"rm out/l; echo >out/l; touch -d @1000 out/l; touch -d @0 out",
		"touch out/d/new; touch -d @1000 out/d",
		"rm out/d/f; touch -d @1000 out/d",
		"chmod 700 out",
		"chown 5 out/d/f",
		"chgrp 5 out/d",
	};
	struct error err = ERROR_INIT;

	(void)state;
	make_tar("0.tar", "add('d', '5')\nadd('d/f', data=b'x')\n"
			  "add('l', '2', linkname='target')");
	auto_stack struct stack s;
	stack_load(&s);
	struct unpack_options o = options(&s);
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		if (geteuid() != 0 && strncmp(changes[i], "ch", 2) == 0 &&
		    changes[i][2] != 'm')
			continue;
		sh(NULL, "rm -rf out");
		must_unpack(&s, &o, "out");
		auto_fd int fd = new_folder("out");
		assert_int_equal(unpack_check(s.tree, fd, &o, &err), 1);
		sh(NULL, "%s", changes[i]);
		if (unpack_check(s.tree, fd, &o, &err) != 0)
			fail_msg("not seen: %s", changes[i]);
	}
}

/* 0.tar is the base, 1.tar a layer as hod makes them. */
static void make_two_layers(void)
{
	make_tar("1.tar",
		 "add('a', '5', uid=3)\nadd('a/.wh.gone')\n"
		 "add('a/new', data=b'new')\nadd('a/hard', '1', linkname='a/new')\n"
		 "add('b', '5')\nadd('b/c', '5')\nadd('b/c/.wh.d')\n"
		 "add('.wh.file')\n");
	sh(NULL, "mv 1.tar keep");
	make_tar("0.tar", "add('a/gone', data=b'x')\nadd('a/stays', data=b'stays')\n"
			  "add('b/c/d/e/f', data=b'x')\nadd('b/other', data=b'o')\n"
			  "add('file', data=b'f')\nadd('l', '2', linkname='a')\n");
	sh(NULL, "mv keep 1.tar");
}

static int mount_overlay(void *arg)
{
	struct stack *s = arg;
	auto_free char *o = xasprintf("lowerdir=%s/layer:%s/base", folder, folder);
	auto_free char *place = xasprintf("%s/merged", folder);

	(void)s;
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mkdir(place, 0700) || mount("overlay", place, "overlay", 0, o))
		return 2;
	sh(NULL, "cd merged; find . | sort >../merged.txt; cat a/* b/other >../all.txt; "
		 "stat -c '%%h %%n' a/hard >>../all.txt; stat -c %%u a >>../all.txt");
	return 0;
}

static void a_layer_covers_and_removes_through_an_overlay(void **state)
{
	struct error err = ERROR_INIT;
	auto_buf struct buf out = BUF_INIT;

	(void)state;
	if (geteuid() != 0)
		skip();
	make_two_layers();
	auto_stack struct stack s;
	stack_load(&s);
	struct unpack_options o = options(&s);
	struct tree *base = tree_new();
	assert_int_equal(tree_push_index(base, s.layers[0], &err), 0);
	auto_fd int below = new_folder("base");
	auto_fd int above = new_folder("layer");
	assert_int_equal(unpack_tree(base, below, &o, &err), 0);
	tree_free(base);
	if (unpack_layer(s.layers[1], above, &o, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(unpack_check_layer(s.layers[1], above, &o, &err), 1);
	in_child(false, mount_overlay, &s);
	read_file("merged.txt", &out);
	assert_string_equal(
		out.data, ".\n./a\n./a/hard\n./a/new\n./a/stays\n./b\n./b/c\n./b/other\n"
			  "./l\n");
	read_file("all.txt", &out);
	assert_string_equal(out.data, "newnewstayso2 a/hard\n3\n");
	sh(NULL, "rm layer/b/c/d; touch -d @1000 layer/b/c");
	assert_int_equal(unpack_check_layer(s.layers[1], above, &o, &err), 0);
}

static int layer_as_user(void *arg)
{
	struct stack *s = arg;
	struct unpack_options o = options(s);
	struct error err = ERROR_INIT;
	auto_fd int fd = new_folder("mine");
	struct stat st;

	return unpack_layer(s->layers[1], fd, &o, &err) < 0 ||
	       fstatat(fd, "b/c/d", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	       !S_ISCHR(st.st_mode) || st.st_rdev != 0 ||
	       unpack_check_layer(s->layers[1], fd, &o, &err) != 1;
}

static void an_ordinary_user_can_make_whiteouts(void **state)
{
	(void)state;
	make_two_layers();
	auto_stack struct stack s;
	stack_load(&s);
	in_child(true, layer_as_user, &s);
}

static void a_layer_that_hod_did_not_make_is_refused(void **state)
{
	static const char *const layers[] = {"add('a/.wh..wh..opq')",
					     "add('a', '1', linkname='elsewhere')"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf tar = BUF_INIT;
		struct stack s = {0};
		struct unpack_options o = options(&s);
		struct error err = ERROR_INIT;

		make_tar("0.tar", layers[i]);
		read_file("0.tar", &tar);
		struct index *ix = must_load(&tar);
		auto_fd int fd = new_folder("out");
		assert_int_equal(unpack_layer(ix, fd, &o, &err), -1);
		assert_int_equal(err.kind, E_CORRUPT);
		index_unref(ix);
		buf_release(&tar);
	}
}

static int interrupted(void *arg)
{
	struct error err;

	interrupt_install();
	raise(SIGTERM);
	unpack_fails(arg, "out", &err);
	return err.kind != E_INTERRUPTED;
}

static void an_interrupt_ends_it(void **state)
{
	(void)state;
	make_tar("0.tar", "add('a', data=b'x')");
	auto_stack struct stack s;
	stack_load(&s);
	in_child(false, interrupted, &s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_layers_show_what_a_plain_merge_shows),
		TEST(an_ordinary_user_gets_all_but_owners_and_devices),
		TEST(a_large_layer_is_read_in_pieces_that_come_out_whole),
		TEST(what_a_layer_says_too_late_is_an_error),
		TEST(set_id_bits_and_capabilities_survive_the_owner),
		TEST(only_harmless_attributes_are_set),
		TEST(holes_and_zeros_take_no_space),
		TEST(long_names_and_deep_folders_fit),
		TEST(what_stands_there_is_an_error_and_never_followed),
		TEST(a_folder_that_becomes_a_link_is_not_followed),
		TEST(a_full_disk_says_how_much_is_missing),
		TEST(devices_are_made_only_where_asked_for),
		TEST(an_owner_that_cannot_be_is_left_out),
		TEST(a_check_sees_each_difference),
		TEST(a_layer_covers_and_removes_through_an_overlay),
		TEST(an_ordinary_user_can_make_whiteouts),
		TEST(a_layer_that_hod_did_not_make_is_refused),
		TEST(an_interrupt_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
