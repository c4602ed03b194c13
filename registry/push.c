/* From the store to a registry: blobs, then the manifest (transfer.h). */
#include <stdatomic.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/job.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/client.h"
#include "registry/origin.h"
#include "registry/store.h"
#include "registry/transfer.h"

#define MAX_WORKERS 4
#define MAX_MOUNTS 3
#define BLOCK_BYTES ((size_t)128 * 1024)

struct push {
	struct store *st;
	struct client *c;
	const struct reference *ref;
	const struct descriptor **blobs; /* each digest once, borrowed */
	size_t nblobs;
	atomic_size_t next; /* of blobs */
	struct origin *origins;
	size_t norigins;
	struct job *job;
	atomic_size_t uploaded, mounted, skipped;
	atomic_ullong bytes;
};

static char *blob_label(const char *verb, const struct descriptor *d)
{
	char hex[DIGEST_HEX];

	return xasprintf("%s sha256:%.12s", verb, digest_hex(&d->digest, hex));
}

/* 1: mounted; 0: it must be uploaded (*session may have where to); -1: interrupted. */
static int try_mount(struct push *p, const struct descriptor *d, char **session,
		     struct error *err)
{
	size_t tries = 0;

	for (size_t i = 0; i < p->norigins && tries < MAX_MOUNTS && !*session; i++) {
		const struct origin *o = &p->origins[i];
		struct error why = ERROR_INIT;
		int rc;

		if (strcmp(o->ref->host, p->ref->host) != 0 ||
		    reference_same_repository(o->ref, p->ref) ||
		    !origin_may_have(o, &d->digest))
			continue;
		tries++;
		rc = client_mount_blob(p->c, p->ref, &d->digest, o->ref->path, session,
				       p->job, &why);
		if (rc > 0)
			return 1;
		if (job_check(p->job, err) < 0)
			return -1;
		if (rc < 0) /* no right to read there, or no mounts: an upload will do */
			log_debug("mount from %s: %s", o->ref->path, why.msg);
	}
	return 0;
}

static int copy_into(struct push *p, struct source *src, struct blob_writer *w,
		     struct progress_transfer *t, struct error *err)
{
	auto_free char *block = xmalloc(BLOCK_BYTES);
	ssize_t n;

	while ((n = source_read(src, block, BLOCK_BYTES, err)) > 0) {
		progress_transfer_add(t, (uint64_t)n);
		if (job_check(p->job, err) < 0 ||
		    blob_writer_add(w, block, (size_t)n, err) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

/* Fetches a blob that the store lacks: 1; 0: nobody has it; -1. */
static int fetch_blob(struct push *p, const struct descriptor *d, struct error *err)
{
	struct source *src = origins_open(p->origins, p->norigins, p->c, NULL, d, p->job);
	auto_free char *what = blob_label("pull", d);
	struct progress_transfer *t;
	struct blob_writer *w;
	int rc;

	if (!src)
		return job_check(p->job, err);
	w = blob_writer_open(p->st, err);
	if (!w) {
		source_close(src);
		return -1;
	}
	t = progress_transfer_start(what, d->size);
	rc = copy_into(p, src, w, t, err);
	progress_transfer_end(t, !rc);
	source_close(src);
	if (!rc)
		return blob_writer_commit(w, &d->digest, err) < 0 ? -1 : 1;
	blob_writer_abort(w);
	return -1;
}

/* A verified blob's fd from the store, fetched into it first where it must be. */
static int open_blob(struct push *p, const struct descriptor *d, struct error *err)
{
	struct error why = ERROR_INIT;
	int rc = store_check(p->st, &d->digest, d->size, &why);

	if (rc < 0 && (why.kind == E_MISSING || why.kind == E_CORRUPT)) {
		rc = fetch_blob(p, d, err);
		if (rc < 0)
			return -1;
		if (!rc) {
			error_hint(&why, "pull or build the image again");
			rc = -1;
		}
	}
	if (rc < 0) {
		if (err)
			*err = why;
		return -1;
	}
	return store_get(p->st, &d->digest, NULL, err);
}

static void add_progress(void *ctx, uint64_t bytes)
{
	progress_transfer_add(ctx, bytes);
}

/* session is taken. */
static int upload(struct push *p, const struct descriptor *d, char *session,
		  struct error *err)
{
	auto_fd int fd = open_blob(p, d, err);
	auto_free char *what = blob_label("push", d);
	struct progress_transfer *t;
	int rc;

	if (fd < 0) {
		free(session);
		return -1;
	}
	t = progress_transfer_start(what, d->size);
	rc = client_put_blob(p->c, p->ref, &d->digest, fd, NULL, d->size, session,
			     add_progress, t, p->job, err);
	progress_transfer_end(t, !rc);
	if (rc < 0)
		return -1;
	atomic_fetch_add(&p->uploaded, 1);
	atomic_fetch_add(&p->bytes, d->size);
	return 0;
}

static int push_blob(struct push *p, const struct descriptor *d, struct error *err)
{
	char *session = NULL;
	int rc = client_has_blob(p->c, p->ref, &d->digest, p->job, err);

	if (rc < 0)
		return -1;
	if (rc) {
		atomic_fetch_add(&p->skipped, 1);
		return 0;
	}
	rc = try_mount(p, d, &session, err);
	if (!rc)
		return upload(p, d, session, err);
	free(session);
	if (rc > 0)
		atomic_fetch_add(&p->mounted, 1);
	return rc < 0 ? -1 : 0;
}

static int work(struct job *job, void *arg, struct error *err)
{
	struct push *p = arg;
	char text[DIGEST_TEXT];

	for (;;) {
		size_t at = atomic_fetch_add(&p->next, 1);

		if (at >= p->nblobs)
			return 0;
		if (job_check(job, err) < 0)
			return -1;
		if (push_blob(p, p->blobs[at], err) == 0)
			continue;
		digest_text(&p->blobs[at]->digest, text);
		/* another worker's failure comes back as it was */
		if (job_cancelled(job) || !err || strstr(err->msg, text))
			return -1;
		return error_wrap(err, "blob %s", text);
	}
}

static void add_blob(struct push *p, const struct descriptor *d)
{
	for (size_t i = 0; i < p->nblobs; i++)
		if (digest_equal(&p->blobs[i]->digest, &d->digest))
			return;
	p->blobs[p->nblobs++] = d;
}

static int push_blobs(struct push *p, const struct manifest *m, struct error *err)
{
	struct job job;
	int rc;

	p->blobs = xcalloc(m->nlayers + 1, sizeof(*p->blobs));
	for (size_t i = 0; i < m->nlayers; i++)
		add_blob(p, &m->layers[i]);
	add_blob(p, &m->config);
	p->job = &job;
	job_init(&job, NULL);
	for (size_t i = 0; i < MAX_WORKERS && i < p->nblobs; i++)
		job_start(&job, work, p);
	rc = job_wait(&job, err);
	free(p->blobs);
	return rc;
}

/* A registry with immutable tags refuses even what it has: then all is well. */
static bool is_there_already(struct push *p, const struct digest *d)
{
	struct digest there = {0};

	return client_has_manifest(p->c, p->ref, &there, NULL, NULL) == 1 &&
	       digest_equal(&there, d);
}

static int push_manifest(struct push *p, const struct manifest *m,
			 const struct descriptor *desc, const struct buf *raw,
			 struct error *err)
{
	const char *type = manifest_type_known(desc->media_type) ? desc->media_type
								 : manifest_media_type(m);
	struct error why = ERROR_INIT;

	if (!client_put_manifest(p->c, p->ref, type, raw, &desc->digest, NULL, &why))
		return 0;
	if (why.kind == E_FAILED && is_there_already(p, &desc->digest))
		return 0;
	if (err)
		*err = why;
	return error_wrap(err, "manifest");
}

static int push_all(struct push *p, const struct manifest *m,
		    const struct descriptor *desc, struct error *err)
{
	auto_buf struct buf raw = BUF_INIT;

	if (store_read(p->st, &desc->digest, MANIFEST_MAX_BYTES, &raw, err) < 0)
		return -1;
	if (raw.len != desc->size)
		return error_set(err, E_CORRUPT, "the manifest has %zu bytes, not %llu",
				 raw.len, (unsigned long long)desc->size);
	if (push_blobs(p, m, err) < 0)
		return -1;
	return push_manifest(p, m, desc, &raw, err);
}

int push_image(struct store *st, struct client *c, const struct reference *ref,
	       const struct manifest *m, const struct descriptor *desc,
	       const struct reference *origins, size_t norigins, struct push_result *out,
	       struct error *err)
{
	auto_reference struct reference full = REFERENCE_INIT;
	auto_free char *name = NULL;
	struct push p = {.st = st, .c = c, .ref = &full, .norigins = norigins};
	int rc;

	reference_copy(&full, ref);
	reference_complete(&full);
	p.origins = origins_load(st, origins, norigins);
	rc = push_all(&p, m, desc, err);
	origins_free(p.origins, norigins);
	if (rc < 0) {
		name = reference_familiar(&full);
		return error_wrap(err, "push %s", name);
	}
	if (out)
		*out = (struct push_result){.digest = desc->digest,
					    .uploaded = p.uploaded,
					    .mounted = p.mounted,
					    .skipped = p.skipped,
					    .bytes = p.bytes};
	return 0;
}
