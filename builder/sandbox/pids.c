#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/file.h"

/*
 * A cgroup of one run is a folder hod-run-PID-N, locked by the process that made it:
 * where the lock can be had, the owner is gone.  (The number alone would say nothing
 * where hod runs in several pid namespaces on one cgroup file system.)
 */
#define PREFIX "hod-run-"
#define TEXT_MAX ((size_t)16 << 20)

/* The caller's own group in the hierarchy of the pids controller, version 1 or 2. */
struct hierarchy {
	char *mount, *root, *own; /* of the mount; both paths within the hierarchy */
	bool unified;
};

static void hierarchy_release(struct hierarchy *h)
{
	free(h->mount);
	free(h->root);
	free(h->own);
}
#define auto_hierarchy __attribute__((cleanup(hierarchy_release)))

static bool has_word(const char *list, const char *word, const char *between)
{
	size_t len = strlen(word);

	while (*list) {
		size_t n = strcspn(list, between);

		if (n == len && !memcmp(list, word, n))
			return true;
		list += n + (list[n] != '\0');
	}
	return false;
}

/* cgroups(7): "4:pids:/path" of version 1, "0::/path" of version 2 */
static int find_own(struct hierarchy *h)
{
	auto_buf struct buf text = BUF_INIT;
	char *save = NULL;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", TEXT_MAX, &text, NULL) < 0)
		return -1;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(line, ':'),
		     *path = names ? strchr(names + 1, ':') : NULL;
		bool unified;

		if (!path)
			continue;
		*path++ = '\0';
		unified = !names[1] && !strncmp(line, "0:", 2);
		if (!has_word(names + 1, "pids", ",") && (!unified || h->own))
			continue;
		free(h->own);
		h->own = xstrdup(path);
		h->unified = unified;
		if (!unified)
			break;
	}
	return h->own ? 0 : -1;
}

/* proc_pid_mountinfo(5): id parent dev ROOT MOUNT options ... - TYPE source OPTIONS */
static bool mount_line(struct hierarchy *h, char *line)
{
	char *tail = strstr(line, " - "), *save = NULL, *field[5];
	char *type, *options;

	if (!tail)
		return false;
	*tail = '\0';
	for (size_t i = 0; i < 5; i++)
		if (!(field[i] = strtok_r(i ? NULL : line, " ", &save)))
			return false;
	type = strtok_r(tail + 3, " ", &save);
	strtok_r(NULL, " ", &save);
	options = strtok_r(NULL, " ", &save);
	if (!type || !options || strchr(field[3], '\\') || strchr(field[4], '\\'))
		return false;
	if (h->unified ? strcmp(type, "cgroup2") != 0
		       : strcmp(type, "cgroup") != 0 || !has_word(options, "pids", ","))
		return false;
	h->root = xstrdup(field[3]);
	h->mount = xstrdup(field[4]);
	return true;
}

static int find_mount(struct hierarchy *h)
{
	auto_buf struct buf text = BUF_INIT;
	char *save = NULL;

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", TEXT_MAX, &text, NULL) < 0)
		return -1;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (mount_line(h, line))
			return 0;
	return -1;
}

/* Folders in which a group may be made, the caller's own first, then those above it. */
static int places(struct strv *out, bool *unified)
{
	auto_hierarchy struct hierarchy h = {0};
	auto_buf struct buf path = BUF_INIT;
	const char *below;
	size_t top;

	if (find_own(&h) < 0 || find_mount(&h) < 0)
		return -1;
	below = h.own;
	if (strcmp(h.root, "/") != 0)
		below = strncmp(below, h.root, strlen(h.root)) ? ""
							       : below + strlen(h.root);
	if (strstr(below, "..")) /* outside of what this cgroup namespace shows */
		below = "";
	buf_adds(&path, h.mount);
	top = path.len;
	buf_addf(&path, "%s%s", *below && *below != '/' ? "/" : "", below);
	while (path.len > top && path.data[path.len - 1] == '/')
		buf_truncate(&path, path.len - 1);
	for (;;) {
		strv_add(out, path.data);
		if (path.len <= top)
			break;
		buf_truncate(&path, (size_t)(strrchr(path.data, '/') - path.data));
	}
	*unified = h.unified;
	return 0;
}

static int put(int dir, const char *name, const char *text)
{
	auto_fd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* Version 2: children have the controller only where the parent hands it on, which it
 * may not while it has processes of its own (the root of all may). */
static bool hands_on(int place, bool last)
{
	auto_buf struct buf text = BUF_INIT;

	if (file_read(place, "cgroup.subtree_control", TEXT_MAX, &text, NULL) < 0)
		return false;
	if (has_word(text.data, "pids", " \n"))
		return true;
	return last && !put(place, "cgroup.subtree_control", "+pids");
}

static int make_group(struct pids *p, const char *place, int dir, const char *max)
{
	char name[64];

	for (unsigned n = 0; n < 1000; n++) {
		auto_fd int fd = -1;

		snprintf(name, sizeof(name), PREFIX "%ld-%u", (long)getpid(), n);
		if (mkdirat(dir, name, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return -1;
		}
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* a sweep may be faster than the lock */
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		if (put(fd, "pids.max", max) < 0) {
			unlinkat(dir, name, AT_REMOVEDIR);
			return -1;
		}
		p->path = xasprintf("%s/%s", place, name);
		p->fd = steal_fd(&fd);
		return 0;
	}
	return -1;
}

int pids_open(struct pids *p, uint64_t max)
{
	auto_strv struct strv list = STRV_INIT;
	bool unified = false;
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, max);
	if (places(&list, &unified) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		auto_fd int dir = open(list.v[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (dir < 0 || (unified && !hands_on(dir, i + 1 == list.n)))
			continue;
		if (!make_group(p, list.v[i], dir, text))
			return 0;
	}
	return -1;
}

int pids_add(const struct pids *p, pid_t pid)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", (long)pid);
	return put(p->fd, "cgroup.procs", text);
}

/* The number after a word at the beginning of a line. */
static uint64_t counter(int dir, const char *file, const char *word)
{
	auto_buf struct buf text = BUF_INIT;
	const char *at;

	if (file_read(dir, file, TEXT_MAX, &text, NULL) < 0)
		return 0;
	for (at = text.data; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, word, strlen(word)))
			return strtoull(at + strlen(word), NULL, 10);
	}
	return 0;
}

bool pids_met(const struct pids *p)
{
	return p->fd >= 0 && counter(p->fd, "pids.events", "max ") > 0;
}

uint64_t memory_kills(void)
{
	return counter(AT_FDCWD, "/proc/vmstat", "oom_kill ");
}

void pids_close(struct pids *p)
{
	const struct timespec moment = {.tv_nsec = 5000000};

	/* the last process may still be on its way out */
	for (int i = 0; p->path && i < 200 && rmdir(p->path) < 0 && errno == EBUSY; i++)
		nanosleep(&moment, NULL);
	if (p->fd >= 0)
		close(p->fd);
	free(p->path);
	*p = (struct pids)PIDS_INIT;
}

static void sweep(const char *place)
{
	DIR *d = opendir(place);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_fd int fd = -1;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

void sandbox_sweep(void)
{
	auto_strv struct strv list = STRV_INIT;
	bool unified;

	if (places(&list, &unified) < 0)
		return;
	for (size_t i = 0; i < list.n; i++)
		sweep(list.v[i]);
}
