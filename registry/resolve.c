/* From a name to an image's manifest and config (transfer.h). */
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/client.h"
#include "registry/store.h"
#include "registry/transfer.h"

#define MAX_INDEX_DEPTH 3

void image_release(struct image *im)
{
	reference_release(&im->ref);
	descriptor_release(&im->desc);
	manifest_release(&im->manifest);
	image_config_release(&im->config);
	*im = (struct image)IMAGE_INIT;
}

/* Where manifests and configs come from: a registry (client and ref) or a store. */
struct place {
	struct client *client; /* NULL: the store alone */
	const struct reference *ref;
	struct store *store; /* looked at first for a config */
};

static int check_size(const struct descriptor *want, size_t len, struct error *err)
{
	char text[DIGEST_TEXT];

	if (len == want->size)
		return 0;
	return error_set(
		err, E_CORRUPT, "manifest %s has %zu bytes, its descriptor says %llu",
		digest_text(&want->digest, text), len, (unsigned long long)want->size);
}

/* The manifest that `want` describes, of a registry also the one ref names (NULL).  *got
 * gets its descriptor as it was served. */
static int get_manifest(const struct place *p, const struct descriptor *want,
			struct buf *raw, struct descriptor *got, struct error *err)
{
	auto_reference struct reference by_digest = REFERENCE_INIT;

	if (!p->client) {
		descriptor_copy(got, want);
		if (store_read(p->store, &want->digest, MANIFEST_MAX_BYTES, raw, err) < 0)
			return -1;
		return check_size(want, raw->len, err);
	}
	reference_copy(&by_digest, p->ref);
	if (want) {
		by_digest.has_digest = true;
		by_digest.digest = want->digest;
	}
	descriptor_release(got);
	if (client_get_manifest(p->client, &by_digest, raw, &got->media_type,
				&got->digest, NULL, err) < 0)
		return -1;
	got->size = raw->len;
	return want ? check_size(want, raw->len, err) : 0;
}

static int read_blob(struct source *src, size_t size, struct buf *out, struct error *err)
{
	char end;
	ssize_t n;

	buf_reserve(out, size);
	n = source_read_full(src, out->data + out->len, size, err);
	if (n < 0)
		return -1;
	out->len += (size_t)n;
	out->data[out->len] = '\0';
	/* the digest is checked where the stream ends */
	return source_read(src, &end, 1, err) < 0 ? -1 : 0;
}

static int get_config(const struct place *p, const struct descriptor *d, struct buf *raw,
		      struct error *err)
{
	struct source *src;
	int rc;

	if (d->size > CONFIG_MAX_BYTES)
		return error_set(err, E_CORRUPT, "config is larger than %u bytes",
				 CONFIG_MAX_BYTES);
	if (!p->client)
		rc = store_read(p->store, &d->digest, CONFIG_MAX_BYTES, raw, err);
	else if (!store_read(p->store, &d->digest, CONFIG_MAX_BYTES, raw, NULL))
		rc = 0;
	else {
		src = client_get_blob(p->client, p->ref, &d->digest, d->size, NULL, err);
		if (!src)
			return error_wrap(err, "config");
		rc = read_blob(src, (size_t)d->size, raw, err);
		source_close(src);
	}
	if (!rc && raw->len != d->size)
		rc = error_set(err, E_CORRUPT, "has %zu bytes, the manifest says %llu",
			       raw->len, (unsigned long long)d->size);
	return rc < 0 ? error_wrap(err, "config") : 0;
}

/* Types that hod can read, and as many diff_ids as layers. */
static int check_image(const struct image *im, struct error *err)
{
	const struct manifest *m = &im->manifest;
	char text[DIGEST_TEXT];

	for (size_t i = 0; i < m->nlayers; i++) {
		const struct descriptor *d = &m->layers[i];

		if (layer_type_foreign(d->media_type))
			return error_set(
				err, E_INPUT,
				"layer %s is foreign (%s): its bytes are in no registry",
				digest_text(&d->digest, text), d->media_type);
		if (!layer_type_known(d->media_type))
			return error_set(err, E_INPUT,
					 "layer %s has the unknown type %.100s",
					 digest_text(&d->digest, text), d->media_type);
	}
	if (m->nlayers != im->config.ndiff_ids)
		return error_set(err, E_CORRUPT, "%zu layers but %zu diff_ids",
				 m->nlayers, im->config.ndiff_ids);
	return 0;
}

/* Follows indexes from `start` to an image's manifest; raw gets its bytes. */
static int find_manifest(const struct place *p, const struct descriptor *start,
			 const struct platform *want, struct buf *raw,
			 struct descriptor *got, struct error *err)
{
	auto_descriptor struct descriptor next = {0};
	enum manifest_kind kind;

	for (int depth = 0;; depth++) {
		bool nested;

		buf_reset(raw);
		if (get_manifest(p, start, raw, got, err) < 0 ||
		    manifest_kind(got->media_type, raw->data, raw->len, &kind, err) < 0)
			return -1;
		if (kind == MANIFEST_IMAGE)
			return 0;
		if (depth == MAX_INDEX_DEPTH)
			return error_set(err, E_CORRUPT,
					 "indexes are nested more than %d deep",
					 MAX_INDEX_DEPTH);
		descriptor_release(&next);
		if (index_pick(raw->data, raw->len, want, &next, &nested, err) < 0)
			return -1;
		start = &next;
	}
}

/* Fills desc, manifest and config; raws are the bytes that were verified. */
static int load_image(struct image *im, const struct place *p,
		      const struct descriptor *start, const struct platform *want,
		      struct buf *manifest, struct buf *config, struct error *err)
{
	if (find_manifest(p, start, want, manifest, &im->desc, err) < 0 ||
	    manifest_parse(&im->manifest, manifest->data, manifest->len, err) < 0)
		return -1;
	if (!config_type_known(im->manifest.config.media_type))
		return error_set(err, E_INPUT,
				 "is no container image (its config is %.100s)",
				 im->manifest.config.media_type);
	if (!manifest_type_known(im->desc.media_type)) {
		free(im->desc.media_type);
		im->desc.media_type = xstrdup(manifest_media_type(&im->manifest));
	}
	if (get_config(p, &im->manifest.config, config, err) < 0 ||
	    image_config_parse(&im->config, config->data, config->len, err) < 0)
		return -1;
	return check_image(im, err);
}

/* A config that leaves the variant out runs on all of them, as far as it says. */
static void config_platform(const struct image_config *c, const struct platform *want,
			    struct platform *out)
{
	platform_set(out, c->os, c->architecture, c->variant);
	if (c->variant || !want->variant || strcmp(out->arch, want->arch) != 0)
		return;
	free(out->variant);
	out->variant = xstrdup(want->variant);
}

static bool platform_fits(const struct image *im, const struct platform *want)
{
	auto_platform struct platform have = PLATFORM_INIT;

	config_platform(&im->config, want, &have);
	return !*have.os || !*have.arch || platform_rank(want, &have) >= 0;
}

static int check_platform(const struct image *im, const struct platform *want,
			  bool refuse, const char *name, struct error *err)
{
	auto_platform struct platform have = PLATFORM_INIT;
	auto_free char *has = NULL, *asked = NULL;

	if (platform_fits(im, want))
		return 0;
	platform_set(&have, im->config.os, im->config.architecture, im->config.variant);
	has = platform_text(&have);
	asked = platform_text(want);
	if (refuse)
		return error_set(err, E_MISSING, "no image for %s; there is %.100s",
				 asked, has);
	log_warn("%s is for %s, not for %s", name, has, asked);
	return 0;
}

/* The stored image of that name: 1, 0 (not here, or not whole any more), -1. */
static int from_store(struct image *im, struct store *st, const char *name,
		      const struct platform *want, struct error *err)
{
	auto_descriptor struct descriptor d = {0};
	auto_buf struct buf manifest = BUF_INIT;
	auto_buf struct buf config = BUF_INIT;
	struct place p = {.store = st};
	struct error why = ERROR_INIT;
	int rc = store_find(st, name, &d, err);

	if (rc <= 0)
		return rc;
	if (!load_image(im, &p, &d, want, &manifest, &config, &why))
		return 1;
	image_release(im);
	if (why.kind != E_MISSING && why.kind != E_CORRUPT) {
		if (err)
			*err = why;
		return -1;
	}
	log_debug("%s is in the store but not usable: %s", name, why.msg);
	return 0;
}

static int from_registry(struct image *im, struct store *st, struct client *c,
			 const struct reference *ref, const char *name,
			 const struct platform *want, bool want_explicit,
			 struct error *err)
{
	auto_buf struct buf manifest = BUF_INIT;
	auto_buf struct buf config = BUF_INIT;
	auto_platform struct platform have = PLATFORM_INIT;
	auto_free char *platform = NULL;
	struct place p = {c, ref, st};

	if (load_image(im, &p, NULL, want, &manifest, &config, err) < 0 ||
	    check_platform(im, want, want_explicit, name, err) < 0)
		return -1;
	platform_set(&have, im->config.os, im->config.architecture, im->config.variant);
	platform = platform_text(&have);
	if (store_put_bytes(st, config.data, config.len, NULL, err) < 0 ||
	    store_put_bytes(st, manifest.data, manifest.len, NULL, err) < 0)
		return -1;
	return store_tag(st, name, &im->desc, platform, err);
}

/* Into a fresh im: the steps of image_resolve. */
static int resolve(struct image *im, struct store *st, struct client *c,
		   const struct reference *ref, const struct platform *want,
		   bool want_explicit, enum pull_policy policy, struct error *err)
{
	auto_free char *name = reference_text(ref);
	auto_image struct image remote = IMAGE_INIT;
	struct error why = ERROR_INIT;
	int have = policy == PULL_ALWAYS ? 0 : from_store(im, st, name, want, err);

	if (have < 0)
		return -1;
	if (have && platform_fits(im, want))
		return 0;
	if (policy == PULL_NEVER || !c) {
		if (have)
			return check_platform(im, want, want_explicit, name, err);
		return error_set(err, E_MISSING,
				 "is not in the store, and pulling is off");
	}
	if (!from_registry(&remote, st, c, ref, name, want, want_explicit, &why)) {
		image_release(im);
		*im = remote;
		remote = (struct image)IMAGE_INIT;
		return 0;
	}
	/* built here for another platform, and never pushed */
	if (have && !want_explicit && why.kind == E_MISSING)
		return check_platform(im, want, false, name, err);
	if (err)
		*err = why;
	return -1;
}

int image_resolve(struct image *im, struct store *st, struct client *c,
		  const struct reference *ref, const struct platform *want,
		  bool want_explicit, enum pull_policy policy, struct error *err)
{
	auto_reference struct reference full = REFERENCE_INIT;
	auto_free char *shown = NULL;

	reference_copy(&full, ref);
	reference_complete(&full);
	if (resolve(im, st, c, &full, want, want_explicit, policy, err) < 0) {
		image_release(im);
		shown = reference_familiar(&full);
		/* the client names it as well where it knows no better */
		return err && strstr(err->msg, shown) ? -1 : error_wrap(err, "%s", shown);
	}
	im->ref = full;
	full = (struct reference)REFERENCE_INIT;
	return 0;
}

/* One image of a list whose entries may be flat platforms of one tag. */
struct candidates {
	const struct store_image *found;
	size_t n;          /* with different digests */
	struct buf listed; /* names that are there */
};

static void consider(struct candidates *c, const struct store_image *e, const char *tag,
		     const struct platform *want, bool by_platform)
{
	auto_platform struct platform have = PLATFORM_INIT;

	if (e->name && c->listed.len < 200)
		buf_addf(&c->listed, "%s%.60s", c->listed.len ? ", " : "", e->name);
	if (tag && (!e->name || strcmp(e->name, tag) != 0))
		return;
	if (by_platform &&
	    (!e->platform || platform_parse(&have, e->platform, NULL) < 0 ||
	     platform_rank(want, &have) < 0))
		return;
	if (c->found && digest_equal(&c->found->manifest.digest, &e->manifest.digest))
		return;
	if (!c->n++)
		c->found = e;
}

static int choose(const struct store_image *v, size_t n, const char *tag,
		  const struct platform *want, struct descriptor *out, struct error *err)
{
	struct candidates all = {.listed = BUF_INIT}, fit = {.listed = BUF_INIT};
	const struct store_image *found = NULL;
	const char *names;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		consider(&all, &v[i], tag, want, false);
		consider(&fit, &v[i], tag, want, true);
	}
	names = all.listed.len ? all.listed.data : "none with a name";
	if (all.n == 1)
		found = all.found;
	else if (fit.n == 1)
		found = fit.found;
	if (found)
		descriptor_copy(out, &found->manifest);
	else if (!all.n)
		rc = error_set(err, E_MISSING, "no image %s%s; there is %s",
			       tag ? tag : "", tag ? " in it" : "in it", names);
	else
		rc = error_set(err, E_INPUT, "holds several images; name one of %s",
			       names);
	buf_release(&all.listed);
	buf_release(&fit.listed);
	return rc;
}

static int find_in_layout(struct store *layout, const char *tag,
			  const struct platform *want, struct descriptor *out,
			  struct error *err)
{
	struct store_image *v = NULL;
	size_t n = 0;
	int rc = store_images(layout, &v, &n, err);

	if (!rc)
		rc = choose(v, n, tag, want, out, err);
	store_images_free(v, n);
	return rc;
}

int image_from_layout(struct image *im, struct store *layout, const char *tag,
		      const struct platform *want, struct error *err)
{
	auto_descriptor struct descriptor d = {0};
	auto_buf struct buf manifest = BUF_INIT;
	auto_buf struct buf config = BUF_INIT;
	struct place p = {.store = layout};

	if (find_in_layout(layout, tag, want, &d, err) < 0 ||
	    load_image(im, &p, &d, want, &manifest, &config, err) < 0) {
		image_release(im);
		return error_wrap(err, "image layout %s%s%s", store_path(layout),
				  tag ? ":" : "", tag ? tag : "");
	}
	im->layout = layout;
	return check_platform(im, want, false, store_path(layout), err);
}
