/*
 * node.h - what a path of a root filesystem is
 *
 * Plain values shared by the tree, the layer index and the layer writer.
 */
#ifndef HOD_NODE_H
#define HOD_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/digest.h"

/* Parts of a path: no index and no tree of layers has longer ones, so that a walk over
 * either can recurse. */
#define NODE_LEVELS 255

enum node_type {
	NODE_FILE,
	NODE_DIR,
	NODE_SYMLINK,
	NODE_CHAR,
	NODE_BLOCK,
	NODE_FIFO,
	NODE_WHITEOUT, /* the path is removed: what is below shows nothing */
};

struct xattr {
	const char *name; /* "security.capability" */
	const void *value;
	size_t len;
};

/* Sorted bytewise by name.  Owned by a tree's or an index' arena. */
struct xattrs {
	size_t n;
	struct xattr v[];
};

#define XATTR_CAPABILITY "security.capability"
/* Whether an attribute is on disk what it is in the tree: `user.` ones and
 * XATTR_CAPABILITY, but not overlay's own, which would act on other layers' files, nor
 * those in which programs record owners that they cannot set. */
bool xattr_is_kept(const char *name);

/* Owner, mode and xattrs: what stat calls metadata, mtime apart. */
struct attrs {
	uint32_t uid, gid;
	uint16_t mode; /* permission bits with setuid, setgid, sticky: 07777 */
	const struct xattrs *xattrs; /* NULL: none */
};

enum content_kind {
	CONTENT_NONE,   /* empty, or no regular file */
	CONTENT_INLINE, /* bytes in memory */
	CONTENT_DISK,  /* a file below a folder that is open: context, upper folder, spool
			*/
	CONTENT_LAYER, /* in a layer: (diff_id, offset of its tar header) */
};

/* Where a regular file's bytes are.  A small value; pointers are borrowed from
 * the tree or index it came from. */
struct content {
	enum content_kind kind;
	bool has_digest;
	bool restamped; /* bytes 8 to 11 are `stamp` instead, little-endian (pyc.h) */
	uint32_t stamp;
	struct digest digest; /* SHA-256 of the bytes as they are read, if has_digest */
	union {
		const void *bytes; /* CONTENT_INLINE; size is the node's */
		struct {
			const struct disk_root *root; /* content.h */
			const char *path; /* relative to it; offset for a spool file */
			uint64_t offset;
			/* A context file is read only while it still has this mtime. */
			int64_t mtime;
			uint32_t mtime_nsec;
			bool timed;
		} disk;
		struct {
			const struct digest *diff_id;
			uint64_t header;
		} layer;
	};
};

#endif
