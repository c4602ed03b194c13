/*
 * heredoc.h - which heredocs a line opens
 *
 * A word `digits? << -? blanks? WORD` outside quotes opens one (5.1).  The escape
 * character is always a backslash here (4.9).  Bodies are read by source.h.
 */
#ifndef PARSER_HEREDOC_H
#define PARSER_HEREDOC_H

#include <stdbool.h>
#include <stddef.h>

#include "parser/arena.h"
#include "parser/words.h"

struct heredocs {
	struct heredoc *v;
	size_t n, cap;
};

/* All heredocs of a logical line, in order, without bodies.  NULL, or a message
 * when WORD can't be read.  A line whose quotes do not pair has none. */
const char *heredocs_find(struct arena *a, const char *line, size_t len,
			  struct heredocs *out);

/* Whether the one word opens a heredoc; then *out is filled, without a body.
 * *error, if not NULL, gets a message when WORD can't be read. */
bool heredoc_parse(struct arena *a, const char *word, struct heredoc *out,
		   const char **error);

/* The body as <<- gives it: leading tabs of every line gone (5.3).  *len is the
 * length of the body and then of the result. */
char *heredoc_strip_tabs(struct arena *a, const char *body, size_t *len);

#endif
