#include "registry/origin.h"

#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/job.h"
#include "registry/base/log.h"
#include "registry/client.h"
#include "registry/store.h"
#include "registry/transfer.h"

static bool load_manifest(struct store *st, const struct descriptor *d,
			  struct manifest *m)
{
	auto_buf struct buf raw = BUF_INIT;

	return !store_read(st, &d->digest, MANIFEST_MAX_BYTES, &raw, NULL) &&
	       !manifest_parse(m, raw.data, raw.len, NULL);
}

struct origin *origins_load(struct store *st, const struct reference *refs, size_t n)
{
	struct origin *v = xcalloc(n, sizeof(*v));
	struct store_image *images = NULL;
	size_t count = 0;

	store_images(st, &images, &count, NULL);
	for (size_t i = 0; i < n; i++) {
		auto_free char *name = reference_text(&refs[i]);

		v[i].ref = &refs[i];
		for (size_t k = 0; k < count && !v[i].known; k++)
			if (images[k].name && !strcmp(images[k].name, name))
				v[i].known = load_manifest(st, &images[k].manifest,
							   &v[i].manifest);
	}
	store_images_free(images, count);
	return v;
}

void origins_free(struct origin *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		manifest_release(&v[i].manifest);
	free(v);
}

static bool has_layer(const struct manifest *m, const struct digest *d)
{
	for (size_t i = 0; i < m->nlayers; i++)
		if (digest_equal(&m->layers[i].digest, d))
			return true;
	return false;
}

bool origin_may_have(const struct origin *o, const struct digest *d)
{
	return !o->known || digest_equal(&o->manifest.config.digest, d) ||
	       has_layer(&o->manifest, d);
}

struct source *origins_open(const struct origin *v, size_t n, struct client *c,
			    const struct reference * not, const struct descriptor *d,
			    struct job *job)
{
	for (size_t i = 0; i < n && !job_cancelled(job); i++) {
		struct error err = ERROR_INIT;
		struct source *s;

		if ((not &&reference_same_repository(v[i].ref, not )) ||
		    !origin_may_have(&v[i], &d->digest))
			continue;
		s = client_get_blob(c, v[i].ref, &d->digest, d->size, job, &err);
		if (s)
			return s;
		log_debug("%s/%s does not give the blob: %s", v[i].ref->host,
			  v[i].ref->path, err.msg);
	}
	return NULL;
}

/* True for a manifest that shares a layer with m. */
static bool shares_layer(struct store *st, const struct descriptor *d,
			 const struct manifest *m)
{
	auto_manifest struct manifest other = MANIFEST_INIT;

	if (!load_manifest(st, d, &other))
		return false;
	for (size_t i = 0; i < m->nlayers; i++)
		if (has_layer(&other, &m->layers[i].digest))
			return true;
	return false;
}

int store_origins(struct store *st, const struct manifest *m, struct reference **out,
		  size_t *n, struct error *err)
{
	struct store_image *images = NULL;
	size_t count = 0, cap = 0;

	*out = NULL;
	*n = 0;
	if (store_images(st, &images, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct reference ref = REFERENCE_INIT;

		if (!images[i].name || reference_parse(&ref, images[i].name, NULL) < 0)
			continue;
		if (!shares_layer(st, &images[i].manifest, m)) {
			reference_release(&ref);
			continue;
		}
		GROW(*out, *n, cap);
		(*out)[(*n)++] = ref;
	}
	store_images_free(images, count);
	return 0;
}

void references_free(struct reference *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		reference_release(&v[i]);
	free(v);
}
