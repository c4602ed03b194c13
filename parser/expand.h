/*
 * expand.h - variables and quotes in a word
 *
 * $name, ${name}, ${name:-word} and the other modifiers of 4.5 and 4.6; quotes
 * as in 4.3.  The caller says what a variable is through a callback, which may
 * count, record, or evaluate what it is asked for.
 *
 *	char *s = expand_word(a, "${USER:-root}", '\\', lookup, env, &why);
 *	if (!s)
 *		report(why);
 *
 * Results and messages live in the arena.  Nested ${} are followed to 100
 * levels.
 */
#ifndef PARSER_EXPAND_H
#define PARSER_EXPAND_H

#include <stddef.h>

#include "parser/arena.h"

/* The variable's value, NULL when it is unset.  It is asked for each variable
 * of the word, also where a modifier makes unset harmless. */
typedef const char *expand_fn(void *ctx, const char *name);

/* Names that were unset and became empty (UndefinedVar): not those that a
 * modifier took care of.  In order of appearance, each once. */
struct expand_unset {
	const char **v;
	size_t n, cap;
};

/* The word expanded, without quotes: exactly one word, perhaps "".  NULL and
 * *error (which names the variable or the fault) when it can't be. */
char *expand_word(struct arena *a, const char *word, char escape, expand_fn *lookup,
		  void *ctx, const char **error);

/* The same; names that were unset are added to unset when it is not NULL. */
char *expand_word_noting(struct arena *a, const char *word, char escape,
			 expand_fn *lookup, void *ctx, struct expand_unset *unset,
			 const char **error);

/* EXPOSE (4.8): an unquoted blank, also one that comes out of a variable, parts
 * words.  *out gets the words; the result is their number, which may be 0, or
 * (size_t)-1 with *error set. */
size_t expand_words(struct arena *a, const char *word, char escape, expand_fn *lookup,
		    void *ctx, char ***out, const char **error);

/* The body of a COPY or ADD heredoc (5.7): quotes stay, $ is expanded, a
 * backslash goes and protects the next character.  len bytes of body; *out_len,
 * if out_len is not NULL, gets the length of the result. */
char *expand_heredoc(struct arena *a, const char *body, size_t len, expand_fn *lookup,
		     void *ctx, size_t *out_len, const char **error);

#endif
