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

struct entry {
	uint32_t parent;
	uint32_t name, name_len; /* in the pool */
	uint8_t type;
	bool implied, opaque, foreign, inlined;
	bool whited; /* there was a .wh.NAME of this name */
	bool dead;   /* a folder that something else replaced, with all below it */
	uint32_t attrs;
	uint32_t group;
	int64_t mtime;
	uint64_t size;
	uint32_t major, minor;
	uint32_t link, link_len;
	uint64_t header;
	uint32_t digest; /* number + 1 */
	uint32_t bytes;
};

struct index_builder {
	struct entry *entries; /* 0 is the root; a parent stands before its children */
	size_t nentries, entries_cap;
	struct ids names;   /* (parent, name) -> entry; the root is never looked up */
	struct ids strings; /* -> pool_strings + 1 */
	struct ids attr_ids, list_ids;
	struct {
		uint32_t at, len;
	} * interned;
	size_t ninterned, interned_cap;
	struct index_attrs *attrs; /* host byte order, as lists and xattrs */
	size_t nattrs, attrs_cap;
	struct index_list *lists;
	size_t nlists, lists_cap;
	struct index_xattr *xattrs;
	size_t nxattrs, xattrs_cap;
	struct digest *digests;
	size_t ndigests, digests_cap;
	uint32_t ngroups;
	struct buf pool;
};

#endif
