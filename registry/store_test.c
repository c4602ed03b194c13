#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/store.h"

/* printf 'hello\n' | sha256sum */
#define HELLO "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"

struct fixture {
	char *dir; /* removed afterwards */
	int fd;
	char *root, *layout; /* paths in it */
	struct store *st;    /* of root */
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	struct error err = ERROR_INIT;

	f->dir = xasprintf("%s/hod-store-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->root = xasprintf("%s/a/root", f->dir);
	f->layout = xasprintf("%s/b/layout", f->dir);
	f->st = store_open(f->root, &err);
	assert_non_null(f->st);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->st);
	assert_int_equal(file_remove_tree(AT_FDCWD, f->dir, NULL), 0);
	close(f->fd);
	free(f->dir);
	free(f->root);
	free(f->layout);
	free(f);
	return 0;
}

static void write_file(struct fixture *f, const char *path, const char *text)
{
	auto_fd int fd =
		openat(f->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text), NULL), 0);
}

static void assert_file(struct fixture *f, const char *path, const char *text)
{
	auto_buf struct buf b = BUF_INIT;

	assert_int_equal(file_read(f->fd, path, 1 << 20, &b, NULL), 0);
	assert_string_equal(b.data, text);
}

static size_t count_entries(struct fixture *f, const char *path)
{
	int fd = openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void hello_digest(struct digest *d)
{
	assert_true(digest_parse_hex(d, HELLO, 64));
}

static void a_new_root_is_a_layout_with_a_format_number(void **state)
{
	struct fixture *f = *state;
	struct stat sb;

	assert_file(f, "a/root/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_file(f, "a/root/index.json",
		    "{\"schemaVersion\":2,\"mediaType\":\""
		    "application/vnd.oci.image.index.v1+json\",\"manifests\":[]}");
	assert_file(f, "a/root/hod-format", "1\n");
	assert_int_equal(fstatat(f->fd, "a/root", &sb, 0), 0);
	assert_int_equal(sb.st_mode & 0777, 0700);
	assert_int_equal(fstatat(f->fd, "a", &sb, 0), 0);
	assert_int_equal(sb.st_mode & 0777, 0700);
	assert_int_equal(fstatat(f->fd, "a/root/blobs/sha256", &sb, 0), 0);
}

static void another_format_is_refused(void **state)
{
	static const struct {
		const char *text;
		enum error_kind kind;
		const char *says, *hint;
	} t[] = {
		{"2\n", E_INPUT, "format 2", "update hod"},
		{"99999\n", E_INPUT, "format 99999", "update hod"},
		{"0\n", E_CORRUPT, "no format number", "--root"},
		{"one\n", E_CORRUPT, "no format number", "--root"},
		{"", E_CORRUPT, "no format number", "--root"},
		{"1\n1\n", E_CORRUPT, "no format number", "--root"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct error err = ERROR_INIT;

		write_file(f, "a/root/hod-format", t[i].text);
		assert_null(store_open(f->root, &err));
		assert_int_equal(err.kind, t[i].kind);
		assert_non_null(strstr(err.msg, f->root));
		assert_non_null(strstr(err.msg, t[i].says));
		assert_non_null(strstr(err.hint, t[i].hint));
	}
	assert_file(f, "a/root/hod-format", "1\n1\n");
}

static void what_is_put_is_read_back_by_its_sha256(void **state)
{
	struct fixture *f = *state;
	auto_buf struct buf b = BUF_INIT;
	struct digest d, want;
	uint64_t size;
	int fd;

	hello_digest(&want);
	assert_false(store_has(f->st, &want));
	assert_int_equal(store_put_bytes(f->st, "hello\n", 6, &d, NULL), 0);
	assert_true(digest_equal(&d, &want));
	assert_true(store_has(f->st, &want));
	assert_file(f, "a/root/blobs/sha256/" HELLO, "hello\n");
	buf_adds(&b, "> ");
	assert_int_equal(store_read(f->st, &d, 6, &b, NULL), 0);
	assert_string_equal(b.data, "> hello\n");
	fd = store_get(f->st, &d, &size, NULL);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(size, 6);
	close(fd);
	assert_int_equal(store_put_bytes(f->st, "hello\n", 6, NULL, NULL), 0);
	assert_int_equal(count_entries(f, "a/root/blobs/sha256"), 1);
}

static void a_blob_that_is_not_here_is_missing(void **state)
{
	struct fixture *f = *state;
	auto_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest d;

	hello_digest(&d);
	assert_int_equal(store_get(f->st, &d, NULL, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	assert_non_null(strstr(err.msg, HELLO));
	assert_int_equal(store_read(f->st, &d, 10, &b, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	assert_int_equal(store_check(f->st, &d, 6, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
}

static void a_damaged_blob_is_found_and_dropped(void **state)
{
	struct fixture *f = *state;
	auto_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest d;

	hello_digest(&d);
	write_file(f, "a/root/blobs/sha256/" HELLO, "hellx\n");
	assert_int_equal(store_read(f->st, &d, 10, &b, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_int_equal(b.len, 0);
	assert_false(store_has(f->st, &d));

	write_file(f, "a/root/blobs/sha256/" HELLO, "hellx\n");
	assert_int_equal(store_check(f->st, &d, 6, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_false(store_has(f->st, &d));

	/* even one that was good when this process looked first, by its size */
	assert_int_equal(store_put_bytes(f->st, "hello\n", 6, NULL, NULL), 0);
	assert_int_equal(store_check(f->st, &d, 6, &err), 0);
	write_file(f, "a/root/blobs/sha256/" HELLO, "hello");
	assert_int_equal(store_check(f->st, &d, 6, &err), -1);
	assert_false(store_has(f->st, &d));

	/* and one is written over */
	write_file(f, "a/root/blobs/sha256/" HELLO, "hellx\n");
	assert_int_equal(store_put_bytes(f->st, "hello\n", 6, NULL, NULL), 0);
	assert_file(f, "a/root/blobs/sha256/" HELLO, "hello\n");
}

static void a_blob_over_its_bound_is_refused(void **state)
{
	struct fixture *f = *state;
	auto_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest d;

	assert_int_equal(store_put_bytes(f->st, "hello\n", 6, &d, NULL), 0);
	assert_int_equal(store_read(f->st, &d, 5, &b, &err), -1);
	assert_non_null(strstr(err.msg, "larger than 5"));
	assert_true(store_has(f->st, &d));
}

static void a_fifo_in_a_blobs_place_does_not_block(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct digest d;

	hello_digest(&d);
	assert_int_equal(mkfifoat(f->fd, "a/root/blobs/sha256/" HELLO, 0600), 0);
	assert_int_equal(store_get(f->st, &d, NULL, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
}

static void a_writer_leaves_a_whole_blob_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct blob_writer *w = blob_writer_open(f->st, NULL);
	struct digest d;

	hello_digest(&d);
	assert_non_null(w);
	assert_int_equal(blob_writer_add(w, "hel", 3, NULL), 0);
	assert_false(store_has(f->st, &d));
	blob_writer_abort(w);
	assert_int_equal(count_entries(f, "a/root/blobs/sha256"), 0);
	assert_int_equal(count_entries(f, "a/root/tmp"), 2); /* our folder and its lock */

	w = blob_writer_open(f->st, NULL);
	assert_int_equal(blob_writer_add(w, "hel", 3, NULL), 0);
	assert_int_equal(blob_writer_add(w, "lo\n", 3, NULL), 0);
	assert_int_equal(blob_writer_size(w), 6);
	assert_int_equal(blob_writer_commit(w, &d, NULL), 0);
	assert_file(f, "a/root/blobs/sha256/" HELLO, "hello\n");
	blob_writer_abort(NULL);
}

static void a_killed_process_leaves_temporaries_that_the_next_one_sweeps(void **state)
{
	struct fixture *f = *state;
	int ready[2], status;
	char c;
	pid_t pid;

	store_close(f->st);
	f->st = NULL;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct store *st = store_open(f->root, NULL);
		struct blob_writer *w = st ? blob_writer_open(st, NULL) : NULL;

		if (w && !blob_writer_add(w, "half", 4, NULL) &&
		    write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(count_entries(f, "a/root/tmp"), 2);
	assert_int_equal(count_entries(f, "a/root/blobs/sha256"), 0);

	f->st = store_open(f->root, NULL);
	assert_non_null(f->st);
	assert_int_equal(count_entries(f, "a/root/tmp"), 2); /* ours alone */
	store_close(f->st);
	assert_int_equal(count_entries(f, "a/root/tmp"), 0);
	f->st = store_open(f->root, NULL);
}

static void a_layout_is_only_read_until_something_is_put(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct store *l = store_open_layout(f->layout, false, &err);
	struct digest d;

	assert_null(l);
	assert_int_equal(err.kind, E_MISSING);
	assert_int_equal(mkdirat(f->fd, "b", 0755), 0);
	assert_int_equal(mkdirat(f->fd, "b/layout", 0755), 0);
	assert_null(store_open_layout(f->layout, false, &err));
	assert_int_equal(err.kind, E_INPUT);
	assert_non_null(strstr(err.msg, "no OCI image layout"));

	write_file(f, "b/layout/oci-layout", "{\"imageLayoutVersion\": \"2.0.0\"}\n");
	assert_null(store_open_layout(f->layout, false, &err));
	assert_non_null(strstr(err.msg, "2.0.0"));
	write_file(f, "b/layout/oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}\n");
	l = store_open_layout(f->layout, false, &err);
	assert_non_null(l);
	hello_digest(&d);
	assert_int_equal(store_get(l, &d, NULL, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	assert_null(store_tmpdir(l));
	assert_int_equal(count_entries(f, "b/layout"), 1);
	store_close(l);
}

static void a_made_layout_has_nothing_of_hods_own(void **state)
{
	struct fixture *f = *state;
	struct store *l = store_open_layout(f->layout, true, NULL);
	struct digest d;

	assert_non_null(l);
	assert_int_equal(store_put_bytes(l, "hello\n", 6, &d, NULL), 0);
	store_close(l);
	assert_int_equal(count_entries(f, "b/layout"),
			 3); /* oci-layout index.json blobs */
	assert_file(f, "b/layout/blobs/sha256/" HELLO, "hello\n");

	/* what is damaged there is not ours to remove */
	write_file(f, "b/layout/blobs/sha256/" HELLO, "hellx\n");
	l = store_open_layout(f->layout, false, NULL);
	assert_int_equal(store_check(l, &d, 6, NULL), -1);
	assert_true(store_has(l, &d));
	store_close(l);
}

static void a_copied_blob_is_verified(void **state)
{
	struct fixture *f = *state;
	struct store *l = store_open_layout(f->layout, true, NULL);
	struct error err = ERROR_INIT;
	size_t len = 700001;
	auto_free char *big = xcalloc(len, 1);
	struct digest d, hello;

	hello_digest(&hello);
	assert_int_equal(store_put_bytes(l, big, len, &d, NULL), 0);
	assert_int_equal(store_copy_blob(f->st, l, &d, &err), 0);
	assert_int_equal(store_check(f->st, &d, len, NULL), 0);
	assert_int_equal(store_copy_blob(f->st, l, &d, &err), 0);
	assert_int_equal(store_copy_blob(f->st, l, &hello, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	write_file(f, "b/layout/blobs/sha256/" HELLO, "hellx\n");
	assert_int_equal(store_copy_blob(f->st, l, &hello, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_false(store_has(f->st, &hello));
	assert_int_equal(count_entries(f, "a/root/blobs/sha256"), 1);
	store_close(l);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_root_is_a_layout_with_a_format_number),
		TEST(another_format_is_refused),
		TEST(what_is_put_is_read_back_by_its_sha256),
		TEST(a_blob_that_is_not_here_is_missing),
		TEST(a_damaged_blob_is_found_and_dropped),
		TEST(a_blob_over_its_bound_is_refused),
		TEST(a_fifo_in_a_blobs_place_does_not_block),
		TEST(a_writer_leaves_a_whole_blob_or_nothing),
		TEST(a_killed_process_leaves_temporaries_that_the_next_one_sweeps),
		TEST(a_layout_is_only_read_until_something_is_put),
		TEST(a_made_layout_has_nothing_of_hods_own),
		TEST(a_copied_blob_is_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
