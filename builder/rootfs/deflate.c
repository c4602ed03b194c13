#include "builder/rootfs/deflate.h"

#include <isa-l.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "builder/rootfs/layer.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

#define ISAL_LEVELS 3

struct deflater {
	int level;
	struct isal_zstream *isal;
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
	free(d->isal);
	free(d->level_buf);
	free(d);
}

size_t deflate_room(size_t len)
{
	return len + len / 4 + 1024;
}

static int piece_isal(struct deflater *d, const void *data, size_t len, uint8_t *out,
		      size_t *out_len, struct error *err)
{
	uint32_t size = level_buf_size[d->level];
	struct isal_zstream *s;
	int rc;

	if (!d->isal) {
		d->isal = xmalloc(sizeof(*d->isal));
		d->level_buf = size > 0 ? xmalloc(size) : NULL;
	}
	s = d->isal;
	isal_deflate_init(s);
	/* ISA-L looks at what an earlier piece left in there. */
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
