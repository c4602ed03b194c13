#include "builder/stage.h"

#include <stdlib.h>
#include <string.h>

#include "builder/build.h"
#include "builder/rootfs/index.h"
#include "builder/rootfs/layer.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/treeload.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/store.h"

/* Part of every step key: a change of what steps do or of hod-layers(5)'s bytes
 * makes old records unfindable. */
#define STEP_FORMAT 2

static const char default_path[] =
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static struct stage_state *stage_new(struct build *b, const char *name)
{
	struct stage_state *s = xcalloc(1, sizeof(*s));

	s->build = b;
	s->name = xstrdup(name);
	return s;
}

void stage_free(struct stage_state *s)
{
	if (!s)
		return;
	tree_free(s->tree);
	image_config_release(&s->config);
	for (size_t i = 0; i < s->nlayers; i++)
		descriptor_release(&s->layers[i].desc);
	free(s->layers);
	strv_release(&s->vars);
	strv_release(&s->args);
	free(s->name);
	free(s);
}

static void add_layer(struct stage_state *s, const struct descriptor *desc,
		      const struct digest *diff_id, struct image *base, size_t index)
{
	struct stage_layer *l;

	GROW(s->layers, s->nlayers, s->cap);
	l = &s->layers[s->nlayers++];
	memset(l, 0, sizeof(*l));
	descriptor_copy(&l->desc, desc);
	l->diff_id = *diff_id;
	l->base = base;
	l->index = index;
}

/* What every step on this base depends on. */
static void base_key(struct stage_state *s)
{
	const struct build *b = s->build;
	struct hash h;

	hash_init(&h);
	hash_string(&h, "hod step");
	hash_u64(&h, STEP_FORMAT);
	hash_string(&h, layer_compressor(b->request->level));
	hash_string(&h, s->config.os);
	hash_string(&h, s->config.architecture);
	hash_string(&h, s->config.variant);
	hash_u64(&h, (uint64_t)b->time);
	hash_u64(&h, b->keep_mtime);
	hash_u64(&h, b->bytecode);
	hash_u64(&h, s->nlayers);
	for (size_t i = 0; i < s->nlayers; i++)
		hash_add(&h, s->layers[i].diff_id.bytes, DIGEST_BYTES);
	hash_end(&h, &s->key);
}

/* One entry that is not empty_layer for each layer, or Lambda may refuse the
 * image: a history that does not fit is replaced (hod-layers(5), JSON). */
static void mend_history(struct stage_state *s)
{
	struct image_config *c = &s->config;
	size_t filled = 0;

	for (size_t i = 0; i < c->nhistory; i++)
		filled += !c->history[i].empty_layer;
	if (filled == s->nlayers)
		return;
	image_config_clear_history(c);
	for (size_t i = 0; i < s->nlayers; i++) {
		auto_free char *by = xasprintf("base layer %zu", i + 1);

		image_config_add_history(c, s->build->time_text, by, false);
	}
}

/* 7.6, 7.7: what a stage takes over from an image, and what not. */
static int inherit(struct stage_state *s, struct image *image, struct error *err)
{
	struct image_config *c = &s->config;

	image_config_copy(c, &image->config);
	if (c->on_build.n) {
		error_set(err, E_INPUT,
			  "the base has ONBUILD triggers, which are not supported yet");
		return error_hint(err, "the first one is: %s", c->on_build.v[0]);
	}
	s->family = image->manifest.family;
	for (size_t i = 0; i < image->manifest.nlayers; i++) {
		const struct descriptor *d = &image->manifest.layers[i];
		const char *type = layer_type_in(s->family, d->media_type);

		if (!type)
			return error_set(
				err, E_INPUT,
				"layer %zu of the base is of type %s, which has no place "
				"in the base's own kind of manifest",
				i + 1, d->media_type);
		add_layer(s, d, &c->diff_ids[i], image, i);
		free(s->layers[i].desc.media_type);
		s->layers[i].desc.media_type = xstrdup(type);
	}
	if (c->working_dir && c->working_dir[0] != '/') {
		char *absolute = xasprintf("/%s", c->working_dir);

		free(c->working_dir);
		c->working_dir = absolute;
	}
	return 0;
}

void stage_set_platform(struct stage_state *s, const struct platform *p)
{
	struct image_config *c = &s->config;

	/* the same machine: what the base says of its variant is more exact */
	if (c->os && c->architecture && !strcmp(c->os, p->os) &&
	    !strcmp(c->architecture, p->arch) && !p->variant)
		return;
	free(c->os);
	free(c->architecture);
	free(c->variant);
	c->os = xstrdup(p->os);
	c->architecture = xstrdup(p->arch);
	c->variant = p->variant ? xstrdup(p->variant) : NULL;
}

struct stage_state *stage_from_image(struct build *b, const char *name,
				     struct image *image, const struct platform *platform,
				     struct error *err)
{
	struct stage_state *s = stage_new(b, name);

	s->family = FAMILY_OCI;
	if (image && inherit(s, image, err) < 0) {
		stage_free(s);
		return NULL;
	}
	if (!image) {
		stage_set_platform(s, platform);
		s->config.working_dir = xstrdup("/");
	}
	if (!strv_get(&s->config.env, "PATH"))
		strv_set(&s->config.env, "PATH", default_path);
	free(s->config.created);
	s->config.created = xstrdup(b->time_text);
	strv_copy(&s->vars, &s->config.env);
	mend_history(s);
	base_key(s);
	return s;
}

struct stage_state *stage_from_stage(struct build *b, const char *name,
				     const struct stage_state *base)
{
	struct stage_state *s = stage_new(b, name);

	image_config_copy(&s->config, &base->config);
	s->family = base->family;
	for (size_t i = 0; i < base->nlayers; i++)
		add_layer(s, &base->layers[i].desc, &base->layers[i].diff_id,
			  base->layers[i].base, base->layers[i].index);
	s->key = base->key;
	strv_copy(&s->vars, &base->vars);
	strv_copy(&s->args, &base->args);
	return s;
}

void stage_history(struct stage_state *s, const char *created_by, bool empty_layer)
{
	image_config_add_history(&s->config, s->build->time_text, created_by,
				 empty_layer);
}

/* Indexes of base layers that are read while the layers stream by. */
struct index_fetch {
	struct build *build;
	struct image *image;
	struct tmp *drafts; /* by layer of the image */
};

static int read_index(void *ctx, size_t i, struct source *src, struct error *err)
{
	struct index_fetch *f = ctx;
	struct index_builder *b = index_builder_new();
	int rc = treeload_read(src, b, err);

	/* a second call for the same layer starts over */
	if (!rc)
		rc = treeload_draft(b, f->build->store, &f->image->config.diff_ids[i],
				    &f->drafts[i], err);
	index_builder_free(b);
	return rc;
}

/* Fetches the base layers of need[] and saves their indexes; only what was
 * verified as a whole is saved under its diff_id. */
static int fetch_indexes(struct build *b, struct image *image, const bool *need,
			 struct error *err)
{
	size_t n = image->manifest.nlayers;
	struct index_fetch f = {b, image, xcalloc(n, sizeof(*f.drafts))};
	int rc;

	for (size_t i = 0; i < n; i++)
		f.drafts[i] = (struct tmp)TMP_INIT;
	rc = image_fetch_layers(image, b->store, b->client, need, read_index, &f, err);
	for (size_t i = 0; i < n; i++) {
		const struct digest *diff_id = &image->config.diff_ids[i];

		if (!rc && need[i])
			rc = treeload_commit(&f.drafts[i], b->store, diff_id, err);
		if (!rc && need[i])
			rc = treeload_prove(b->store, diff_id,
					    &image->manifest.layers[i].digest, err);
		tmp_abort(&f.drafts[i]);
	}
	free(f.drafts);
	return rc;
}

struct source *stage_own_layer(const struct stage_state *s, size_t i, struct error *err)
{
	const struct stage_layer *l = &s->layers[i];
	int fd = store_get(s->build->store, &l->desc.digest, NULL, err);

	if (fd < 0)
		return NULL;
	return source_inflate(
		source_verify(source_fd(fd), &l->desc.digest, l->desc.size, false));
}

/* A damaged layer goes from the store, so that the next build makes it again. */
static int drop_damaged(struct stage_state *s, size_t i, struct error *err)
{
	const struct digest *d = &s->layers[i].desc.digest;
	struct store *st = s->build->store;
	auto_fd int fd = store_get(st, d, NULL, NULL);

	if (fd >= 0)
		store_drop(st, d, fd);
	error_wrap(err, "layer %zu in %s", i + 1, store_path(st));
	return error_hint(err, "it was removed; build again");
}

static int save_own_index(struct stage_state *s, size_t i, struct error *err)
{
	struct source *src = stage_own_layer(s, i, err);
	int rc;

	if (!src)
		return -1;
	rc = treeload_save(src, s->build->store, &s->layers[i].diff_id, err);
	return rc < 0 && err->kind == E_CORRUPT ? drop_damaged(s, i, err) : rc;
}

/* Makes the missing ones of indexes[] (one for each layer of the stage). */
static int load_missing(struct stage_state *s, struct index **indexes, struct error *err)
{
	struct build *b = s->build;
	struct image *base = s->nlayers ? s->layers[0].base : NULL;
	auto_free bool *need = xcalloc(base ? base->manifest.nlayers : 1, sizeof(*need));
	bool fetch = false;

	for (size_t i = 0; i < s->nlayers; i++) {
		struct stage_layer *l = &s->layers[i];

		if (indexes[i])
			continue;
		if (l->base) {
			need[l->index] = true;
			fetch = true;
		} else if (save_own_index(s, i, err) < 0) {
			return -1;
		}
	}
	if (fetch && fetch_indexes(b, base, need, err) < 0)
		return -1;
	for (size_t i = 0; i < s->nlayers; i++) {
		if (!indexes[i])
			indexes[i] = treeload_open(b->store, &s->layers[i].diff_id, err);
		if (!indexes[i])
			return -1;
	}
	return 0;
}

static int push_indexes(struct stage_state *s, struct index **indexes, struct error *err)
{
	struct error missing = ERROR_INIT;
	bool complete = true;

	for (size_t i = 0; i < s->nlayers; i++) {
		const struct stage_layer *l = &s->layers[i];

		if (!l->base ||
		    treeload_proven(s->build->store, &l->diff_id, &l->desc.digest))
			indexes[i] =
				treeload_open(s->build->store, &l->diff_id, &missing);
		complete &= indexes[i] != NULL;
	}
	if (!complete && load_missing(s, indexes, err) < 0)
		return -1;
	for (size_t i = 0; i < s->nlayers; i++)
		if (tree_push_index(s->tree, indexes[i], err) < 0)
			return error_wrap(err, "layer %zu", i + 1);
	return 0;
}

struct tree *stage_tree(struct stage_state *s, struct error *err)
{
	struct index **indexes;
	int rc;

	if (s->tree)
		return s->tree;
	s->tree = tree_new();
	indexes = xcalloc(s->nlayers, sizeof(struct index *));
	rc = push_indexes(s, indexes, err);
	for (size_t i = 0; i < s->nlayers; i++)
		index_unref(indexes[i]);
	free(indexes);
	if (rc < 0) {
		tree_free(s->tree);
		s->tree = NULL;
	}
	return s->tree;
}

int stage_add_layer(struct stage_state *s, const struct descriptor *desc,
		    const struct digest *diff_id, bool in_tree, struct error *err)
{
	struct index *ix;
	int rc = 0;

	add_layer(s, desc, diff_id, NULL, 0);
	image_config_add_diff_id(&s->config, diff_id);
	if (!s->tree)
		return 0;
	ix = treeload_open(s->build->store, diff_id, err);
	if (!ix && (save_own_index(s, s->nlayers - 1, err) < 0 ||
		    !(ix = treeload_open(s->build->store, diff_id, err))))
		return -1;
	if (in_tree)
		tree_add_layer(s->tree, ix);
	else
		rc = tree_push_index(s->tree, ix, err);
	index_unref(ix);
	return rc;
}
