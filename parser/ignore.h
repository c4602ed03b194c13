/*
 * ignore.h - .dockerignore: ordered patterns and exceptions
 *
 * Rules 15.2 to 15.4.  All patterns count, the last one that matches the path
 * or a folder above it decides.  Paths are relative to the root of the context,
 * with slashes, without leading or trailing slash; the root itself, "" or ".",
 * is never ignored.
 *
 *	struct ignore *ig = ignore_parse(&a, text, len, &why, &line);
 *	if (ignore_matches(ig, "dir") && !ignore_may_reinclude(ig, "dir"))
 *		skip the folder;
 *
 * A struct ignore is immutable: any number of threads may ask it.
 */
#ifndef PARSER_IGNORE_H
#define PARSER_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "parser/arena.h"

struct ignore;

/* Parses len bytes of text (not kept); an empty text is fine and ignores
 * nothing.  NULL with *error and *error_line (from 1) when a pattern is
 * malformed. */
struct ignore *ignore_parse(struct arena *a, const char *text, size_t len,
			    const char **error, unsigned *error_line);

/* Patterns for COPY --exclude (8.23): the same language, given singly. */
struct ignore *ignore_from_patterns(struct arena *a, const char *const *patterns,
				    size_t n, const char **error, size_t *error_index);

/* Whether the path is left out.  NULL ignores nothing. */
bool ignore_matches(const struct ignore *ig, const char *path);

/* Whether an excluded folder must be walked all the same, since an exception
 * could match something below it.  False when certain. */
bool ignore_may_reinclude(const struct ignore *ig, const char *dir);

/* Whether there is any ! pattern (BuildKit then skips CopyIgnoredFile). */
bool ignore_has_exceptions(const struct ignore *ig);

#endif
