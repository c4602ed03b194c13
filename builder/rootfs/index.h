/*
 * index.h - one layer's paths as an immutable, memory-mapped file
 *
 * trees/DIFF_ID in the store: little-endian, versioned, checksummed; fixed
 * records in folder-contiguous, name-sorted order, a string pool, interned
 * {uid, gid, mode, xattrs}, content digests in a side table; at most 100 bytes a
 * file for ordinary names.  An index is checked wholly when it is opened,
 * so that readers need no checks; a damaged one is E_CORRUPT, and its owner
 * makes it again.
 *
 * Writing: add the entries of a tar in their order, then finish.  The builder
 * applies the layer's own semantics: a later entry of a name replaces the
 * earlier (a folder keeps its children when replaced by a folder entry); missing parents
 * are implied (flag); hard links join a group; `.wh.NAME` and `.wh..wh..opq` become
 * marks.
 */
#ifndef HOD_INDEX_H
#define HOD_INDEX_H

#include <stdint.h>

#include "builder/rootfs/node.h"

struct buf;
struct error;

/* One entry as a tar header gives it.  Everything is borrowed. */
struct index_entry {
	const char *path; /* raw bytes, as in the header ("./" and final "/" allowed) */
	enum node_type type;
	bool hardlink; /* link names an earlier path of this layer (or below) */
	struct attrs attrs;
	int64_t mtime;
	uint64_t size;
	uint32_t major, minor;
	const char *link; /* target of a symlink or hard link */
	uint64_t header;  /* offset in the tar of the first header of the entry (pax
			     included) */
	const void *inline_bytes;    /* size bytes to keep in the index, or NULL */
	const struct digest *digest; /* of the content, or NULL */
};

/* Longer contents, and more than 16 of them, are not kept: they stay in the layer.  One
 * that is replaced makes room. */
#define INDEX_INLINE_MAX ((size_t)64 << 10)

struct index_builder;
struct index_builder *index_builder_new(void);
void index_builder_free(struct index_builder *b); /* NULL is fine */
/* E_CORRUPT for hostile paths: a `..` part, a parent that is no folder, an
 * empty name, a NUL, more than 255 levels, a hard link to a folder or out of the layer's
 * names by `..`.  A layer is small where its index would be large, so E_CORRUPT too: over
 * 5 million paths, over 32 MiB of different extended attributes, and strings that come to
 * more than 64 MiB and 256 bytes for each path (or to 900 MB). */
int index_builder_add(struct index_builder *b, const struct index_entry *e,
		      struct error *err);
/* Appends the file's bytes for the layer diff_id to out.  The builder can only be freed
 * afterwards. */
int index_builder_finish(struct index_builder *b, const struct digest *diff_id,
			 struct buf *out, struct error *err);

struct index;
/* Maps fd (which stays yours) and checks all of it; E_CORRUPT when damaged. */
struct index *index_open(int fd, const struct digest *diff_id, struct error *err);
/* The same over bytes that are copied. */
struct index *index_open_bytes(const void *data, size_t len, const struct digest *diff_id,
			       struct error *err);
struct index *index_ref(struct index *ix);
void index_unref(struct index *ix); /* NULL is fine */
const struct digest *index_diff_id(const struct index *ix);
size_t index_count(const struct index *ix);     /* records, the root included */
size_t index_file_size(const struct index *ix); /* bytes */
uint32_t index_groups(const struct index *ix);  /* hard-link groups are 1 ... this */

/* A record, unpacked.  Record 0 is the root. */
struct index_node {
	const char *name; /* NUL-terminated in the pool */
	size_t name_len;
	enum node_type type;
	bool implied;      /* a folder that only its children made known */
	bool opaque;       /* hides the children of a lower folder of that name */
	bool foreign_link; /* a hard link to a path of a lower layer: link */
	struct attrs attrs;
	int64_t mtime;
	uint64_t size;
	uint32_t major, minor;
	const char *link; /* symlink target or foreign_link's path, else NULL */
	uint32_t group;   /* names of one inode share a number > 0; 0: a single name */
	uint32_t first,
		count; /* a folder's children: records [first, first+count) by name */
	struct content content;
};
void index_get(const struct index *ix, uint32_t record, struct index_node *out);
/* How many records have foreign_link, and how many folders but the root are implied. */
uint32_t index_foreign_links(const struct index *ix);
uint32_t index_implied_folders(const struct index *ix);

#endif
