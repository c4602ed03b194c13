/*
 * run_stubs.h - mount points that an image lacks
 *
 * What the sandbox mounts needs something to be mounted on.  Nothing is ever made in
 * the image's own folders: a stub folder at the very bottom of the overlay has what is
 * missing, and one at its top replaces a symlink (/etc/resolv.conf often is one). Neither
 * is in the tree, so nothing of them can get into a layer.
 */
#ifndef HOD_RUN_STUBS_H
#define HOD_RUN_STUBS_H

#include <stdbool.h>
#include <stddef.h>

#include "builder/sandbox/sandbox.h"
#include "registry/base/buf.h"

struct error;
struct tree;

#define RUN_STUB_FILES 2

struct run_stubs {
	int bottom, top; /* folders; top is -1 when it is not needed */
	/* The files to mount: /etc/resolv.conf and /etc/hosts as far as they can be. */
	struct sandbox_file files[RUN_STUB_FILES];
	char *paths[RUN_STUB_FILES]; /* of files, below the root */
	struct buf texts[RUN_STUB_FILES];
	size_t nfiles;
};

/* Makes the stub folders below dirfd and reads what the host has of the files.  ids:
 * whose owners can be set.  E_INPUT when the image's /proc, /sys or /dev is no folder. */
int run_stubs_make(struct run_stubs *s, struct tree *t, int dirfd,
		   const struct idmap *ids, struct error *err);
void run_stubs_release(struct run_stubs *s);

/* Gives a folder that stands for a node of the tree the node's attributes. */
struct node;
int run_stubs_attributes(int fd, const struct node *n, const struct idmap *ids,
			 struct error *err);

#endif
