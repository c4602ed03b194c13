#include "builder/rootfs/layer.h"

#include <string.h>

#include "builder/rootfs/content.h"
#include "builder/rootfs/index.h"
#include "builder/rootfs/tar.h"
#include "builder/rootfs/treeload.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/map.h"
#include "registry/base/stream.h"

/* A regular file that was written: where its content is from now on. */
struct written {
	struct node *node;
	uint64_t header;
	struct digest digest;
	const void *bytes; /* in the tree's memory, when kept inline */
};

/* The first name of an inode in this layer. */
struct first {
	char *path;
	size_t file; /* in files[]; SIZE_MAX: no regular file */
};

struct walk {
	struct tree *tree;
	const struct layer_options *o;
	struct layer_writer *writer;
	struct index_builder *index;
	struct written *files;
	size_t nfiles, cap;
	struct map firsts; /* group -> struct first */
	struct first **all;
	size_t nall, all_cap;
	struct buf path; /* as in the header */
};

/* Keeps a copy of what passes. */
struct buf_sink {
	struct sink base;
	struct buf *out;
};

static int buf_sink_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	(void)err;
	buf_add(((struct buf_sink *)s)->out, data, len);
	return 0;
}

static const struct sink_ops buf_sink_ops = {.write = buf_sink_write};

static struct first *find_first(struct walk *w, const struct node *n)
{
	if (n->group == 0 || n->type == NODE_DIR || n->type == NODE_WHITEOUT)
		return NULL;
	return map_get(&w->firsts, (const char *)&n->group, sizeof(n->group));
}

static void remember_first(struct walk *w, const struct node *n, const char *path,
			   size_t file)
{
	struct first *f;

	if (n->group == 0 || n->type == NODE_DIR || n->type == NODE_WHITEOUT)
		return;
	f = xmalloc(sizeof(*f));
	*f = (struct first){.path = xstrdup(path), .file = file};
	GROW(w->all, w->nall, w->all_cap);
	w->all[w->nall++] = f;
	map_put(&w->firsts, (const char *)&n->group, sizeof(n->group), f);
}

static void add_written(struct walk *w, const struct written *file)
{
	GROW(w->files, w->nfiles, w->cap);
	w->files[w->nfiles++] = *file;
}

static bool is_kept_inline(const struct node *n, const char *path)
{
	return n->size <= INDEX_INLINE_MAX &&
	       (strcmp(path, "etc/passwd") == 0 || strcmp(path, "etc/group") == 0);
}

/* A regular file's entry with its content, and both what it hashes to and, for a
 * few, its bytes. */
static int write_file(struct walk *w, const struct tar_entry *e, struct written *file,
		      struct error *err)
{
	const struct node *n = file->node;
	auto_buf struct buf kept = BUF_INIT;
	struct buf_sink copy = {.base = {&buf_sink_ops}, .out = &kept};
	bool keep = is_kept_inline(n, e->path);
	struct source *src = content_open(n, err);

	if (!src)
		return -1;
	if (keep)
		src = source_tee(src, &copy.base);
	if (layer_writer_add(w->writer, e, src, &file->digest, &file->header, err) < 0)
		return -1;
	/* The step's key was made from that digest: another one would poison the cache.
	 */
	if (n->content.has_digest && !digest_equal(&n->content.digest, &file->digest))
		return error_set(err, E_FAILED, "changed while it was read");
	if (keep)
		file->bytes = tree_strdup(w->tree, kept.data, kept.len);
	return 0;
}

static void entry_of(const struct walk *w, const struct node *n, const char *path,
		     struct tar_entry *e)
{
	bool own_time = w->o->keep_mtime && n->type != NODE_WHITEOUT;

	*e = (struct tar_entry){
		.path = path,
		.type = n->type,
		.attrs = n->attrs,
		.mtime = own_time ? n->mtime : w->o->mtime,
		.size = n->type == NODE_FILE ? n->size : 0,
		.link = n->type == NODE_SYMLINK ? n->link : NULL,
		.major = n->major,
		.minor = n->minor,
	};
}

static int add_index(struct walk *w, const struct tar_entry *e,
		     const struct written *file, uint64_t header, struct error *err)
{
	bool content = e->type == NODE_FILE && !e->hardlink;
	struct index_entry ie = {
		.type = e->type == NODE_WHITEOUT ? NODE_FILE : e->type,
		.hardlink = e->hardlink,
		.attrs = e->attrs,
		.mtime = e->mtime,
		.size = content ? e->size : 0,
		.major = e->major,
		.minor = e->minor,
		.link = e->link,
		.header = header,
		.inline_bytes = content ? file->bytes : NULL,
		.digest = content ? &file->digest : NULL,
	};

	if (e->type == NODE_WHITEOUT)
		ie.attrs = (struct attrs){.mode = 0644};
	if (e->type == NODE_SYMLINK)
		ie.attrs.mode = 0777;
	buf_reset(&w->path);
	tar_path(e, &w->path);
	ie.path = w->path.data;
	return index_builder_add(w->index, &ie, err);
}

static int write_node(struct walk *w, struct node *n, const char *path, struct error *err)
{
	struct written file = {.node = n};
	struct first *first = find_first(w, n);
	struct tar_entry e;
	size_t at = SIZE_MAX;

	entry_of(w, n, path, &e);
	if (first) {
		e.hardlink = true;
		e.link = first->path;
	}
	if (e.type == NODE_FILE && !first) {
		if (write_file(w, &e, &file, err) < 0)
			return -1;
		at = w->nfiles;
		add_written(w, &file);
	} else if (layer_writer_add(w->writer, &e, NULL, NULL, &file.header, err) < 0) {
		return -1;
	}
	if (add_index(w, &e, &file, file.header, err) < 0)
		return -1;
	if (!first) {
		remember_first(w, n, path, at);
	} else if (first->file != SIZE_MAX) {
		struct written same = w->files[first->file];

		same.node = n;
		add_written(w, &same);
	}
	return 0;
}

static int visit(void *ctx, struct node *n, const char *path, bool changed,
		 struct error *err)
{
	(void)changed; /* a parent that did not change is written as it is */
	if (!write_node(ctx, n, path, err))
		return 0;
	/* what an index refuses (too deep, say) is no damage here */
	if (err->kind == E_CORRUPT)
		err->kind = E_FAILED;
	return error_wrap(err, "%s", *path ? path : "/");
}

/* The nodes' bytes are in the new layer now. */
static void set_contents(struct walk *w, const struct layer *layer)
{
	const struct digest *diff_id = (const struct digest *)tree_strdup(
		w->tree, (const char *)&layer->diff_id, sizeof(layer->diff_id));

	for (size_t i = 0; i < w->nfiles; i++) {
		const struct written *f = &w->files[i];
		struct content c = {.has_digest = true, .digest = f->digest};

		if (f->bytes) {
			c.kind = CONTENT_INLINE;
			c.bytes = f->bytes;
		} else if (f->node->size > 0) {
			c.kind = CONTENT_LAYER;
			c.layer.diff_id = diff_id;
			c.layer.header = f->header;
		}
		tree_set_content(w->tree, f->node, &c);
	}
}

static void walk_release(struct walk *w)
{
	for (size_t i = 0; i < w->nall; i++) {
		free(w->all[i]->path);
		free(w->all[i]);
	}
	free(w->all);
	free(w->files);
	map_release(&w->firsts);
	buf_release(&w->path);
	index_builder_free(w->index);
	layer_writer_abort(w->writer);
}

int layer_write(struct tree *t, const struct layer_options *o, struct layer *out,
		struct error *err)
{
	struct walk w = {.tree = t, .o = o, .firsts = MAP_INIT, .path = BUF_INIT};
	int rc = -1;

	w.writer = layer_writer_open(o, err);
	if (!w.writer)
		return -1;
	w.index = index_builder_new();
	if (tree_changes(t, visit, &w, err) == 0 &&
	    layer_writer_end(steal_ptr(&w.writer), out, err) == 0 &&
	    treeload_save_index(w.index, o->store, &out->diff_id, err) == 0) {
		set_contents(&w, out);
		rc = 0;
	}
	walk_release(&w);
	return rc;
}
