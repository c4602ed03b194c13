/*
 * diag.h - what is wrong with a file, and where
 *
 * One run reports many messages: the parser goes on behind an error.  Lines
 * and columns count from 1; column counts bytes; 0 means unknown.  Messages
 * and hints live in the arena that the list was made with.
 *
 *	struct diags d = { .arena = &a };
 *	diag_error(&d, line, column, "unknown instruction: %s", word);
 *	diag_hint(&d, "did you mean %s?", near);
 *	if (d.errors) ...
 */
#ifndef PARSER_DIAG_H
#define PARSER_DIAG_H

#include <stddef.h>

#include "parser/arena.h"

enum diag_level { DIAG_ERROR, DIAG_WARNING };

struct diag {
	enum diag_level level;
	unsigned line, column;
	const char *message;
	const char *hint; /* or NULL */
	const char *rule; /* BuildKit's lint name for a warning, or NULL */
};

struct diags {
	struct arena *arena;
	struct diag *v; /* in the order found */
	size_t n, cap;
	size_t errors; /* how many of v are errors */
};

void diag_error(struct diags *d, unsigned line, unsigned column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* rule is a string constant (it is not copied) or NULL. */
void diag_warn(struct diags *d, unsigned line, unsigned column, const char *rule,
	       const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Gives the message added last its hint; without any message, nothing. */
void diag_hint(struct diags *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Orders messages by line and column; equal places keep their order. */
void diag_sort(struct diags *d);

/* The candidate that word is most likely a misspelling of: the fewest edits
 * (insert, delete, replace, swap), case ignored, no more than a third of the
 * length and at least one.  NULL when nothing is near.  NULL candidates are
 * skipped.  The result is the candidate itself. */
const char *diag_nearest(const char *word, const char *const *candidates, size_t n);

#endif
