#include "builder/cmd/local.h"

#include <stdlib.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/store.h"

void local_release(struct local *l)
{
	descriptor_release(&l->desc);
	manifest_release(&l->manifest);
	image_config_release(&l->config);
	*l = (struct local)LOCAL_INIT;
}

/* Any name of the same repository whose manifest has the digest. */
static int find_in_repository(struct store *st, const struct reference *ref,
			      struct descriptor *out, struct error *err)
{
	struct store_image *v = NULL;
	size_t n = 0;
	int rc = 0;

	if (store_images(st, &v, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n && !rc; i++) {
		auto_reference struct reference its = REFERENCE_INIT;

		if (!v[i].name || !digest_equal(&v[i].manifest.digest, &ref->digest) ||
		    reference_parse(&its, v[i].name, NULL) < 0 ||
		    !reference_same_repository(&its, ref))
			continue;
		descriptor_copy(out, &v[i].manifest);
		rc = 1;
	}
	store_images_free(v, n);
	return rc;
}

static int find_by_name(struct store *st, struct reference *ref, struct descriptor *out,
			struct error *err)
{
	auto_free char *name = NULL;
	int rc;

	reference_complete(ref);
	name = reference_text(ref);
	rc = store_find(st, name, out, err);
	return !rc && ref->has_digest ? find_in_repository(st, ref, out, err) : rc;
}

int local_find(struct store *st, const char *text, struct descriptor *out,
	       struct error *err)
{
	auto_reference struct reference ref = REFERENCE_INIT;
	struct error no_name = ERROR_INIT;
	bool is_id = !strncmp(text, "sha256:", 7);
	int rc = 0;

	if (!is_id && reference_parse(&ref, text, &no_name) == 0)
		rc = find_by_name(st, &ref, out, err);
	if (rc)
		return rc;
	rc = store_find_id(st, text, out, NULL, err);
	/* 64 digits are no name, but a fine id that is not here */
	if (rc || is_id || no_name.kind == E_NONE ||
	    strspn(text, "0123456789abcdef") == strlen(text))
		return rc;
	if (err)
		*err = no_name;
	return -1;
}

static int read_manifest(struct store *st, struct local *l, struct error *err)
{
	auto_buf struct buf raw = BUF_INIT;
	auto_platform struct platform host = PLATFORM_INIT;
	struct descriptor chosen = {0};
	bool nested = false;

	if (store_read(st, &l->desc.digest, MANIFEST_MAX_BYTES, &raw, err) < 0)
		return -1;
	if (!index_type_known(l->desc.media_type))
		return manifest_parse(&l->manifest, raw.data, raw.len, err);
	platform_host(&host);
	if (index_pick(raw.data, raw.len, &host, &chosen, &nested, err) < 0)
		return -1;
	descriptor_release(&l->desc);
	l->desc = chosen;
	buf_reset(&raw);
	if (nested)
		return error_set(err, E_INPUT, "an index within an index");
	if (store_read(st, &l->desc.digest, MANIFEST_MAX_BYTES, &raw, err) < 0)
		return -1;
	return manifest_parse(&l->manifest, raw.data, raw.len, err);
}

int local_load(struct store *st, const struct descriptor *desc, struct local *l,
	       struct error *err)
{
	auto_buf struct buf raw = BUF_INIT;

	descriptor_copy(&l->desc, desc);
	if (read_manifest(st, l, err) == 0 &&
	    store_read(st, &l->manifest.config.digest, CONFIG_MAX_BYTES, &raw, err) ==
		    0 &&
	    image_config_parse(&l->config, raw.data, raw.len, err) == 0)
		return 0;
	local_release(l);
	return -1;
}

int local_open(struct store *st, const char *text, struct local *l, struct error *err)
{
	auto_descriptor struct descriptor desc = {0};
	int rc = local_find(st, text, &desc, err);

	if (rc < 0)
		return -1;
	if (!rc) {
		error_set(err, E_MISSING, "no such image on this machine: %s", text);
		return error_hint(err, "hod images lists what is there");
	}
	return local_load(st, &desc, l, err) < 0 ? error_wrap(err, "image %s", text) : 0;
}

char *local_platform(const struct local *l)
{
	auto_platform struct platform p = PLATFORM_INIT;

	platform_set(&p, l->config.os, l->config.architecture, l->config.variant);
	return platform_text(&p);
}

uint64_t local_size(const struct local *l)
{
	uint64_t sum = l->manifest.config.size;

	/* sizes from outside are at most 2^53, layers at most MANIFEST_MAX_LAYERS */
	for (size_t i = 0; i < l->manifest.nlayers; i++)
		sum += l->manifest.layers[i].size;
	return sum;
}

int name_parse(struct reference *ref, const char *text, const char *what,
	       struct error *err)
{
	if (reference_parse(ref, text, err) < 0)
		return error_wrap(err, "%s", what);
	if (ref->has_digest) {
		error_set(err, E_INPUT, "%s %s: a digest cannot be chosen", what, text);
		return error_hint(err, "write NAME:TAG");
	}
	reference_complete(ref);
	return 0;
}

int platform_option(const struct strv *given, struct platform *p, bool *is_explicit,
		    struct error *err)
{
	const char *text = given->n ? given->v[0] : getenv("DOCKER_DEFAULT_PLATFORM");
	const char *source = given->n ? "--platform" : "DOCKER_DEFAULT_PLATFORM";

	if (!text)
		text = "";
	*is_explicit = given->n || *text;
	if (given->n > 1 || strchr(text, ',')) {
		error_set(err, E_USAGE, "several platforms are not supported yet");
		return error_hint(err, "give one platform to each run");
	}
	if (!*is_explicit) {
		platform_host(p);
		return 0;
	}
	return platform_parse(p, text, err) < 0 ? error_wrap(err, "%s", source) : 0;
}
