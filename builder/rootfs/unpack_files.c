/* The contents of files, out of their layers and onto the disk, on all cores (unpack.h).
 *
 * The files of a layer are read in the order of its tar.  They are cut into pieces where
 * a layer can be inflated on, so that one large layer keeps every core busy; each piece
 * is one pass of treeload_extract_from. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builder/rootfs/treeload.h"
#include "builder/rootfs/unpack_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/job.h"
#include "registry/base/stream.h"

#define PIECE_MIN ((uint64_t)8 << 20)
#define PIECES_PER_THREAD 6

struct piece {
	const struct node **files;
	size_t n;
	uint64_t start; /* where the tar is read from */
	uint64_t cost;  /* bytes of it that are read, about */
	/* Where reading may end: what lies between two points is compared with its
	 * checksum (or the layer with its digest) when it was read to its end, so a piece
	 * goes on to one, unless the next piece begins there and does. */
	const uint64_t *points;
	size_t npoints;
	uint64_t next;
};

struct pieces {
	struct unpack *u;
	struct piece *v;
	size_t n, cap;
	atomic_size_t taken;
};

int unpack_create(struct unpack *u, int dirfd, const struct node *n, struct error *err)
{
	int fd = openat(dirfd, n->name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			unpack_first_mode(n));

	return fd < 0 ? unpack_failed(u, "make file", n, err) : fd;
}

/* A source that knows how far it was read. */
struct counted {
	struct source s;
	struct source *inner;
	uint64_t at;
};

static ssize_t counted_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct counted *c = (struct counted *)s;
	ssize_t n = source_read(c->inner, buf, len, err);

	if (n > 0)
		c->at += (uint64_t)n;
	return n;
}

static void counted_close(struct source *s)
{
	struct counted *c = (struct counted *)s;

	source_close(c->inner);
	c->inner = NULL;
}

static const struct source_ops counted_ops = {counted_read, counted_close};

/* Where the bytes of a piece's files go. */
struct writer {
	struct unpack *u;
	struct job *job;
	const struct piece *p;
	struct open_folder folder;
	size_t file; /* which is being written */
	size_t done; /* how many are */
	int fd;      /* -1 between two */
	uint64_t at; /* bytes of it so far */
	bool hole;   /* its last ones were not written */
};

static int end_file(struct writer *w, const struct node *n, struct error *err)
{
	auto_fd int fd = steal_fd(&w->fd);

	if (w->hole && ftruncate(fd, (off_t)n->size) < 0)
		return unpack_failed(w->u, "write", n, err);
	w->done++;
	atomic_fetch_add(&w->u->written, n->size);
	return unpack_finish(w->u, fd, n, unpack_first_mode(n) & w->u->mask, err);
}

static int begin_file(struct writer *w, size_t i, const struct node *n, struct error *err)
{
	int at;

	if (w->fd >= 0)
		return error_set(err, E_CORRUPT, "%s is shorter than its header says",
				 w->p->files[w->file]->name);
	at = open_folder_of(w->u, &w->folder, n->parent, err);
	if (at < 0)
		return -1;
	w->fd = unpack_create(w->u, at, n, err);
	w->file = i;
	w->at = 0;
	w->hole = false;
	return w->fd < 0 ? -1 : 0;
}

static int write_at(struct writer *w, const struct node *n, const char *p, size_t len,
		    struct error *err)
{
	uint64_t at = w->at;

	while (len > 0) {
		ssize_t got = pwrite(w->fd, p, len, (off_t)at);

		if (got < 0 && errno == EINTR) {
			if (job_check(w->job, err) < 0)
				return -1;
			continue;
		}
		if (got < 0)
			return unpack_failed(w->u, "write", n, err);
		p += got;
		at += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

static bool is_zero(const char *p, size_t len)
{
	return *p == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* layer_put.  Zeros become holes: they pack so well that a small layer could fill the
 * disk with them. */
static int put(void *ctx, size_t i, const void *bytes, size_t len, struct error *err)
{
	struct writer *w = ctx;
	const struct node *n = w->p->files[i];

	if (job_check(w->job, err) < 0)
		return -1;
	if ((w->fd < 0 || w->file != i) && begin_file(w, i, n, err) < 0)
		return -1;
	if (len > n->size - w->at)
		return error_set(err, E_CORRUPT, "%s is longer than its header says",
				 n->name);
	w->hole = !bytes || (len > 0 && is_zero(bytes, len));
	if (!w->hole && write_at(w, n, bytes, len, err) < 0)
		return -1;
	w->at += len;
	return w->at == n->size ? end_file(w, n, err) : 0;
}

/* Reads on to the first point, or to the end: only then is what was read right. */
static int read_on(struct counted *c, const struct piece *p, struct job *job,
		   struct error *err)
{
	char block[16384];
	uint64_t until = UINT64_MAX, begin = 0;
	ssize_t got = 1;

	for (size_t i = 0; i < p->npoints; i++) {
		if (p->points[i] >= c->at) {
			until = p->points[i];
			break;
		}
		begin = p->points[i];
	}
	if (p->next <= begin)
		return 0;
	while (c->at < until && got > 0) {
		size_t len = sizeof(block);

		if (job_check(job, err) < 0)
			return -1;
		if (until - c->at < len)
			len = (size_t)(until - c->at);
		got = source_read(&c->s, block, len, err);
	}
	return got < 0 ? -1 : 0;
}

static int extract(struct writer *w, struct counted *c, const uint64_t *headers,
		   struct error *err)
{
	const struct piece *p = w->p;

	if (treeload_extract_from(&c->s, c->at, headers, p->n, put, w, err) < 0)
		return -1;
	if (w->done < p->n)
		return error_set(err, E_CORRUPT,
				 "a file is shorter than its header says");
	return read_on(c, p, w->job, err);
}

static int do_piece(struct unpack *u, struct job *job, const struct piece *p,
		    struct error *err)
{
	auto_free uint64_t *headers = xcalloc(p->n, sizeof(*headers));
	const struct digest *layer = p->files[0]->content.layer.diff_id;
	struct writer w = {
		.u = u, .job = job, .p = p, .fd = -1, .folder = OPEN_FOLDER_INIT};
	struct counted c = {.s = {&counted_ops}};
	char hex[DIGEST_HEX];
	int rc;

	for (size_t i = 0; i < p->n; i++)
		headers[i] = p->files[i]->content.layer.header;
	c.inner = u->o->open(u->o->ctx, layer, headers[0], &c.at, err);
	if (!c.inner)
		return -1;
	rc = extract(&w, &c, headers, err);
	source_close(&c.s);
	open_folder_close(&w.folder);
	if (w.fd >= 0)
		close(w.fd);
	return rc < 0 ? error_wrap(err, "layer %.12s", digest_hex(layer, hex)) : 0;
}

/* job_fn: takes pieces until there are none. */
static int work(struct job *job, void *arg, struct error *err)
{
	struct pieces *all = arg;

	for (;;) {
		size_t i = atomic_fetch_add(&all->taken, 1);

		if (i >= all->n)
			return 0;
		if (job_check(job, err) < 0 || do_piece(all->u, job, &all->v[i], err) < 0)
			return -1;
	}
}

static uint64_t point_before(const uint64_t *points, size_t n, uint64_t offset)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (points[mid] <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 ? points[low - 1] : 0;
}

static uint64_t header_of(const struct node *n)
{
	return n->content.layer.header;
}

/* Cuts the files v[0 ... n-1] of one layer. */
static void cut_layer(struct pieces *all, const struct node **v, size_t n,
		      const uint64_t *points, size_t npoints, uint64_t target)
{
	size_t first = 0;
	uint64_t start = point_before(points, npoints, header_of(v[0]));

	for (size_t i = 1; i <= n; i++) {
		uint64_t point = 0, before = header_of(v[i - 1]);

		if (i < n) {
			point = point_before(points, npoints, header_of(v[i]));
			/* the same file twice is two passes */
			if (header_of(v[i]) != before &&
			    (point <= before || before - start + v[i - 1]->size < target))
				continue;
		}
		GROW(all->v, all->n, all->cap);
		all->v[all->n++] = (struct piece){.files = v + first,
						  .n = i - first,
						  .start = start,
						  .cost = before + v[i - 1]->size - start,
						  .points = points,
						  .npoints = npoints,
						  .next = i < n ? point : UINT64_MAX};
		first = i;
		start = point;
	}
}

static int by_cost(const void *va, const void *vb)
{
	const struct piece *a = va, *b = vb;

	return (a->cost < b->cost) - (a->cost > b->cost);
}

struct layer_points {
	uint64_t *v;
	size_t n;
};

/* All layers; points has room for one list of each. */
static void cut(struct pieces *all, struct layer_points *points, unsigned threads)
{
	const struct unpack *u = all->u;
	const struct node_list *l = &u->files;
	uint64_t target = u->need / (threads * PIECES_PER_THREAD);
	size_t layer = 0;

	if (target < PIECE_MIN)
		target = PIECE_MIN;
	for (size_t i = 0, end; i < l->n; i = end) {
		const struct digest *d = l->v[i]->content.layer.diff_id;
		struct layer_points *p = &points[layer++];

		for (end = i + 1; end < l->n; end++)
			if (!digest_equal(l->v[end]->content.layer.diff_id, d))
				break;
		if (u->o->points)
			u->o->points(u->o->ctx, d, &p->v, &p->n);
		cut_layer(all, l->v + i, end - i, p->v, p->n, target);
	}
	/* the longest first: none is left to one thread at the end */
	qsort(all->v, all->n, sizeof(*all->v), by_cost);
}

static size_t count_layers(const struct node_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (i == 0 || !digest_equal(l->v[i]->content.layer.diff_id,
					    l->v[i - 1]->content.layer.diff_id))
			n++;
	return n;
}

int unpack_files(struct unpack *u, struct error *err)
{
	unsigned threads = u->o->threads ? u->o->threads : cpu_count();
	struct pieces all = {.u = u};
	size_t layers = count_layers(&u->files);
	struct layer_points *points;
	struct job job;
	int rc;

	if (u->files.n == 0)
		return 0;
	points = xcalloc(layers, sizeof(*points));
	cut(&all, points, threads);
	job_init(&job, NULL);
	for (size_t i = 0; i < threads && i < all.n; i++)
		job_start(&job, work, &all);
	rc = job_wait(&job, err);
	for (size_t i = 0; i < layers; i++)
		free(points[i].v);
	free(points);
	free(all.v);
	return rc;
}
