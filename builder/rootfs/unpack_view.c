/* One layer's own paths as a tree (unpack_private.h). */
#include "builder/rootfs/index.h"
#include "builder/rootfs/unpack_private.h"
#include "registry/base/error.h"

/* tree_fill.  The size of a folder's node is its record. */
static int fill(void *ctx, struct tree *t, struct node *dir, struct error *err)
{
	const struct index *ix = ctx;
	struct index_node in, child;

	index_get(ix, (uint32_t)dir->size, &in);
	for (uint32_t i = 0; i < in.count; i++) {
		struct node_value v;

		index_get(ix, in.first + i, &child);
		if (child.opaque || child.foreign_link)
			return error_set(err, E_CORRUPT,
					 "\"%s\" is not as hod makes layers: %s",
					 child.name,
					 child.opaque ? "an opaque folder"
						      : "a hard link out of it");
		v = (struct node_value){.type = child.type,
					.attrs = child.attrs,
					.mtime = child.mtime,
					.size = child.size,
					.major = child.major,
					.minor = child.minor,
					.link = child.link,
					.group = child.group,
					.content = child.content};
		if (child.type == NODE_DIR)
			v.size = in.first + i;
		tree_add(t, dir, child.name, child.name_len, &v);
	}
	return 0;
}

struct tree *unpack_view(struct index *ix)
{
	struct tree *t = tree_new_view(fill, ix);
	struct index_node in;

	index_get(ix, 0, &in);
	tree_set_attrs(t, tree_root(t), &in.attrs, in.mtime);
	return t;
}
