#include "builder/rootfs/deflate.h"

#include <isa-l.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "builder/rootfs/layer.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

#define ISAL_LEVELS 3
#define PLACES 4
#define PLACE_STEP 65536 /* the address bits that matter begin here */

struct deflater {
	int level;
	uint8_t *places; /* room for a struct isal_zstream at PLACES addresses */
	uint8_t *level_buf;
	z_stream *zlib;
};

static const uint32_t level_buf_size[ISAL_LEVELS] = {
	ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT};

struct deflater *deflater_new(int level)
{
	struct deflater *d = xcalloc(1, sizeof(*d));

	d->level = level;
	return d;
}

void deflater_free(struct deflater *d)
{
	if (!d)
		return;
	if (d->zlib)
		deflateEnd(d->zlib);
	free(d->zlib);
	free(d->places);
	free(d->level_buf);
	free(d);
}

size_t deflate_room(size_t len)
{
	return len + len / 4 + 1024;
}

/* The slot of four bytes in ISA-L's hash tables: the low bits of a CRC-32C. */
static unsigned hash_slot(const uint8_t *four)
{
	uint8_t copy[4];

	memcpy(copy, four, sizeof(copy));
	return crc32_iscsi(copy, sizeof(copy), 0) & (IGZIP_HASH8K_HASH_SIZE - 1);
}

static bool collides(const struct isal_zstream *s, const uint8_t *data)
{
	uint32_t high = (uint32_t)((uintptr_t)s / PLACE_STEP);
	uint8_t four[4] = {(uint8_t)high, (uint8_t)(high >> 8), (uint8_t)(high >> 16),
			   (uint8_t)(high >> 24)};
	unsigned slot = hash_slot(four);

	return slot == hash_slot(data) || slot == hash_slot(data + 1) ||
	       slot == hash_slot(data + 2);
}

/*
 * Where the state of a piece lies.  ISA-L 2.30 on x86 hashes the state's address
 * (bits 16 to 47) in place of the piece's third position (igzip_icf_body_h1_gr_bt.asm,
 * write_first_byte).  The result is the same for all addresses but those whose hash meets
 * one of the first three positions' (about one in 3000): these are not used.
 */
static struct isal_zstream *place_state(struct deflater *d, const uint8_t *data,
					size_t len)
{
	size_t base;
	struct isal_zstream *s = NULL;

	if (!d->places)
		d->places = xmalloc(sizeof(*s) + PLACES * PLACE_STEP);
	base = -(uintptr_t)d->places % 64;
	for (size_t i = 0; i < PLACES; i++) {
		s = (struct isal_zstream *)(void *)(d->places + base + i * PLACE_STEP);
		if (len < 6 || !collides(s, data))
			break;
	}
	return s;
}

static int piece_isal(struct deflater *d, const void *data, size_t len, uint8_t *out,
		      size_t *out_len, struct error *err)
{
	uint32_t size = level_buf_size[d->level];
	struct isal_zstream *s = place_state(d, data, len);
	int rc;

	if (!d->level_buf && size > 0)
		d->level_buf = xmalloc(size);
	isal_deflate_init(s);
	/* ISA-L does not clear it. */
	if (size > 0)
		memset(d->level_buf, 0, size);
	s->level = (uint32_t)d->level;
	s->level_buf = d->level_buf;
	s->level_buf_size = size;
	s->gzip_flag = IGZIP_DEFLATE;
	s->flush = SYNC_FLUSH;
	s->end_of_stream = 0; /* 1 changes a piece from its first byte */
	s->next_in = (uint8_t *)(uintptr_t)data;
	s->avail_in = (uint32_t)len;
	s->next_out = out;
	s->avail_out = (uint32_t)deflate_room(len);
	rc = isal_deflate(s);
	if (rc != COMP_OK || s->avail_in > 0 || s->avail_out == 0)
		return error_set(err, E_BUG, "isal_deflate fails on a piece (%d)", rc);
	*out_len = s->total_out;
	return 0;
}

static int piece_zlib(struct deflater *d, const void *data, size_t len, uint8_t *out,
		      size_t *out_len, struct error *err)
{
	z_stream *z = d->zlib;
	int rc;

	if (!z) {
		z = d->zlib = xcalloc(1, sizeof(*z));
		rc = deflateInit2(z, d->level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
	} else {
		rc = deflateReset(z);
	}
	if (rc != Z_OK)
		return error_set(err, E_BUG, "zlib cannot start (%d)", rc);
	z->next_in = (Bytef *)(uintptr_t)data;
	z->avail_in = (uInt)len;
	z->next_out = out;
	z->avail_out = (uInt)deflate_room(len);
	rc = deflate(z, Z_SYNC_FLUSH);
	if (rc != Z_OK || z->avail_in > 0 || z->avail_out == 0)
		return error_set(err, E_BUG, "zlib fails on a piece (%d)", rc);
	*out_len = z->total_out;
	return 0;
}

int deflate_piece(struct deflater *d, const void *data, size_t len, uint8_t *out,
		  size_t *out_len, struct error *err)
{
	if (deflate_room(len) > UINT32_MAX)
		return error_set(err, E_INPUT, "metadata of %zu bytes in one layer entry",
				 len);
	if (d->level < ISAL_LEVELS)
		return piece_isal(d, data, len, out, out_len, err);
	return piece_zlib(d, data, len, out, out_len, err);
}

static char compressors[LAYER_LEVEL_MAX + 1][128];

static void name_compressors(void)
{
	struct utsname u = {0};

	uname(&u);
	for (int i = 0; i <= LAYER_LEVEL_MAX; i++) {
		if (i < ISAL_LEVELS)
			snprintf(compressors[i], sizeof(compressors[i]),
				 "isal %d.%d level %d %s", ISAL_MAJOR_VERSION,
				 ISAL_MINOR_VERSION, i, u.machine);
		else
			snprintf(compressors[i], sizeof(compressors[i]),
				 "zlib %s level %d", zlibVersion(), i);
	}
}

const char *layer_compressor(int level)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, name_compressors);
	if (level < 0 || level > LAYER_LEVEL_MAX)
		level = LAYER_LEVEL_DEFAULT;
	return compressors[level];
}
