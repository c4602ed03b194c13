/*
 * A points file, and a state in it, as somebody may have written them: nothing but
 * E_CORRUPT may come of them.  The input patches a good file (its checksum is made right
 * again, so that what stands behind it is reached), or the bytes of a good state.
 */
#include <isa-l.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/restart_priv.h"
#include "registry/base/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLAIN ((size_t)9 << 20)
#define READ_ENOUGH ((size_t)1 << 20)

static struct buf points = BUF_INIT, blob = BUF_INIT, raw = BUF_INIT;
static struct digest name;
static int blob_fd;

static void read_some(struct source *s)
{
	static char block[65536];
	struct error err = ERROR_INIT;
	size_t got = 0;
	ssize_t n;

	while (got < READ_ENOUGH && (n = source_read(s, block, sizeof(block), &err)) > 0)
		got += (size_t)n;
	source_close(s);
}

static void make_blob(void)
{
	auto_free Bytef *plain = xmalloc(PLAIN);
	z_stream z = {0};
	uint32_t seed = 1;

	for (size_t i = 0; i < PLAIN; i++) {
		seed = seed * 1664525 + 1013904223;
		plain[i] = (Bytef)(i > 999 && seed % 4096 > 40 ? plain[i - 997]
							       : 'a' + seed / 4096 % 64);
	}
	deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
	buf_reserve(&blob, PLAIN);
	z.next_in = plain;
	z.avail_in = (uInt)PLAIN;
	z.next_out = (Bytef *)blob.data;
	z.avail_out = (uInt)PLAIN;
	deflate(&z, Z_FINISH);
	blob.len = z.total_out;
	deflateEnd(&z);
}

/* A state in the middle of a block. */
static void make_state(void)
{
	auto_free struct inflate_state *s = xcalloc(1, sizeof(*s));
	auto_free uint8_t *out = xmalloc(PLAIN);

	isal_inflate_init(s);
	s->crc_flag = ISAL_GZIP;
	s->next_in = (uint8_t *)blob.data;
	s->avail_in = (uint32_t)blob.len;
	s->next_out = out;
	s->avail_out = 3000000;
	isal_inflate(s);
	if (!restart_save_(s, &raw))
		abort();
}

static void prepare(void)
{
	int fd = memfd_create("points", MFD_CLOEXEC);
	struct restart_writer *w = restart_writer_new(fd);
	static char block[65536];
	struct source *s;

	make_blob();
	make_state();
	blob_fd = memfd_create("blob", MFD_CLOEXEC);
	file_write_all(blob_fd, blob.data, blob.len, NULL);
	s = source_inflate_noting(source_bytes(blob.data, blob.len), w);
	while (source_read(s, block, sizeof(block), NULL) > 0)
		;
	source_close(s);
	if (restart_writer_end(w, &name, NULL) < 0 ||
	    file_read_fd(fd, 64 << 20, &points, NULL) < 0)
		abort();
	close(fd);
}

/* Each four bytes of the input replace one: where (from the end, so that tables are met
 * early), and what. */
static void patch(struct buf *b, const uint8_t *data, size_t size)
{
	for (; size >= 4; data += 4, size -= 4) {
		size_t at = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;

		b->data[at % b->len] = (char)data[3];
	}
}

static void try_state(const uint8_t *data, size_t size)
{
	auto_buf struct buf b = BUF_INIT;
	auto_free struct inflate_state *s = xmalloc(sizeof(*s));

	buf_add(&b, raw.data, raw.len);
	patch(&b, data, size);
	if (restart_load_(b.data, b.len, s))
		read_some(inflate_resume_(
			source_bytes(blob.data + blob.len / 3, blob.len - blob.len / 3),
			steal_ptr(&s)));
}

/* The tail from the table on is summed with the magic (restart.c). */
static void mend(struct buf *b)
{
	struct digest sum;
	struct hash h;
	uint64_t table;
	size_t body = b->len - DIGEST_BYTES;

	if (b->len < 256)
		return;
	memcpy(&table, b->data + body - 24, sizeof(table));
	if (table > body)
		return;
	hash_init(&h);
	hash_add(&h, b->data, 16);
	hash_add(&h, b->data + table, body - table);
	hash_end(&h, &sum);
	memcpy(b->data + body, sum.bytes, DIGEST_BYTES);
}

static void try_file(const uint8_t *data, size_t size)
{
	auto_buf struct buf b = BUF_INIT;
	auto_fd int fd = memfd_create("points", MFD_CLOEXEC);
	struct error err = ERROR_INIT;
	struct restarts *r;

	buf_add(&b, points.data, points.len);
	if (size > 2 && data[0] & 1)
		buf_truncate(&b, b.len - b.len * data[1] / 256);
	struct buf tail = {.data = b.data, .len = b.len};
	if (b.len > 400 && !(data[0] & 2)) {
		tail.data += b.len - 400;
		tail.len = 400;
	}
	if (tail.len)
		patch(&tail, data + 2, size > 2 ? size - 2 : 0);
	mend(&b);
	if (file_write_all(fd, b.data, b.len, NULL) < 0)
		abort();
	r = restarts_open(fd, &name, &err);
	for (size_t i = 0; r && i < restarts_count(r) && i < 4; i++) {
		uint64_t at;
		struct source *s =
			restarts_read(r, blob_fd, restarts_offset(r, i), &at, &err);

		if (s)
			read_some(s);
	}
	restarts_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!blob.len)
		prepare();
	if (size == 0)
		return 0;
	if (data[0] & 128)
		try_state(data + 1, size - 1);
	else
		try_file(data, size);
	return 0;
}
