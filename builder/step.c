#include "builder/build.h"
#include "builder/cache.h"
#include "builder/rootfs/layer.h"
#include "builder/stage.h"
#include "builder/step_private.h"
#include "registry/base/alloc.h"
#include "registry/base/log.h"

void step_init(struct step *st, struct stage_state *s, struct progress_step *ui)
{
	*st = (struct step){.stage = s, .ui = ui, .text = BUF_INIT, .listing = BUF_INIT};
	s->file_steps++;
	s->build->steps++;
}

void step_release(struct step *st)
{
	buf_release(&st->text);
	buf_release(&st->listing);
}

/* Where in the Dockerfile the step stands. */
void step_place(struct step *st)
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
void step_prefix(struct step *st, const char *dest)
{
	struct hash h;

	hash_init(&h);
	hash_add(&h, st->stage->key.bytes, DIGEST_BYTES);
	hash_field(&h, st->text.data, st->text.len);
	hash_string(&h, dest);
	hash_end(&h, &st->prefix);
	step_place(st);
}

void step_explain(struct step *st)
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

int step_add_layer(struct stage_state *s, const struct digest *digest, uint64_t size,
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
int step_use_cached(struct step *st, bool *empty, struct error *err)
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
	return step_add_layer(s, &r.digest, r.size, &r.diff_id, false, err) < 0 ? -1 : 1;
}

int step_write_layer(struct stage_state *s, struct layer *out, struct error *err)
{
	const struct build *b = s->build;
	struct layer_options o = {.store = b->store,
				  .level = b->request->level,
				  .mtime = b->time,
				  .keep_mtime = b->keep_mtime};

	if (layer_write(s->tree, &o, out, err) < 0)
		return -1;
	return step_add_layer(s, &out->digest, out->size, &out->diff_id, true, err);
}

void step_record_layer(struct step *st, const struct layer *layer)
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
