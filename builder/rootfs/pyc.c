#include "builder/rootfs/pyc.h"

#include <stdlib.h>
#include <string.h>

#include "builder/rootfs/content.h"
#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/stream.h"

static const char suffix[] = ".pyc";

bool pyc_is(const struct node *n)
{
	size_t len = sizeof(suffix) - 1;

	return n->type == NODE_FILE && n->size >= PYC_HEADER && n->name_len > len &&
	       !memcmp(n->name + n->name_len - len, suffix, len);
}

/* N of N.TAG.pyc or N.TAG.opt-K.pyc (a module's name has no dot): its length. */
static size_t cached_stem(const char *name)
{
	return strcspn(name, ".");
}

int pyc_source(struct tree *t, struct node *pyc, struct node **out, struct error *err)
{
	struct node *dir = pyc->parent;
	struct error why = ERROR_INIT;
	auto_free char *name = NULL;
	size_t stem = pyc->name_len - (sizeof(suffix) - 1);
	struct node *found;

	*out = NULL;
	if (!strcmp(dir->name, "__pycache__") && dir->parent) {
		dir = dir->parent;
		stem = cached_stem(pyc->name);
	}
	name = xasprintf("%.*s.py", (int)stem, pyc->name);
	found = tree_child(t, dir, name, strlen(name), &why);
	if (!found && why.kind != E_NONE) {
		*err = why;
		return -1;
	}
	if (found && found->type == NODE_FILE)
		*out = found;
	return 0;
}

static uint32_t word(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool pyc_header_valid(const uint8_t *header, int64_t mtime, uint64_t size)
{
	return word(header + 4) == 0 && word(header + 8) == (uint32_t)mtime &&
	       word(header + 12) == (uint32_t)size;
}

int pyc_valid(const struct node *pyc, const struct node *source, bool *valid,
	      struct error *err)
{
	struct source *src = content_open(pyc, err);
	uint8_t header[PYC_HEADER];
	ssize_t n;

	if (!src)
		return -1;
	n = source_read_full(src, header, sizeof(header), err);
	source_close(src);
	if (n < 0)
		return -1;
	*valid = n == sizeof(header) &&
		 pyc_header_valid(header, source->mtime, source->size);
	return 0;
}
