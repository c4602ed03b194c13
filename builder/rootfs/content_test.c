#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/rootfs/content.h"
#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/stream.h"

static char *folder;
static struct disk_root context = {.name = "context"};

static void write_to(const char *name, const char *text, int flags)
{
	auto_fd int fd =
		openat(context.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* The node that a walk of the context would make of a file. */
static struct node node_of(const char *path)
{
	struct node n = {.name = "file", .type = NODE_FILE};
	struct stat st;

	assert_int_equal(fstatat(context.fd, path, &st, 0), 0);
	n.size = (uint64_t)st.st_size;
	n.content.kind = CONTENT_DISK;
	n.content.disk.mtime = st.st_mtim.tv_sec;
	n.content.disk.mtime_nsec = (uint32_t)st.st_mtim.tv_nsec;
	n.content.disk.timed = true;
	n.content.disk.root = &context;
	n.content.disk.path = path;
	return n;
}

/* All of it through small reads; -1 and err. */
static int read_all(const struct node *n, struct buf *out, struct error *err)
{
	struct source *s = content_open(n, err);
	char piece[3];
	ssize_t got;

	if (!s)
		return -1;
	while ((got = source_read(s, piece, sizeof(piece), err)) > 0)
		buf_add(out, piece, (size_t)got);
	source_close(s);
	return (int)got;
}

static void every_kind_gives_its_bytes(void **state)
{
	auto_fd int fd = openat(context.fd, "spool", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct disk_root spool = {.fd = fd, .spool = true, .name = "spool"};
	struct node n[] = {
		{.size = 0},
		{.size = 5,
		 .content = {.kind = CONTENT_INLINE, .bytes = "hello, but no more"}},
		{.size = 4,
		 .content = {.kind = CONTENT_DISK,
			     .disk = {.root = &spool, .offset = 3}}},
		{0},
	};
	static const char *const want[] = {"", "hello", "3456", "on disk"};

	(void)state;
	assert_int_equal(write(fd, "0123456789", 10), 10);
	assert_int_equal(mkdirat(context.fd, "d", 0700), 0);
	write_to("d/f", "on disk", 0);
	n[3] = node_of("d/f");
	for (size_t i = 0; i < 4; i++) {
		auto_buf struct buf got = BUF_INIT;
		struct error err = ERROR_INIT;

		if (read_all(&n[i], &got, &err) < 0)
			fail_msg("%s", err.msg);
		assert_string_equal(got.data, want[i]);
	}
}

static void a_spool_file_that_is_too_short_is_an_error(void **state)
{
	auto_fd int fd = openat(context.fd, "short", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct disk_root spool = {.fd = fd, .spool = true, .name = "spool"};
	struct node n = {.name = "f",
			 .size = 4,
			 .content = {.kind = CONTENT_DISK, .disk = {.root = &spool}}};
	auto_buf struct buf got = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(write(fd, "123", 3), 3);
	assert_int_equal(read_all(&n, &got, &err), -1);
}

struct change {
	const char *what;
	void (*change)(void);
	const char *text; /* of the error; NULL: none */
};

static void nothing(void)
{
}

static void longer(void)
{
	write_to("f", "more", O_APPEND);
}

static void shorter(void)
{
	auto_fd int fd = openat(context.fd, "f", O_WRONLY | O_CLOEXEC);

	assert_int_equal(ftruncate(fd, 3), 0);
}

static void touched(void)
{
	const struct timespec t[2] = {{5, 6}, {5, 6}};

	assert_int_equal(utimensat(context.fd, "f", t, 0), 0);
}

static void folder_instead(void)
{
	assert_int_equal(unlinkat(context.fd, "f", 0), 0);
	assert_int_equal(mkdirat(context.fd, "f", 0700), 0);
}

static void fifo_instead(void)
{
	assert_int_equal(unlinkat(context.fd, "f", 0), 0);
	assert_int_equal(mkfifoat(context.fd, "f", 0600), 0);
}

static void link_instead(void)
{
	assert_int_equal(unlinkat(context.fd, "f", 0), 0);
	assert_int_equal(symlinkat("other", context.fd, "f"), 0);
}

static void gone(void)
{
	assert_int_equal(unlinkat(context.fd, "f", 0), 0);
}

static void a_file_that_changed_since_the_walk_is_refused(void **state)
{
	static const struct change table[] = {
		{"nothing", nothing, NULL},
		{"longer", longer, "changed while it was read"},
		{"shorter", shorter, "changed while it was read"},
		{"touched", touched, "changed while it was read"},
		{"a folder", folder_instead, "changed while it was read"},
		{"a FIFO", fifo_instead, "changed while it was read"},
		{"a symlink", link_instead, "context"},
		{"gone", gone, "context"},
	};

	(void)state;
	write_to("other", "12345678", 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		auto_buf struct buf got = BUF_INIT;
		struct error err = ERROR_INIT;

		file_remove_tree(context.fd, "f", &err);
		write_to("f", "12345678", 0);
		struct node n = node_of("f");
		table[i].change();
		int r = read_all(&n, &got, &err);
		if ((r < 0) != (table[i].text != NULL) ||
		    (table[i].text && !strstr(err.msg, table[i].text)))
			fail_msg("%s: %d %s", table[i].what, r, err.msg);
	}
}

static void a_file_that_changes_while_it_is_read_is_refused(void **state)
{
	static const struct change table[] = {
		{"nothing", nothing, NULL},
		{"longer", longer, "changed while it was read"},
		{"shorter", shorter, "changed while it was read"},
		{"touched", touched, "changed while it was read"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct error err = ERROR_INIT;
		char piece[64];
		ssize_t got;

		file_remove_tree(context.fd, "f", &err);
		write_to("f", "12345678", 0);
		struct node n = node_of("f");
		struct source *s = content_open(&n, &err);
		assert_non_null(s);
		assert_int_equal(source_read(s, piece, 2, &err), 2);
		table[i].change();
		while ((got = source_read(s, piece, sizeof(piece), &err)) > 0)
			continue;
		source_close(s);
		if ((got < 0) != (table[i].text != NULL) ||
		    (table[i].text &&
		     (!strstr(err.msg, table[i].text) || err.kind != E_FAILED)))
			fail_msg("%s: %s", table[i].what, err.msg);
	}
}

static void a_copy_with_another_time_is_read_too(void **state)
{
	auto_buf struct buf got = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	file_remove_tree(context.fd, "f", &err);
	write_to("f", "12345678", 0);
	struct node n = node_of("f");
	n.mtime = 315532800;
	assert_int_equal(read_all(&n, &got, &err), 0);
	assert_string_equal(got.data, "12345678");
}

static void links_do_not_lead_out_of_the_context(void **state)
{
	struct node n = {.name = "passwd", .content = {.kind = CONTENT_DISK}};
	struct error err = ERROR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(symlinkat("/etc", context.fd, "out"), 0);
	assert_int_equal(stat("/etc/passwd", &st), 0);
	n.size = (uint64_t)st.st_size;
	n.content.disk.root = &context;
	n.content.disk.path = "out/passwd";
	assert_null(content_open(&n, &err));
	n.content.disk.path = "../../../etc/passwd";
	assert_null(content_open(&n, &err));
}

static int set_up(void **state)
{
	(void)state;
	folder = xstrdup("/tmp/hod-content.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	context.fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return context.fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	close(context.fd);
	int r = file_remove_tree(AT_FDCWD, folder, &err);
	free(folder);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_gives_its_bytes),
		cmocka_unit_test(a_spool_file_that_is_too_short_is_an_error),
		cmocka_unit_test(a_file_that_changed_since_the_walk_is_refused),
		cmocka_unit_test(a_file_that_changes_while_it_is_read_is_refused),
		cmocka_unit_test(a_copy_with_another_time_is_read_too),
		cmocka_unit_test(links_do_not_lead_out_of_the_context),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
