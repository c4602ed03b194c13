#include "parser/heredoc.h"

#include <stdlib.h>
#include <string.h>

#include "parser/lex.h"

static size_t count_quotes(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '\'' || *s == '"';
	return n;
}

/* WORD with its quotes and escapes resolved; NULL when it is not one word. */
static char *resolve(struct arena *a, const char *word, bool raw_quotes,
		     const char **error)
{
	struct lex l = {
		.arena = a,
		.escape = '\\',
		.raw_quotes = raw_quotes,
		.keep_unset = true,
	};
	struct lex_words words;

	if (!lex_run(&l, word, strlen(word), &words, NULL)) {
		if (error)
			*error =
				arena_printf(a, "bad heredoc name %s: %s", word, l.error);
		return NULL;
	}
	return words.n == 1 ? words.v[0] : NULL;
}

bool heredoc_parse(struct arena *a, const char *word, struct heredoc *out,
		   const char **error)
{
	struct heredoc h = {.body = ""};
	const char *p = word, *name, *raw;
	unsigned long fd;

	while (*p >= '0' && *p <= '9')
		p++;
	if (p[0] != '<' || p[1] != '<')
		return false;
	fd = strtoul(word, NULL, 10);
	h.fd = p == word ? 0 : fd > 0xffff ? 0xffff : (unsigned)fd;
	p += 2;
	h.strip_tabs = *p == '-';
	p += h.strip_tabs;
	while (*p == ' ' || *p == '\t')
		p++;
	if (!*p || strchr(p, '<'))
		return false;
	name = resolve(a, p, false, error);
	raw = name ? resolve(a, p, true, error) : NULL;
	if (!raw)
		return false;
	h.name = name;
	h.expand = count_quotes(name) == count_quotes(raw);
	*out = h;
	return true;
}

const char *heredocs_find(struct arena *a, const char *line, size_t len,
			  struct heredocs *out)
{
	struct lex l = {
		.arena = a,
		.escape = '\\',
		.raw_quotes = true,
		.raw_escapes = true,
		.keep_unset = true,
		.heredoc_blanks = true,
	};
	struct lex_words words;

	/* The shell will complain about quotes that do not pair, not we. */
	if (!memmem(line, len, "<<", 2) || !lex_run(&l, line, len, &words, NULL))
		return NULL;
	for (size_t i = 0; i < words.n; i++) {
		const char *error = NULL;
		struct heredoc h;

		if (heredoc_parse(a, words.v[i], &h, &error)) {
			out->v =
				arena_grow(a, out->v, out->n, &out->cap, sizeof(*out->v));
			out->v[out->n++] = h;
		} else if (error) {
			return error;
		}
	}
	return NULL;
}

char *heredoc_strip_tabs(struct arena *a, const char *body, size_t *len)
{
	struct text out = {.arena = a};
	bool start = true;

	for (size_t i = 0; i < *len; i++) {
		if (start && body[i] == '\t')
			continue;
		start = body[i] == '\n';
		text_char(&out, body[i]);
	}
	*len = out.len;
	return text_done(&out);
}
