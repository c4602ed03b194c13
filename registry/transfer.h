/*
 * transfer.h - between registries and the store: pull and push of whole images
 *
 * Its parts: resolve.c (name to manifest and config), fetch.c (layers), push.c,
 * origin.c (other repositories that may have a blob).
 *
 * pull: manifest (platform chosen) and config are fetched and kept; layers only
 * as far as the caller asks, at most 4 at once, each one pipe: network -> verify
 * -> store, with a branch inflate -> verify diff_id -> the caller's reader.
 * push: blobs the target has are skipped (HEAD), those of another repository of
 * the same registry are mounted, the rest uploaded, at most 4 at once; the
 * manifest goes last, then its tag's digest is compared.
 */
#ifndef HOD_TRANSFER_H
#define HOD_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/manifest.h"
#include "registry/reference.h"

struct client;
struct error;
struct source;
struct store;

/* A resolved image: what later steps need to know of a base. */
struct image {
	struct reference
		ref; /* where it came from, completed; host NULL: a layout, scratch */
	struct descriptor desc; /* of its manifest */
	struct manifest manifest;
	struct image_config config;
	struct store *layout; /* not NULL: layers are in this foreign layout (borrowed) */
};
#define IMAGE_INIT \
	{          \
		0  \
	}
void image_release(struct image *im);
#define auto_image __attribute__((cleanup(image_release)))

enum pull_policy { PULL_IF_MISSING, PULL_ALWAYS, PULL_NEVER };

/* Resolves ref: from the store when it has it for that platform (unless PULL_ALWAYS),
 * else from the registry, index -> platform -> manifest -> config; manifest and
 * config are kept in the store under the reference's name.  No layer is fetched.
 * want_explicit: the user asked for the platform, so that an image of another one is
 * refused (E_MISSING); else it is taken with a warning.  Layers of a type that cannot be
 * read are E_INPUT, by name.  c may be NULL with PULL_NEVER.  im must be empty
 * and stays so on failure. */
int image_resolve(struct image *im, struct store *st, struct client *c,
		  const struct reference *ref, const struct platform *want,
		  bool want_explicit, enum pull_policy policy, struct error *err);
/* The same from a layout; tag NULL: its only image, or its only one for the platform.
 * An image of another platform is taken with a warning. */
int image_from_layout(struct image *im, struct store *layout, const char *tag,
		      const struct platform *want, struct error *err);

/* Called on a worker thread with layer i's uncompressed tar; reads src to its end or
 * fails.  src stays the caller's (not yours to close).  What was read is verified only
 * after the end: keep nothing before image_fetch_layers succeeded.  When the store's
 * copy turns out damaged it is called a second time for the same i, and starts over. */
typedef int layer_reader(void *ctx, size_t i, struct source *src, struct error *err);

/* For each i with need[i] (need NULL: all): streams layer i's tar through reader, from
 * the layout or the store's blob when it is there, else from the registry, or, where that
 * has none, from others that the store knows to have it; then the blob is kept.
 * Compressed digest, size and diff_id are verified (E_CORRUPT); a damaged blob of
 * the store is dropped and fetched again.  Restart points are noted on the way
 * (points.h).  reader may be NULL: fetch only.  At most 4 layers at once; c may be NULL:
 * nothing is fetched (E_MISSING). */
int image_fetch_layers(struct image *im, struct store *st, struct client *c,
		       const bool *need, layer_reader *reader, void *ctx,
		       struct error *err);
/* Makes sure that manifest, config and all layers of the image are in the store. */
int image_complete(struct image *im, struct store *st, struct client *c,
		   struct error *err);

struct push_result {
	struct digest digest;              /* of the manifest */
	size_t uploaded, mounted, skipped; /* blobs */
	uint64_t bytes;                    /* of uploaded bodies */
};
/* Pushes the store's manifest `desc` (parsed as m) and its blobs to ref (tag, or latest).
 * Blobs missing or damaged in the store are fetched from `origins`, references of images
 * that may contain them (also the mount sources on the same registry).  A blob
 * whose size or digest is wrong is never sent.  out (may be NULL) is filled on success.
 */
int push_image(struct store *st, struct client *c, const struct reference *ref,
	       const struct manifest *m, const struct descriptor *desc,
	       const struct reference *origins, size_t norigins, struct push_result *out,
	       struct error *err);
/* References of the store's named images that have any of m's layers: for push_image's
 * origins.  *out: n references, for references_free. */
int store_origins(struct store *st, const struct manifest *m, struct reference **out,
		  size_t *n, struct error *err);
void references_free(struct reference *v, size_t n);

#endif
