/*
 * An index file as it could come from a registry: once it opens, everything in it is
 * read, and it is pushed onto a tree twice.  The checksum is made right first.
 */
#include <isa-l/crc.h>
#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/index_format.h"
#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sum;

static void walk(const struct index *ix)
{
	for (uint32_t i = 0; i < index_count(ix); i++) {
		struct index_node n;
		index_get(ix, i, &n);
		sum += strlen(n.name) + (n.link ? strlen(n.link) : 0);
		if (strlen(n.name) != n.name_len)
			abort();
		for (uint64_t k = 0; n.content.kind == CONTENT_INLINE && k < n.size; k++)
			sum += ((const uint8_t *)n.content.bytes)[k];
		for (size_t k = 0; n.attrs.xattrs && k < n.attrs.xattrs->n; k++)
			for (size_t j = 0; j < n.attrs.xattrs->v[k].len; j++)
				sum += ((const uint8_t *)n.attrs.xattrs->v[k].value)[j];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	auto_free uint8_t *copy = xmalloc(size + 1);

	if (size > 0)
		memcpy(copy, data, size);
	if (size >= sizeof(struct index_header)) {
		uint32_t crc = htole32(
			crc32_gzip_refl(0, copy + INDEX_CRC_FROM, size - INDEX_CRC_FROM));
		memcpy(copy + offsetof(struct index_header, crc), &crc, sizeof(crc));
	}
	struct index *ix = index_open_bytes(copy, size, NULL, &err);
	if (!ix)
		return 0;
	walk(ix);
	struct tree *t = tree_new();
	if (tree_push_index(t, ix, &err) == 0 && tree_push_index(t, ix, &err) == 0 &&
	    tree_enter_all(t, &err) == 0)
		tree_push_index(t, ix, &err);
	tree_free(t);
	index_unref(ix);
	return 0;
}
