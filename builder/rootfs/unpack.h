/*
 * unpack.h - trees as folders on disk
 *
 * Only RUN needs one.  The tree says what there is and where; the layers only give
 * contents.  So a path of a layer is never resolved: a folder is made, then its
 * children by name, and what already stands there (nothing does, in an empty folder) or
 * is a symlink on the way is an error, never followed.
 *
 * Owners, modes (set-id bits too), mtimes (whole seconds), links, `user.*` attributes and
 * security.capability are set as the tree has them; other attributes are not.  Without
 * `owners` all belongs to the caller.  Devices are made where `devices` says so, and left
 * out otherwise (the tree has them all the same); so are always the character device 0:0,
 * which overlay takes for a removed path, and numbers beyond Linux's.
 *
 * A full disk is E_FAILED and says how much is missing, before anything of the contents
 * is written where the sizes tell it.
 */
#ifndef HOD_UNPACK_H
#define HOD_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest;
struct error;
struct index;
struct source;
struct tree;

/* Opens the uncompressed tar of a layer somewhere at or before offset `from`; *at gets
 * where the source begins.  Called from several threads. */
typedef struct source *unpack_open(void *ctx, const struct digest *diff_id, uint64_t from,
				   uint64_t *at, struct error *err);
/* Offsets at which opening costs nothing extra, ascending: *v, to be freed, and *n (0:
 * only the start). */
typedef void unpack_points(void *ctx, const struct digest *diff_id, uint64_t **v,
			   size_t *n);

/* Whether these ids can be on disk; where not, a path keeps the caller's own. */
typedef bool unpack_owner(void *ctx, uint32_t uid, uint32_t gid);

struct unpack_options {
	unpack_open *open;
	unpack_points *points;   /* NULL: none */
	unpack_owner *has_owner; /* NULL: all */
	void *ctx;
	bool owners, devices;
	unsigned threads; /* 0: all processors */
};

/* Writes the whole tree into the empty folder dirfd, whose own attributes are set last.
 * On failure the folder holds a part. */
int unpack_tree(struct tree *t, int dirfd, const struct unpack_options *o,
		struct error *err);
/* Writes one layer that hod made (no opaque marks, links among its own paths) as an
 * overlay's lower folder: whiteouts are character devices 0:0. */
int unpack_layer(struct index *ix, int dirfd, const struct unpack_options *o,
		 struct error *err);
/* Whether a folder still looks as unpack_tree or unpack_layer left it: types, sizes,
 * modes, owners, mtimes, link targets of all paths, and no path more (contents and
 * attributes are not read).  Of o only owners, devices and has_owner count.  1, 0, -1. */
int unpack_check(struct tree *t, int dirfd, const struct unpack_options *o,
		 struct error *err);
int unpack_check_layer(struct index *ix, int dirfd, const struct unpack_options *o,
		       struct error *err);

/* Gives an open file or folder a node's mode, kept attributes (node.h) and, with owner,
 * its owner; not its time.  What this file system refuses is an error. */
struct node;
int unpack_attributes(int fd, const struct node *n, bool owner, struct error *err);

#endif
