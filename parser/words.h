/*
 * words.h - one logical line to flags, JSON elements, words, pairs
 *
 * The splitters of rules 2, 3 and 5.  None of them expands
 * variables or (flags apart) removes quotes.  A span is a piece of a logical
 * line: text that is part of it, so that positions can be computed.
 */
#ifndef PARSER_WORDS_H
#define PARSER_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "parser/arena.h"

struct heredoc;

struct word {
	const char *text;
	unsigned line, column;
	const struct heredoc *heredoc; /* a source of COPY or ADD that is one, or NULL */
};

struct flag {
	const char *name;  /* "from" for --from=x */
	const char *value; /* NULL when bare; "" for --from= */
	unsigned line, column;
};

struct heredoc {
	const char *name; /* the terminator, quotes removed */
	const char *body; /* raw bytes, NUL-terminated, tabs kept */
	size_t body_len;
	bool expand;     /* no part of the name was quoted (5.2) */
	bool strip_tabs; /* <<- */
	unsigned fd;     /* 3 for 3<<EOF; 0 when not given */
	unsigned line;   /* of the first body line */
};

struct pair {
	const char *key, *value; /* value is "" when has_value is false */
	bool has_value;
	bool legacy; /* ENV key value, without "=" */
	unsigned line, column;
};

/* A piece found in a line: its bytes and its offset there. */
struct span {
	const char *text; /* NUL-terminated, in the arena */
	size_t at;        /* offset of its first byte in the line */
};

struct spans {
	struct span *v;
	size_t n, cap;
};

/* The blanks that part words: tab, VT, FF, CR, space (1.11). */
bool is_blank(char c);

/* Bytes of the white space character (as Unicode has it) at s; 0 if none. */
size_t space_at(const char *s, size_t len);

/* Shrinks line[*at..*len) by the white space at both its ends. */
void span_trim(const char *line, size_t *at, size_t *len);

/* Takes the leading --words off line[at..len); quotes and backslashes (whatever
 * the escape directive says, as BuildKit has it) are removed in them (2.1).
 * Returns the offset of what follows. */
size_t words_flags(struct arena *a, const char *line, size_t at, size_t len,
		   struct spans *out);

/* Words parted by blanks, nothing else is special (3.3). */
void words_split(struct arena *a, const char *line, size_t at, size_t len,
		 struct spans *out);

/* Words parted by blanks outside quotes; quotes and escapes are kept (3.5). */
void words_quoted(struct arena *a, const char *line, size_t at, size_t len, char escape,
		  struct spans *out);

enum json_result {
	JSON_STRINGS,   /* an array of strings */
	JSON_NOT,       /* not valid JSON: shell form */
	JSON_NONSTRING, /* valid array with a member that is no string: error */
};

/* Reads line[at..len) as one JSON array (3.1).  For JSON_NONSTRING *bad is the
 * offset of the first such member.  Nesting is limited to 128 levels: deeper
 * is JSON_NOT. */
enum json_result words_json(struct arena *a, const char *line, size_t at, size_t len,
			    struct spans *out, size_t *bad);

#endif
