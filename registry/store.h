/*
 * store.h - images and blobs kept on this machine
 *
 * A store is an OCI image layout directory (hod-store(5)), with hod's caches
 * beside the layout's own files.  The same code reads and writes other layouts
 * (`-o oci:DIR`, `--build-context NAME=oci-layout://DIR`): those have no caches and no
 * format file.
 *
 * A blob that can be seen is whole and matches its name: writers fill a temporary
 * file and rename it last.  index.json changes under a lock.  Manifests and
 * configs are durable before index.json names them (one syncfs).
 * Many processes may share a store; any thread may use one.
 */
#ifndef HOD_STORE_H
#define HOD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/manifest.h"

struct error;
struct store;
struct tmpdir;

#define STORE_FORMAT 1

/* The root of hod: made if missing (parents too, mode 0700), with layout files, cache
 * folders and the format number in `hod-format`; a higher number is E_INPUT with a
 * hint.  Sweeps dead temporaries. */
struct store *store_open(const char *path, struct error *err);
/* A foreign layout.  create: made when missing, parents too.  Without create
 * nothing is written until something is put; a folder that is no layout is E_INPUT. */
struct store *store_open_layout(const char *path, bool create, struct error *err);
void store_close(struct store *st); /* NULL is fine */
int store_dirfd(const struct store *st);
const char *store_path(const struct store *st); /* as it was opened, for messages */
/* Of the root; of a layout NULL until something was put into it. */
struct tmpdir *store_tmpdir(struct store *st);

/* A new read-only fd of the blob, -1 and E_MISSING if it is not here.  *size may be
 * NULL.  The content is not verified: see source_verify, store_check. */
int store_get(struct store *st, const struct digest *d, uint64_t *size,
	      struct error *err);
bool store_has(struct store *st, const struct digest *d);
/* Verifies size and digest of a blob; what this process wrote or verified before is not
 * read again.  Damaged: E_CORRUPT, and hod's root drops it.  Not here: E_MISSING. */
int store_check(struct store *st, const struct digest *d, uint64_t size,
		struct error *err);
/* Removes a blob that was found damaged, from hod's root only; a good one that another
 * process has put in its place stays (fd: the one that was read). */
void store_drop(struct store *st, const struct digest *d, int fd);
/* How many damaged blobs this process removed: work that failed for them can be done
 * again. */
unsigned store_dropped(const struct store *st);
/* The whole blob, at most max bytes, appended to out, verified against d (a mismatch
 * removes it: E_CORRUPT).  E_MISSING. */
int store_read(struct store *st, const struct digest *d, size_t max, struct buf *out,
	       struct error *err);
/* Bytes in memory; *d (may be NULL) gets what they hash to. */
int store_put_bytes(struct store *st, const void *data, size_t len, struct digest *d,
		    struct error *err);

/* A blob being written; the digest is known at the end.  One thread at a time. */
struct blob_writer;
struct blob_writer *blob_writer_open(struct store *st, struct error *err);
int blob_writer_add(struct blob_writer *w, const void *data, size_t len,
		    struct error *err);
/* Verifies nothing: d is what the caller hashed.  Frees w, also on -1. */
int blob_writer_commit(struct blob_writer *w, const struct digest *d, struct error *err);
void blob_writer_abort(struct blob_writer *w);          /* NULL is fine */
uint64_t blob_writer_size(const struct blob_writer *w); /* bytes added so far */
/* Copies a blob from one store to another, by reflink where both can, and verifies it.
 * Nothing to do when `to` has it. */
int store_copy_blob(struct store *to, struct store *from, const struct digest *d,
		    struct error *err);

/* Names: index.json's entries with org.opencontainers.image.ref.name.  In hod's root a
 * name is the whole reference (host/path:tag), in other layouts a plain tag.  A bad
 * index.json is E_CORRUPT with its path and what to do.  (skopeo's oci: transport finds
 * only entries of the OCI family.) */
struct store_image {
	char *name;                 /* NULL when it has none */
	struct descriptor manifest; /* of the manifest or index */
	char *platform;             /* "linux/amd64" or NULL */
	char *created; /* hod's own annotation: when it was named (RFC 3339), or NULL */
};
/* All entries in order.  *out: n entries, store_images_free. */
int store_images(struct store *st, struct store_image **out, size_t *n,
		 struct error *err);
void store_images_free(struct store_image *v, size_t n);
/* One by exact name: 1 found, 0 not, -1. */
int store_find(struct store *st, const char *name, struct descriptor *out,
	       struct error *err);
/* By manifest digest or config digest, or a unique hex prefix (>= 4 digits, with or
 * without "sha256:") of one: 1, 0, -1 (ambiguous: E_INPUT).  *name (may be NULL) gets
 * one of its names or NULL; yours. */
int store_find_id(struct store *st, const char *hex_prefix, struct descriptor *out,
		  char **name, struct error *err);
/* Names a manifest (or index); the same name is replaced.  An entry that loses its name
 * stays as an unnamed one in hod's root and goes in a foreign layout; all other entries
 * and unknown fields stay.  The manifest's blob must be there: it and what it
 * names directly (config, children) are durable before index.json says so.
 * platform ("linux/amd64") may be NULL.  name NULL: only makes it reachable. */
int store_tag(struct store *st, const char *name, const struct descriptor *manifest,
	      const char *platform, struct error *err);

#endif
