/*
 * lex.h - the machine behind expand.h and heredoc.h
 *
 * Reads a word character by character, resolves quotes, escapes and $, and can
 * part the result into words.  Options are those of BuildKit's shell lexer,
 * which calls it with a different set for each purpose.
 */
#ifndef PARSER_LEX_H
#define PARSER_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "parser/arena.h"
#include "parser/expand.h"

/* Most that a word may grow to: values can double themselves line by line. */
#define LEX_RESULT_MAX ((size_t)16 << 20)

/* Nested ${} are followed to this depth. */
#define LEX_DEPTH_MAX 100

struct lex {
	struct arena *arena;
	char escape;
	bool raw_quotes;     /* quotes stay in the result */
	bool raw_escapes;    /* escape characters too */
	bool plain_quotes;   /* quotes mean nothing */
	bool keep_unset;     /* $name of an unset variable stays as written */
	bool heredoc_blanks; /* blanks behind << belong to the word */
	expand_fn *lookup;   /* NULL: nothing is set */
	void *ctx;
	struct expand_unset *unset; /* or NULL */
	const char *error;          /* why lex_run returned NULL */

	const char *p, *end; /* the machine's own */
	unsigned depth;
	size_t made;
};

/* Words found in the result, for those that need them. */
struct lex_words {
	char **v;
	size_t n, cap;
	struct text word;
	bool in_word;
};

/* The text resolved; NULL and l->error on failure.  words and out_len may be
 * NULL. */
char *lex_run(struct lex *l, const char *text, size_t len, struct lex_words *words,
	      size_t *out_len);

#endif
