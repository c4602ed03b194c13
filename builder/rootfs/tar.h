/*
 * tar.h - tar headers by the exact rules of hod's layers (hod-layers(5), TAR)
 *
 * Pure functions from an entry to bytes: ustar where it fits, else a pax
 * header before it.  Nothing here depends on a library's version.
 */
#ifndef HOD_TAR_H
#define HOD_TAR_H

#include <stdint.h>

#include "builder/rootfs/node.h"

struct buf;

struct tar_entry {
	const char *path; /* without leading slash; folders without final slash here */
	enum node_type
		type; /* NODE_WHITEOUT: path is the removed one; written as .wh.NAME */
	struct attrs attrs;
	int64_t mtime;
	int64_t pax_mtime; /* of a pax header before the entry: the layer's T */
	uint64_t size;     /* of a regular file that is no hard link */
	const char *link;  /* symlink target, or first name of a hard link */
	bool hardlink;
	uint32_t major, minor;
};

/* Appends the entry's header(s), pax included.  Path "" is the root ("./").
 * What a type has not is not looked at: a whiteout is 0644, 0:0, a symlink
 * 0777, a hard link has neither size nor xattrs nor device numbers.  Numbers of a device
 * that don't fit seven octal digits are written as 0. */
void tar_header(const struct tar_entry *e, struct buf *out);
/* Appends the path as the header has it: "./" for the root, .wh. for a whiteout,
 * a final slash for a folder. */
void tar_path(const struct tar_entry *e, struct buf *out);
/* Two zero blocks. */
#define TAR_END 1024
/* Number of NUL bytes after size bytes of data. */
unsigned tar_padding(uint64_t size);

#endif
