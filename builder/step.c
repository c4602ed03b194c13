#include "builder/step.h"

#include <stdlib.h>
#include <string.h>

#include "builder/base.h"
#include "builder/build.h"
#include "builder/cache.h"
#include "builder/context.h"
#include "builder/copy.h"
#include "builder/extract.h"
#include "builder/meta.h"
#include "builder/owner.h"
#include "builder/path.h"
#include "builder/rootfs/layer.h"
#include "builder/rootfs/tree.h"
#include "builder/stage.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

/* A file step on its way: what the cache needs to know of it. */
struct step {
	struct stage_state *stage;
	struct progress_step *ui;
	struct buf text; /* the instruction as it acts */
	struct digest prefix, key;
	struct cache_place place;
	struct buf listing; /* of what it reads */
	bool listed;
};

static void step_init(struct step *st, struct stage_state *s, struct progress_step *ui)
{
	*st = (struct step){.stage = s, .ui = ui, .text = BUF_INIT, .listing = BUF_INIT};
	s->file_steps++;
	s->build->steps++;
}

static void step_release(struct step *st)
{
	buf_release(&st->text);
	buf_release(&st->listing);
}

/* Where in the Dockerfile the step stands. */
static void step_place(struct step *st)
{
	struct stage_state *s = st->stage;
	struct hash h;

	st->place = (struct cache_place){
		.parent = s->key, .text = st->text.data, .first = s->file_steps == 1};
	hash_init(&h);
	hash_string(&h, "place");
	hash_string(&h, s->build->context_id);
	hash_string(&h, s->name);
	hash_u64(&h, s->file_steps);
	hash_end(&h, &st->place.id);
}

/* The prefix follows from the key before, the text, and the destination, which
 * the text alone would not tell from a source. */
static void step_prefix(struct step *st, const char *dest)
{
	struct hash h;

	hash_init(&h);
	hash_add(&h, st->stage->key.bytes, DIGEST_BYTES);
	hash_field(&h, st->text.data, st->text.len);
	hash_string(&h, dest);
	hash_end(&h, &st->prefix);
	step_place(st);
}

static void explain(struct step *st)
{
	const struct build *b = st->stage->build;
	auto_free char *why = cache_explain(b->store, &st->place, &st->prefix,
					    st->listed ? &st->listing : NULL);

	progress_note(st->ui, "not cached: %s",
		      b->request->no_cache ? "--no-cache" : why);
}

/* What the next build's explanation compares with, whether this one hit or missed. */
static void remember(struct step *st)
{
	struct store *store = st->stage->build->store;

	cache_set_place(store, &st->place);
	if (st->listed)
		cache_set_inputs(store, &st->prefix, &st->listing);
}

static int add_layer(struct stage_state *s, const struct digest *digest, uint64_t size,
		     const struct digest *diff_id, bool in_tree, struct error *err)
{
	struct descriptor desc = {.digest = *digest, .size = size};
	int rc;

	desc.media_type = xstrdup(family_layer_type(s->family));
	rc = stage_add_layer(s, &desc, diff_id, in_tree, err);
	descriptor_release(&desc);
	return rc;
}

/* Uses what the cache has under st->key: 1, 0 when it has nothing, -1. */
static int use_cached(struct step *st, bool *empty, struct error *err)
{
	struct stage_state *s = st->stage;
	struct step_record r;

	if (s->build->request->no_cache || !cache_find(s->build->store, &st->key, &r))
		return 0;
	*empty = r.empty;
	remember(st);
	s->key = st->key;
	s->build->cached++;
	if (r.empty)
		return 1;
	return add_layer(s, &r.digest, r.size, &r.diff_id, false, err) < 0 ? -1 : 1;
}

static int write_layer(struct stage_state *s, struct layer *out, struct error *err)
{
	const struct build *b = s->build;
	struct layer_options o = {.store = b->store,
				  .level = b->request->level,
				  .mtime = b->time,
				  .keep_mtime = b->keep_mtime};

	if (layer_write(s->tree, &o, out, err) < 0)
		return -1;
	return add_layer(s, &out->digest, out->size, &out->diff_id, true, err);
}

static void record(struct step *st, const struct layer *layer)
{
	struct stage_state *s = st->stage;
	struct step_record r = {.empty = !layer};

	if (layer) {
		r.digest = layer->digest;
		r.diff_id = layer->diff_id;
		r.size = layer->size;
	}
	cache_record(s->build->store, &st->key, &r);
	remember(st);
	s->key = st->key;
}

/* COPY */

struct copy_step {
	struct step step;
	struct copy copy;
	struct stage_state *source; /* NULL: the context */
	struct tree *nothing;       /* the tree of --from=scratch */
	char *dest;
	struct buf history;
};

/* An image that is not to be had may have been meant as a stage. */
static int no_source(struct plan *p, const struct instruction *in,
		     const struct from *from, struct error *err)
{
	const char *name = instruction_flag(in, "from")->value;
	const char *near = from->kind == FROM_IMAGE ? plan_nearest_stage(p, name) : NULL;

	error_wrap(err, "--from=%s", name);
	return near ? error_hint(err, "did you mean the stage %s?", near) : -1;
}

static int find_source(struct copy_step *cs, const struct instruction *in,
		       struct error *err)
{
	struct stage_state *s = cs->step.stage;
	struct build *b = s->build;
	const struct from *from = plan_copy_from(&b->plan, in);
	struct base_image *base;

	if (!from) {
		cs->copy.context = b->context;
		cs->copy.from = context_tree(b->context);
		return 0;
	}
	if (from->kind == FROM_SCRATCH) {
		cs->copy.from = cs->nothing = tree_new();
		return 0;
	}
	if (from->kind == FROM_STAGE) {
		cs->source = b->stages[from->stage];
	} else {
		base = base_resolve(b, from, &b->request->platform,
				    b->request->platform_explicit, err);
		cs->source = base ? base_as_stage(b, base, err) : NULL;
	}
	cs->copy.from = cs->source ? stage_tree(cs->source, err) : NULL;
	return cs->copy.from ? 0 : no_source(&b->plan, in, from, err);
}

/* --chown and --chmod, expanded. */
static int copy_flags(struct copy_step *cs, const struct instruction *in,
		      struct error *err)
{
	struct stage_state *s = cs->step.stage;
	const struct flag *chown = instruction_flag(in, "chown");
	const struct flag *chmod = instruction_flag(in, "chmod");
	const char *text;

	if (chown) {
		text = meta_expand(s, in, chown->value ? chown->value : "", err);
		if (!text)
			return -1;
		if (*text) {
			cs->copy.has_owner = true;
			if (owner_resolve(s, text, &cs->copy.uid, &cs->copy.gid, err) < 0)
				return error_wrap(err, "--chown=%s", text);
			buf_addf(&cs->history, " --chown=%s", text);
		}
	}
	if (!chmod)
		return 0;
	text = meta_expand(s, in, chmod->value ? chmod->value : "", err);
	if (!text)
		return -1;
	if (!plan_octal_mode(text, &cs->copy.mode)) {
		error_set(err, E_INPUT, "--chmod=%s: only octal modes are supported yet",
			  text);
		return error_hint(err, "for example --chmod=755");
	}
	cs->copy.has_mode = true;
	buf_addf(&cs->history, " --chmod=%s", text);
	return 0;
}

/* 8.9: relative to WORKDIR; a final slash, or `.` as last part, says that it is a folder.
 */
static char *destination(const struct stage_state *s, const char *text)
{
	auto_free char *path = path_join(s->config.working_dir, text);
	size_t n = strlen(text);
	bool folder =
		!n || text[n - 1] == '/' || !strcmp(path_base(text), ".") || !path[1];

	return xasprintf("%s%s", path, folder && path[1] ? "/" : "");
}

static int copy_words(struct copy_step *cs, const struct instruction *in,
		      struct error *err)
{
	struct stage_state *s = cs->step.stage;
	const char *text;

	for (size_t i = 0; i < in->nargs; i++) {
		text = meta_expand(s, in, in->args[i].text, err);
		if (!text)
			return -1;
		buf_addf(&cs->history, " %s", text);
		if (i + 1 < in->nargs) {
			strv_add(&cs->copy.sources, text);
			continue;
		}
		cs->dest = destination(s, text);
		cs->copy.dest = cs->dest;
	}
	return 0;
}

/* The instruction as it acts: where to, with which options, from where.  What it
 * reads is in the inputs; WORKDIR and variables are in the destination. */
static void copy_text(struct copy_step *cs)
{
	struct buf *t = &cs->step.text;
	const struct copy *c = &cs->copy;

	buf_addf(t, "COPY%s", c->context ? "" : " from another stage");
	if (c->has_owner)
		buf_addf(t, " --chown=%u:%u", c->uid, c->gid);
	if (c->has_mode)
		buf_addf(t, " --chmod=%o", c->mode);
	for (size_t i = 0; i < c->sources.n; i++)
		buf_addf(t, " %s", c->sources.v[i]);
	buf_addf(t, " %s", c->dest);
}

static int list_inputs(struct copy_step *cs, struct error *err)
{
	struct digest inputs;

	buf_reset(&cs->step.listing);
	if (copy_inputs(&cs->copy, &inputs, &cs->step.listing, err) < 0)
		return -1;
	cs->step.listed = true;
	cache_key(&cs->step.prefix, &inputs, &cs->step.key);
	return 0;
}

/* Contents that lie in layers are brought where they can be read in any order. */
static int spool_contents(struct copy_step *cs, struct spool **spool, struct error *err)
{
	const struct copy *c = &cs->copy;
	auto_free struct node **nodes = xcalloc(c->npairs, sizeof(struct node *));
	auto_free struct node **targets = xcalloc(c->npairs, sizeof(struct node *));
	size_t n = 0;

	for (size_t i = 0; i < c->npairs; i++) {
		if (c->pairs[i].source->content.kind != CONTENT_LAYER)
			continue;
		nodes[n] = c->pairs[i].source;
		targets[n++] = c->pairs[i].target;
	}
	if (!n)
		return 0;
	*spool = spool_open(cs->source, nodes, targets, n, cs->step.stage->tree, err);
	return *spool ? 0 : -1;
}

static int copy_files(struct copy_step *cs, struct layer *out, struct error *err)
{
	struct stage_state *s = cs->step.stage;
	struct tree *t = stage_tree(s, err);
	struct spool *spool = NULL;
	int rc;

	if (!t)
		return -1;
	tree_begin_step(t);
	rc = copy_apply(&cs->copy, t, s->build->time, err);
	if (!rc && !cs->copy.context)
		rc = spool_contents(cs, &spool, err);
	if (!rc && cs->copy.bytecode)
		rc = copy_bytecode(&cs->copy, t, err);
	if (!rc)
		rc = write_layer(s, out, err);
	spool_close(spool);
	return rc;
}

static int run_copy(struct copy_step *cs, const struct instruction *in, bool *cached,
		    struct error *err)
{
	struct step *st = &cs->step;
	struct layer layer = {0};
	bool empty, known;
	int rc;

	if (find_source(cs, in, err) < 0 || copy_flags(cs, in, err) < 0 ||
	    copy_words(cs, in, err) < 0 || copy_match(&cs->copy, err) < 0)
		return -1;
	copy_text(cs);
	step_prefix(st, cs->dest);
	if (copy_digests_known(&cs->copy, &known, err) < 0)
		return -1;
	/* A prefix that was never met can't hit: its files are then read only once, by
	 * the layer writer. */
	if (known || cache_met(st->stage->build->store, &st->prefix)) {
		if (list_inputs(cs, err) < 0)
			return -1;
		rc = use_cached(st, &empty, err);
		*cached = rc > 0;
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	explain(st);
	if (copy_files(cs, &layer, err) < 0)
		return -1;
	copy_settle(&cs->copy);
	if (!st->listed && list_inputs(cs, err) < 0)
		return -1;
	record(st, &layer);
	return 0;
}

int step_copy(struct stage_state *s, const struct instruction *in,
	      struct progress_step *ui, bool *cached, struct error *err)
{
	struct copy_step cs = {.history = BUF_INIT};
	int rc;

	*cached = false;
	step_init(&cs.step, s, ui);
	cs.copy.text = in->source;
	cs.copy.keep_mtime = s->build->keep_mtime;
	cs.copy.bytecode = s->build->bytecode;
	buf_adds(&cs.history, "COPY");
	rc = run_copy(&cs, in, cached, err);
	if (!rc) {
		buf_adds(&cs.history, " # buildkit");
		stage_history(s, cs.history.data, false);
	}
	copy_release(&cs.copy);
	tree_free(cs.nothing);
	step_release(&cs.step);
	buf_release(&cs.history);
	free(cs.dest);
	return rc;
}

/* WORKDIR */

/* Makes what is missing of the folder; *made says whether anything was. */
static int make_workdir(struct stage_state *s, const char *path, uint32_t uid,
			uint32_t gid, bool *made, struct error *err)
{
	struct tree *t = stage_tree(s, err);
	auto_free char *rest = NULL;
	struct node *n = NULL;
	int rc;

	if (!t)
		return -1;
	tree_begin_step(t);
	rc = tree_resolve(t, path, TREE_FOLLOW_LAST, &n, &rest, err);
	if (rc < 0)
		return -1;
	*made = !rc;
	if (rc && n->type != NODE_DIR)
		return error_set(err, E_INPUT, "%s is no folder in the image", path);
	if (rc)
		return 0;
	return copy_make_folders(t, n, rest, 0755, uid, gid, s->build->time, err) ? 0
										  : -1;
}

static int run_workdir(struct step *st, const char *path, bool *cached, bool *empty,
		       struct error *err)
{
	struct stage_state *s = st->stage;
	static const struct digest no_inputs;
	uint32_t uid = 0, gid = 0;
	struct layer layer = {0};
	bool made;
	int rc;

	if (s->config.user && owner_resolve(s, s->config.user, &uid, &gid, err) < 0)
		return error_wrap(err, "USER %s", s->config.user);
	buf_addf(&st->text, "WORKDIR %s %u:%u", path, uid, gid);
	step_prefix(st, path);
	cache_key(&st->prefix, &no_inputs, &st->key);
	rc = use_cached(st, empty, err);
	*cached = rc > 0;
	if (rc)
		return rc < 0 ? -1 : 0;
	explain(st);
	if (make_workdir(s, path, uid, gid, &made, err) < 0)
		return -1;
	*empty = !made;
	if (made && write_layer(s, &layer, err) < 0)
		return -1;
	record(st, made ? &layer : NULL);
	return 0;
}

int step_workdir(struct stage_state *s, const struct instruction *in,
		 struct progress_step *ui, bool *cached, struct error *err)
{
	const char *text = meta_expand(s, in, in->nargs ? in->args[0].text : "", err);
	auto_free char *path = NULL, *by = NULL;
	bool empty = true;

	*cached = false;
	if (!text)
		return -1;
	path = path_join(s->config.working_dir, text);
	if (strcmp(path, "/")) {
		struct step st;
		int rc;

		step_init(&st, s, ui);
		rc = run_workdir(&st, path, cached, &empty, err);
		step_release(&st);
		if (rc < 0)
			return -1;
	}
	free(s->config.working_dir);
	s->config.working_dir = xstrdup(path);
	by = xasprintf("WORKDIR %s", path);
	stage_history(s, by, empty);
	return 0;
}
