#include "parser/expand.h"

#include <string.h>

#include "parser/lex.h"

/* How much of a word an error message shows. */
#define SHOWN 200

static const char *explain(struct arena *a, const char *word, const char *why)
{
	size_t n = strnlen(word, SHOWN + 1);

	return arena_printf(a, "failed to process \"%.*s%s\": %s",
			    (int)(n > SHOWN ? SHOWN : n), word, n > SHOWN ? "..." : "",
			    why);
}

char *expand_word_noting(struct arena *a, const char *word, char escape,
			 expand_fn *lookup, void *ctx, struct expand_unset *unset,
			 const char **error)
{
	struct lex l = {
		.arena = a,
		.escape = escape,
		.lookup = lookup,
		.ctx = ctx,
		.unset = unset,
	};
	char *s = lex_run(&l, word, strlen(word), NULL, NULL);

	if (!s)
		*error = explain(a, word, l.error);
	return s;
}

char *expand_word(struct arena *a, const char *word, char escape, expand_fn *lookup,
		  void *ctx, const char **error)
{
	return expand_word_noting(a, word, escape, lookup, ctx, NULL, error);
}

size_t expand_words(struct arena *a, const char *word, char escape, expand_fn *lookup,
		    void *ctx, char ***out, const char **error)
{
	struct lex l = {.arena = a, .escape = escape, .lookup = lookup, .ctx = ctx};
	struct lex_words words;

	if (!lex_run(&l, word, strlen(word), &words, NULL)) {
		*error = explain(a, word, l.error);
		return (size_t)-1;
	}
	*out = words.v;
	return words.n;
}

char *expand_heredoc(struct arena *a, const char *body, size_t len, expand_fn *lookup,
		     void *ctx, size_t *out_len, const char **error)
{
	struct lex l = {
		.arena = a,
		.escape = '\\',
		.plain_quotes = true,
		.lookup = lookup,
		.ctx = ctx,
	};
	char *s = lex_run(&l, body, len, NULL, out_len);

	if (!s)
		*error = arena_printf(a, "failed to process heredoc: %s", l.error);
	return s;
}
