/*
 * The state of ISA-L's inflate between two calls (igzip_lib.h, struct inflate_state),
 * written as plain bytes: the bits it has read ahead, its Huffman tables when it is
 * inside a block that has some, and the end of its output: tmp_out_buffer has what
 * matches can refer to and what was not handed out yet.
 */
#include <isa-l.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/restart_priv.h"

/* As igzip_inflate.c has them, and the assembler beside it. */
#define LIT_SYM_MAX 512     /* 254 and a length */
#define LIT_FLAG (1U << 25) /* the rest is in the long table */
#define LIT_MASK (LIT_FLAG - 1)
#define LIT_BITS_MAX 21 /* length code and its extra bits */
#define DIST_FLAG (1U << 10)
#define DIST_SYMS 30
#define DIST_EXTRA_MAX 13
#define CODE_BITS_MAX 15

struct head {
	uint64_t read_in;
	int32_t read_in_length;
	uint32_t block_state;
	uint32_t bfinal;
	int32_t type0_block_len;
	uint32_t total_out;
	uint32_t crc;
	int32_t processed; /* of the window: handed out */
	int32_t window;    /* bytes */
};

static bool lit_long_fits(uint32_t e)
{
	return e >> 10 <= LIT_BITS_MAX && (e >> 10 == 0 || (e & 0x3ff) <= LIT_SYM_MAX);
}

static bool lit_short_fits(uint32_t e)
{
	uint32_t bits = e >> 26, count = bits & 3, first = e & LIT_MASK;

	if (e & LIT_FLAG)
		return bits >= ISAL_DECODE_LONG_BITS && bits <= LIT_BITS_MAX &&
		       first + (1U << (bits - ISAL_DECODE_LONG_BITS)) <=
			       ISAL_HUFF_CODE_LARGE_LONG_ALIGNED;
	if (e >> 28 == 0)
		return true; /* no symbol: an error when it is met */
	return e >> 28 <= CODE_BITS_MAX && count > 0 &&
	       first >> (8 * (count - 1)) <= LIT_SYM_MAX;
}

/* The low nine bits: a distance's code and its number of extra bits; of what is no code
 * (no bits) how many are looked at to see that. */
static bool dist_fits(uint32_t e, uint32_t bits)
{
	return bits == 0 ? e <= CODE_BITS_MAX
			 : (bits <= CODE_BITS_MAX && (e & 31) < DIST_SYMS &&
			    (e >> 5 & 15) <= DIST_EXTRA_MAX);
}

static bool dist_short_fits(uint32_t e)
{
	uint32_t bits = e >> 11;

	if (e & DIST_FLAG)
		return bits >= ISAL_DECODE_SHORT_BITS && bits <= CODE_BITS_MAX &&
		       (e & 511) + (1U << (bits - ISAL_DECODE_SHORT_BITS)) <=
			       ISAL_HUFF_CODE_SMALL_LONG_ALIGNED;
	return dist_fits(e, bits);
}

static bool tables_fit(const struct inflate_state *s)
{
	const struct inflate_huff_code_large *lit = &s->lit_huff_code;
	const struct inflate_huff_code_small *dist = &s->dist_huff_code;
	bool ok = true;

	for (size_t i = 0; i < 1U << ISAL_DECODE_LONG_BITS; i++)
		ok &= lit_short_fits(lit->short_code_lookup[i]);
	for (size_t i = 0; i < ISAL_HUFF_CODE_LARGE_LONG_ALIGNED; i++)
		ok &= lit_long_fits(lit->long_code_lookup[i]);
	for (size_t i = 0; i < 1U << ISAL_DECODE_SHORT_BITS; i++)
		ok &= dist_short_fits(dist->short_code_lookup[i]);
	for (size_t i = 0; i < ISAL_HUFF_CODE_SMALL_LONG_ALIGNED; i++)
		ok &= dist_fits(dist->long_code_lookup[i] & 1023U,
				dist->long_code_lookup[i] >> 10);
	return ok;
}

static bool head_fits(const struct head *h)
{
	if (h->read_in_length < 0 || h->read_in_length > 64 || h->bfinal > 1 ||
	    h->window < 0 ||
	    (size_t)h->window > sizeof(((struct inflate_state *)0)->tmp_out_buffer) ||
	    h->processed < 0 || h->processed > h->window)
		return false;
	switch (h->block_state) {
	case ISAL_BLOCK_TYPE0:
		return h->type0_block_len >= 0 && h->type0_block_len <= UINT16_MAX;
	case ISAL_BLOCK_NEW_HDR:
	case ISAL_BLOCK_CODED:
		return true;
	default:
		return false;
	}
}

bool restart_save_(const struct inflate_state *s, struct buf *out)
{
	/* Matches reach back 32 KiB from what was decoded, not from what was handed out.
	 */
	int32_t skip = s->tmp_out_valid > ISAL_DEF_HIST_SIZE
			       ? s->tmp_out_valid - ISAL_DEF_HIST_SIZE
			       : 0;
	struct head h = {.read_in = s->read_in,
			 .read_in_length = s->read_in_length,
			 .block_state = s->block_state,
			 .bfinal = s->bfinal,
			 .total_out = s->total_out,
			 .crc = s->crc};

	if (skip > s->tmp_out_processed)
		skip = s->tmp_out_processed;
	h.processed = s->tmp_out_processed - skip;
	h.window = s->tmp_out_valid - skip;
	if (s->block_state == ISAL_BLOCK_TYPE0)
		h.type0_block_len = s->type0_block_len;
	if (!head_fits(&h) || s->tmp_in_size || s->write_overflow_len ||
	    s->copy_overflow_length ||
	    (s->block_state == ISAL_BLOCK_CODED && !tables_fit(s)))
		return false;
	buf_add(out, &h, sizeof(h));
	if (s->block_state == ISAL_BLOCK_CODED) {
		buf_add(out, &s->lit_huff_code, sizeof(s->lit_huff_code));
		buf_add(out, &s->dist_huff_code, sizeof(s->dist_huff_code));
	}
	buf_add(out, s->tmp_out_buffer + skip, (size_t)h.window);
	return true;
}

static bool take(const uint8_t **at, size_t *left, void *to, size_t len)
{
	if (*left < len)
		return false;
	if (len)
		memcpy(to, *at, len);
	*at += len;
	*left -= len;
	return true;
}

bool restart_load_(const void *raw, size_t len, struct inflate_state *s)
{
	const uint8_t *at = raw;
	struct head h;

	memset(s, 0, sizeof(*s));
	isal_inflate_init(s);
	if (!take(&at, &len, &h, sizeof(h)) || !head_fits(&h))
		return false;
	s->crc_flag = ISAL_GZIP_NO_HDR_VER;
	s->read_in = h.read_in;
	s->read_in_length = h.read_in_length;
	s->block_state = (enum isal_block_state)h.block_state;
	s->bfinal = h.bfinal;
	s->type0_block_len = h.type0_block_len;
	s->total_out = h.total_out;
	s->crc = h.crc;
	s->tmp_out_processed = h.processed;
	s->tmp_out_valid = h.window;
	if (s->block_state == ISAL_BLOCK_CODED &&
	    (!take(&at, &len, &s->lit_huff_code, sizeof(s->lit_huff_code)) ||
	     !take(&at, &len, &s->dist_huff_code, sizeof(s->dist_huff_code)) ||
	     !tables_fit(s)))
		return false;
	return take(&at, &len, s->tmp_out_buffer, (size_t)h.window) && len == 0;
}
