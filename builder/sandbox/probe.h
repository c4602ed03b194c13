/*
 * probe.h - which isolation works on this host
 *
 * A mode is probed by really doing, in a child, all that a RUN does: ids, mounts, an
 * overlay on which a folder is replaced, /proc, pivot_root, the filter, a process. Asking
 * for less would lie: some hosts allow unshare and refuse the mount that follows.
 */
#ifndef HOD_PROBE_H
#define HOD_PROBE_H

#include "builder/sandbox/idmap.h"

#define PROBE_TEXT 256
#define PROBE_CHECKS 16

/* One thing that was tried. */
struct probe_check {
	const char *name; /* "overlay": a word for programs */
	bool ok;
	bool needed;           /* without it the mode does not work */
	char text[PROBE_TEXT]; /* what was done or what failed, with the errno's text */
	char cure[PROBE_TEXT]; /* what would help; "" */
};

struct probe {
	enum sandbox_mode mode;
	bool works; /* all that is needed is there */
	struct probe_check checks[PROBE_CHECKS];
	size_t n; /* checks after the first needed one that failed are not made */
};

/* Tries a mode in a child, with its files in an own folder below dirfd (the store's root:
 * it is that file system that matters), which is removed.  The caller has one
 * thread.  -1 only when not even that can be tried. */
int probe_mode(enum sandbox_mode mode, int dirfd, struct probe *out, struct error *err);

enum isolation { ISOLATION_AUTO, ISOLATION_ROOT, ISOLATION_USERNS, ISOLATION_NONE };
/* -1 for another word */
int isolation_parse(const char *word);

/* Whether this user may take the mode under this wish: for auto and userns the ids
 * decide, root only when it is root. */
bool isolation_allows(enum isolation want, enum sandbox_mode mode);

/* The mode to take, the first of root, range, one (as far as `want` allows) that works.
 * tried (SANDBOX_MODES of them) and *n say what was probed.  E_SANDBOX when none does,
 * with the best cure as hint; E_FAILED when that is for lack of disk space. */
int probe_choose(enum isolation want, int dirfd, enum sandbox_mode *out,
		 struct probe *tried, size_t *n, struct error *err);

/* E_SANDBOX: none of the modes that were tried works, and why; always -1. */
int probe_refusal(enum isolation want, const struct probe *tried, size_t n,
		  struct error *err);

#endif
