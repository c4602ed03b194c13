/*
 * index_format.h - how an index file lies on disk: for index.c and index_builder.c only
 *
 *	header | records | digests | attrs | xattr lists | xattrs | inline | pool
 *
 * All numbers are little-endian.  The sections follow each other without gaps, their
 * sizes follow from the header's counts, and the file ends with the pool.
 *
 * Records are in breadth-first order: record 0 is the root, and the children of the
 * folders, taken in record order, follow one another without gaps.  So each record
 * is the child of exactly one folder that stands before it.
 */
#ifndef HOD_INDEX_FORMAT_H
#define HOD_INDEX_FORMAT_H

#include <endian.h>
#include <stdint.h>

#include "builder/rootfs/node.h"
#include "registry/base/digest.h"

#define INDEX_MAGIC "hodtree\n"
#define INDEX_VERSION 1
#define INDEX_LEVELS NODE_LEVELS
#define INDEX_NAME_MAX 255 /* NAME_MAX of every file system */
#define INDEX_LINK_MAX 65535
#define INDEX_POOL_MAX (1u << 30)
#define INDEX_RECORDS_MAX 5000000u
#define INDEX_BLOCK 512 /* of a tar: header offsets are counted in blocks */
#define INDEX_MODE_MAX 07777

/* The checksum (CRC-32 as in gzip) covers everything from diff_id on. */
struct index_header {
	char magic[8];
	uint32_t version;
	uint32_t crc;
	uint8_t diff_id[DIGEST_BYTES];
	uint32_t records;
	uint32_t digests;
	uint32_t attrs;
	uint32_t lists;
	uint32_t xattrs;
	uint32_t inlines;
	uint32_t groups;
	uint32_t zero;
	uint64_t pool;
	uint64_t zero2;
};
#define INDEX_CRC_FROM 16

enum {
	RECORD_IMPLIED = 1,
	RECORD_OPAQUE = 2,
	RECORD_FOREIGN = 4,
	RECORD_INLINE = 8,
	RECORD_FLAGS = 15,
};

struct index_record {
	uint32_t name; /* offset in the pool; NUL-terminated */
	uint8_t name_len;
	uint8_t type; /* enum node_type */
	uint8_t flags;
	uint8_t header_high; /* of the header's block number */
	uint32_t attrs;
	uint32_t group;
	uint64_t mtime;
	/* A file's size in both (low half first); a folder's first child and their
	 * number; a device's numbers; a link's offset in the pool and length. */
	uint32_t a, b;
	uint32_t header_low;
	uint32_t digest; /* number in the table + 1; 0: none */
};

struct index_attrs {
	uint32_t uid, gid, mode;
	uint32_t list; /* number of the list + 1; 0: no xattrs */
};

/* The lists take the xattrs in order, each exactly once. */
struct index_list {
	uint32_t first, count;
};

struct index_xattr {
	uint32_t name, name_len, value, value_len; /* in the pool */
};

/* In ascending order of the records, which have RECORD_INLINE. */
struct index_inline {
	uint32_t record, bytes;
};

_Static_assert(sizeof(struct index_header) == 96, "header has no padding");
_Static_assert(sizeof(struct index_record) == 40, "record has no padding");

#endif
