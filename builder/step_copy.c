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
#include "builder/step.h"
#include "builder/step_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

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

/* Bytecode below that the copied sources would make valid: its contents are brought
 * where they can be read, which most often are none. */
static int invalidate_bytecode(struct copy_step *cs, struct tree *t, struct spool **spool,
			       struct error *err)
{
	struct stage_state *s = cs->step.stage;
	auto_free struct node **nodes = NULL;
	auto_free struct content *contents = NULL;
	size_t n;
	int rc = 0;

	if (copy_bytecode_below(&cs->copy, t, &nodes, &n, err) < 0)
		return -1;
	if (!n)
		return 0;
	contents = xcalloc(n, sizeof(*contents));
	for (size_t i = 0; i < n; i++)
		contents[i] = nodes[i]->content;
	*spool = spool_open(s, nodes, nodes, n, t, err);
	if (!*spool)
		return -1;
	for (size_t i = 0; i < n; i++) {
		bool done = false;

		if (!rc)
			rc = copy_invalidate(t, nodes[i], s->build->time, &done, err);
		if (!done)
			tree_set_content(t, nodes[i], &contents[i]);
	}
	return rc;
}

static int copy_files(struct copy_step *cs, struct layer *out, struct error *err)
{
	struct stage_state *s = cs->step.stage;
	struct tree *t = stage_tree(s, err);
	struct spool *spool = NULL, *below = NULL;
	int rc;

	if (!t)
		return -1;
	tree_begin_step(t);
	rc = copy_apply(&cs->copy, t, s->build->time, err);
	if (!rc && !cs->copy.context)
		rc = spool_contents(cs, &spool, err);
	if (!rc && cs->copy.bytecode)
		rc = copy_bytecode(&cs->copy, t, err);
	if (!rc && cs->copy.bytecode)
		rc = invalidate_bytecode(cs, t, &below, err);
	if (!rc)
		rc = step_write_layer(s, out, err);
	spool_close(spool);
	spool_close(below);
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
		rc = step_use_cached(st, &empty, err);
		*cached = rc > 0;
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	step_explain(st);
	if (copy_files(cs, &layer, err) < 0)
		return -1;
	copy_settle(&cs->copy);
	if (!st->listed && list_inputs(cs, err) < 0)
		return -1;
	step_record_layer(st, &layer);
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
