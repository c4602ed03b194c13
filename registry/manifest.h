/*
 * manifest.h - manifests, indexes, image configs: read, check, choose, write
 *
 * Both families: OCI (image-spec) and docker schema 2.  Schema 1, foreign
 * layers and mixed families in what hod writes are refused.  Values own their
 * strings; release them.
 */
#ifndef HOD_MANIFEST_H
#define HOD_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/image_config.h"
#include "registry/platform.h"

struct error;

#define MT_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MT_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MT_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MT_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define MT_OCI_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define MT_OCI_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define MT_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MT_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MT_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MT_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define MT_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define MT_DOCKER_LAYER_ZSTD "application/vnd.docker.image.rootfs.diff.tar.zstd"

#define MANIFEST_MAX_BYTES (4u << 20)
#define MANIFEST_MAX_LAYERS 1000

enum family { FAMILY_OCI, FAMILY_DOCKER };

struct descriptor {
	char *media_type;
	struct digest digest;
	uint64_t size;
};
void descriptor_release(struct descriptor *d);
void descriptor_copy(struct descriptor *to, const struct descriptor *from);
/* Reads mediaType, digest and size; E_CORRUPT.  d must be empty. */
struct cJSON;
int descriptor_parse(struct descriptor *d, const struct cJSON *obj, struct error *err);
#define auto_descriptor __attribute__((cleanup(descriptor_release)))

/* One image's manifest. */
struct manifest {
	enum family family;
	struct descriptor config;
	struct descriptor *layers;
	size_t nlayers;
	struct strv annotations; /* "key=value" */
};
#define MANIFEST_INIT \
	{             \
		0     \
	}
void manifest_release(struct manifest *m);
void manifest_copy(struct manifest *to, const struct manifest *from);
#define auto_manifest __attribute__((cleanup(manifest_release)))

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX };
/* What the bytes are, by media type (may be NULL, or one that says nothing, such as
 * application/json) and body, which must agree (distribution-spec, "Pulling
 * manifests").  E_CORRUPT when they do not or the body has the fields of both or of
 * neither; E_INPUT for schema 1. */
int manifest_kind(const char *media_type, const char *raw, size_t len,
		  enum manifest_kind *kind, struct error *err);
/* Reads an image's manifest; m must be empty and stays so on failure.  The types of
 * config and layers are kept as they are: see config_type_known, layer_type_known. */
int manifest_parse(struct manifest *m, const char *raw, size_t len, struct error *err);
/* The family's manifest media type. */
const char *manifest_media_type(const struct manifest *m);
/* hod-layers(5), JSON: schemaVersion, mediaType, config, layers, annotations
 * (sorted); descriptors as mediaType, digest, size.  Appends to out. */
void manifest_write(const struct manifest *m, struct buf *out);

/* Chooses an image of an index for a platform: attestations, unknown
 * platforms and non-images are skipped; the best variant, of equals the first, wins;
 * an entry without a platform is the last choice.  *nested is set when the chosen
 * entry is itself an index.  E_MISSING names the platforms that are there. */
int index_pick(const char *raw, size_t len, const struct platform *want,
	       struct descriptor *out, bool *nested, struct error *err);

/* The type that says the same in a family: a manifest mixes none.  NULL when
 * the family has no such type. */
const char *layer_type_in(enum family f, const char *media_type);
/* Media types by family: layer type for gzip, config, manifest. */
const char *family_layer_type(enum family f);
const char *family_config_type(enum family f);
const char *family_manifest_type(enum family f);
/* True for a layer type that trees can be read from (tar, gzip, zstd; both families). */
bool layer_type_known(const char *media_type);
/* True for a layer whose bytes are kept elsewhere (foreign, non-distributable). */
bool layer_type_foreign(const char *media_type);
bool config_type_known(const char *media_type);
bool manifest_type_known(const char *media_type); /* image or index, both families */
bool index_type_known(const char *media_type);

#endif
