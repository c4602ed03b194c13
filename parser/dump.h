/*
 * dump.h - the syntax tree as text
 *
 * Both forms show what was parsed, before any expansion, and end in a newline.
 * Results live in the arena.
 */
#ifndef PARSER_DUMP_H
#define PARSER_DUMP_H

#include "parser/arena.h"
#include "parser/dockerfile.h"

/* BuildKit's test format: one line per instruction, as its parser tests print it. */
char *dockerfile_dump_sexp(struct arena *a, const struct dockerfile *df);

/*
 * One JSON object, its keys always in this order, lists always present:
 *
 *	{"syntax": null, "check": null, "escape": "\\",
 *	 "global": [INSTRUCTION...],
 *	 "stages": [{"name": null, "base": "alpine", "platform": null, "line": 1,
 *		     "instructions": [INSTRUCTION...]}]}
 *
 * A stage's first instruction is its FROM.  An INSTRUCTION is
 *
 *	{"instruction": "RUN", "line": 2, "endLine": 4, "column": 1,
 *	 "source": "...", "flags": [{"name": "mount", "value": "type=tmpfs"}],
 *	 "json": false, "args": ["..."],
 *	 "pairs": [{"key": "a", "value": "b"}],
 *	 "heredocs": [{"name": "EOF", "expand": true, "stripTabs": false,
 *		       "line": 3, "body": "..."}],
 *	 "trigger": null}
 *
 * value is null for a bare flag and for ARG without "=".  "instruction" is null
 * for an unknown word.  Text is UTF-8; a byte that is not becomes U+FFFD.
 */
char *dockerfile_dump_json(struct arena *a, const struct dockerfile *df);

#endif
