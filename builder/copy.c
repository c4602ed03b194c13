/* COPY's destination: what the sources become in a tree (copy.h). */
#include "builder/copy.h"

#include <stdlib.h>
#include <string.h>

#include "builder/context.h"
#include "builder/rootfs/pyc.h"
#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/map.h"

/* One match on its way into the destination. */
struct transfer {
	struct copy *copy;
	struct tree *to;
	int64_t time;
	struct map groups; /* hard-link group of the source -> of the target (8.18) */
};

static uint16_t new_folder_mode(const struct copy *c)
{
	return c->has_mode ? c->mode : 0755;
}

struct node *copy_make_folders(struct tree *t, struct node *dir, const char *rest,
			       uint16_t mode, uint32_t uid, uint32_t gid, int64_t time,
			       struct error *err)
{
	const struct node_value v = {.type = NODE_DIR,
				     .attrs = {.mode = mode, .uid = uid, .gid = gid},
				     .mtime = time};

	while (dir && *rest) {
		size_t n = strcspn(rest, "/");

		dir = tree_put(t, dir, rest, n, &v, err);
		rest += n + (rest[n] == '/');
	}
	return dir;
}

static struct node *make_folders(struct transfer *x, struct node *dir, const char *rest,
				 struct error *err)
{
	const struct copy *c = x->copy;

	return copy_make_folders(x->to, dir, rest, new_folder_mode(c), c->uid, c->gid,
				 x->time, err);
}

/* Between stages user.* and security.capability stay, all else is dropped
 * (hod-layers(5), LAYERS); context files have none. */
static const struct xattrs *kept_xattrs(const struct xattrs *x, struct xattrs **scratch)
{
	size_t n = 0;

	if (!x)
		return NULL;
	*scratch = xmalloc(sizeof(**scratch) + x->n * sizeof(x->v[0]));
	for (size_t i = 0; i < x->n; i++)
		if (!strncmp(x->v[i].name, "user.", 5) ||
		    !strcmp(x->v[i].name, "security.capability"))
			(*scratch)->v[n++] = x->v[i];
	(*scratch)->n = n;
	return n ? *scratch : NULL;
}

static uint64_t target_group(struct transfer *x, uint64_t group)
{
	uintptr_t to;

	if (!group)
		return 0;
	to = (uintptr_t)map_get(&x->groups, (char *)&group, sizeof(group));
	if (!to) {
		to = (uintptr_t)tree_new_group(x->to);
		map_put(&x->groups, (char *)&group, sizeof(group), (void *)to);
	}
	return to;
}

/* Sets dir/name to what the source is, with the options' mode and owner. */
static struct node *put_node(struct transfer *x, struct node *source, struct node *dir,
			     const char *name, struct error *err)
{
	struct copy *c = x->copy;
	auto_free struct xattrs *scratch = NULL;
	struct node_value v = {.type = source->type,
			       .attrs = source->attrs,
			       .mtime = c->keep_mtime ? source->mtime : x->time,
			       .size = source->size,
			       .major = source->major,
			       .minor = source->minor,
			       .link = source->link,
			       .group = target_group(x, source->group),
			       .content = source->content};
	struct node *target;

	if (source->type == NODE_FILE && copy_check_size(source, err) < 0) {
		error_wrap(err, "%s", source->name);
		return NULL;
	}
	v.attrs.xattrs = kept_xattrs(source->attrs.xattrs, &scratch);
	if (c->has_owner) {
		v.attrs.uid = c->uid;
		v.attrs.gid = c->gid;
	}
	if (c->has_mode && source->type != NODE_SYMLINK)
		v.attrs.mode = c->mode;
	target = tree_put(x->to, dir, name, strlen(name), &v, err);
	if (target && source->type == NODE_FILE && source->size) {
		GROW(c->pairs, c->npairs, c->cap_pairs);
		c->pairs[c->npairs++] = (struct copy_pair){source, target};
	}
	return target;
}

/* 8.12: a folder never replaces something else, nor the reverse. */
static int check_clash(struct node *source, struct node *target, struct error *err)
{
	auto_buf struct buf path = BUF_INIT;

	if (!target || (source->type == NODE_DIR) == (target->type == NODE_DIR))
		return 0;
	tree_path(target, &path);
	if (target->type == NODE_DIR)
		return error_set(err, E_INPUT, "cannot replace the folder /%s by a file",
				 path.data);
	error_set(err, E_INPUT, "cannot copy a folder onto /%s, which is no folder",
		  path.data);
	if (target->type == NODE_SYMLINK)
		error_hint(err, "it is a link to %s; name that as the destination",
			   target->link);
	return -1;
}

/* Merges what is in a source folder into a target folder.  tree_put refuses what lies
 * deeper than NODE_LEVELS, and thereby ends the recursion. */
static int merge_folder(struct transfer *x, struct node *source, struct node *target,
			struct error *err)
{
	struct cursor cur;
	struct node *child;

	if (tree_children(x->copy->from, source, &cur, err) < 0)
		return -1;
	while ((child = cursor_next(&cur))) {
		struct error why = ERROR_INIT;
		struct node *old = tree_child(x->to, target, child->name, child->name_len,
					      &why),
			    *made;

		if (!old && why.kind != E_NONE) {
			*err = why;
			return -1;
		}
		if (check_clash(child, old, err) < 0)
			return -1;
		made = put_node(x, child, target, child->name, err);
		if (!made ||
		    (child->type == NODE_DIR && merge_folder(x, child, made, err) < 0))
			return -1;
	}
	return 0;
}

/* The destination as a folder, made if it is missing (8.9, 8.10, 8.13, 8.14). */
static struct node *folder_dest(struct transfer *x, struct error *err)
{
	auto_free char *rest = NULL;
	struct node *n = NULL;
	int rc = tree_resolve(x->to, x->copy->dest, TREE_FOLLOW_LAST, &n, &rest, err);

	if (rc < 0)
		return NULL;
	if (rc && n->type != NODE_DIR) {
		error_set(err, E_INPUT, "the destination %s is no folder in the image",
			  x->copy->dest);
		return NULL;
	}
	return rc ? n : make_folders(x, n, rest, err);
}

static int copy_folder(struct transfer *x, struct node *source, struct error *err)
{
	struct node *dest = folder_dest(x, err);

	return dest ? merge_folder(x, source, dest, err) : -1;
}

/* A file (or anything that is no folder) as dir/name. */
static int put_file(struct transfer *x, struct node *source, struct node *dir,
		    const char *name, struct error *err)
{
	struct error why = ERROR_INIT;
	struct node *old = tree_child(x->to, dir, name, strlen(name), &why);

	if (!old && why.kind != E_NONE) {
		*err = why;
		return -1;
	}
	if (check_clash(source, old, err) < 0)
		return -1;
	return put_node(x, source, dir, name, err) ? 0 : -1;
}

static int copy_file(struct transfer *x, struct node *source, const char *name,
		     struct error *err)
{
	const char *dest = x->copy->dest;
	auto_free char *rest = NULL, *owned = NULL;
	struct node *n = NULL;
	char *slash;
	int rc;

	if (dest[strlen(dest) - 1] == '/') {
		n = folder_dest(x, err);
		return n ? put_file(x, source, n, name, err) : -1;
	}
	rc = tree_resolve(x->to, dest, TREE_FOLLOW_LAST, &n, &rest, err);
	if (rc < 0)
		return -1;
	if (rc && n->type == NODE_DIR)
		return put_file(x, source, n, name, err);
	if (rc) {
		owned = xstrdup(n->name);
		return put_file(x, source, n->parent, owned, err);
	}
	slash = strrchr(rest, '/');
	if (slash) {
		*slash = '\0';
		n = make_folders(x, n, rest, err);
	}
	return n ? put_file(x, source, n, slash ? slash + 1 : rest, err) : -1;
}

int copy_apply(struct copy *c, struct tree *to, int64_t time, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < c->nmatches && !rc; i++) {
		struct transfer x = {.copy = c, .to = to, .time = time};
		struct node *source = c->matches[i].node;

		rc = source->type == NODE_DIR
			     ? copy_folder(&x, source, err)
			     : copy_file(&x, source, c->matches[i].name, err);
		map_release(&x.groups);
	}
	return rc;
}

/* What a valid .pyc of the source becomes in the destination. */
static int restamp(struct copy *c, struct tree *to, const struct copy_pair *p,
		   struct error *err)
{
	struct content content = p->target->content;
	struct node *before, *after;
	bool valid;

	if (pyc_source(c->from, p->source, &before, err) < 0 ||
	    pyc_source(to, p->target, &after, err) < 0)
		return -1;
	if (!before || !after)
		return 0;
	if (pyc_valid(p->target, before, &valid, err) < 0)
		return -1;
	if (!valid || (uint32_t)after->mtime == (uint32_t)before->mtime)
		return 0;
	content.restamped = true;
	content.stamp = (uint32_t)after->mtime;
	content.has_digest = false;
	tree_set_content(to, p->target, &content);
	return 0;
}

int copy_bytecode(struct copy *c, struct tree *to, struct error *err)
{
	for (size_t i = 0; i < c->npairs; i++)
		if (pyc_is(c->pairs[i].source) && pyc_is(c->pairs[i].target) &&
		    restamp(c, to, &c->pairs[i], err) < 0)
			return -1;
	return 0;
}

/* .pyc files of a folder that the step did not set, but their source. */
static int stale_in(struct tree *to, struct node *dir, struct node ***v, size_t *n,
		    size_t *cap, struct error *err)
{
	struct node *pyc, *source;
	struct cursor cur;

	if (tree_children(to, dir, &cur, err) < 0)
		return -1;
	while ((pyc = cursor_next(&cur))) {
		if (!pyc_is(pyc) || pyc->step == tree_step(to))
			continue;
		if (pyc_source(to, pyc, &source, err) < 0)
			return -1;
		if (!source || source->step != tree_step(to))
			continue;
		GROW(*v, *n, *cap);
		(*v)[(*n)++] = pyc;
	}
	return 0;
}

int copy_bytecode_below(struct copy *c, struct tree *to, struct node ***v, size_t *n,
			struct error *err)
{
	struct map seen = MAP_INIT;
	size_t cap = 0;
	int rc = 0;

	*v = NULL;
	*n = 0;
	for (size_t i = 0; i < c->npairs && !rc; i++) {
		struct node *source = c->pairs[i].target, *dir = source->parent, *cache;
		struct error why = ERROR_INIT;

		if (source->name_len < 4 ||
		    strcmp(source->name + source->name_len - 3, ".py") != 0 ||
		    map_get(&seen, (char *)&dir, sizeof(struct node *)))
			continue;
		map_put(&seen, (char *)&dir, sizeof(struct node *), dir);
		rc = stale_in(to, dir, v, n, &cap, err);
		cache = rc ? NULL : tree_child(to, dir, "__pycache__", 11, &why);
		if (!rc && !cache && why.kind != E_NONE) {
			*err = why;
			rc = -1;
		}
		if (cache && cache->type == NODE_DIR)
			rc = stale_in(to, cache, v, n, &cap, err);
	}
	map_release(&seen);
	return rc;
}

int copy_invalidate(struct tree *to, struct node *pyc, int64_t time, bool *done,
		    struct error *err)
{
	struct node *source;
	struct node_value v = {.type = NODE_FILE,
			       .attrs = pyc->attrs,
			       .mtime = time,
			       .size = pyc->size,
			       .content = pyc->content};

	if (pyc_source(to, pyc, &source, err) < 0 ||
	    pyc_valid(pyc, source, done, err) < 0)
		return -1;
	if (!*done)
		return 0;
	v.content.restamped = true;
	v.content.stamp = (uint32_t)source->mtime ? 0 : 1;
	v.content.has_digest = false;
	return tree_put(to, pyc->parent, pyc->name, pyc->name_len, &v, err) ? 0 : -1;
}

void copy_settle(struct copy *c)
{
	struct map seen = MAP_INIT;

	/* from the end: of several sources of one target the last one was written */
	for (size_t i = c->context ? c->npairs : 0; i--;) {
		struct node *source = c->pairs[i].source, *target = c->pairs[i].target;

		if (map_get(&seen, (char *)&target, sizeof(struct node *)))
			continue;
		map_put(&seen, (char *)&target, sizeof(struct node *), target);
		/* what was written of a .pyc may not be what the source holds */
		if (!pyc_is(source) && !source->content.has_digest &&
		    target->type == NODE_FILE && target->content.has_digest &&
		    target->size == source->size)
			context_remember(c->context, source, &target->content.digest);
	}
	map_release(&seen);
}
