#include "builder/rootfs/diff.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "builder/rootfs/diff_private.h"
#include "builder/rootfs/pyc.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/interrupt.h"

#define FILE_MAX ((uint64_t)8 << 40) /* hod-layers(5), LAYERS */

/* Names of one inode among what changed. */
struct link_group {
	uint64_t number;
	uint32_t uid, gid; /* of all of them: the first one's */
};

/* A folder on the way down. */
struct level {
	struct node *dir;
	int fd;
	struct names names;
	size_t i;
	size_t path_len;
	bool hides;  /* it, or one above it, hides what is below */
	bool listed; /* among py_dirs */
};

struct walk {
	struct level *v;
	size_t n, cap;
};

void *diff_own(struct diff *d, void *p)
{
	GROW(d->owned, d->nowned, d->owned_cap);
	d->owned[d->nowned++] = p;
	return p;
}

int diff_child(struct diff *d, struct node *dir, const char *name, struct node **out,
	       struct error *err)
{
	struct error why = ERROR_INIT;

	*out = tree_child(d->tree, dir, name, strlen(name), &why);
	if (!*out && why.kind != E_NONE) {
		*err = why;
		return -1;
	}
	return 0;
}

static void join_path(struct diff *d, size_t len, const char *name)
{
	buf_truncate(&d->path, len);
	if (len)
		buf_addc(&d->path, '/');
	buf_adds(&d->path, name);
}

void diff_set_path(struct diff *d, const struct node *dir, const char *name)
{
	buf_reset(&d->path);
	tree_path(dir, &d->path);
	join_path(d, d->path.len, name);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), len = strlen(suffix);

	return n > len && !strcmp(name + n - len, suffix);
}

/* comparing */

/* What lies on disk, or what the tree has instead: what could not be set is no change. */
static void get_owner(const struct diff *d, const struct entry *e,
		      const struct node *before, uint32_t *uid, uint32_t *gid)
{
	*uid = e->st.st_uid;
	*gid = e->st.st_gid;
	if (!before || *uid || *gid || diff_has_owner(d, before))
		return;
	*uid = before->attrs.uid;
	*gid = before->attrs.gid;
}

static bool same_attrs(const struct diff *d, const struct entry *e, const struct node *n)
{
	const struct stat *st = &e->st;
	uint32_t uid, gid;

	get_owner(d, e, n, &uid, &gid);
	if (e->type != NODE_SYMLINK && (st->st_mode & 07777) != n->attrs.mode)
		return false;
	if (uid != n->attrs.uid || gid != n->attrs.gid)
		return false;
	if (d->o->keep_mtime && st->st_mtim.tv_sec != n->mtime)
		return false;
	return diff_same_xattrs(e->xattrs, n->attrs.xattrs);
}

/* What is neither attribute nor content. */
static bool same_kind(const struct entry *e, const struct node *n)
{
	if (e->type != n->type)
		return false;
	if (e->type == NODE_SYMLINK)
		return !strcmp(e->link, n->link);
	if (e->type == NODE_CHAR || e->type == NODE_BLOCK)
		return major(e->st.st_rdev) == n->major &&
		       minor(e->st.st_rdev) == n->minor;
	return true;
}

static void join_group(struct diff *d, const struct entry *e, struct node_value *v)
{
	struct inode key = {e->st.st_dev, e->st.st_ino};
	struct link_group *g;

	if (e->type == NODE_DIR || e->st.st_nlink < 2)
		return;
	g = map_get(&d->groups, (char *)&key, sizeof(key));
	if (!g) {
		g = diff_own(d, xmalloc(sizeof(*g)));
		*g = (struct link_group){tree_new_group(d->tree), v->attrs.uid,
					 v->attrs.gid};
		map_put(&d->groups, (char *)&key, sizeof(key), g);
	}
	v->group = g->number;
	v->attrs.uid = g->uid;
	v->attrs.gid = g->gid;
}

static struct node *put(struct diff *d, struct node *dir, const char *name,
			const struct entry *e, const struct node *before,
			struct error *err)
{
	struct node_value v = {
		.type = e->type,
		.attrs = {.mode = e->type == NODE_SYMLINK ? 0777 : e->st.st_mode & 07777,
			  .xattrs = e->xattrs},
		.mtime = d->o->keep_mtime ? e->st.st_mtim.tv_sec : d->o->time,
		.link = e->link};

	get_owner(d, e, before, &v.attrs.uid, &v.attrs.gid);
	join_group(d, e, &v);
	if (e->type == NODE_CHAR || e->type == NODE_BLOCK) {
		v.major = major(e->st.st_rdev);
		v.minor = minor(e->st.st_rdev);
	}
	if (e->type == NODE_FILE && e->st.st_size) {
		v.size = (uint64_t)e->st.st_size;
		v.content.kind = CONTENT_DISK;
		v.content.disk.root = d->o->upper;
		v.content.disk.path = tree_strdup(d->tree, d->path.data, d->path.len);
	}
	return tree_put(d->tree, dir, name, strlen(name), &v, err);
}

static int compare_content(struct diff *d, const struct entry *e,
			   const struct node *before, enum content_state *state,
			   struct error *err)
{
	int rc = before && before->type == NODE_FILE
			 ? diff_same_content(d, e->fd, &e->st, d->path.data, before, err)
			 : 0;

	*state = rc > 0 ? CONTENT_SAME : CONTENT_OTHER;
	return rc;
}

int diff_entry(struct diff *d, struct node *dir, const char *name, const struct entry *e,
	       enum content_state *state, struct node **now, struct error *err)
{
	struct node *before;

	if (diff_child(d, dir, name, &before, err) < 0)
		return -1;
	*now = before;
	bool same = before && same_kind(e, before) && same_attrs(d, e, before);
	if (e->type == NODE_FILE && *state == CONTENT_UNKNOWN && same &&
	    compare_content(d, e, before, state, err) < 0)
		return -1;
	if (same && (e->type != NODE_FILE || *state == CONTENT_SAME))
		return 0;
	*now = put(d, dir, name, e, before, err);
	return *now ? 0 : -1;
}

/* Python's sources and bytecode */

static void add_pyc(struct diff *d, struct node *dir, const char *name)
{
	GROW(d->pycs, d->npycs, d->pycs_cap);
	d->pycs[d->npycs++] = (struct pyc_file){.dir = dir, .name = xstrdup(name)};
}

/* Of a source its content is compared whatever its attributes say: a .pyc that fits it
 * still fits it when it is the same. */
static int source_entry(struct diff *d, struct level *l, const char *name,
			const struct entry *e, struct error *err)
{
	struct py_source *s = diff_own(d, xmalloc(sizeof(*s)));
	enum content_state state = CONTENT_UNKNOWN;
	struct node *n;

	if (diff_child(d, l->dir, name, &n, err) < 0 ||
	    compare_content(d, e, n, &state, err) < 0)
		return -1;
	*s = (struct py_source){.mtime = e->st.st_mtim.tv_sec,
				.before = n ? n->mtime : 0,
				.rewritten = state == CONTENT_OTHER};
	if (diff_entry(d, l->dir, name, e, &state, &n, err) < 0)
		return -1;
	map_put(&d->sources, (char *)&n, sizeof(struct node *), s);
	if (n->step == tree_step(d->tree) && !l->listed) {
		l->listed = true;
		GROW(d->py_dirs, d->npy_dirs, d->py_dirs_cap);
		d->py_dirs[d->npy_dirs++] = l->dir;
	}
	return 0;
}

static int file_entry(struct diff *d, struct level *l, const char *name,
		      const struct entry *e, struct error *err)
{
	enum content_state state = CONTENT_UNKNOWN;
	struct node *n;

	if ((uint64_t)e->st.st_size > FILE_MAX)
		return error_set(err, E_FAILED,
				 "a file of more than 8 TiB fits no layer");
	if (d->o->bytecode && has_suffix(name, ".py"))
		return source_entry(d, l, name, e, err);
	if (d->o->bytecode && has_suffix(name, ".pyc")) {
		add_pyc(d, l->dir, name);
		return 0;
	}
	return diff_entry(d, l->dir, name, e, &state, &n, err);
}

/* the walk */

/* What is in the tree and not in the upper folder is gone where that hides what is
 * below. */
static int remove_missing(struct diff *d, const struct level *l, struct error *err)
{
	struct cursor c;
	struct node *n;

	if (tree_children(d->tree, l->dir, &c, err) < 0)
		return -1;
	while ((n = cursor_next(&c))) {
		join_path(d, l->path_len, n->name);
		if (!names_have(&l->names, n->name) &&
		    !map_get(&d->covered, d->path.data, d->path.len))
			tree_remove(d->tree, n);
	}
	buf_truncate(&d->path, l->path_len);
	return 0;
}

/* Takes the entry's fd. */
static int enter(struct diff *d, struct walk *w, struct node *dir, struct entry *e,
		 bool hides, struct error *err)
{
	struct level l = {.dir = dir, .path_len = d->path.len, .hides = hides};

	if (names_read(&l.names, e->fd, err) < 0)
		return -1;
	l.fd = steal_fd(&e->fd);
	GROW(w->v, w->n, w->cap);
	w->v[w->n++] = l;
	return hides ? remove_missing(d, &l, err) : 0;
}

static void leave(struct walk *w)
{
	struct level *l = &w->v[--w->n];

	names_release(&l->names);
	close(l->fd);
}

static int folder_entry(struct diff *d, struct walk *w, const char *name, struct entry *e,
			struct error *err)
{
	struct level *l = &w->v[w->n - 1];
	enum content_state state = CONTENT_UNKNOWN;
	struct node *before, *n;

	if (diff_child(d, l->dir, name, &before, err) < 0 ||
	    diff_entry(d, l->dir, name, e, &state, &n, err) < 0)
		return -1;
	if (!before && map_get(&d->over, d->path.data, d->path.len)) {
		GROW(d->stubs, d->nstubs, d->stubs_cap);
		d->stubs[d->nstubs++] = n;
	}
	return enter(d, w, n, e, l->hides || e->marked, err);
}

static int visit(struct diff *d, struct walk *w, const char *name, struct error *err)
{
	struct level *l = &w->v[w->n - 1];
	enum content_state state = CONTENT_UNKNOWN;
	auto_entry struct entry e = {.fd = -1};
	struct node *n;

	if (map_get(&d->covered, d->path.data, d->path.len))
		return 0;
	if (diff_look(d, l->fd, name, &e, err) < 0)
		return -1;
	if (e.type == NODE_WHITEOUT) {
		if (diff_child(d, l->dir, name, &n, err) < 0)
			return -1;
		if (n)
			tree_remove(d->tree, n);
		return 0;
	}
	if (!strncmp(name, ".wh.", 4))
		return error_set(err, E_FAILED,
				 "a layer cannot have names that begin with .wh.");
	if (w->n > NODE_LEVELS)
		return error_set(err, E_FAILED, "is nested more than %d folders deep",
				 NODE_LEVELS);
	if (e.type == NODE_DIR)
		return folder_entry(d, w, name, &e, err);
	if (e.type == NODE_FILE)
		return file_entry(d, l, name, &e, err);
	return diff_entry(d, l->dir, name, &e, &state, &n, err);
}

static void compare_root(struct diff *d, const struct entry *e)
{
	struct node *root = tree_root(d->tree);
	struct attrs a = {.mode = e->st.st_mode & 07777, .xattrs = e->xattrs};
	struct node same = *root;

	/* it is not the command that made it */
	same.mtime = e->st.st_mtim.tv_sec;
	if (same_attrs(d, e, &same))
		return;
	get_owner(d, e, root, &a.uid, &a.gid);
	tree_set_attrs(d->tree, root, &a, d->o->keep_mtime ? root->mtime : d->o->time);
}

static int walk_upper(struct diff *d, struct error *err)
{
	struct walk w = {0};
	auto_entry struct entry root = {.fd = -1};
	int rc;

	buf_reset(&d->path);
	if (diff_look(d, d->o->upper->fd, ".", &root, err) < 0)
		return -1;
	compare_root(d, &root);
	rc = enter(d, &w, tree_root(d->tree), &root, false, err);
	while (!rc && w.n) {
		struct level *l = &w.v[w.n - 1];

		if (l->i == l->names.n) {
			leave(&w);
			continue;
		}
		const char *name = l->names.v[l->i++];
		join_path(d, l->path_len, name);
		rc = interrupt_check(err);
		if (!rc && visit(d, &w, name, err) < 0)
			rc = error_wrap(err, "/%s", d->path.data);
	}
	while (w.n)
		leave(&w);
	free(w.v);
	return rc;
}

/* Folders that only the sandbox's mount points made known are no change by themselves:
 * overlay copies them up with what is touched in them. */
static int drop_stubs(struct diff *d, struct error *err)
{
	uint32_t step = tree_step(d->tree);

	for (size_t i = d->nstubs; i--;) {
		struct cursor c;
		struct node *n;
		bool used = false;

		if (tree_children(d->tree, d->stubs[i], &c, err) < 0)
			return -1;
		while ((n = cursor_next(&c)))
			used = used || n->step == step;
		if (!used)
			tree_remove(d->tree, d->stubs[i]);
	}
	return 0;
}

static void set_covered(struct diff *d)
{
	for (size_t i = 0; i < d->o->ncovered; i++) {
		const char *path = d->o->covered[i];

		path += strspn(path, "/");
		map_put(&d->covered, path, strlen(path), d);
		for (const char *s = strchr(path, '/'); s; s = strchr(s + 1, '/'))
			map_put(&d->over, path, (size_t)(s - path), d);
	}
}

static void diff_release(struct diff *d)
{
	buf_release(&d->path);
	buf_release(&d->link);
	buf_release(&d->names);
	buf_release(&d->values);
	free(d->xattrs);
	free(d->block[0]);
	free(d->block[1]);
	map_release(&d->covered);
	map_release(&d->over);
	map_release(&d->groups);
	map_release(&d->sources);
	for (size_t i = 0; i < d->npycs; i++)
		free(d->pycs[i].name);
	free(d->pycs);
	free(d->py_dirs);
	free(d->stubs);
	for (size_t i = 0; i < d->nowned; i++)
		free(d->owned[i]);
	free(d->owned);
}

int diff_upper(struct tree *t, const struct diff_options *o, struct error *err)
{
	struct diff d = {.tree = t,
			 .o = o,
			 .path = BUF_INIT,
			 .link = BUF_INIT,
			 .names = BUF_INIT,
			 .values = BUF_INIT,
			 .block = {xmalloc(DIFF_BLOCK), xmalloc(DIFF_BLOCK)}};
	int rc;

	set_covered(&d);
	rc = walk_upper(&d, err);
	if (!rc && o->bytecode)
		rc = diff_bytecode(&d, err);
	if (!rc)
		rc = drop_stubs(&d, err);
	if (!rc)
		rc = diff_settle(&d, err);
	diff_release(&d);
	return rc;
}
