/*
 * A file of restart points, in the machine's byte order:
 *
 *	magic, the packed states, the table, the trailer, SHA-256 of magic, table, trailer
 *
 * Each state has a CRC-32 in the table, so that opening a file reads little of it.
 */
#include "registry/base/restart.h"

#include <errno.h>
#include <isa-l.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/base/restart_priv.h"
#include "registry/base/stream.h"

#define MAGIC "hodpoints 1\n\0\0\0\0"
#define MAGIC_SIZE 16
/* A stretch is in memory whole.  The distance and one read more is what there is; more
 * only where no call of ISA-L ends where it could be gone on from. */
#define STRETCH_MAX (4 * RESTART_DISTANCE)
#define READ_MAX ((size_t)256 << 10)

enum kind {
	KIND_MEMBER, /* a gzip member begins */
	KIND_BLOCK,  /* a deflate block that refers to nothing before */
	KIND_STATE,
};

struct point {
	uint64_t offset, packed;
	uint64_t state; /* in the file */
	uint32_t state_len, state_crc;
	uint32_t crc; /* of all inflated bytes before */
	uint32_t kind;
};

struct trailer {
	uint8_t blob[DIGEST_BYTES];
	char library[64]; /* that made the states; empty: there are none */
	uint64_t size;    /* of the inflated stream */
	uint64_t table, count;
	uint32_t crc; /* of all of it */
	uint32_t state_size;
};

/* Writing */

struct restart_writer {
	int fd;
	struct error failed;
	uint64_t at; /* in the file */
	struct point *points;
	size_t n, cap;
	bool states, ended, gzip;
	uint64_t size;
	uint32_t crc;
	uint64_t member;     /* where the current one began */
	uint32_t before_crc; /* of all before it */
	struct buf raw;
	struct isal_zstream *packer;
	uint8_t *level_buf, *packed;
};

static void library_name(char out[static 64])
{
	struct utsname u = {0};

	memset(out, 0, 64);
	uname(&u);
	snprintf(out, 64, "isal %d.%d.%d %.32s", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION,
		 ISAL_PATCH_VERSION, u.machine);
}

static void put(struct restart_writer *w, const void *data, size_t len)
{
	if (w->failed.kind == E_NONE && file_write_all(w->fd, data, len, &w->failed) == 0)
		w->at += len;
}

static struct point *add_point(struct restart_writer *w, enum kind kind, uint64_t packed,
			       uint64_t offset, uint32_t crc)
{
	GROW(w->points, w->n, w->cap);
	w->points[w->n] = (struct point){
		.offset = offset, .packed = packed, .crc = crc, .kind = kind};
	return &w->points[w->n++];
}

struct restart_writer *restart_writer_new(int fd)
{
	struct restart_writer *w = xcalloc(1, sizeof(*w));

	w->fd = fd;
	w->raw = (struct buf)BUF_INIT;
	put(w, MAGIC, MAGIC_SIZE);
	add_point(w, KIND_MEMBER, 0, 0, 0);
	return w;
}

size_t restart_writer_count(const struct restart_writer *w)
{
	return w->n;
}

void restart_writer_abort(struct restart_writer *w)
{
	if (!w)
		return;
	free(w->points);
	free(w->packer);
	free(w->level_buf);
	free(w->packed);
	buf_release(&w->raw);
	free(w);
}

static bool is_due(const struct restart_writer *w, uint64_t offset)
{
	return w->failed.kind == E_NONE &&
	       offset - w->points[w->n - 1].offset >= RESTART_DISTANCE;
}

size_t restart_room_(const struct restart_writer *w, uint64_t offset, size_t len)
{
	uint64_t done = offset - w->points[w->n - 1].offset;
	uint64_t room = done < RESTART_DISTANCE ? RESTART_DISTANCE - done : READ_MAX;

	return len < room ? len : (size_t)room;
}

void restart_member_(struct restart_writer *w, uint64_t packed, uint64_t offset)
{
	w->member = offset;
	w->before_crc = w->crc;
	if (is_due(w, offset))
		add_point(w, KIND_MEMBER, packed, offset, w->crc);
}

/* Of all bytes so far: ISA-L has that of the member. */
static uint32_t crc_at(const struct restart_writer *w, const struct inflate_state *s,
		       uint64_t offset)
{
	return (uint32_t)crc32_combine(w->before_crc, s->crc,
				       (z_off_t)(offset - w->member));
}

void restart_member_end_(struct restart_writer *w, const struct inflate_state *s,
			 uint64_t offset)
{
	w->crc = crc_at(w, s, offset);
}

/* Packs the raw state; its length, 0 when it cannot. */
static size_t pack(struct restart_writer *w)
{
	struct isal_zstream *z = w->packer;
	size_t room = RESTART_RAW_MAX + RESTART_RAW_MAX / 4;

	if (!z) {
		z = w->packer = xcalloc(1, sizeof(*z));
		w->level_buf = xcalloc(1, ISAL_DEF_LVL1_DEFAULT);
		w->packed = xmalloc(room);
	}
	isal_deflate_stateless_init(z);
	z->level = 1;
	z->level_buf = w->level_buf;
	z->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	z->flush = NO_FLUSH;
	z->end_of_stream = 1;
	z->next_in = (uint8_t *)w->raw.data;
	z->avail_in = (uint32_t)w->raw.len;
	z->next_out = w->packed;
	z->avail_out = (uint32_t)room;
	return isal_deflate_stateless(z) == COMP_OK ? z->total_out : 0;
}

void restart_state_(struct restart_writer *w, const struct inflate_state *s,
		    uint64_t packed, uint64_t offset)
{
	struct point *p;
	uint64_t at = w->at;
	size_t len;

	if (!is_due(w, offset))
		return;
	buf_reset(&w->raw);
	if (!restart_save_(s, &w->raw) || w->raw.len > RESTART_RAW_MAX ||
	    (len = pack(w)) == 0)
		return;
	put(w, w->packed, len);
	p = add_point(w, KIND_STATE, packed, offset, crc_at(w, s, offset));
	p->state = at;
	p->state_len = (uint32_t)len;
	p->state_crc = crc32_gzip_refl(0, w->packed, len);
	w->states = true;
}

void restart_end_(struct restart_writer *w, bool gzip, uint64_t offset)
{
	w->ended = true;
	w->gzip = gzip;
	w->size = offset;
}

void restart_writer_add(struct restart_writer *w, uint64_t packed, uint64_t offset,
			uint32_t crc)
{
	add_point(w, KIND_BLOCK, packed, offset, crc);
}

void restart_writer_all(struct restart_writer *w, uint64_t size, uint32_t crc)
{
	w->crc = crc;
	restart_end_(w, true, size);
}

static uint64_t end_of(const struct point *p, size_t n, size_t i, uint64_t size)
{
	return i + 1 < n ? p[i + 1].offset : size;
}

static bool stretches_fit(const struct point *p, size_t n, uint64_t size)
{
	for (size_t i = 0; i < n; i++)
		if (end_of(p, n, i, size) < p[i].offset ||
		    end_of(p, n, i, size) - p[i].offset > STRETCH_MAX)
			return false;
	return true;
}

static void checksum(const struct point *p, size_t n, const struct trailer *t,
		     struct digest *out)
{
	struct hash h;

	hash_init(&h);
	hash_add(&h, MAGIC, MAGIC_SIZE);
	hash_add(&h, p, n * sizeof(*p));
	hash_add(&h, t, sizeof(*t));
	hash_end(&h, out);
}

static int finish(struct restart_writer *w, const struct digest *blob, struct error *err)
{
	struct trailer t;
	struct digest sum;

	if (!w->ended || !w->gzip)
		return error_set(err, E_FAILED, "not a gzip stream, or not all of it");
	if (!stretches_fit(w->points, w->n, w->size))
		return error_set(err, E_FAILED, "too few restart points");
	memset(&t, 0, sizeof(t));
	memcpy(t.blob, blob->bytes, DIGEST_BYTES);
	if (w->states) {
		library_name(t.library);
		t.state_size = sizeof(struct inflate_state);
	}
	t.size = w->size;
	t.crc = w->crc;
	t.table = w->at;
	t.count = w->n;
	checksum(w->points, w->n, &t, &sum);
	put(w, w->points, w->n * sizeof(*w->points));
	put(w, &t, sizeof(t));
	put(w, sum.bytes, DIGEST_BYTES);
	if (w->failed.kind == E_NONE)
		return 0;
	if (err)
		*err = w->failed;
	return -1;
}

int restart_writer_end(struct restart_writer *w, const struct digest *blob,
		       struct error *err)
{
	int rc = finish(w, blob, err);

	restart_writer_abort(w);
	return rc;
}

/* Reading */

struct restarts {
	uint8_t *map;
	size_t len;
	struct point *points;
	struct trailer t;
};

static int damaged(struct error *err)
{
	return error_set(err, E_CORRUPT, "restart points are damaged");
}

static bool points_fit(const struct restarts *r)
{
	const struct point *p = r->points;
	size_t n = (size_t)r->t.count;

	if (p[0].offset || p[0].packed || p[0].crc || p[0].kind != KIND_MEMBER)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (i &&
		    (p[i].offset <= p[i - 1].offset || p[i].packed < p[i - 1].packed))
			return false;
		if (p[i].kind > KIND_STATE || p[i].packed > INT64_MAX)
			return false;
		if (p[i].kind == KIND_STATE &&
		    (p[i].state < MAGIC_SIZE || p[i].state > r->t.table ||
		     p[i].state_len > r->t.table - p[i].state))
			return false;
	}
	return stretches_fit(p, n, r->t.size);
}

static bool states_fit(const struct restarts *r)
{
	char library[64];

	library_name(library);
	for (size_t i = 0; i < r->t.count; i++)
		if (r->points[i].kind == KIND_STATE)
			return memcmp(library, r->t.library, sizeof(library)) == 0 &&
			       r->t.state_size == sizeof(struct inflate_state);
	return true;
}

static int load(struct restarts *r, const struct digest *blob, struct error *err)
{
	const size_t ends = sizeof(r->t) + DIGEST_BYTES;
	struct digest sum;
	size_t table;

	if (r->len < MAGIC_SIZE + ends || memcmp(r->map, MAGIC, MAGIC_SIZE) != 0)
		return damaged(err);
	memcpy(&r->t, r->map + r->len - ends, sizeof(r->t));
	if (r->t.table < MAGIC_SIZE || r->t.table > r->len - ends)
		return damaged(err);
	table = r->len - ends - (size_t)r->t.table;
	if (r->t.count == 0 || table % sizeof(*r->points) != 0 ||
	    r->t.count != table / sizeof(*r->points))
		return damaged(err);
	r->points = xmalloc(table);
	memcpy(r->points, r->map + r->t.table, table);
	checksum(r->points, (size_t)r->t.count, &r->t, &sum);
	if (memcmp(sum.bytes, r->map + r->len - DIGEST_BYTES, DIGEST_BYTES) != 0 ||
	    !points_fit(r))
		return damaged(err);
	if (memcmp(r->t.blob, blob->bytes, DIGEST_BYTES) != 0)
		return error_set(err, E_CORRUPT, "restart points are another blob's");
	if (!states_fit(r))
		return error_set(err, E_CORRUPT,
				 "restart points were made by another library");
	return 0;
}

struct restarts *restarts_open(int fd, const struct digest *blob, struct error *err)
{
	struct restarts *r;
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0 || st.st_size > INT32_MAX) {
		error_set(err, E_CORRUPT, "restart points are no such file");
		return NULL;
	}
	map = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
			 : MAP_FAILED;
	if (map == MAP_FAILED) {
		damaged(err);
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->map = map;
	r->len = (size_t)st.st_size;
	if (load(r, blob, err) == 0)
		return r;
	restarts_close(r);
	return NULL;
}

void restarts_close(struct restarts *r)
{
	if (!r)
		return;
	munmap(r->map, r->len);
	free(r->points);
	free(r);
}

size_t restarts_count(const struct restarts *r)
{
	return (size_t)r->t.count;
}

uint64_t restarts_offset(const struct restarts *r, size_t i)
{
	return r->points[i].offset;
}

/* A file that others read too. */
struct pread_source {
	struct source base;
	int fd;
	uint64_t at;
};

static ssize_t pread_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct pread_source *p = (struct pread_source *)s;
	ssize_t n;

	while ((n = pread(p->fd, buf, len, (off_t)p->at)) < 0) {
		if (errno != EINTR)
			return error_errno(err, "cannot read");
		if (interrupt_check(err) < 0)
			return -1;
	}
	p->at += (uint64_t)n;
	return n;
}

static void pread_close(struct source *s)
{
	free(s);
}

static struct source *pread_from(int fd, uint64_t at)
{
	static const struct source_ops ops = {pread_read, pread_close};
	struct pread_source *p = xmalloc(sizeof(*p));

	*p = (struct pread_source){{&ops}, fd, at};
	return &p->base;
}

/* Hands out stretches, each after its checksum was compared. */
struct stretch_source {
	struct source base;
	struct source *inner;
	const struct restarts *r;
	size_t next; /* the stretch to inflate */
	char *bytes;
	size_t cap, have, at;
};

static int inflate_stretch(struct stretch_source *s, struct error *err)
{
	const struct restarts *r = s->r;
	const struct point *p = &r->points[s->next];
	size_t n = restarts_count(r);
	uint64_t len = end_of(r->points, n, s->next, r->t.size) - p->offset;
	uint32_t want = s->next + 1 < n ? p[1].crc : r->t.crc;
	ssize_t got;

	if (len > s->cap) {
		free(s->bytes);
		s->bytes = xmalloc(len);
		s->cap = len;
	}
	s->have = s->at = 0;
	got = source_read_full(s->inner, s->bytes, len, err);
	if (got < 0)
		return -1;
	if ((uint64_t)got != len ||
	    crc32_gzip_refl(p->crc, (const unsigned char *)s->bytes, len) != want)
		return error_set(err, E_CORRUPT,
				 "content is not what it was when it was first read");
	s->have = len;
	s->next++;
	return 0;
}

static int expect_end(struct source *inner, struct error *err)
{
	char more;
	ssize_t n = source_read(inner, &more, 1, err);

	return n > 0 ? error_set(err, E_CORRUPT, "content is longer than it was")
		     : (int)n;
}

static ssize_t stretch_read(struct source *src, void *buf, size_t len, struct error *err)
{
	struct stretch_source *s = (struct stretch_source *)src;

	if (len == 0)
		return 0;
	while (s->at == s->have) {
		if (s->next == restarts_count(s->r))
			return expect_end(s->inner, err);
		if (inflate_stretch(s, err) < 0)
			return -1;
	}
	if (len > s->have - s->at)
		len = s->have - s->at;
	memcpy(buf, s->bytes + s->at, len);
	s->at += len;
	return (ssize_t)len;
}

static void stretch_close(struct source *src)
{
	struct stretch_source *s = (struct stretch_source *)src;

	source_close(s->inner);
	free(s->bytes);
	free(s);
}

/* The state of a point; NULL when it is damaged. */
static struct inflate_state *unpack(const struct restarts *r, const struct point *p)
{
	struct inflate_state *s = xcalloc(1, sizeof(*s));
	auto_free uint8_t *raw = xmalloc(RESTART_RAW_MAX);
	const uint8_t *packed = r->map + p->state;

	if (crc32_gzip_refl(0, packed, p->state_len) == p->state_crc) {
		isal_inflate_init(s);
		s->next_in = (uint8_t *)(uintptr_t)packed;
		s->avail_in = p->state_len;
		s->next_out = raw;
		s->avail_out = (uint32_t)RESTART_RAW_MAX;
		if (isal_inflate_stateless(s) == ISAL_DECOMP_OK) {
			size_t len = s->total_out;

			if (restart_load_(raw, len, s))
				return s;
		}
	}
	free(s);
	return NULL;
}

static struct inflate_state *at_block(const struct point *p)
{
	struct inflate_state *s = xcalloc(1, sizeof(*s));

	isal_inflate_init(s);
	s->crc_flag = ISAL_GZIP_NO_HDR_VER;
	s->crc = p->crc;
	s->total_out = (uint32_t)p->offset;
	return s;
}

static size_t point_before(const struct restarts *r, uint64_t offset)
{
	size_t low = 0, high = restarts_count(r);

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (r->points[mid].offset <= offset)
			low = mid;
		else
			high = mid;
	}
	return low;
}

struct source *restarts_read(const struct restarts *r, int blob_fd, uint64_t offset,
			     uint64_t *at, struct error *err)
{
	static const struct source_ops ops = {stretch_read, stretch_close};
	size_t i = point_before(r, offset);
	const struct point *p = &r->points[i];
	struct inflate_state *state = NULL;
	struct stretch_source *s;

	if (p->kind == KIND_STATE && !(state = unpack(r, p))) {
		damaged(err);
		return NULL;
	}
	if (p->kind == KIND_BLOCK)
		state = at_block(p);
	s = xcalloc(1, sizeof(*s));
	s->base.ops = &ops;
	s->inner = inflate_resume_(pread_from(blob_fd, p->packed), state);
	s->r = r;
	s->next = i;
	*at = p->offset;
	return &s->base;
}
