#include "builder/goformat.h"

#include <string.h>

#include "parser/unicode.h"

static void quote_character(struct buf *out, const char *s, size_t len, uint32_t c)
{
	static const char escapes[] = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";

	if (c == UNICODE_BAD) {
		buf_addf(out, "\\x%02x", (unsigned char)*s);
		return;
	}
	for (const char *e = escapes; *e; e += 2) {
		if (c == (uint32_t)(unsigned char)*e) {
			buf_addf(out, "\\%c", e[1]);
			return;
		}
	}
	if (unicode_printable(c))
		buf_add(out, s, len);
	else if (c < 0x20 || c == 0x7f)
		buf_addf(out, "\\x%02x", c);
	else
		buf_addf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

void go_quote(struct buf *out, const char *s)
{
	size_t left = strlen(s);

	buf_addc(out, '"');
	while (left) {
		uint32_t c;
		size_t n = unicode_decode(s, left, &c);

		quote_character(out, s, n, c);
		s += n;
		left -= n;
	}
	buf_addc(out, '"');
}

void go_quote_list(struct buf *out, const struct strv *list)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		if (i)
			buf_addc(out, ' ');
		go_quote(out, list->v[i]);
	}
	buf_addc(out, ']');
}

void go_list(struct buf *out, const struct strv *list)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < list->n; i++)
		buf_addf(out, "%s%s", i ? " " : "", list->v[i]);
	buf_addc(out, ']');
}

/* value / unit with as many decimals as it has, at most `digits`. */
static void with_fraction(struct buf *out, uint64_t value, uint64_t unit, int digits,
			  const char *name)
{
	uint64_t rest = value % unit;

	buf_addf(out, "%llu", (unsigned long long)(value / unit));
	if (rest) {
		buf_addf(out, ".%0*llu", digits, (unsigned long long)rest);
		while (out->data[out->len - 1] == '0')
			buf_truncate(out, out->len - 1);
	}
	buf_adds(out, name);
}

void go_duration(struct buf *out, int64_t ns)
{
	uint64_t v = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	const uint64_t second = 1000000000;

	if (ns < 0)
		buf_addc(out, '-');
	if (!v) {
		buf_adds(out, "0s");
	} else if (v < 1000) {
		buf_addf(out, "%lluns", (unsigned long long)v);
	} else if (v < 1000000) {
		with_fraction(out, v, 1000, 3, "\302\265s");
	} else if (v < second) {
		with_fraction(out, v, 1000000, 6, "ms");
	} else {
		if (v >= 3600 * second)
			buf_addf(out, "%lluh", (unsigned long long)(v / (3600 * second)));
		if (v >= 60 * second)
			buf_addf(out, "%llum",
				 (unsigned long long)(v / (60 * second) % 60));
		with_fraction(out, v % (60 * second), second, 9, "s");
	}
}
