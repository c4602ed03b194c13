/*
 * source.h - bytes of a Dockerfile to logical lines
 *
 * Reads parser directives first (1.2), then yields one logical line at a time:
 * continuations glued, comments and blank lines gone (1.5-1.8).  The caller
 * takes heredoc bodies between lines, since only it knows which instruction
 * may have them.
 *
 *	source_init(&s, arena, text, len, diags);
 *	while (source_next(&s, &line))
 *		...
 *
 * text is borrowed and must outlive the source; it need not end in a NUL.
 */
#ifndef PARSER_SOURCE_H
#define PARSER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "parser/arena.h"
#include "parser/diag.h"
#include "parser/words.h"

/* Longest physical line, as BuildKit's scanner has it (1.1). */
#define SOURCE_LINE_MAX 65535

struct source {
	struct arena *arena;
	struct diags *diags;
	const char *next, *end;
	unsigned line;      /* number of the line at next */
	char escape;        /* '\\' or '`' */
	const char *syntax; /* value of # syntax=, or NULL */
	const char *check;  /* value of # check=, or NULL */
};

/* Where a physical line begins inside a logical one. */
struct line_part {
	size_t at;
	unsigned line, column;
};

struct line {
	const char *text; /* glued, NUL-terminated; blanks at its ends are kept */
	size_t len;
	unsigned line, end_line;
	struct line_part *parts;
	size_t nparts, parts_cap;
};

/* Drops the BOM, reads directives; wrong ones become errors. */
void source_init(struct source *s, struct arena *a, const char *text, size_t len,
		 struct diags *d);

/* The next logical line; false at the end. */
bool source_next(struct source *s, struct line *out);

/* Reads the body of h up to its terminator line; false when there is none: then
 * the rest of the file is its body. */
bool source_heredoc(struct source *s, struct heredoc *h);

/* Line and column in the file of the byte at offset at. */
void line_position(const struct line *l, size_t at, unsigned *line, unsigned *column);

#endif
