#include "registry/base/lines.h"

#include <string.h>

static void start_line(struct lines *l)
{
	l->len = 0;
	l->open = l->cut = l->fresh = false;
}

static void put_line(struct lines *l, lines_put *put, void *ctx)
{
	l->text[l->len] = '\0';
	put(ctx, l->text);
	l->len = 0;
}

/* Where the last whole character of a full line ends. */
static size_t last_character(const struct lines *l)
{
	size_t n = l->len;

	while (n && ((unsigned char)l->text[n - 1] & 0xc0) == 0x80)
		n--;
	/* n is now behind the first byte of the last character, which goes to the next
	 * piece; bytes that are no UTF-8 may be cut anywhere */
	return n > 1 && l->len - n < 4 && (unsigned char)l->text[n - 1] >= 0xc0 ? n - 1
										: l->len;
}

static void put_piece(struct lines *l, lines_put *put, void *ctx)
{
	char rest[4];
	size_t n = last_character(l), left = l->len - n;

	memcpy(rest, l->text + n, left);
	l->len = n;
	put_line(l, put, ctx);
	memcpy(l->text, rest, left);
	l->len = left;
	l->cut = true;
}

/* ECMA-48: ESC [, parameters 0x20-0x3f, one final byte; of other sequences only ESC and
 * the byte behind it.  True: the byte belongs to one. */
static bool in_sequence(struct lines *l, char c)
{
	char last = l->escape;

	if (c == '\033') {
		l->escape = c;
		return true;
	}
	if (!last || c == '\n') {
		l->escape = 0;
		return false;
	}
	if (last == '\033') {
		l->escape = c == '[' ? c : 0;
		return true;
	}
	if (c < 0x20 || c > 0x3f)
		l->escape = 0;
	return true;
}

void lines_add(struct lines *l, const char *data, size_t len, lines_put *put, void *ctx)
{
	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		if (in_sequence(l, c))
			continue;
		if (c == '\n') {
			if (l->len || !l->cut)
				put_line(l, put, ctx);
			start_line(l);
			continue;
		}
		l->open = true;
		if (c == '\r') {
			l->fresh = true;
			continue;
		}
		if (l->fresh)
			l->len = 0;
		l->fresh = false;
		if (!c)
			continue;
		if (l->len == LINES_MAX)
			put_piece(l, put, ctx);
		l->text[l->len++] = c;
	}
}

void lines_end(struct lines *l, lines_put *put, void *ctx)
{
	if (l->open && (l->len || !l->cut))
		put_line(l, put, ctx);
	start_line(l);
	l->escape = 0;
}
