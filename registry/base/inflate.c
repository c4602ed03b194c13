#include <isa-l.h>
#include <string.h>
#include <zstd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/restart_priv.h"
#include "registry/base/stream.h"

#define INPUT_SIZE ((size_t)192 * 1024)
#define MAGIC_MAX 4
/* Registries take windows of 8 MiB for granted; `zstd --ultra -22` makes 128 MiB. */
#define WINDOW_LOG_MAX 27

enum format { FORMAT_UNKNOWN, FORMAT_PLAIN, FORMAT_GZIP, FORMAT_ZSTD };

struct inflate_source {
	struct source base;
	struct source *inner;
	enum format format;
	bool input_ended; /* inner returned 0 */
	bool between;     /* at the start of a gzip member, a zstd frame */
	bool ended;       /* all has been read, and well */
	bool failed;
	uint8_t *input;
	size_t at, have; /* input[at, have) is still to be decoded */
	struct inflate_state *gzip;
	struct isal_gzip_header header;
	bool in_header; /* the member's header has begun and not ended */
	ZSTD_DStream *zstd;
	struct restart_writer *notes; /* NULL: no points are noted */
	uint64_t base_in, made;       /* where input[0] is; bytes handed out */
};

/* More input behind what is there. */
static int fill(struct inflate_source *z, struct error *err)
{
	ssize_t n;

	if (z->at == z->have) {
		z->base_in += z->have;
		z->at = z->have = 0;
	}
	n = source_read(z->inner, z->input + z->have, INPUT_SIZE - z->have, err);
	if (n < 0)
		return -1;
	if (n == 0)
		z->input_ended = true;
	z->have += (size_t)n;
	return 0;
}

static enum format recognise(const uint8_t *p, size_t len)
{
	if (len >= 3 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8)
		return FORMAT_GZIP;
	if (len >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
		return FORMAT_ZSTD;
	/* A skippable frame (RFC 8878, 3.1.2) can stand first. */
	if (len >= 4 && p[0] >= 0x50 && p[0] <= 0x5f &&
	    memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)
		return FORMAT_ZSTD;
	return FORMAT_PLAIN;
}

static int begin(struct inflate_source *z, struct error *err)
{
	z->input = xmalloc(INPUT_SIZE);
	while (z->have < MAGIC_MAX && !z->input_ended)
		if (fill(z, err) < 0)
			return -1;
	z->format = recognise(z->input, z->have);
	z->between = true;
	if (z->format == FORMAT_GZIP) {
		z->gzip = xcalloc(1, sizeof(*z->gzip)); /* a note has no stray bytes */
		isal_inflate_init(z->gzip);
	} else if (z->format == FORMAT_ZSTD) {
		z->zstd = ZSTD_createDStream();
		if (!z->zstd)
			return error_set(err, E_BUG, "no memory for zstd");
		ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	}
	return 0;
}

static ssize_t read_plain(struct inflate_source *z, void *buf, size_t len,
			  struct error *err)
{
	size_t n = z->have - z->at;

	if (n == 0) {
		free(z->input);
		z->input = NULL;
		return z->input_ended ? 0 : source_read(z->inner, buf, len, err);
	}
	if (n > len)
		n = len;
	memcpy(buf, z->input + z->at, n);
	z->at += n;
	return (ssize_t)n;
}

/* Makes sure of input, unless the stream ends well here (then z->ended). */
static int need_input(struct inflate_source *z, struct error *err)
{
	if (z->at < z->have)
		return 0;
	if (!z->input_ended && fill(z, err) < 0)
		return -1;
	if (z->at < z->have)
		return 0;
	if (!z->between)
		return error_set(err, E_CORRUPT, "compressed data ends too early");
	z->ended = true;
	return 0;
}

static const char *gzip_problem(int rc)
{
	switch (rc) {
	case ISAL_INVALID_WRAPPER:
		return "bad gzip header, or other bytes after the end";
	case ISAL_UNSUPPORTED_METHOD:
		return "unknown method";
	case ISAL_INCORRECT_CHECKSUM:
		return "wrong checksum or length";
	default:
		return "invalid deflate data";
	}
}

static int problem(int rc, struct error *err)
{
	return error_set(err, E_CORRUPT, "gzip: %s", gzip_problem(rc));
}

/* Reads the header, or what is there of it.  isal_inflate() could do it, but forgets
 * flags and checksum where a header is cut by the end of its input. */
static int step_header(struct inflate_source *z, struct error *err)
{
	struct inflate_state *s = z->gzip;
	int rc;

	if (z->between) {
		if (z->notes)
			restart_member_(z->notes, z->base_in + z->at, z->made);
		isal_inflate_reset(s);
		s->crc_flag = ISAL_GZIP_NO_HDR_VER; /* the trailer is checked */
		isal_gzip_header_init(&z->header);
		z->between = false;
		z->in_header = true;
	}
	s->next_in = z->input + z->at;
	s->avail_in = (uint32_t)(z->have - z->at);
	rc = isal_read_gzip_header(s, &z->header);
	if (rc != ISAL_DECOMP_OK && rc != ISAL_END_INPUT)
		return problem(rc, err);
	z->at = z->have - s->avail_in;
	z->in_header = rc == ISAL_END_INPUT;
	return 0;
}

/* After a step: its output is handed out next. */
static void note(struct inflate_source *z)
{
	if (z->between)
		restart_member_end_(z->notes, z->gzip, z->made);
	else
		restart_state_(z->notes, z->gzip, z->base_in + z->at, z->made);
}

/* One step of ISA-L; returns the bytes made, 0 when it wants input. */
static ssize_t step_gzip(struct inflate_source *z, void *buf, size_t len,
			 struct error *err)
{
	struct inflate_state *s = z->gzip;
	int rc;

	if (z->between || z->in_header)
		return step_header(z, err);
	s->next_in = z->input + z->at;
	s->avail_in = (uint32_t)(z->have - z->at);
	s->next_out = buf;
	s->avail_out = (uint32_t)len;
	rc = isal_inflate(s);
	if (rc != ISAL_DECOMP_OK && rc != ISAL_END_INPUT && rc != ISAL_OUT_OVERFLOW)
		return problem(rc, err);
	z->at = z->have - s->avail_in;
	if (s->block_state == ISAL_BLOCK_FINISH)
		z->between = true;
	z->made += len - s->avail_out;
	if (z->notes)
		note(z);
	return (ssize_t)(len - s->avail_out);
}

static ssize_t read_gzip(struct inflate_source *z, void *buf, size_t len,
			 struct error *err)
{
	/* ISA-L can hold output back: ask before reading on. */
	bool full = !z->between && !z->in_header;
	ssize_t n = 0;

	while (n == 0) {
		if (!full && need_input(z, err) < 0)
			return -1;
		if (z->ended)
			return 0;
		full = false;
		n = step_gzip(z, buf, len, err);
	}
	return n;
}

static ssize_t read_zstd(struct inflate_source *z, void *buf, size_t len,
			 struct error *err)
{
	ZSTD_outBuffer out = {.dst = buf, .size = len};
	bool full = !z->between;

	while (out.pos == 0) {
		ZSTD_inBuffer in = {.src = z->input};
		size_t rc;

		if (!full && need_input(z, err) < 0)
			return -1;
		if (z->ended)
			return 0;
		full = false;
		in.size = z->have;
		in.pos = z->at;
		rc = ZSTD_decompressStream(z->zstd, &out, &in);
		if (ZSTD_isError(rc))
			return error_set(err, E_CORRUPT, "zstd: %s",
					 ZSTD_getErrorName(rc));
		z->at = in.pos;
		z->between = rc == 0;
	}
	return (ssize_t)out.pos;
}

static ssize_t inflate_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct inflate_source *z = (struct inflate_source *)s;
	ssize_t n = -1;

	if (z->failed)
		return error_set(err, E_CORRUPT, "compressed data is damaged");
	if (z->ended || len == 0)
		return 0;
	if (len > (size_t)1 << 30)
		len = (size_t)1 << 30; /* ISA-L counts in 32 bits */
	if (z->format == FORMAT_UNKNOWN && begin(z, err) < 0) {
		z->failed = true;
		return -1;
	}
	if (z->notes)
		len = restart_room_(z->notes, z->made, len);
	switch (z->format) {
	case FORMAT_GZIP:
		n = read_gzip(z, buf, len, err);
		if (n == 0 && z->notes)
			restart_end_(z->notes, true, z->made);
		break;
	case FORMAT_ZSTD:
		n = read_zstd(z, buf, len, err);
		break;
	default:
		return read_plain(z, buf, len, err);
	}
	z->failed = n < 0;
	return n;
}

static void inflate_close(struct source *s)
{
	struct inflate_source *z = (struct inflate_source *)s;

	source_close(z->inner);
	free(z->input);
	free(z->gzip);
	ZSTD_freeDStream(z->zstd);
	free(z);
}

static struct inflate_source *inflate_new(struct source *inner)
{
	static const struct source_ops ops = {inflate_read, inflate_close};
	struct inflate_source *z = xcalloc(1, sizeof(*z));

	z->base.ops = &ops;
	z->inner = inner;
	return z;
}

struct source *source_inflate(struct source *inner)
{
	return &inflate_new(inner)->base;
}

struct source *source_inflate_noting(struct source *inner, struct restart_writer *w)
{
	struct inflate_source *z = inflate_new(inner);

	z->notes = w;
	return &z->base;
}

struct source *inflate_resume_(struct source *inner, struct inflate_state *s)
{
	struct inflate_source *z = inflate_new(inner);

	z->input = xmalloc(INPUT_SIZE);
	z->format = FORMAT_GZIP;
	z->between = !s;
	if (!s) {
		s = xmalloc(sizeof(*s));
		isal_inflate_init(s);
	}
	z->gzip = s;
	return &z->base;
}
