/*
 * unpack_private.h - what the files of unpack.h share
 *
 * unpack.c walks the tree and makes what needs no layer, unpack_files.c brings the
 * contents out of the layers, unpack_attrs.c sets attributes and opens folders.
 */
#ifndef HOD_UNPACK_PRIVATE_H
#define HOD_UNPACK_PRIVATE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "builder/rootfs/tree.h"
#include "builder/rootfs/unpack.h"
#include "registry/base/buf.h"

struct node_list {
	const struct node **v;
	size_t n, cap;
};

struct unpack {
	int root;
	const struct unpack_options *o;
	struct tree *tree;
	bool whiteouts; /* they are made, and checked */
	/* What a new file gets, whatever its creator asks for. */
	uid_t uid;
	gid_t gid;
	mode_t mask;
	struct node_list files; /* regular files whose contents are in layers */
	struct node_list names; /* those of hard-link groups, by group */
	size_t paths;
	uint64_t need; /* bytes on disk that the contents take, about */
	atomic_uint_fast64_t written;
	atomic_bool no_openat2;
};

/* A folder that stays open while its children are made, one at a time. */
struct open_folder {
	const struct node *dir;
	int fd;
	struct buf path;
};
#define OPEN_FOLDER_INIT                   \
	{                                  \
		.fd = -1, .path = BUF_INIT \
	}
void open_folder_close(struct open_folder *f);
#define auto_folder __attribute__((cleanup(open_folder_close)))
/* The folder's fd (O_PATH), valid until the next call; -1.  No symlink is followed. */
int open_folder_of(struct unpack *u, struct open_folder *f, const struct node *dir,
		   struct error *err);

/* Fails with errno: what could not be made and why; never E_MISSING. */
int unpack_failed(struct unpack *u, const char *what, const struct node *n,
		  struct error *err);
/* Whether a name can be one part of a path; E_CORRUPT. */
int unpack_name_ok(const struct node *n, struct error *err);
/* Whether a device is made on disk. */
bool unpack_has_device(const struct unpack_options *o, const struct node *n);
/* Whether the owner on disk is the tree's. */
bool unpack_has_owner(const struct unpack_options *o, const struct node *n);
/* Finds out what a new file in the root gets. */
int unpack_probe(struct unpack *u, struct error *err);

/* The permissions that a node is to be created with. */
mode_t unpack_first_mode(const struct node *n);
/* Owner, extended attributes, mode and time of what was created, and has mode `made`. */
int unpack_finish(struct unpack *u, int fd, const struct node *n, mode_t made,
		  struct error *err);
/* The same for the name of what is no regular file. */
int unpack_finish_at(struct unpack *u, int dirfd, const struct node *n, mode_t made,
		     struct error *err);

/* A new regular file, open for writing. */
int unpack_create(struct unpack *u, int dirfd, const struct node *n, struct error *err);
/* Writes u->files, which are in the order of their layers' tars. */
int unpack_files(struct unpack *u, struct error *err);

/* A layer's own paths as a tree, whiteouts included (a cursor with `whiteouts` shows
 * them); ix must outlive it.  A layer that no tree of its own can show (opaque marks,
 * hard links to other layers' paths) is E_CORRUPT where that is found. */
struct index;
struct tree *unpack_view(struct index *ix);

#endif
