#include "parser/words.h"

#include <stdint.h>
#include <string.h>

#include "parser/unicode.h"

bool is_blank(char c)
{
	return c == '\t' || c == '\v' || c == '\f' || c == '\r' || c == ' ';
}

size_t space_at(const char *s, size_t len)
{
	uint32_t c;
	size_t n;

	if (!len)
		return 0;
	n = unicode_decode(s, len, &c);
	return unicode_space(c) ? n : 0;
}

void span_trim(const char *line, size_t *at, size_t *len)
{
	size_t n;

	while (*at < *len && (n = space_at(line + *at, *len - *at)))
		*at += n;
	while (*len > *at) {
		size_t back = 1;

		/* The start of the last character; spaces have at most 3 bytes. */
		while (back < 3 && *len - back > *at &&
		       (line[*len - back] & 0xc0) == 0x80)
			back++;
		if (space_at(line + *len - back, back) != back)
			return;
		*len -= back;
	}
}

static void add_span(struct arena *a, struct spans *out, const char *text, size_t at)
{
	out->v = arena_grow(a, out->v, out->n, &out->cap, sizeof(*out->v));
	out->v[out->n++] = (struct span){.text = text, .at = at};
}

/* One word of line from *at, up to a blank outside quotes: quotes and
 * backslashes are removed. */
static const char *unquoted_word(struct arena *a, const char *line, size_t *at,
				 size_t len)
{
	struct text word = {.arena = a};
	char quote = '\0';
	size_t i = *at;

	for (; i < len; i++) {
		char c = line[i];

		if (!quote && space_at(line + i, len - i))
			break;
		if (quote ? c == quote : c == '\'' || c == '"') {
			quote = quote ? '\0' : c;
			continue;
		}
		if (c == '\\') {
			if (i + 1 == len)
				continue;
			c = line[++i];
		}
		text_char(&word, c);
	}
	*at = i;
	return text_done(&word);
}

size_t words_flags(struct arena *a, const char *line, size_t at, size_t len,
		   struct spans *out)
{
	for (;;) {
		const char *word;
		size_t n, start;

		while (at < len && (n = space_at(line + at, len - at)))
			at += n;
		if (len - at < 2 || line[at] != '-' || line[at + 1] != '-')
			return at;
		start = at;
		word = unquoted_word(a, line, &at, len);
		if (!strcmp(word, "--"))
			return at;
		add_span(a, out, word, start);
	}
}

void words_split(struct arena *a, const char *line, size_t at, size_t len,
		 struct spans *out)
{
	for (;;) {
		size_t start;

		while (at < len && is_blank(line[at]))
			at++;
		if (at == len)
			return;
		start = at;
		while (at < len && !is_blank(line[at]))
			at++;
		add_span(a, out, arena_strndup(a, line + start, at - start), start);
	}
}

void words_quoted(struct arena *a, const char *line, size_t at, size_t len, char escape,
		  struct spans *out)
{
	for (;;) {
		struct text word = {.arena = a};
		char quote = '\0';
		size_t n, start;

		while (at < len && (n = space_at(line + at, len - at)))
			at += n;
		if (at == len)
			return;
		start = at;
		for (; at < len; at++) {
			char c = line[at];

			if (!quote && space_at(line + at, len - at))
				break;
			if (quote ? c == quote : c == '\'' || c == '"') {
				quote = quote ? '\0' : c;
			} else if (c == escape && quote != '\'') {
				/* At the very end it disappears (3.5). */
				if (at + 1 == len)
					continue;
				text_char(&word, c);
				c = line[++at];
			}
			text_char(&word, c);
		}
		/* A lone escape character leaves an empty word, which is none. */
		if (word.len)
			add_span(a, out, text_done(&word), start);
	}
}
