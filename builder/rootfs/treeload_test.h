/*
 * treeload_test.h - for tests: makes tars with other programs, reads their indexes
 *
 * Include it after cmocka.h.
 */
#ifndef HOD_TREELOAD_TEST_H
#define HOD_TREELOAD_TEST_H

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/treeload.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/stream.h"
#include "registry/store.h"

#define PYTHON "/usr/bin/python3"

static char *folder;

/* Runs a command line of /bin/sh in the run's folder; its output. */
static void sh(struct buf *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void sh(struct buf *out, const char *fmt, ...)
{
	auto_free char *top = getcwd(NULL, 0);
	auto_free char *path = xasprintf("%s/sh.out", folder);
	auto_free char *line = NULL;
	struct error err = ERROR_INIT;
	va_list ap;
	int status;

	va_start(ap, fmt);
	assert_true(vasprintf(&line, fmt, ap) >= 0);
	va_end(ap);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || dup2(fd, 1) < 0 || setenv("TOP", top, 1) < 0)
			_exit(126);
		auto_free char *in = xasprintf("cd '%s' && %s", folder, line);
		execl("/bin/sh", "sh", "-ec", in, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("failed: %s", line);
	if (out)
		assert_int_equal(file_read(AT_FDCWD, path, (size_t)64 << 20, out, &err),
				 0);
}

static void read_file(const char *name, struct buf *out)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	struct error err = ERROR_INIT;

	buf_reset(out);
	if (file_read(AT_FDCWD, path, (size_t)256 << 20, out, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct index *load(const struct buf *tar, struct error *err)
{
	struct index_builder *b = index_builder_new();
	struct source *src = source_bytes(tar->data, tar->len);
	auto_buf struct buf bytes = BUF_INIT;
	struct digest d;
	struct index *ix = NULL;

	digest_of(&d, tar->data, tar->len);
	if (treeload_read(src, b, err) == 0 &&
	    index_builder_finish(b, &d, &bytes, err) == 0)
		ix = index_open_bytes(bytes.data, bytes.len, &d, err);
	source_close(src);
	index_builder_free(b);
	return ix;
}

static inline struct index *must_load(const struct buf *tar)
{
	struct error err = ERROR_INIT;
	struct index *ix = load(tar, &err);

	if (!ix)
		fail_msg("%s", err.msg);
	return ix;
}

static int set_up(void **state)
{
	(void)state;
	/* where libarchive left to itself would compose names */
	if (!setlocale(LC_ALL, "C.UTF-8"))
		return -1;
	folder = xstrdup("/tmp/hod-treeload.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	int r = file_remove_tree(AT_FDCWD, folder, &err);
	free(folder);
	return r;
}

#endif
