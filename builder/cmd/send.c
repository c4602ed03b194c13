#include "builder/cmd/send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder/app.h"
#include "builder/cmd/local.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/interrupt.h"
#include "registry/base/log.h"
#include "registry/store.h"
#include "registry/transfer.h"

/* References, the caller's first: where a layer may be found. */
struct places {
	struct reference *v;
	size_t n, cap;
};

static void places_release(struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		reference_release(&p->v[i]);
	free(p->v);
}
#define auto_places __attribute__((cleanup(places_release)))

static int places_collect(struct places *p, struct store *st, const struct manifest *m,
			  const struct reference *origins, size_t norigins,
			  struct error *err)
{
	struct reference *known = NULL;
	size_t n = 0;

	if (store_origins(st, m, &known, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < norigins; i++) {
		GROW(p->v, p->n, p->cap);
		p->v[p->n] = (struct reference)REFERENCE_INIT;
		reference_copy(&p->v[p->n++], &origins[i]);
	}
	for (size_t i = 0; i < n; i++) {
		GROW(p->v, p->n, p->cap);
		p->v[p->n++] = known[i];
	}
	free(known);
	return 0;
}

/* ECR takes zstd, Lambda does not: better said before the push than by a function that
 * does not start. */
static int check_target(const struct reference *ref, const struct manifest *m,
			struct error *err)
{
	for (size_t i = 0; reference_is_ecr(ref) && i < m->nlayers; i++) {
		char text[DIGEST_TEXT];

		if (strcmp(m->layers[i].media_type, MT_OCI_LAYER_ZSTD) != 0)
			continue;
		error_set(err, E_INPUT,
			  "layer %s of the base is compressed with zstd, which Lambda "
			  "refuses",
			  digest_text(&m->layers[i].digest, text));
		return error_hint(err, "use a base with gzip layers for an ECR name");
	}
	return 0;
}

int send_image(struct app *app, const struct reference *ref, const struct manifest *m,
	       const struct descriptor *desc, const struct reference *origins,
	       size_t norigins, struct error *err)
{
	auto_places struct places places = {0};
	auto_free char *name = reference_text(ref);
	struct push_result result = {0};
	struct store *st = app_store(app, err);
	struct client *client = st ? app_client(app, err) : NULL;

	if (!client || check_target(ref, m, err) < 0 ||
	    places_collect(&places, st, m, origins, norigins, err) < 0)
		return -1;
	if (push_image(st, client, ref, m, desc, places.v, places.n, &result, err) < 0)
		return -1;
	log_info("pushed %s: %zu blobs sent (%llu bytes), %zu mounted, %zu already there",
		 name, result.uploaded, (unsigned long long)result.bytes, result.mounted,
		 result.skipped);
	return 0;
}

void send_print(const struct reference *ref, const struct descriptor *desc)
{
	auto_free char *name = reference_text(ref);
	char text[DIGEST_TEXT];

	printf("%s@%s\n", name, digest_text(&desc->digest, text));
}

/* Fetches the layers that are not in the store.  Beyond the place that is named,
 * image_complete asks those that the store knows to have a layer. */
static int complete(struct app *app, struct store *st, const struct local *whole,
		    const struct reference *origins, size_t norigins, struct error *err)
{
	/* all of it borrowed */
	struct image im = {.desc = whole->desc,
			   .manifest = whole->manifest,
			   .config = whole->config};
	struct client *client = app_client(app, err);
	size_t i = 0;

	if (!client)
		return -1;
	if (whole->config.ndiff_ids != whole->manifest.nlayers)
		return error_set(err, E_CORRUPT, "the config has %zu layers, not %zu",
				 whole->config.ndiff_ids, whole->manifest.nlayers);
	do {
		if (i < norigins)
			im.ref = origins[i];
		if (image_complete(&im, st, client, err) == 0)
			return 0;
	} while (++i < norigins && !interrupt_signal());
	return -1;
}

static int copy_all(struct store *to, struct store *st, const struct local *l,
		    struct error *err)
{
	for (size_t i = 0; i < l->manifest.nlayers; i++) {
		if (interrupt_check(err) < 0 ||
		    store_copy_blob(to, st, &l->manifest.layers[i].digest, err) < 0)
			return -1;
	}
	if (store_copy_blob(to, st, &l->manifest.config.digest, err) < 0)
		return -1;
	return store_copy_blob(to, st, &l->desc.digest, err);
}

int send_to_layout(struct app *app, const char *to, const char *tag,
		   const struct descriptor *desc, const struct reference *origins,
		   size_t norigins, struct error *err)
{
	struct store *st = app_store(app, err), *layout = NULL;
	auto_local struct local whole = LOCAL_INIT;
	auto_free char *platform = NULL;
	int rc = -1;

	if (!st || local_load(st, desc, &whole, err) < 0 ||
	    complete(app, st, &whole, origins, norigins, err) < 0)
		return error_wrap(err, "write oci:%s:%s", to, tag);
	platform = local_platform(&whole);
	layout = store_open_layout(to, true, err);
	if (layout && copy_all(layout, st, &whole, err) == 0 &&
	    store_tag(layout, tag, desc, platform, err) == 0)
		rc = 0;
	store_close(layout);
	return rc < 0 ? error_wrap(err, "write oci:%s:%s", to, tag) : 0;
}
