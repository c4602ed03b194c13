#include "builder/cmd/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

/* "DIR/" or "" of a path; yours to free. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup("");
}

int result_file_prepare(const char *path, struct error *err)
{
	auto_free char *folder = path ? folder_of(path) : NULL;
	struct stat st;

	if (!path)
		return 0;
	if (!*path)
		return error_set(err, E_USAGE, "an empty file name");
	if (stat(*folder ? folder : ".", &st) < 0)
		return error_set(err, E_USAGE, "cannot write %s: %s", path,
				 strerrordesc_np(errno));
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return error_set(err, E_USAGE, "cannot write %s: it is a folder", path);
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && unlink(path) < 0)
		return error_errno(err, "cannot remove the old %s", path);
	return 0;
}

static int write_special(const char *path, const void *data, size_t len,
			 struct error *err)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return error_errno(err, "cannot write %s", path);
	return file_write_all(fd, data, len, err) < 0 ? error_wrap(err, "%s", path) : 0;
}

int result_file_write(const char *path, const void *data, size_t len, struct error *err)
{
	auto_free char *folder = NULL, *name = NULL;
	struct stat st;
	auto_fd int fd = -1;
	mode_t mask;

	if (!path)
		return 0;
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_special(path, data, len, err);
	folder = folder_of(path);
	name = xasprintf("%s.hod.XXXXXX", folder);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot write %s", path);
	mask = umask(0);
	umask(mask);
	if (file_write_all(fd, data, len, err) < 0)
		error_wrap(err, "%s", path);
	else if (fchmod(fd, 0666 & ~mask) < 0 || rename(name, path) < 0)
		error_errno(err, "cannot write %s", path);
	else
		return 0;
	unlink(name);
	return -1;
}

void table_write(const struct table *t, struct buf *out)
{
	auto_free size_t *width = xcalloc(t->columns, sizeof(*width));
	size_t column;

	for (size_t i = 0; i < t->cells.n; i++) {
		size_t len = strlen(t->cells.v[i]) + 3;

		column = i % t->columns;
		if (width[column] < len)
			width[column] = len < 10 ? 10 : len;
	}
	for (size_t i = 0; i < t->cells.n; i++) {
		column = i % t->columns;
		if (column + 1 == t->columns)
			buf_addf(out, "%s\n", t->cells.v[i]);
		else
			buf_addf(out, "%-*s", (int)width[column], t->cells.v[i]);
	}
}

static void new_line(struct buf *out, unsigned depth)
{
	buf_addf(out, "\n%*s", (int)(depth * 4), "");
}

void json_indent(const char *json, size_t len, struct buf *out)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = json[i];

		if (quoted) {
			buf_addc(out, c);
			if (c == '\\' && i + 1 < len)
				buf_addc(out, json[++i]);
			else if (c == '"')
				quoted = false;
			continue;
		}
		if ((c == '}' || c == ']') && json[i - 1] != '{' && json[i - 1] != '[')
			new_line(out, depth - 1);
		buf_addc(out, c);
		if (c == '"') {
			quoted = true;
		} else if (c == ':') {
			buf_addc(out, ' ');
		} else if (c == ',') {
			new_line(out, depth);
		} else if (c == '{' || c == '[') {
			depth++;
			if (i + 1 < len && json[i + 1] != '}' && json[i + 1] != ']')
				new_line(out, depth);
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
}

char *human_size(uint64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)bytes;
	size_t u = 0;

	/* 999.5 would be shown as 1e+03 */
	while (v >= 999.5 && u + 1 < sizeof(units) / sizeof(*units)) {
		v /= 1000;
		u++;
	}
	return xasprintf("%.3g%s", v, units[u]);
}

char *human_age(int64_t seconds)
{
	int64_t minutes = seconds / 60, hours = (seconds + 1800) / 3600;
	int64_t days = hours / 24;

	if (seconds < 1)
		return xstrdup("Less than a second ago");
	if (seconds == 1)
		return xstrdup("1 second ago");
	if (seconds < 60)
		return xasprintf("%lld seconds ago", (long long)seconds);
	if (minutes == 1)
		return xstrdup("About a minute ago");
	if (minutes < 60)
		return xasprintf("%lld minutes ago", (long long)minutes);
	if (hours == 1)
		return xstrdup("About an hour ago");
	if (hours < 48)
		return xasprintf("%lld hours ago", (long long)hours);
	if (days < 14)
		return xasprintf("%lld days ago", (long long)days);
	if (days < 60)
		return xasprintf("%lld weeks ago", (long long)(days / 7));
	if (days < 730)
		return xasprintf("%lld months ago", (long long)(days / 30));
	return xasprintf("%lld years ago", (long long)(seconds / 3600 / 24 / 365));
}
