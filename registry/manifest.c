#include "registry/manifest.h"

#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/json.h"
#include "registry/textmap.h"

void descriptor_release(struct descriptor *d)
{
	free(d->media_type);
	*d = (struct descriptor){0};
}

void descriptor_copy(struct descriptor *to, const struct descriptor *from)
{
	struct descriptor copy = *from;

	copy.media_type = from->media_type ? xstrdup(from->media_type) : NULL;
	descriptor_release(to);
	*to = copy;
}

int descriptor_parse(struct descriptor *d, const cJSON *obj, struct error *err)
{
	const char *type = NULL, *digest = NULL;
	uint64_t size = 0;

	if (!cJSON_IsObject(obj))
		return error_set(err, E_CORRUPT, "a descriptor is no object");
	if (json_get_string(obj, "mediaType", true, &type, err) < 0 ||
	    json_get_string(obj, "digest", true, &digest, err) < 0 ||
	    json_get_size(obj, "size", true, &size, err) < 0)
		return -1;
	if (digest_parse(&d->digest, digest, NULL) < 0)
		return error_set(err, E_CORRUPT,
				 "field digest: %.100s is no sha256 digest", digest);
	d->media_type = xstrdup(type);
	d->size = size;
	return 0;
}

void manifest_release(struct manifest *m)
{
	descriptor_release(&m->config);
	for (size_t i = 0; i < m->nlayers; i++)
		descriptor_release(&m->layers[i]);
	free(m->layers);
	strv_release(&m->annotations);
	*m = (struct manifest)MANIFEST_INIT;
}

void manifest_copy(struct manifest *to, const struct manifest *from)
{
	struct manifest copy = {.family = from->family, .nlayers = from->nlayers};

	descriptor_copy(&copy.config, &from->config);
	copy.layers = xcalloc(from->nlayers, sizeof(*copy.layers));
	for (size_t i = 0; i < from->nlayers; i++)
		descriptor_copy(&copy.layers[i], &from->layers[i]);
	strv_copy(&copy.annotations, &from->annotations);
	manifest_release(to);
	*to = copy;
}

static bool is(const char *a, const char *b)
{
	return a && !strcmp(a, b);
}

bool index_type_known(const char *t)
{
	return is(t, MT_OCI_INDEX) || is(t, MT_DOCKER_LIST);
}

bool manifest_type_known(const char *t)
{
	return is(t, MT_OCI_MANIFEST) || is(t, MT_DOCKER_MANIFEST) || index_type_known(t);
}

bool config_type_known(const char *t)
{
	/* docker before 1.12 and some builders said octet-stream */
	return is(t, MT_OCI_CONFIG) || is(t, MT_DOCKER_CONFIG) ||
	       is(t, "application/octet-stream");
}

bool layer_type_known(const char *t)
{
	return is(t, MT_OCI_LAYER) || is(t, MT_OCI_LAYER_GZIP) ||
	       is(t, MT_OCI_LAYER_ZSTD) || is(t, MT_DOCKER_LAYER) ||
	       is(t, MT_DOCKER_LAYER_GZIP) || is(t, MT_DOCKER_LAYER_ZSTD);
}

bool layer_type_foreign(const char *t)
{
	static const char oci[] = "application/vnd.oci.image.layer.nondistributable.";
	static const char docker[] = "application/vnd.docker.image.rootfs.foreign.";

	return t &&
	       (!strncmp(t, oci, strlen(oci)) || !strncmp(t, docker, strlen(docker)));
}

const char *layer_type_in(enum family f, const char *t)
{
	static const char *const pairs[][2] = {
		[FAMILY_OCI] = {MT_OCI_LAYER, MT_OCI_LAYER_GZIP},
		[FAMILY_DOCKER] = {MT_DOCKER_LAYER, MT_DOCKER_LAYER_GZIP},
	};

	if (is(t, MT_OCI_LAYER) || is(t, MT_DOCKER_LAYER))
		return pairs[f][0];
	if (is(t, MT_OCI_LAYER_GZIP) || is(t, MT_DOCKER_LAYER_GZIP))
		return pairs[f][1];
	return f == FAMILY_OCI && is(t, MT_OCI_LAYER_ZSTD) ? MT_OCI_LAYER_ZSTD : NULL;
}

const char *family_layer_type(enum family f)
{
	return f == FAMILY_DOCKER ? MT_DOCKER_LAYER_GZIP : MT_OCI_LAYER_GZIP;
}

const char *family_config_type(enum family f)
{
	return f == FAMILY_DOCKER ? MT_DOCKER_CONFIG : MT_OCI_CONFIG;
}

const char *family_manifest_type(enum family f)
{
	return f == FAMILY_DOCKER ? MT_DOCKER_MANIFEST : MT_OCI_MANIFEST;
}

const char *manifest_media_type(const struct manifest *m)
{
	return family_manifest_type(m->family);
}

static bool has(const cJSON *obj, const char *field)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(obj, field);

	return m && !cJSON_IsNull(m);
}

/* One JSON object with schemaVersion 2, of bounded size. */
static cJSON *parse_document(const char *raw, size_t len, const char *what,
			     struct error *err)
{
	auto_json cJSON *doc = NULL;
	uint64_t version = 0;

	if (len > MANIFEST_MAX_BYTES) {
		error_set(err, E_CORRUPT, "%s is larger than %u bytes", what,
			  MANIFEST_MAX_BYTES);
		return NULL;
	}
	doc = json_parse(raw, len, what, err);
	if (!doc)
		return NULL;
	if (!cJSON_IsObject(doc)) {
		error_set(err, E_CORRUPT, "%s is no JSON object", what);
		return NULL;
	}
	if (json_get_size(doc, "schemaVersion", true, &version, err) < 0) {
		error_wrap(err, "%s", what);
		return NULL;
	}
	if (version == 1) {
		error_set(err, E_INPUT,
			  "%s has schema version 1, which hod does not read", what);
		error_hint(err, "push the image again with a tool of this decade");
		return NULL;
	}
	if (version != 2) {
		error_set(err, E_CORRUPT, "%s has schema version %llu, not 2", what,
			  (unsigned long long)version);
		return NULL;
	}
	return steal_ptr(&doc);
}

int manifest_kind(const char *media_type, const char *raw, size_t len,
		  enum manifest_kind *kind, struct error *err)
{
	auto_json cJSON *doc = parse_document(raw, len, "manifest", err);
	const char *inner = NULL;
	bool index, image;

	if (!doc || json_get_string(doc, "mediaType", false, &inner, err) < 0)
		return -1;
	if (inner && !*inner)
		inner = NULL;
	if (inner && manifest_type_known(media_type) && strcmp(inner, media_type) != 0)
		return error_set(err, E_CORRUPT,
				 "manifest says it is %.100s but was served as %.100s",
				 inner, media_type);
	index = has(doc, "manifests");
	image = has(doc, "layers") || has(doc, "config");
	if (index == image)
		return error_set(err, E_CORRUPT, "manifest has %s",
				 index ? "both manifests and layers"
				       : "neither manifests nor layers");
	if (!inner)
		inner = media_type;
	if (manifest_type_known(inner) && index_type_known(inner) != index)
		return error_set(err, E_CORRUPT, "manifest of type %s has %s", inner,
				 index ? "manifests" : "layers");
	*kind = index ? MANIFEST_INDEX : MANIFEST_IMAGE;
	return 0;
}

static int parse_layers(struct manifest *m, const cJSON *doc, struct error *err)
{
	const cJSON *list = NULL, *item;
	size_t n;

	if (json_get_array(doc, "layers", false, &list, err) < 0)
		return -1;
	n = list ? (size_t)cJSON_GetArraySize(list) : 0;
	if (n > MANIFEST_MAX_LAYERS)
		return error_set(err, E_CORRUPT, "%zu layers, more than %d", n,
				 MANIFEST_MAX_LAYERS);
	m->layers = xcalloc(n, sizeof(*m->layers));
	cJSON_ArrayForEach(item, list)
	{
		if (descriptor_parse(&m->layers[m->nlayers], item, err) < 0)
			return error_wrap(err, "layer %zu", m->nlayers);
		m->nlayers++;
	}
	return 0;
}

static int parse_image(struct manifest *m, const cJSON *doc, struct error *err)
{
	const cJSON *config = NULL;
	const char *type = NULL;

	if (has(doc, "manifests"))
		return error_set(err, E_CORRUPT, "is an index, not an image");
	if (json_get_string(doc, "mediaType", false, &type, err) < 0 ||
	    json_get_object(doc, "config", true, &config, err) < 0)
		return -1;
	if (descriptor_parse(&m->config, config, err) < 0)
		return error_wrap(err, "config");
	if (type && *type)
		m->family = is(type, MT_DOCKER_MANIFEST) ? FAMILY_DOCKER : FAMILY_OCI;
	else
		m->family = is(m->config.media_type, MT_DOCKER_CONFIG) ? FAMILY_DOCKER
								       : FAMILY_OCI;
	if (parse_layers(m, doc, err) < 0)
		return -1;
	return textmap_parse(doc, "annotations", &m->annotations, err);
}

int manifest_parse(struct manifest *m, const char *raw, size_t len, struct error *err)
{
	auto_json cJSON *doc = parse_document(raw, len, "manifest", err);

	if (!doc)
		return -1;
	if (parse_image(m, doc, err) < 0) {
		manifest_release(m);
		return error_wrap(err, "manifest");
	}
	return 0;
}

static void write_descriptor(struct buf *b, const struct descriptor *d)
{
	char text[DIGEST_TEXT];

	json_open(b, '{');
	json_key(b, "mediaType");
	json_string(b, d->media_type ? d->media_type : "");
	json_key(b, "digest");
	json_string(b, digest_text(&d->digest, text));
	json_key(b, "size");
	json_int(b, (int64_t)d->size);
	json_close(b, '}');
}

void manifest_write(const struct manifest *m, struct buf *out)
{
	json_open(out, '{');
	json_key(out, "schemaVersion");
	json_int(out, 2);
	json_key(out, "mediaType");
	json_string(out, manifest_media_type(m));
	json_key(out, "config");
	write_descriptor(out, &m->config);
	/* required by image-spec manifest.md, so also when there is none */
	json_key(out, "layers");
	json_open(out, '[');
	for (size_t i = 0; i < m->nlayers; i++)
		write_descriptor(out, &m->layers[i]);
	json_close(out, ']');
	textmap_write(out, "annotations", &m->annotations);
	json_close(out, '}');
}

/* Entries that are no images for anybody to run. */
static bool is_skipped(const cJSON *entry, const char *type)
{
	const cJSON *notes = cJSON_GetObjectItemCaseSensitive(entry, "annotations");

	if (*type && !manifest_type_known(type))
		return true;
	return has(notes, "vnd.docker.reference.type") || has(entry, "artifactType");
}

/* 1: p is the entry's platform; 0: it names none; -1. */
static int entry_platform(const cJSON *entry, struct platform *p, struct error *err)
{
	const cJSON *obj = NULL;
	const char *os = NULL, *arch = NULL, *variant = NULL;

	if (json_get_object(entry, "platform", false, &obj, err) < 0)
		return -1;
	if (!obj)
		return 0;
	if (json_get_string(obj, "os", false, &os, err) < 0 ||
	    json_get_string(obj, "architecture", false, &arch, err) < 0 ||
	    json_get_string(obj, "variant", false, &variant, err) < 0)
		return -1;
	platform_set(p, os, arch, variant);
	return 1;
}

#define MAX_LISTED 12

struct choice {
	const cJSON *entry;
	int rank;          /* smaller is better */
	struct buf listed; /* platforms that are there, for the message */
	size_t nlisted;
};

#define RANK_NO_PLATFORM 1000000

static int consider(struct choice *best, const cJSON *entry, const struct platform *want,
		    struct error *err)
{
	auto_platform struct platform have = PLATFORM_INIT;
	auto_free char *text = NULL;
	const char *type = "";
	int rank, rc;

	if (!cJSON_IsObject(entry))
		return error_set(err, E_CORRUPT, "an entry is no object");
	if (json_get_string(entry, "mediaType", false, &type, err) < 0)
		return -1;
	if (is_skipped(entry, type))
		return 0;
	rc = entry_platform(entry, &have, err);
	if (rc < 0)
		return -1;
	if (rc && !strcmp(have.os, "unknown") && !strcmp(have.arch, "unknown"))
		return 0;
	rank = rc ? platform_rank(want, &have) : RANK_NO_PLATFORM;
	if (rc && best->nlisted++ < MAX_LISTED) {
		text = platform_text(&have);
		buf_addf(&best->listed, "%s%.60s", best->nlisted > 1 ? ", " : "", text);
	}
	if (rank < 0 || (best->entry && rank >= best->rank))
		return 0;
	best->entry = entry;
	best->rank = rank;
	return 0;
}

static int no_choice(const struct choice *c, const struct platform *want,
		     struct error *err)
{
	auto_free char *text = platform_text(want);

	if (!c->nlisted)
		return error_set(err, E_MISSING,
				 "the index has no image for %s, nor any other", text);
	return error_set(err, E_MISSING, "no image for %s; there is %s%s", text,
			 c->listed.data, c->nlisted > MAX_LISTED ? ", ..." : "");
}

static int pick(const cJSON *doc, const struct platform *want, struct choice *best,
		struct descriptor *out, bool *nested, struct error *err)
{
	const cJSON *list = NULL, *entry;

	if (json_get_array(doc, "manifests", true, &list, err) < 0)
		return -1;
	cJSON_ArrayForEach(entry, list)
	{
		if (consider(best, entry, want, err) < 0)
			return -1;
	}
	if (!best->entry)
		return no_choice(best, want, err);
	if (descriptor_parse(out, best->entry, err) < 0)
		return -1;
	*nested = index_type_known(out->media_type);
	return 0;
}

int index_pick(const char *raw, size_t len, const struct platform *want,
	       struct descriptor *out, bool *nested, struct error *err)
{
	auto_json cJSON *doc = parse_document(raw, len, "index", err);
	struct choice best = {.listed = BUF_INIT};
	int rc;

	if (!doc)
		return -1;
	rc = pick(doc, want, &best, out, nested, err);
	buf_release(&best.listed);
	return rc;
}
