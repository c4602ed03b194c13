/*
 * A layer's tar: what is accepted makes an index that opens, and its contents can be
 * taken out of the same tar.
 */
#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/treeload.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Holes can be as long as they like; a caller ends it by an error. */
static int put(void *ctx, size_t i, const void *bytes, size_t len, struct error *err)
{
	uint64_t *left = ctx;

	(void)i;
	if (!bytes) /* a hole costs nothing */
		return 0;
	if (len > 0 && ((const char *)bytes)[len - 1] == 1)
		*left -= 1;
	if (len > *left)
		return error_set(err, E_FAILED, "enough");
	*left -= len;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void extract(const struct index *ix, const uint8_t *data, size_t size)
{
	auto_free uint64_t *wanted = xcalloc(index_count(ix), sizeof(*wanted));
	struct source *src = source_bytes(data, size);
	struct error err = ERROR_INIT;
	uint64_t left = 1 << 20;
	size_t n = 0, unique = 0;

	for (uint32_t i = 0; i < index_count(ix); i++) {
		struct index_node in;
		index_get(ix, i, &in);
		if (in.content.kind == CONTENT_LAYER)
			wanted[n++] = in.content.layer.header;
	}
	if (n > 0)
		qsort(wanted, n, sizeof(*wanted), by_number);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || wanted[i] != wanted[unique - 1])
			wanted[unique++] = wanted[i];
	treeload_extract(src, wanted, unique, put, &left, &err);
	source_close(src);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct digest diff_id;
	struct index_builder *b = index_builder_new();
	struct source *src = source_bytes(data, size);
	struct error err = ERROR_INIT;
	struct buf bytes = BUF_INIT;

	if (treeload_read(src, b, &err) == 0) {
		if (index_builder_finish(b, &diff_id, &bytes, &err) < 0)
			abort();
		struct index *ix =
			index_open_bytes(bytes.data, bytes.len, &diff_id, &err);
		if (!ix)
			abort();
		struct tree *t = tree_new();
		if (tree_push_index(t, ix, &err) == 0)
			tree_enter_all(t, &err);
		tree_free(t);
		extract(ix, data, size);
		index_unref(ix);
	}
	buf_release(&bytes);
	source_close(src);
	index_builder_free(b);
	return 0;
}
