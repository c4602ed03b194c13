/*
 * pattern.h - wildcards of COPY and of .dockerignore
 *
 * COPY's language is Go's filepath.Match over one path component (8.2): `*`,
 * `?`, `[a-z]`, `[^a]`, `\x`; a leading dot is not special.  `?` and sets take a
 * whole UTF-8 character; a byte that is not UTF-8 is a character by itself.
 * Time is at most length of pattern times length of name.
 *
 * The language of .dockerignore adds `**` and matches whole paths (15.3).
 */
#ifndef PARSER_PATTERN_H
#define PARSER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "parser/arena.h"

/* Whether s contains `*`, `?` or `[` that is not escaped.  Without one it is a
 * literal, in which pattern_unescape still removes backslashes. */
bool pattern_has_wildcard(const char *s);

/* Whether the pattern is well formed: sets are closed and not empty, no backslash
 * is last. */
bool pattern_valid(const char *pattern);

/* Whether name (one path component, no slash) matches.  False for a pattern
 * that is not well formed. */
bool pattern_match_component(const char *pattern, const char *name);

/* Removes the backslashes that protect characters, in place. */
void pattern_unescape(char *s);

/*
 * A compiled path pattern (15.3): `*` and `?` do not cross a slash, `**` as a
 * component is any number of components, also none; elsewhere `**` stands for
 * an optional `.*` and slash.  Immutable, so any number of threads may match it.  Paths
 * are relative, without leading or trailing slash.
 */
struct pattern;

/* Wildcards and characters that a pattern may have. */
#define PATTERN_MAX 4096

/* The pattern, which must be a clean path; NULL and *error when it is not well
 * formed. */
struct pattern *pattern_compile(struct arena *a, const char *pattern, const char **error);

/* Whether the path or a folder above it matches. */
bool pattern_match_path(const struct pattern *p, const char *path);

/* Whether some path below the folder could match, or the folder or one above it
 * does, so that all below count as matched. */
bool pattern_may_match_below(const struct pattern *p, const char *dir);

#endif
