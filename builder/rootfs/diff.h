/*
 * diff.h - what a command changed, as changes of the tree
 *
 * The command ran on an overlay.  Its upper folder is compared with the tree as it was
 * before: what is really different becomes a change of the tree's step, what was only
 * touched, or opened for writing, does not (hod-layers(5), LAYERS).  Then the upper
 * folder is brought to exactly what the step's layer will say (BYTECODE applied, mtimes
 * set, what is no change removed), so that it can serve as a lower folder as if it had
 * been unpacked from that layer.
 */
#ifndef HOD_DIFF_H
#define HOD_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/rootfs/content.h"

struct error;
struct tree;

struct diff_options {
	struct disk_root *upper; /* contents of the step's files point into it: it must
				    outlive layer_write */
	const int *lowers; /* the folders that the overlay had below, the topmost first
			      (stubs left out) */
	size_t nlowers;
	bool user_namespace; /* overlay's marks are user.overlay.*, else trusted.overlay.*
			      */
	/* Which owners can lie on disk; NULL: all.  A path that the tree had before with
	 * an owner that cannot, and that is 0:0 on disk, keeps the tree's. */
	bool (*has_owner)(void *ctx, uint32_t uid, uint32_t gid);
	void *ctx;
	/* Paths (relative, "etc/resolv.conf") that the sandbox covered: never a change.
	 */
	const char *const *covered;
	size_t ncovered;
	int64_t time;    /* mtime of what the step's layer has, in seconds ... */
	bool keep_mtime; /* ... unless each keeps its own, cut to seconds; then touched is
			    changed */
	bool bytecode;   /* the rules for .pyc files are on */
};

/* The tree's step must have begun (tree_begin_step) and no process may use the folder.  A
 * name .wh.* that the command made is E_FAILED (a layer cannot say it).  Sockets are left
 * out.  A file larger than a layer takes, or deeper than NODE_LEVELS, is E_FAILED. */
int diff_upper(struct tree *t, const struct diff_options *o, struct error *err);

#endif
