/*
 * modify.h - what ${v#p} ${v%p} ${v/p/r} do to a value (4.6)
 *
 * Patterns: `*` any string, `?` any character, both within a line; a backslash
 * before `*` `?` `\` `/` `}` takes them literally, before others is an error.
 */
#ifndef PARSER_MODIFY_H
#define PARSER_MODIFY_H

#include <stdbool.h>

#include "parser/arena.h"

/* The value without what matches at its start (or end); NULL and *error for a
 * pattern that is wrong. */
char *modify_trim(struct arena *a, const char *value, const char *pattern, bool at_end,
		  bool longest, const char **error);

/* The first match, or every one, replaced.  With all, $0 and $$ in the
 * replacement mean the match and a dollar; other $names are empty. */
char *modify_replace(struct arena *a, const char *value, const char *pattern,
		     const char *replacement, bool all, const char **error);

#endif
