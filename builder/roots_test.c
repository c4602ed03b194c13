/* Folders that RUN stands on.  Run from the root of the repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/prctl.h>

#include "builder/rootfs/layer.h"
#include "builder/rootfs/treeload_test.h"
#include "builder/roots.h"
#include "registry/base/restart.h"
#include "registry/points.h"

#define USER 4321
#define LAYERS 3

struct fixture {
	struct store *st;
	struct idmap ids;
	struct root_layer layers[LAYERS];
};

static struct store *store(void)
{
	auto_free char *path = xasprintf("%s/store", folder);
	struct error err = ERROR_INIT;
	struct store *st = store_open(path, &err);

	if (!st)
		fail_msg("%s", err.msg);
	return st;
}

/* Packs a layer into the store; its index is kept where asked for. */
static void add_layer(struct fixture *f, size_t i, bool index)
{
	auto_free char *tar = xasprintf("%zu.tar", i);
	auto_buf struct buf bytes = BUF_INIT;
	struct root_layer *l = &f->layers[i];
	struct error err = ERROR_INIT;

	read_file(tar, &bytes);
	digest_of(&l->diff_id, bytes.data, bytes.len);
	if (index && treeload_save(source_bytes(bytes.data, bytes.len), f->st,
				   &l->diff_id, &err) < 0)
		fail_msg("%s", err.msg);
	sh(NULL, "gzip -n <%s >%s.gz", tar, tar);
	auto_free char *gz = xasprintf("%s.gz", tar);
	read_file(gz, &bytes);
	l->size = bytes.len;
	if (store_put_bytes(f->st, bytes.data, bytes.len, &l->blob, &err) < 0)
		fail_msg("%s", err.msg);
	auto_points struct points p = POINTS_INIT;
	char rest[16384];
	points_begin(&p, f->st, &l->blob);
	struct source *src =
		source_inflate_noting(source_bytes(bytes.data, bytes.len), p.writer);
	while (source_read(src, rest, sizeof(rest), &err) > 0)
		;
	source_close(src);
	points_commit(&p, f->st, &l->blob);
}

#define ADD                                                                        \
	"import io, tarfile\n"                                                     \
	"def add(t, name, kind='0', data=b'', **more):\n"                          \
	" i = tarfile.TarInfo(name); i.type = kind.encode(); i.size = len(data)\n" \
	" i.mode = 0o755 if kind == '5' else 0o644; i.mtime = 1000\n"              \
	" for k, v in more.items(): setattr(i, k, v)\n"                            \
	" t.addfile(i, io.BytesIO(data))\n"

/* Two layers of a base, the first of 15 MB so that it has points, and one of hod's own.
 */
static void fixture_make(struct fixture *f)
{
	auto_free char *path = xasprintf("%s/make.py", folder);
	FILE *py = fopen(path, "we");

	assert_non_null(py);
	fputs(ADD
	      "import random\nR = random.Random(3)\n"
	      "t = tarfile.open('0.tar', 'w')\n"
	      "add(t, 'etc', '5'); add(t, 'etc/passwd', data=b'root')\n"
	      "for i in range(50): add(t, 'data/%d' % i, data=R.randbytes(300000))\n"
	      "t.close(); t = tarfile.open('1.tar', 'w')\n"
	      "add(t, 'etc/.wh.passwd'); add(t, 'etc/shadow', data=b'x', uid=7)\n"
	      "add(t, 'null', '3', devmajor=1, devminor=3)\n"
	      "t.close(); t = tarfile.open('2.tar', 'w')\n"
	      "add(t, 'data', '5'); add(t, 'data/.wh.7'); add(t, 'new', data=b'new')\n"
	      "t.close()\n",
	      py);
	assert_int_equal(fclose(py), 0);
	sh(NULL, "%s make.py", PYTHON);
	*f = (struct fixture){.st = store(),
			      .ids = {.mode = geteuid() ? SANDBOX_ONE : SANDBOX_ROOT}};
	for (size_t i = 0; i < LAYERS; i++)
		add_layer(f, i, true);
}

static void fixture_release(struct fixture *f)
{
	store_close(f->st);
}
#define auto_fixture __attribute__((cleanup(fixture_release)))

static int must_open(struct fixture *f, size_t n)
{
	struct error err = ERROR_INIT;
	int fd = roots_open(f->st, &f->ids, f->layers, n, false, &err);

	if (fd < 0)
		fail_msg("%s", err.msg);
	return fd;
}

static ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* The only folder in roots or uppers, as a path below the run's folder. */
static char *kept_path(const char *in)
{
	auto_buf struct buf out = BUF_INIT;

	sh(&out, "ls -d store/%s/*.* | grep -v boot", in);
	assert_non_null(strchr(out.data, '\n'));
	return xstrndup(out.data, strcspn(out.data, "\n"));
}

static int open_kept_path(const char *path)
{
	auto_free char *full = xasprintf("%s/%s", folder, path);

	return open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void reboot(void)
{
	sh(NULL, "for f in store/roots/*.boot store/uppers/*.boot; do "
		 "test ! -e $f || echo another >$f; done");
}

static void tmp_is_empty(const struct fixture *f)
{
	auto_buf struct buf out = BUF_INIT;

	(void)f;
	sh(&out, "find store/tmp -mindepth 2");
	assert_string_equal(out.data, "");
}

static void layers_become_one_folder_named_by_their_chain(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	assert_false(roots_has(f.st, &f.ids, f.layers, 2));
	auto_fd int fd = must_open(&f, 2);
	assert_true(roots_has(f.st, &f.ids, f.layers, 2));
	auto_free char *path = kept_path("roots");
	sh(&out,
	   "%s -c \"import hashlib\n"
	   "d = ['sha256:' + hashlib.sha256(open(f, 'rb').read()).hexdigest() for f in "
	   "('0.tar', '1.tar')]\n"
	   "print('store/roots/%%s.%s' %% hashlib.sha256(' '.join(d).encode())"
	   ".hexdigest(), end='')\"",
	   PYTHON, geteuid() ? "one" : "root");
	assert_string_equal(out.data, path);
	sh(NULL,
	   "mkdir want; tar -C want -xf 0.tar; rm want/etc/passwd; echo -n x "
	   ">want/etc/shadow; rm -f %s/null; diff -r want %s",
	   path, path);
	struct stat st;
	assert_int_equal(fstatat(fd, "etc/shadow", &st, 0), 0);
	assert_int_equal(st.st_uid, geteuid() ? geteuid() : 7);
	auto_fd int again = must_open(&f, 2);
	assert_int_equal(inode(fd), inode(again));
	tmp_is_empty(&f);
	/* in use: nobody may take it away */
	auto_fd int other = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(errno, EWOULDBLOCK);
}

static void after_another_boot_it_is_checked_and_made_again_if_damaged(void **state)
{
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	ino_t first, second;
	{
		auto_fd int fd = must_open(&f, 2);
		first = inode(fd);
	}
	auto_free char *path = kept_path("roots");
	reboot();
	{
		auto_fd int fd = must_open(&f, 2);
		assert_int_equal(inode(fd), first);
	}
	sh(NULL, "cmp %s.boot /proc/sys/kernel/random/boot_id", path);
	sh(NULL, "truncate -s 0 %s/data/7; touch -d @1000 %s/data/7", path, path);
	/* in the same boot it is believed */
	{
		auto_fd int fd = must_open(&f, 2);
		assert_int_equal(inode(fd), first);
	}
	reboot();
	/* held open, so that its inode number is not given again */
	auto_fd int old = open_kept_path(path);
	assert_int_equal(inode(old), first);
	{
		auto_fd int fd = must_open(&f, 2);
		second = inode(fd);
		assert_int_not_equal(second, first);
	}
	sh(NULL, "test $(stat -c %%s %s/data/7) = 300000", path);
	sh(NULL, "rm %s.boot", path);
	auto_fd int fd = must_open(&f, 2);
	assert_int_equal(inode(fd), second);
	tmp_is_empty(&f);
}

static void no_layers_are_an_empty_folder(void **state)
{
	auto_buf struct buf out = BUF_INIT;
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	auto_fd int fd = must_open(&f, 0);
	auto_fd int again = must_open(&f, 0);
	assert_int_equal(inode(fd), inode(again));
	auto_free char *path = kept_path("roots");
	sh(&out, "ls -A %s", path);
	assert_string_equal(out.data, "");
}

static void a_blob_that_is_not_here_is_missing(void **state)
{
	struct error err = ERROR_INIT;
	char hex[DIGEST_HEX];
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	sh(NULL, "rm store/blobs/sha256/%s", digest_hex(&f.layers[1].blob, hex));
	assert_int_equal(roots_open(f.st, &f.ids, f.layers, 2, false, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	assert_false(roots_has(f.st, &f.ids, f.layers, 2));
	tmp_is_empty(&f);
}

static void a_missing_index_is_made_again(void **state)
{
	char hex[DIGEST_HEX];
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	sh(NULL, "rm store/trees/*; echo damaged >store/trees/%s",
	   digest_hex(&f.layers[0].diff_id, hex));
	auto_fd int fd = must_open(&f, 2);
	assert_int_equal(faccessat(fd, "etc/shadow", F_OK, 0), 0);
}

/* A byte in the middle, by another program. */
static void damage(const char *file)
{
	sh(NULL,
	   "%s -c \"f = open('%s', 'r+b'); f.seek(0, 2); n = f.tell() // 2; f.seek(n)\n"
	   "b = f.read(1); f.seek(n); f.write(bytes([b[0] ^ 255]))\"",
	   PYTHON, file);
}

static void a_damaged_blob_is_dropped(void **state)
{
	struct error err = ERROR_INIT;
	char hex[DIGEST_HEX];
	auto_free char *blob = NULL;

	(void)state;
	{
		auto_fixture struct fixture f;
		fixture_make(&f);
	}
	/* another process: this one has verified the blob by writing it */
	auto_fixture struct fixture f;
	fixture_make(&f);
	blob = xasprintf("store/blobs/sha256/%s", digest_hex(&f.layers[0].blob, hex));
	store_close(f.st);
	sh(NULL, "chmod u+w %s", blob);
	damage(blob);
	f.st = store();
	assert_int_equal(roots_open(f.st, &f.ids, f.layers, 2, false, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_false(store_has(f.st, &f.layers[0].blob));
	assert_false(roots_has(f.st, &f.ids, f.layers, 2));
	tmp_is_empty(&f);
}

static void damaged_points_cost_time_only(void **state)
{
	auto_free char *points = NULL;
	char hex[DIGEST_HEX];
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	points = xasprintf("store/trees/%s.points", digest_hex(&f.layers[0].blob, hex));
	sh(NULL, "test -s %s", points);
	damage(points);
	auto_fd int fd = must_open(&f, 2);
	assert_true(fd >= 0);
	auto_free char *path = kept_path("roots");
	sh(NULL, "mkdir want; tar -C want -xf 0.tar; diff -r want/data %s/data", path);
}

static void one_layer_is_kept_with_its_whiteouts(void **state)
{
	struct error err = ERROR_INIT;
	struct stat st;
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	auto_fd int fd = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	if (fd < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(fstatat(fd, "data/7", &st, 0), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	reboot();
	auto_fd int again = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	assert_int_equal(inode(fd), inode(again));
	auto_free char *path = kept_path("uppers");
	sh(NULL, "rm %s/data/7", path);
	reboot();
	auto_fd int made = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	assert_int_not_equal(inode(fd), inode(made));
	assert_int_equal(fstatat(made, "data/7", &st, 0), 0);
}

static void
a_folder_that_lost_a_file_is_made_again_when_asked_or_after_a_day(void **state)
{
	struct error err = ERROR_INIT;
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	auto_fd int fd = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	auto_free char *path = kept_path("uppers");
	sh(NULL, "rm %s/data/7", path);
	auto_fd int made = uppers_open(f.st, &f.ids, &f.layers[2], true, &err);
	assert_int_not_equal(inode(fd), inode(made));
	sh(NULL, "rm %s/data/7", path);
	auto_fd int believed = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	assert_int_equal(inode(made), inode(believed));
	sh(NULL, "touch -d '2 days ago' %s.boot", path);
	auto_fd int anew = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	assert_int_not_equal(inode(made), inode(anew));
}

static void what_is_no_folder_gives_way(void **state)
{
	struct error err = ERROR_INIT;
	struct stat st;
	auto_fixture struct fixture f;

	(void)state;
	fixture_make(&f);
	close(uppers_open(f.st, &f.ids, &f.layers[2], false, &err));
	auto_free char *path = kept_path("uppers");
	for (int i = 0; i < 2; i++) {
		sh(NULL, "rm -r %s; %s %s", path, i ? "ln -s /" : "echo text >", path);
		auto_fd int made = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
		if (made < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(fstatat(made, "data/7", &st, 0), 0);
	}
}

static void an_upper_folder_is_kept_once(void **state)
{
	struct error err = ERROR_INIT;
	auto_fixture struct fixture f;
	auto_fd int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	fixture_make(&f);
	sh(NULL, "mkdir up1 up2; touch up1/mine up2/other");
	for (int i = 1; i <= 2; i++) {
		auto_free char *name = xasprintf("up%d", i);
		if (uppers_keep(f.st, &f.ids, &f.layers[2].diff_id, top, name, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(faccessat(top, name, F_OK, 0), -1);
	}
	/* believed without a look, as it is of this boot */
	auto_fd int fd = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	assert_int_equal(faccessat(fd, "mine", F_OK, 0), 0);
	reboot();
	auto_fd int right = uppers_open(f.st, &f.ids, &f.layers[2], false, &err);
	assert_int_equal(faccessat(right, "mine", F_OK, 0), -1);
	assert_int_equal(faccessat(right, "new", F_OK, 0), 0);
}

static void two_processes_end_with_the_same_folder(void **state)
{
	auto_fixture struct fixture f;
	pid_t pids[4];
	ino_t first = 0;
	int pipes[2];

	(void)state;
	fixture_make(&f);
	assert_int_equal(pipe(pipes), 0);
	for (size_t i = 0; i < 4; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct fixture mine = f;
			struct error err = ERROR_INIT;

			mine.st = store();
			int fd = roots_open(mine.st, &f.ids, f.layers, 2, false, &err);
			ino_t ino = fd < 0 ? 0 : inode(fd);
			if (write(pipes[1], &ino, sizeof(ino)) != sizeof(ino))
				_exit(1);
			store_close(mine.st);
			_exit(fd < 0);
		}
	}
	for (size_t i = 0; i < 4; i++) {
		int status;
		ino_t ino;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
		assert_int_equal(read(pipes[0], &ino, sizeof(ino)), sizeof(ino));
		assert_true(ino && (!first || ino == first));
		first = ino;
	}
	close(pipes[0]);
	close(pipes[1]);
	tmp_is_empty(&f);
}

/* In a user namespace where an ordinary user is root and there is nobody else. */
static int with_one_id(struct fixture *f)
{
	struct error err = ERROR_INIT;
	struct idmap ids;
	struct stat st;

	if (geteuid() == 0 && (setgid(USER) < 0 || setuid(USER) < 0))
		return 2;
	/* as after an exec: /proc/self is ours */
	prctl(PR_SET_DUMPABLE, 1);
	if (idmap_find(&ids, SANDBOX_ONE, &err) < 0 || idmap_enter(&ids, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return err.kind == E_SANDBOX ? 77 : 3;
	}
	f->st = store();
	auto_fd int fd = roots_open(f->st, &ids, f->layers, 2, false, &err);
	if (fd < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	reboot();
	auto_fd int again = roots_open(f->st, &ids, f->layers, 2, false, &err);
	return again < 0 || inode(again) != inode(fd) ||
	       fstatat(fd, "etc/shadow", &st, 0) < 0 || st.st_uid != 0 ||
	       faccessat(fd, "null", F_OK, 0) == 0;
}

static void one_id_is_enough(void **state)
{
	struct fixture f;
	int status;

	(void)state;
	fixture_make(&f);
	store_close(f.st);
	if (geteuid() == 0)
		sh(NULL, "chown -R %d:%d .", USER, USER);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(with_one_id(&f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
	auto_free char *path = kept_path("roots");
	assert_non_null(strstr(path, ".one"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(layers_become_one_folder_named_by_their_chain),
		TEST(after_another_boot_it_is_checked_and_made_again_if_damaged),
		TEST(no_layers_are_an_empty_folder),
		TEST(a_blob_that_is_not_here_is_missing),
		TEST(a_missing_index_is_made_again),
		TEST(a_damaged_blob_is_dropped),
		TEST(damaged_points_cost_time_only),
		TEST(one_layer_is_kept_with_its_whiteouts),
		TEST(an_upper_folder_is_kept_once),
		TEST(two_processes_end_with_the_same_folder),
		TEST(a_folder_that_lost_a_file_is_made_again_when_asked_or_after_a_day),
		TEST(what_is_no_folder_gives_way),
		TEST(one_id_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
