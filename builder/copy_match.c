/* COPY's sources: which nodes they are and what is in them (copy.h). */
#include <stdlib.h>
#include <string.h>

#include "builder/context.h"
#include "builder/copy.h"
#include "builder/path.h"
#include "builder/rootfs/pyc.h"
#include "builder/rootfs/tree.h"
#include "parser/diag.h"
#include "parser/pattern.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/map.h"

void copy_release(struct copy *c)
{
	for (size_t i = 0; i < c->nmatches; i++)
		free(c->matches[i].name);
	free(c->matches);
	free(c->pairs);
	strv_release(&c->sources);
}

static void add_match(struct copy *c, struct node *n, const char *name)
{
	GROW(c->matches, c->nmatches, c->cap_matches);
	c->matches[c->nmatches++] = (struct copy_match){n, xstrdup(name)};
}

static const char *where(const struct copy *c)
{
	return c->context ? "the context" : "the stage it is copied from";
}

/* A name in the deepest existing folder that the missing one may have meant. */
static void suggest(struct copy *c, struct node *dir, const char *rest, struct error *err)
{
	auto_free char *first = xstrndup(rest, strcspn(rest, "/"));
	auto_buf struct buf path = BUF_INIT;
	const char **names = NULL, *near;
	size_t n = 0, cap = 0;
	struct cursor cur;
	struct node *child;

	if (tree_children(c->from, dir, &cur, NULL) < 0)
		return;
	while ((child = cursor_next(&cur))) {
		GROW(names, n, cap);
		names[n++] = child->name;
	}
	near = diag_nearest(first, names, n);
	if (near) {
		tree_path(dir, &path);
		error_hint(err, "did you mean %s%s%s?", path.data, path.len ? "/" : "",
			   near);
	}
	free(names);
}

static int missing(struct copy *c, const char *source, const char *path, struct node *dir,
		   const char *rest, struct error *err)
{
	struct node *link = NULL;
	auto_free char *none = NULL;

	error_set(err, E_INPUT, "not found in %s", where(c));
	/* the message begins with the instruction: a name that stands there alone is
	 * clear */
	if (c->sources.n > 1 || !c->text || !strstr(c->text, source))
		error_wrap(err, "%s", source);
	if (c->context && context_ignores(c->context, path))
		return error_hint(err,
				  "the file is there, but .dockerignore excludes it");
	if (path_climbs(source))
		return error_hint(err, "a path outside the context can't be copied; "
				       "name a folder above as the context");
	if (tree_resolve(c->from, path, 0, &link, &none, NULL) == 1 &&
	    link->type == NODE_SYMLINK)
		return error_hint(err, "%s is a link to %s, which is looked up inside %s",
				  source, link->link, where(c));
	suggest(c, dir, rest, err);
	return -1;
}

static int match_literal(struct copy *c, const char *source, const char *path,
			 struct error *err)
{
	auto_free char *rest = NULL;
	struct node *n = NULL;
	int rc = tree_resolve(c->from, path, TREE_FOLLOW_LAST, &n, &rest, err);

	if (rc < 0)
		return error_wrap(err, "%s", source);
	if (!rc)
		return missing(c, source, path, n, rest, err);
	add_match(c, n, path_base(path));
	return 0;
}

/* A matched link counts as what it leads to, inside the root (8.5). */
static int add_wildcard_match(struct copy *c, struct node *n, struct error *err)
{
	auto_buf struct buf path = BUF_INIT;
	auto_free char *rest = NULL;
	struct node *target = n;
	int rc;

	if (n->type == NODE_SYMLINK) {
		tree_path(n, &path);
		rc = tree_resolve(c->from, path.data, TREE_FOLLOW_LAST, &target, &rest,
				  err);
		if (rc < 0)
			return error_wrap(err, "%s", path.data);
		if (!rc)
			return error_set(err, E_INPUT,
					 "%s: a link to %s, which is not in %s",
					 path.data, n->link, where(c));
	}
	add_match(c, target, n->name);
	return 0;
}

/* Matches the pattern's parts against the folders below dir; links on the way are
 * not followed (8.2). */
static int walk_pattern(struct copy *c, struct node *dir, const char *pattern,
			struct error *err)
{
	auto_free char *part = xstrndup(pattern, strcspn(pattern, "/"));
	const char *more = pattern + strlen(part);
	struct node **found = NULL, *child;
	size_t n = 0, cap = 0;
	struct cursor cur;
	int rc = 0;

	if (tree_children(c->from, dir, &cur, err) < 0)
		return -1;
	while ((child = cursor_next(&cur))) {
		if (!pattern_match_component(part, child->name))
			continue;
		GROW(found, n, cap);
		found[n++] = child;
	}
	for (size_t i = 0; i < n && !rc; i++) {
		if (!*more)
			rc = add_wildcard_match(c, found[i], err);
		else if (found[i]->type == NODE_DIR)
			rc = walk_pattern(c, found[i], more + 1, err);
	}
	free(found);
	return rc;
}

static int match_wildcard(struct copy *c, const char *source, const char *path,
			  struct error *err)
{
	const char *pattern = path;
	auto_free char *prefix = NULL, *rest = NULL;
	struct node *dir = NULL;
	int rc;

	/* the parts before the first wildcard are a path, links included */
	for (;;) {
		size_t n = strcspn(pattern, "/");
		auto_free char *part = xstrndup(pattern, n);

		if (pattern_has_wildcard(part))
			break;
		pattern += n + 1;
	}
	prefix = xstrndup(path, (size_t)(pattern - path));
	pattern_unescape(prefix);
	rc = tree_resolve(c->from, prefix, TREE_FOLLOW_LAST, &dir, &rest, err);
	if (rc < 0)
		return error_wrap(err, "%s", source);
	if (!rc || dir->type != NODE_DIR)
		return 0;
	return walk_pattern(c, dir, pattern, err);
}

static int match_source(struct copy *c, const char *source, struct error *err)
{
	auto_free char *path = path_clean(source);

	if (pattern_has_wildcard(path)) {
		if (!pattern_valid(path))
			return error_set(err, E_INPUT, "%s: malformed pattern", source);
		return match_wildcard(c, source, path, err);
	}
	pattern_unescape(path);
	return match_literal(c, source, path, err);
}

int copy_match(struct copy *c, struct error *err)
{
	for (size_t i = 0; i < c->sources.n; i++)
		if (match_source(c, c->sources.v[i], err) < 0)
			return -1;
	return 0;
}

/* Calls fn for a node and all below it, folders first, in order. */
typedef int visit_fn(void *ctx, struct node *n, const char *path, struct error *err);

static int visit(struct copy *c, struct node *n, struct buf *path, unsigned depth,
		 visit_fn *fn, void *ctx, struct error *err)
{
	struct cursor cur;
	struct node *child;
	int rc;

	/* A context can be deeper than anything a layer holds. */
	if (depth > NODE_LEVELS)
		return error_set(err, E_INPUT,
				 "%.200s...: nested more than %d folders deep",
				 path->data, NODE_LEVELS);
	rc = fn(ctx, n, path->data, err);
	if (rc || n->type != NODE_DIR)
		return rc;
	if (tree_children(c->from, n, &cur, err) < 0)
		return -1;
	while (!rc && (child = cursor_next(&cur))) {
		size_t len = path->len;

		if (len)
			buf_addc(path, '/');
		buf_adds(path, child->name);
		rc = visit(c, child, path, depth + 1, fn, ctx, err);
		buf_truncate(path, len);
	}
	return rc;
}

static int visit_match(struct copy *c, size_t i, visit_fn *fn, void *ctx,
		       struct error *err)
{
	auto_buf struct buf path = BUF_INIT;

	buf_adds(&path, c->matches[i].name);
	return visit(c, c->matches[i].node, &path, 0, fn, ctx, err);
}

static int visit_all(struct copy *c, visit_fn *fn, void *ctx, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < c->nmatches && !rc; i++)
		rc = visit_match(c, i, fn, ctx, err);
	return rc;
}

static int check_digest(void *ctx, struct node *n, const char *path, struct error *err)
{
	(void)path;
	(void)err;
	if (n->type == NODE_FILE && n->size && !n->content.has_digest)
		*(bool *)ctx = false;
	return 0;
}

int copy_digests_known(struct copy *c, bool *known, struct error *err)
{
	*known = true;
	return c->context ? visit_all(c, check_digest, known, err) : 0;
}

int copy_check_size(const struct node *n, struct error *err)
{
	if (n->size <= COPY_SIZE_MAX)
		return 0;
	return error_set(err, E_INPUT, "larger than 8 TiB: no layer can take that");
}

struct inputs {
	struct copy *copy;
	struct hash all, one;
	struct buf *listing;
	uintptr_t entries;
	struct map
		groups; /* of this match: hard-link group -> number of its first entry */
};

static void hash_xattrs(struct hash *h, const struct xattrs *x)
{
	hash_u64(h, x ? x->n : 0);
	for (size_t i = 0; x && i < x->n; i++) {
		hash_string(h, x->v[i].name);
		hash_field(h, x->v[i].value, x->v[i].len);
	}
}

/* What identifies a file's bytes: their digest, or where they are in a layer. */
static int hash_content(struct inputs *in, struct node *n, struct error *err)
{
	struct copy *c = in->copy;
	struct hash *h = &in->one;

	if (copy_check_size(n, err) < 0)
		return -1;
	hash_u64(h, n->size);
	if (!n->size)
		return 0;
	if (c->context && context_digest(c->context, n, err) < 0)
		return -1;
	if (n->content.has_digest) {
		hash_field(h, n->content.digest.bytes, DIGEST_BYTES);
	} else if (n->content.kind == CONTENT_LAYER) {
		hash_string(h, "layer");
		hash_field(h, n->content.layer.diff_id->bytes, DIGEST_BYTES);
		hash_u64(h, n->content.layer.header);
	} else {
		hash_string(h, "bytes");
		hash_field(h, n->content.bytes, n->size);
	}
	return 0;
}

/* Which earlier entry of the match is the same inode (8.18); 0: none.  The group's own
 * number depends on the order in which folders were read. */
static uint64_t same_inode(struct inputs *in, uint64_t group)
{
	uintptr_t first;

	if (!group)
		return 0;
	first = (uintptr_t)map_get(&in->groups, (char *)&group, sizeof(group));
	if (!first)
		map_put(&in->groups, (char *)&group, sizeof(group), (void *)in->entries);
	return first;
}

/* A .pyc's validity; of one in a layer, whose header is not at hand, what it follows
 * from besides the content. */
static int hash_bytecode(struct inputs *in, struct node *n, struct error *err)
{
	struct node *source;
	bool valid;

	if (pyc_source(in->copy->from, n, &source, err) < 0)
		return -1;
	hash_u64(&in->one, source != NULL);
	if (!source)
		return 0;
	if (n->content.kind == CONTENT_LAYER) {
		hash_u64(&in->one, (uint32_t)source->mtime);
		hash_u64(&in->one, (uint32_t)source->size);
		return 0;
	}
	if (pyc_valid(n, source, &valid, err) < 0)
		return -1;
	hash_u64(&in->one, valid);
	return 0;
}

static int add_input(void *ctx, struct node *n, const char *path, struct error *err)
{
	struct inputs *in = ctx;
	struct hash *h = &in->one;
	struct digest d;
	char hex[DIGEST_HEX];

	in->entries++;
	hash_restart(h);
	hash_u64(h, n->type);
	hash_u64(h, n->attrs.mode);
	hash_u64(h, n->attrs.uid);
	hash_u64(h, n->attrs.gid);
	hash_xattrs(h, n->attrs.xattrs);
	hash_u64(h, same_inode(in, n->group));
	hash_string(h, n->link);
	hash_u64(h, n->major);
	hash_u64(h, n->minor);
	if (in->copy->keep_mtime)
		hash_u64(h, (uint64_t)n->mtime);
	if (n->type == NODE_FILE && hash_content(in, n, err) < 0)
		return error_wrap(err, "%s", path);
	if (in->copy->bytecode && pyc_is(n) && hash_bytecode(in, n, err) < 0)
		return error_wrap(err, "%s", path);
	hash_peek(h, &d);
	hash_string(&in->all, path);
	hash_add(&in->all, d.bytes, DIGEST_BYTES);
	buf_addf(in->listing, "%.16s ", digest_hex(&d, hex));
	/* a line for each entry, whatever the name holds */
	for (const char *p = path; *p; p++)
		buf_addc(in->listing, *p == '\n' ? ' ' : *p);
	buf_addc(in->listing, '\n');
	return 0;
}

int copy_inputs(struct copy *c, struct digest *out, struct buf *listing,
		struct error *err)
{
	struct inputs in = {.copy = c, .listing = listing};
	int rc = 0;

	hash_init(&in.all);
	hash_init(&in.one);
	hash_u64(&in.all, c->nmatches);
	for (size_t i = 0; i < c->nmatches && !rc; i++) {
		in.groups = (struct map)MAP_INIT;
		rc = visit_match(c, i, add_input, &in, err);
		map_release(&in.groups);
	}
	hash_release(&in.one);
	hash_end(&in.all, out);
	return rc;
}
