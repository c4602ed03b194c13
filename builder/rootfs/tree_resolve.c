#include <string.h>

#include "builder/rootfs/tree.h"
#include "builder/rootfs/tree_private.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

/* A walk: where it is, the parts beyond that are not there, and what is left to go. */
struct walk {
	struct tree *t;
	struct node *at;
	struct buf missing; /* "a/b"; empty while everything was there */
	struct buf todo;
	size_t done; /* of todo */
	unsigned links;
};

static void walk_up(struct walk *w)
{
	if (w->missing.len > 0) {
		const char *slash = memrchr(w->missing.data, '/', w->missing.len);
		buf_truncate(&w->missing, slash ? (size_t)(slash - w->missing.data) : 0);
	} else if (w->at->parent) {
		w->at = w->at->parent;
	}
}

static int follow(struct walk *w, const struct node *link, const char *path,
		  struct error *err)
{
	struct buf todo = BUF_INIT;

	if (++w->links > TREE_MAX_LINKS)
		return error_set(err, E_INPUT, "\"%s\" leads through over %d symlinks",
				 path, TREE_MAX_LINKS);
	if (link->link[0] == '/')
		w->at = &w->t->root.node;
	buf_adds(&todo, link->link);
	buf_add(&todo, w->todo.data + w->done, w->todo.len - w->done);
	buf_release(&w->todo);
	w->todo = todo;
	w->done = 0;
	return 0;
}

static int no_folder(const struct node *n, const char *path, struct error *err)
{
	auto_buf struct buf where = BUF_INIT;

	tree_path(n, &where);
	return error_set(err, E_INPUT, "\"%s\": /%s is no folder", path, where.data);
}

/* One part of the path.  1: the walk ends at *out, which is no folder. */
static int walk_part(struct walk *w, const char *part, size_t len, const char *path,
		     int flags, struct node **out, struct error *err)
{
	bool last = w->done == w->todo.len; /* not even a slash follows */
	struct error failed = ERROR_INIT;
	struct node *n;

	if (w->missing.len > 0) {
		buf_addc(&w->missing, '/');
		buf_add(&w->missing, part, len);
		return 0;
	}
	n = tree_child(w->t, w->at, part, len, &failed);
	if (!n && failed.kind != E_NONE) {
		if (err)
			*err = failed;
		return -1;
	}
	if (!n) {
		buf_add(&w->missing, part, len);
		return 0;
	}
	if (n->type == NODE_DIR) {
		w->at = n;
		return 0;
	}
	if (n->type == NODE_SYMLINK && (!last || (flags & TREE_FOLLOW_LAST)))
		return follow(w, n, path, err);
	*out = n;
	return last ? 1 : no_folder(n, path, err);
}

static int walk(struct walk *w, const char *path, int flags, struct node **out,
		struct error *err)
{
	while (w->done < w->todo.len) {
		const char *part = w->todo.data + w->done;
		size_t len = strcspn(part, "/");
		if (len == 0) {
			w->done++;
			continue;
		}
		w->done += len;
		if (len == 1 && part[0] == '.')
			continue;
		if (len == 2 && part[0] == '.' && part[1] == '.') {
			walk_up(w);
			continue;
		}
		int ended = walk_part(w, part, len, path, flags, out, err);
		if (ended != 0)
			return ended;
	}
	return 0;
}

int tree_resolve(struct tree *t, const char *path, int flags, struct node **out,
		 char **rest, struct error *err)
{
	struct walk w = {
		.t = t, .at = &t->root.node, .missing = BUF_INIT, .todo = BUF_INIT};

	*out = &t->root.node;
	if (rest)
		*rest = NULL;
	buf_adds(&w.todo, path);
	int found = walk(&w, path, flags, out, err);
	if (found == 0) {
		*out = w.at;
		found = w.missing.len == 0;
		if (!found && rest)
			*rest = buf_detach(&w.missing);
	}
	buf_release(&w.missing);
	buf_release(&w.todo);
	return found;
}
