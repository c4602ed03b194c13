#include "builder/base.h"

#include <stdlib.h>
#include <string.h>

#include "builder/build.h"
#include "builder/plan.h"
#include "builder/stage.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/store.h"

static struct store *open_layout(struct build *b, const struct named_context *nc,
				 struct error *err)
{
	struct store **slot = &b->layouts[nc - b->plan.contexts];

	if (!*slot)
		*slot = store_open_layout(nc->dir, false, err);
	if (!*slot)
		error_wrap(err, "--build-context %s", nc->name);
	return *slot;
}

static int resolve(struct build *b, const struct from *from, const struct platform *want,
		   bool want_explicit, struct image *out, struct error *err)
{
	struct store *layout;

	if (from->kind == FROM_IMAGE)
		return image_resolve(
			out, b->store, b->client, &from->image, want, want_explicit,
			b->request->pull ? PULL_ALWAYS : PULL_IF_MISSING, err);
	layout = open_layout(b, from->context, err);
	if (!layout)
		return -1;
	if (image_from_layout(out, layout, from->context->tag, want, err) < 0)
		return error_wrap(err, "--build-context %s", from->context->name);
	return 0;
}

struct base_image *base_resolve(struct build *b, const struct from *from,
				const struct platform *want, bool want_explicit,
				struct error *err)
{
	auto_free char *platform = platform_text(want);
	auto_free char *name = from->kind == FROM_IMAGE
				       ? reference_text(&from->image)
				       : xasprintf("context %s", from->context->name);
	auto_free char *key = xasprintf("%s %s", name, platform);
	struct base_image *base;

	for (size_t i = 0; i < b->nimages; i++)
		if (!strcmp(b->images[i]->key, key))
			return b->images[i];
	base = xcalloc(1, sizeof(*base));
	if (resolve(b, from, want, want_explicit, &base->image, err) < 0) {
		free(base);
		return NULL;
	}
	base->key = steal_ptr(&key);
	GROW(b->images, b->nimages, b->cap_images);
	b->images[b->nimages++] = base;
	return base;
}

struct stage_state *base_as_stage(struct build *b, struct base_image *base,
				  struct error *err)
{
	if (!base->as_stage)
		base->as_stage = stage_from_image(b, base->key, &base->image, NULL, err);
	return base->as_stage;
}

void base_release(struct build *b)
{
	for (size_t i = 0; i < b->nimages; i++) {
		stage_free(b->images[i]->as_stage);
		image_release(&b->images[i]->image);
		free(b->images[i]->key);
		free(b->images[i]);
	}
	free(b->images);
	for (size_t i = 0; b->layouts && i < b->plan.ncontexts; i++)
		store_close(b->layouts[i]);
	free(b->layouts);
}
