/*
 * instruction.h - one logical line to an instruction, in two steps
 *
 * instruction_read splits, as far as BuildKit's own parser does: what fails here
 * fails wherever the line stands.  instruction_check then applies the rules of
 * the instruction.  Both go on behind an error.
 */
#ifndef PARSER_INSTRUCTION_H
#define PARSER_INSTRUCTION_H

#include <stdbool.h>

#include "parser/dockerfile.h"
#include "parser/heredoc.h"
#include "parser/source.h"

/* Splits the line into in; bodies of heredocs are read from s when it is not
 * NULL. */
void instruction_read(struct arena *a, struct source *s, const struct line *l,
		      char escape, struct instruction *in, struct diags *d);

/* Flags and arguments against the rules (2.2-2.4, 3.4, 7.1, 11, 13).  lenient,
 * for what ONBUILD only stores: warnings instead of errors. */
void instruction_check(const struct instruction *in, char escape, bool lenient,
		       struct diags *d);

#endif
