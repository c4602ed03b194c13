/*
 * index_private.h - an index while its entries are gathered: for index_builder.c (adding)
 * and index_write.c (writing the file)
 */
#ifndef HOD_INDEX_PRIVATE_H
#define HOD_INDEX_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/rootfs/index_format.h"
#include "registry/base/buf.h"

/* Numbers found by hash; 0 marks a free slot, so entries are numbered from 1. */
struct ids {
	struct {
		uint32_t hash, id;
	} * slots;
	uint32_t n, cap;
};

/* What a builder keeps of a layer's paths, be the tar ever so compressible: 48 bytes for
 * each, its name once, and the slots of two tables of numbers. */
#define POOL_FREE ((size_t)64 << 20) /* names, links and xattrs: this much ... */
#define POOL_PATH ((size_t)256)      /* ... and a longest name for each path */
#define XATTRS_TOTAL ((size_t)32 << 20)
#define KEPT_MAX 16 /* inline contents of INDEX_INLINE_MAX at most */

struct entry {
	uint32_t parent;
	uint32_t name; /* in the pool */
	uint8_t name_len;
	uint8_t type;
	uint8_t header_high; /* of the header's block number */
	uint8_t kept;        /* slot of the inline content + 1; 0: none */
	bool implied : 1, opaque : 1, foreign : 1;
	bool whited : 1; /* there was a .wh.NAME of this name */
	bool dead : 1;   /* a folder that something else replaced, with all below it */
	uint32_t attrs;
	uint32_t group;
	int64_t mtime;
	uint32_t a, b; /* as in struct index_record; a folder's are not known yet */
	uint32_t header_low;
	uint32_t digest; /* number + 1 */
};
_Static_assert(sizeof(struct entry) == 48, "there are millions of these");

/* An inline content: apart from the pool, so that one that is replaced can go. */
struct kept {
	void *bytes; /* NULL: a free slot */
	uint32_t len;
};

struct index_builder {
	struct entry *entries; /* 0 is the root; a parent stands before its children */
	size_t nentries, entries_cap;
	struct ids names;   /* (parent, name) -> entry; the root is never looked up */
	struct ids strings; /* -> offset in the pool + 1 */
	struct ids attr_ids, list_ids;
	struct index_attrs *attrs; /* host byte order, as lists and xattrs */
	size_t nattrs, attrs_cap;
	struct index_list *lists;
	size_t nlists, lists_cap;
	struct index_xattr *xattrs;
	size_t nxattrs, xattrs_cap;
	size_t xattr_bytes; /* what the lists take, numbers included */
	struct digest *digests;
	size_t ndigests, digests_cap;
	uint32_t ngroups;
	struct buf pool; /* NUL-terminated strings, and values of xattrs */
	struct kept kept[KEPT_MAX];
};

void ids_release(struct ids *t);

#endif
