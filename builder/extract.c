#include "builder/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "builder/copy.h"
#include "builder/rootfs/content.h"
#include "builder/rootfs/index.h"
#include "builder/rootfs/layer_source.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/treeload.h"
#include "builder/stage.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/job.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/points.h"
#include "registry/store.h"

#define RUN_WORKERS 4 /* each has one stretch of a layer in memory */

/* One wanted content: where it is, and where it goes in the spool. */
struct item {
	size_t layer;    /* of the stage */
	uint64_t header; /* of its tar */
	uint64_t size;
	uint64_t offset; /* in the spool */
	size_t node;     /* index in the caller's list */
};

/* All contents of one layer, unique by header. */
struct wanted {
	uint64_t *headers;
	struct item **items;
	uint64_t *done; /* bytes that came so far */
	size_t n;
	bool by_points; /* its runs bring all of it */
	atomic_bool by_points_failed;
};

/* Wanted contents of one layer with no restart point between them. */
struct run {
	size_t layer, first, n;
};

struct extraction {
	struct stage_state *stage;
	int fd;
	struct wanted *layers; /* by layer of the stage */
	struct run *runs;
	size_t nruns, cap_runs;
	atomic_size_t next_run;
};

struct spool {
	struct tmp tmp;
	struct disk_root root;
};

static int by_place(const void *va, const void *vb)
{
	const struct item *a = va, *b = vb;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	return a->header < b->header ? -1 : a->header > b->header;
}

static int layer_of(const struct stage_state *s, const struct digest *diff_id,
		    size_t *out, struct error *err)
{
	for (size_t i = 0; i < s->nlayers; i++) {
		if (digest_equal(&s->layers[i].diff_id, diff_id)) {
			*out = i;
			return 0;
		}
	}
	return error_set(err, E_BUG, "a file's layer is not part of its stage");
}

static int write_at(int fd, const char *p, size_t len, uint64_t offset, struct error *err)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "cannot write a temporary file");
		offset += (uint64_t)n;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool is_zero(const char *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* What layer_put needs of one pass over a layer. */
struct pass {
	struct wanted *wanted;
	size_t first; /* of wanted, is number 0 here */
	int fd;
	struct job *job; /* NULL: the source sees interrupts */
};

/* layer_put: the next bytes of one content.  The spool has its full length already: what
 * is not written is a hole there, and zeros pack so well that a small layer could
 * otherwise fill the disk with them. */
static int put_bytes(void *ctx, size_t i, const void *bytes, size_t len,
		     struct error *err)
{
	const struct pass *pass = ctx;
	struct wanted *w = pass->wanted;
	uint64_t offset;

	if (pass->job && job_check(pass->job, err) < 0)
		return -1;
	i += pass->first;
	offset = w->items[i]->offset + w->done[i];
	if (len > w->items[i]->size - w->done[i])
		return error_set(err, E_CORRUPT, "a file is longer than its header says");
	w->done[i] += len;
	if (!bytes || !len || is_zero(bytes, len))
		return 0;
	return write_at(pass->fd, bytes, len, offset, err);
}

static int check_sizes(const struct wanted *w, size_t first, size_t n, struct error *err)
{
	for (size_t i = first; i < first + n; i++)
		if (w->done[i] != w->items[i]->size)
			return error_set(err, E_CORRUPT,
					 "a file is shorter than its header says");
	return 0;
}

/* Makes a layer's part of the spool zeros again, when something was written there. */
static int start_over(struct extraction *x, struct wanted *w, struct error *err)
{
	const struct item *last = w->items[w->n - 1];
	uint64_t from = w->items[0]->offset, to = last->offset + last->size;
	bool dirty = false;

	for (size_t i = 0; i < w->n; i++)
		dirty |= w->done[i] > 0;
	if (!dirty)
		return 0;
	memset(w->done, 0, w->n * sizeof(*w->done));
	if (fallocate(x->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
		      (off_t)(to - from)) < 0)
		return error_errno(err, "cannot clear a temporary file");
	return 0;
}

/* Reads what is wanted of one layer, and the layer to its end. */
static int extract_layer(struct extraction *x, size_t layer, struct source *src,
			 struct error *err)
{
	struct wanted *w = &x->layers[layer];
	struct pass pass = {w, 0, x->fd, NULL};
	char rest[16384];
	ssize_t n;

	if (start_over(x, w, err) < 0 ||
	    treeload_extract(src, w->headers, w->n, put_bytes, &pass, err) < 0 ||
	    check_sizes(w, 0, w->n, err) < 0)
		return -1;
	do
		n = source_read(src, rest, sizeof(rest), err);
	while (n > 0);
	return n < 0 ? -1 : 0;
}

/* The last point at or before an offset. */
static size_t point_at(const uint64_t *points, size_t n, uint64_t offset)
{
	size_t low = 0;

	while (n - low > 1) {
		size_t mid = low + (n - low) / 2;

		if (points[mid] <= offset)
			low = mid;
		else
			n = mid;
	}
	return low;
}

/* Where a wanted content ends in the tar at the latest: a sparse one has less there than
 * its size. */
static uint64_t end_in_tar(const struct wanted *w, size_t i)
{
	uint64_t end;

	if (__builtin_add_overflow(w->headers[i], w->items[i]->size, &end))
		end = UINT64_MAX;
	return i + 1 < w->n && end > w->headers[i + 1] ? w->headers[i + 1] : end;
}

/* Plans to read a layer from its restart points on, where files are wanted; not when most
 * of it is: then it is read and verified as a whole. */
static void plan_runs(struct extraction *x, size_t layer)
{
	const struct digest *blob = &x->stage->layers[layer].desc.digest;
	struct store *st = x->stage->build->store;
	struct wanted *w = &x->layers[layer];
	size_t n, end = 0, stretches = 0, before = x->nruns;
	auto_free uint64_t *points = NULL;

	if (!store_has(st, blob))
		return;
	layer_points(st, blob, &points, &n);
	for (size_t i = 0; n > 1 && i < w->n; i++) {
		size_t start = point_at(points, n, w->headers[i]);
		size_t last = point_at(points, n, end_in_tar(w, i));

		if (i == 0 || start > end) {
			GROW(x->runs, x->nruns, x->cap_runs);
			x->runs[x->nruns++] = (struct run){layer, i, 0};
			stretches++;
			end = start;
		}
		stretches += last - end;
		end = last;
		x->runs[x->nruns - 1].n++;
	}
	w->by_points = n > 1 && stretches <= n - n / 4;
	if (!w->by_points)
		x->nruns = before;
}

static int extract_run(struct extraction *x, struct job *job, const struct run *r,
		       struct error *err)
{
	const struct descriptor *d = &x->stage->layers[r->layer].desc;
	struct wanted *w = &x->layers[r->layer];
	struct pass pass = {w, r->first, x->fd, job};
	uint64_t at;
	struct source *src = layer_source(x->stage->build->store, &d->digest, d->size,
					  w->headers[r->first], &at, err);
	int rc;

	if (!src)
		return -1;
	rc = treeload_extract_from(src, at, w->headers + r->first, r->n, put_bytes, &pass,
				   err);
	source_close(src);
	return rc < 0 ? -1 : check_sizes(w, r->first, r->n, err);
}

static int run_worker(struct job *job, void *arg, struct error *err)
{
	struct extraction *x = arg;

	for (;;) {
		size_t i = atomic_fetch_add(&x->next_run, 1);
		struct error why = ERROR_INIT;
		struct wanted *w;

		if (job_check(job, err) < 0)
			return -1;
		if (i >= x->nruns)
			return 0;
		w = &x->layers[x->runs[i].layer];
		if (w->by_points_failed || extract_run(x, job, &x->runs[i], &why) == 0)
			continue;
		if (why.kind != E_CORRUPT && why.kind != E_MISSING) {
			*err = why;
			return -1;
		}
		log_debug("layer %zu: %s", x->runs[i].layer + 1, why.msg);
		w->by_points_failed = true;
	}
}

/* Layers whose runs failed are for the pass over all of them, which verifies. */
static int from_points(struct extraction *x, struct error *err)
{
	const struct stage_state *s = x->stage;
	unsigned cpus = cpu_count();
	struct job job;

	for (size_t i = 0; i < s->nlayers; i++)
		if (x->layers[i].n)
			plan_runs(x, i);
	if (!x->nruns)
		return 0;
	job_init(&job, NULL);
	for (size_t i = 0; i < RUN_WORKERS && i < cpus && i < x->nruns; i++)
		job_start(&job, run_worker, x);
	if (job_wait(&job, err) < 0)
		return -1;
	for (size_t i = 0; i < s->nlayers; i++) {
		if (!x->layers[i].by_points_failed)
			continue;
		x->layers[i].by_points = false;
		points_drop(s->build->store, &s->layers[i].desc.digest);
	}
	return 0;
}

/* layer_reader: base layers come first in every stage, so the image's layer number
 * is the stage's. */
static int from_base(void *ctx, size_t i, struct source *src, struct error *err)
{
	return extract_layer(ctx, i, src, err);
}

static int from_layers(struct extraction *x, struct error *err)
{
	struct stage_state *s = x->stage;
	struct image *base = s->nlayers ? s->layers[0].base : NULL;
	size_t nbase = base ? base->manifest.nlayers : 0;
	auto_free bool *need = xcalloc(nbase, sizeof(*need));
	bool any = false;

	if (from_points(x, err) < 0)
		return -1;
	for (size_t i = 0; i < nbase; i++)
		any |= need[i] = x->layers[i].n > 0 && !x->layers[i].by_points;
	if (any && image_fetch_layers(base, s->build->store, s->build->client, need,
				      from_base, x, err) < 0)
		return -1;
	for (size_t i = nbase; i < s->nlayers; i++) {
		struct source *src;
		int rc;

		if (!x->layers[i].n || x->layers[i].by_points)
			continue;
		src = stage_own_layer(s, i, err);
		if (!src)
			return -1;
		rc = extract_layer(x, i, src, err);
		source_close(src);
		if (rc < 0)
			return error_wrap(err, "layer %zu", i + 1);
	}
	return 0;
}

/* Distributes the sorted items over the layers and gives them their offsets;
 * names of one inode share one.  *total is the spool's length. */
static int arrange(struct extraction *x, struct item *items, size_t n, uint64_t *total,
		   struct error *err)
{
	uint64_t offset = 0;

	for (size_t i = 0; i < n; i++) {
		struct wanted *w = &x->layers[items[i].layer];

		if (i && !by_place(&items[i - 1], &items[i])) {
			items[i].offset = items[i - 1].offset;
			continue;
		}
		if (!w->n) {
			size_t room = 1;

			while (i + room < n && items[i + room].layer == items[i].layer)
				room++;
			w->headers = xcalloc(room, sizeof(*w->headers));
			w->items = xcalloc(room, sizeof(*w->items));
			w->done = xcalloc(room, sizeof(*w->done));
		}
		items[i].offset = offset;
		if (__builtin_add_overflow(offset, items[i].size, &offset) ||
		    offset > COPY_SIZE_MAX)
			return error_set(err, E_FAILED,
					 "the files to copy hold more than 8 TiB");
		w->headers[w->n] = items[i].header;
		w->items[w->n++] = &items[i];
	}
	*total = offset;
	return 0;
}

static int by_number(const void *va, const void *vb)
{
	uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;

	return (a > b) - (a < b);
}

/* What the wanted files of a layer take on disk at most: no more than lies between their
 * headers and those of the next files, however large they are with their holes.  The
 * layer's last file counts nothing. */
static uint64_t stored_size(const struct wanted *w, const struct index *ix)
{
	auto_free uint64_t *headers = xcalloc(index_count(ix), sizeof(*headers));
	struct index_node in;
	uint64_t sum = 0;
	size_t n = 0, k = 0;

	for (uint32_t i = 0; i < index_count(ix); i++) {
		index_get(ix, i, &in);
		if (in.content.kind == CONTENT_LAYER)
			headers[n++] = in.content.layer.header;
	}
	if (n)
		qsort(headers, n, sizeof(*headers), by_number);
	for (size_t i = 0; i < w->n; i++) {
		while (k < n && headers[k] <= w->headers[i])
			k++;
		uint64_t gap = k < n ? headers[k] - w->headers[i] : 0;

		sum += gap < w->items[i]->size ? gap : w->items[i]->size;
	}
	return sum;
}

/* Gives the spool its length, and refuses at once what will not fit on the disk. */
static int make_room(const struct extraction *x, uint64_t total, struct error *err)
{
	const struct stage_state *s = x->stage;
	uint64_t need = 0, room;
	struct statvfs fs;

	if (ftruncate(x->fd, (off_t)total) < 0)
		return error_errno(err, "cannot make a temporary file of %llu bytes",
				   (unsigned long long)total);
	if (fstatvfs(x->fd, &fs) < 0)
		return error_errno(err, "cannot tell the free space");
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (total <= room)
		return 0;
	for (size_t i = 0; i < s->nlayers; i++) {
		struct index *ix;

		if (!x->layers[i].n)
			continue;
		ix = treeload_open(s->build->store, &s->layers[i].diff_id, err);
		if (!ix)
			return -1;
		need += stored_size(&x->layers[i], ix);
		index_unref(ix);
	}
	if (need <= room)
		return 0;
	error_set(err, E_FAILED,
		  "the files to copy take %llu MB, but only %llu MB are free in %s",
		  (unsigned long long)(need / 1000000),
		  (unsigned long long)(room / 1000000), store_path(s->build->store));
	return error_hint(err, "they are unpacked there first; free some space");
}

/* Copies the contents of n nodes to fd; items (n of them) says where afterwards. */
static int extract(struct stage_state *s, struct node *const *nodes, size_t n, int fd,
		   struct item *items, struct error *err)
{
	struct extraction x = {.stage = s, .fd = fd};
	uint64_t total = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		items[i] = (struct item){.header = nodes[i]->content.layer.header,
					 .size = nodes[i]->size,
					 .node = i};
		if (layer_of(s, nodes[i]->content.layer.diff_id, &items[i].layer, err) <
		    0)
			return -1;
	}
	qsort(items, n, sizeof(*items), by_place);
	x.layers = xcalloc(s->nlayers, sizeof(*x.layers));
	rc = arrange(&x, items, n, &total, err);
	if (!rc)
		rc = make_room(&x, total, err);
	if (!rc)
		rc = from_layers(&x, err);
	for (size_t i = 0; i < s->nlayers; i++) {
		free(x.layers[i].headers);
		free(x.layers[i].items);
		free(x.layers[i].done);
	}
	free(x.layers);
	free(x.runs);
	return rc;
}

struct spool *spool_open(struct stage_state *s, struct node *const *nodes,
			 struct node *const *targets, size_t n, struct tree *into,
			 struct error *err)
{
	auto_free struct item *items = xcalloc(n, sizeof(*items));
	struct spool *sp = xcalloc(1, sizeof(*sp));

	sp->tmp = (struct tmp)TMP_INIT;
	if (tmp_open(&sp->tmp, store_tmpdir(s->build->store), err) < 0 ||
	    extract(s, nodes, n, sp->tmp.fd, items, err) < 0) {
		spool_close(sp);
		return NULL;
	}
	sp->root = (struct disk_root){.fd = sp->tmp.fd, .spool = true, .name = s->name};
	for (size_t i = 0; i < n; i++) {
		struct node *target = targets[items[i].node];
		struct content c = {
			.kind = CONTENT_DISK,
			.has_digest = target->content.has_digest,
			.digest = target->content.digest,
			.disk = {.root = &sp->root, .offset = items[i].offset}};

		tree_set_content(into, target, &c);
	}
	return sp;
}

void spool_close(struct spool *sp)
{
	if (!sp)
		return;
	tmp_abort(&sp->tmp);
	free(sp);
}

/* Appends a content that can be opened: memory, a file on disk. */
static int read_content(const struct node *n, struct buf *out, struct error *err)
{
	struct source *src = content_open(n, err);
	ssize_t got;

	if (!src)
		return -1;
	buf_reserve(out, n->size);
	got = source_read_full(src, out->data + out->len, n->size, err);
	source_close(src);
	if (got < 0)
		return -1;
	out->len += (size_t)got;
	out->data[out->len] = '\0';
	return 1;
}

static int read_from_layer(struct stage_state *s, struct node *n, struct buf *out,
			   struct error *err)
{
	auto_tmp struct tmp t = TMP_INIT;
	struct item item;

	if (tmp_open(&t, store_tmpdir(s->build->store), err) < 0 ||
	    extract(s, &n, 1, t.fd, &item, err) < 0 ||
	    file_read_fd(t.fd, n->size, out, err) < 0)
		return -1;
	return 1;
}

int extract_file(struct stage_state *s, const char *path, size_t max, struct buf *out,
		 struct error *err)
{
	struct tree *t = stage_tree(s, err);
	auto_free char *rest = NULL;
	struct node *n;
	int rc = t ? tree_resolve(t, path, TREE_FOLLOW_LAST, &n, &rest, err) : -1;

	if (rc <= 0)
		return rc;
	if (n->type != NODE_FILE)
		return 0;
	if (n->size > max)
		return error_set(err, E_INPUT, "%s in the image is larger than %zu bytes",
				 path, max);
	if (n->content.kind == CONTENT_LAYER)
		return read_from_layer(s, n, out, err);
	return read_content(n, out, err);
}
