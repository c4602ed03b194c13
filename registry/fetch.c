/* Layers: network -> verify -> store, with a branch inflate -> verify -> reader
 * (transfer.h). */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/job.h"
#include "registry/base/log.h"
#include "registry/base/restart.h"
#include "registry/base/stream.h"
#include "registry/client.h"
#include "registry/origin.h"
#include "registry/points.h"
#include "registry/store.h"
#include "registry/transfer.h"

#define MAX_WORKERS 4
#define DRAIN_BYTES ((size_t)64 * 1024)

struct fetch {
	const struct image *im;
	struct store *st;
	struct client *c;
	const bool *need;
	layer_reader *reader;
	void *ctx;
	struct job *job;
	size_t *first; /* layers with digests of their own, each the first of its kind */
	size_t nfirst;
	atomic_size_t next;   /* of first */
	pthread_mutex_t lock; /* of what follows */
	bool origins_loaded;
	struct reference *refs;
	size_t nrefs;
	struct origin *origins;
};

/* Ends a pipe when the job is cancelled, and draws its progress. */
struct watch_source {
	struct source base;
	struct source *inner;
	struct job *job;
	struct progress_transfer *progress; /* NULL: not drawn */
};

static ssize_t watch_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct watch_source *w = (struct watch_source *)s;
	ssize_t n;

	if (job_check(w->job, err) < 0)
		return -1;
	n = source_read(w->inner, buf, len, err);
	if (n > 0 && w->progress)
		progress_transfer_add(w->progress, (uint64_t)n);
	return n;
}

static void watch_close(struct source *s)
{
	source_close(((struct watch_source *)s)->inner);
	free(s);
}

static struct source *watch(struct source *inner, struct job *job,
			    struct progress_transfer *progress)
{
	static const struct source_ops ops = {watch_read, watch_close};
	struct watch_source *w = xmalloc(sizeof(*w));

	*w = (struct watch_source){{&ops}, inner, job, progress};
	return &w->base;
}

/* A tee's branch into a blob_writer, which the caller commits or aborts. */
struct blob_sink {
	struct sink base;
	struct blob_writer *writer;
};

static int blob_sink_write(struct sink *s, const void *data, size_t len,
			   struct error *err)
{
	return blob_writer_add(((struct blob_sink *)s)->writer, data, len, err);
}

static const struct sink_ops blob_sink_ops = {.write = blob_sink_write};

static int drain(struct source *src, struct error *err)
{
	auto_free char *block = xmalloc(DRAIN_BYTES);
	ssize_t n;

	while ((n = source_read(src, block, DRAIN_BYTES, err)) > 0)
		;
	return n < 0 ? -1 : 0;
}

/* What looks like bad gzip may be a blob that is not the one it should be: its
 * digest, known at its end, says which. */
static void find_cause(struct source *compressed, struct error *err)
{
	struct error why = ERROR_INIT;

	if (err->kind == E_CORRUPT && drain(compressed, &why) < 0 &&
	    why.kind == E_CORRUPT)
		*err = why;
}

/* Reads a compressed layer (taken) to its end, through the reader.  Its restart points,
 * unless it stays in a layout, are for the caller to keep when all is well. */
static int read_layer(struct fetch *f, size_t i, struct source *compressed,
		      struct points *points, struct error *err)
{
	const struct digest *want = &f->im->config.diff_ids[i];
	char a[DIGEST_TEXT], b[DIGEST_TEXT];
	struct digest got = {0};
	struct source *tar;
	int rc;

	if (!f->im->layout)
		points_begin(points, f->st, &f->im->manifest.layers[i].digest);
	tar = source_hash(source_inflate_noting(compressed, points->writer), &got);
	rc = f->reader ? f->reader(f->ctx, i, tar, err) : 0;
	if (!rc)
		rc = drain(tar, err);
	if (rc < 0)
		find_cause(compressed, err);
	source_close(tar);
	if (rc < 0)
		return -1;
	if (digest_equal(&got, want))
		return 0;
	return error_set(err, E_CORRUPT, "its tar hashes to %s, the config says %s",
			 digest_text(&got, a), digest_text(want, b));
}

/* An open blob as a source that verifies it; fd stays the caller's. */
static struct source *verified(int fd, const struct descriptor *d, struct error *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0 || lseek(copy, 0, SEEK_SET) < 0) {
		error_errno(err, "cannot read the blob");
		if (copy >= 0)
			close(copy);
		return NULL;
	}
	return source_verify(source_fd(copy), &d->digest, d->size, false);
}

/* Whether the bytes themselves are bad, and not what they say. */
static bool is_damaged(int fd, const struct descriptor *d)
{
	struct error err = ERROR_INIT;
	struct source *src = verified(fd, d, &err);
	int rc = src ? drain(src, &err) : 0;

	source_close(src);
	return rc < 0 && err.kind == E_CORRUPT;
}

static int fail(struct error *err, const struct error *why)
{
	if (err)
		*err = *why;
	return -1;
}

/* 1: read from the store's or layout's own blob; 0: it has none that is good; -1. */
static int from_store(struct fetch *f, size_t i, struct store *from, struct error *err)
{
	const struct descriptor *d = &f->im->manifest.layers[i];
	char text[DIGEST_TEXT];
	struct error why = ERROR_INIT;
	auto_fd int fd = store_get(from, &d->digest, NULL, &why);
	auto_points struct points points = POINTS_INIT;
	struct source *src;

	if (fd < 0 && why.kind == E_MISSING)
		return 0;
	if (fd < 0)
		return fail(err, &why);
	src = verified(fd, d, err);
	if (!src)
		return -1;
	if (!read_layer(f, i, watch(src, f->job, NULL), &points, &why)) {
		points_commit(&points, f->st, &d->digest);
		return 1;
	}
	if (why.kind == E_CORRUPT && is_damaged(fd, d)) {
		log_warn("layer %s in %s is damaged", digest_text(&d->digest, text),
			 store_path(from));
		store_drop(from, &d->digest, fd);
		return 0;
	}
	return fail(err, &why);
}

static void load_origins(struct fetch *f)
{
	pthread_mutex_lock(&f->lock);
	if (!f->origins_loaded) {
		store_origins(f->st, &f->im->manifest, &f->refs, &f->nrefs, NULL);
		f->origins = origins_load(f->st, f->refs, f->nrefs);
		f->origins_loaded = true;
	}
	pthread_mutex_unlock(&f->lock);
}

/* From the image's own repository, else from another one that has it. */
static struct source *open_remote(struct fetch *f, const struct descriptor *d,
				  struct error *err)
{
	const struct reference *own = f->im->ref.host ? &f->im->ref : NULL;
	struct error why = ERROR_INIT;
	struct source *src = NULL;

	if (!f->c) {
		error_set(err, E_MISSING, "is not in %s", store_path(f->st));
		return NULL;
	}
	if (own)
		src = client_get_blob(f->c, own, &d->digest, d->size, f->job, &why);
	else
		error_set(&why, E_MISSING, "is not in %s", store_path(f->st));
	/* registries hide what does not exist behind a refusal */
	if (!src && (why.kind == E_MISSING || why.kind == E_AUTH)) {
		load_origins(f);
		src = origins_open(f->origins, f->nrefs, f->c, own, d, f->job);
	}
	if (!src && err)
		*err = why;
	return src;
}

/* Reads a remote blob (taken) into the store, through the reader. */
static int keep_layer(struct fetch *f, size_t i, struct source *remote, struct error *err)
{
	const struct descriptor *d = &f->im->manifest.layers[i];
	struct blob_sink sink = {{&blob_sink_ops}, blob_writer_open(f->st, err)};
	auto_points struct points points = POINTS_INIT;

	if (!sink.writer) {
		source_close(remote);
		return -1;
	}
	if (read_layer(f, i, source_tee(remote, &sink.base), &points, err) < 0) {
		blob_writer_abort(sink.writer);
		return -1;
	}
	/* source_verify saw all of it, unless a stage stopped early */
	if (blob_writer_size(sink.writer) != d->size) {
		blob_writer_abort(sink.writer);
		return error_set(err, E_CORRUPT, "has bytes after its compressed end");
	}
	if (blob_writer_commit(sink.writer, &d->digest, err) < 0)
		return -1;
	points_commit(&points, f->st, &d->digest);
	return 0;
}

static int fetch_remote(struct fetch *f, size_t i, struct error *err)
{
	const struct descriptor *d = &f->im->manifest.layers[i];
	char hex[DIGEST_HEX], what[64];
	struct progress_transfer *progress;
	struct source *src = open_remote(f, d, err);
	int rc;

	if (!src)
		return -1;
	snprintf(what, sizeof(what), "pull sha256:%.12s", digest_hex(&d->digest, hex));
	progress = progress_transfer_start(what, d->size);
	rc = keep_layer(f, i, watch(src, f->job, progress), err);
	progress_transfer_end(progress, !rc);
	return rc;
}

static int fetch_layer(struct fetch *f, size_t i, struct error *err)
{
	struct store *from = f->im->layout ? f->im->layout : f->st;
	int rc = from_store(f, i, from, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (f->im->layout)
		return error_set(err, E_CORRUPT, "is not in %s, or damaged",
				 store_path(from));
	return fetch_remote(f, i, err);
}

/* One blob and all layers that it is: the second of its kind finds it in the store. */
static int fetch_group(struct fetch *f, size_t first, struct error *err)
{
	const struct manifest *m = &f->im->manifest;
	char text[DIGEST_TEXT];

	for (size_t i = first; i < m->nlayers; i++) {
		if ((f->need && !f->need[i]) ||
		    !digest_equal(&m->layers[i].digest, &m->layers[first].digest))
			continue;
		if (fetch_layer(f, i, err) < 0) {
			/* another worker's failure comes back as it was */
			if (job_cancelled(f->job))
				return -1;
			return error_wrap(err, "layer %s",
					  digest_text(&m->layers[i].digest, text));
		}
	}
	return 0;
}

static int work(struct job *job, void *arg, struct error *err)
{
	struct fetch *f = arg;

	for (;;) {
		size_t at = atomic_fetch_add(&f->next, 1);

		if (at >= f->nfirst)
			return 0;
		if (job_check(job, err) < 0 || fetch_group(f, f->first[at], err) < 0)
			return -1;
	}
}

static bool is_repeated(const struct fetch *f, size_t i)
{
	const struct manifest *m = &f->im->manifest;

	for (size_t k = 0; k < f->nfirst; k++)
		if (digest_equal(&m->layers[f->first[k]].digest, &m->layers[i].digest))
			return true;
	return false;
}

static void list_work(struct fetch *f)
{
	size_t n = f->im->manifest.nlayers;

	f->first = xcalloc(n, sizeof(*f->first));
	for (size_t i = 0; i < n; i++)
		if ((!f->need || f->need[i]) && !is_repeated(f, i))
			f->first[f->nfirst++] = i;
}

int image_fetch_layers(struct image *im, struct store *st, struct client *c,
		       const bool *need, layer_reader *reader, void *ctx,
		       struct error *err)
{
	struct job job;
	struct fetch f = {.im = im,
			  .st = st,
			  .c = c,
			  .need = need,
			  .reader = reader,
			  .ctx = ctx,
			  .job = &job,
			  .lock = PTHREAD_MUTEX_INITIALIZER};
	auto_free char *name = NULL;
	int rc;

	list_work(&f);
	job_init(&job, NULL);
	for (size_t i = 0; i < MAX_WORKERS && i < f.nfirst; i++)
		job_start(&job, work, &f);
	rc = job_wait(&job, err);
	free(f.first);
	origins_free(f.origins, f.nrefs);
	references_free(f.refs, f.nrefs);
	pthread_mutex_destroy(&f.lock);
	if (!rc)
		return 0;
	if (im->layout)
		return error_wrap(err, "image layout %s", store_path(im->layout));
	if (im->ref.host)
		name = reference_familiar(&im->ref);
	return name ? error_wrap(err, "pull %s", name) : -1;
}

static bool has_whole(struct store *st, const struct descriptor *d)
{
	uint64_t size = 0;
	auto_fd int fd = store_get(st, &d->digest, &size, NULL);

	return fd >= 0 && size == d->size;
}

static int copy_from_layout(struct image *im, struct store *st, struct error *err)
{
	if (store_copy_blob(st, im->layout, &im->desc.digest, err) < 0 ||
	    store_copy_blob(st, im->layout, &im->manifest.config.digest, err) < 0)
		return -1;
	for (size_t i = 0; i < im->manifest.nlayers; i++)
		if (store_copy_blob(st, im->layout, &im->manifest.layers[i].digest, err) <
		    0)
			return -1;
	return 0;
}

int image_complete(struct image *im, struct store *st, struct client *c,
		   struct error *err)
{
	auto_free bool *need = NULL;
	bool any = false;

	if (im->layout) {
		if (copy_from_layout(im, st, err) < 0)
			return error_wrap(err, "image layout %s", store_path(im->layout));
		return 0;
	}
	need = xcalloc(im->manifest.nlayers, sizeof(*need));
	for (size_t i = 0; i < im->manifest.nlayers; i++) {
		need[i] = !has_whole(st, &im->manifest.layers[i]);
		any |= need[i];
	}
	return any ? image_fetch_layers(im, st, c, need, NULL, NULL, err) : 0;
}
