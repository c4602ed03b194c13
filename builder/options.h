/*
 * options.h - command line options as tables
 *
 * A command describes its options once; parsing, `--help` and the check against
 * the man pages follow from the table.  Docker's habits: `--name value`,
 * `--name=value`, `-n value`, `-nvalue`, `-n=value`, joined flags (`-qf x`), operands
 * anywhere, `--` ends the options, `-` is an operand.  A boolean takes `=true` or
 * `=false` as well.  An unknown option is E_USAGE with the nearest known one as hint.
 *
 *	const struct option v[] = {
 *		{"file", 'f', OPTION_STRING, &file, "FILE", "name of the Dockerfile"},
 *		{"quiet", 'q', OPTION_BOOL, &quiet, NULL, "print only the image id"},
 *	};
 *	struct option_table table = {v, 2};
 *	options_parse(&table, 1, argc, argv, &operands, err);
 */
#ifndef HOD_OPTIONS_H
#define HOD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "registry/base/buf.h"

struct error;

enum option_kind {
	OPTION_BOOL,   /* bool * */
	OPTION_STRING, /* const char **, points into argv; the last one wins */
	OPTION_LIST,   /* struct strv *, one entry for each use */
};

struct option {
	const char *name; /* "build-arg" */
	char letter;      /* 't', or 0 */
	enum option_kind kind;
	void *value;
	const char *metavar; /* "NAME[=VALUE]"; NULL for a boolean */
	const char *help;    /* one line, lower case, no full stop */
};

struct option_table {
	const struct option *v;
	size_t n;
};

/* Parses argv[1..] against several tables (a command's and the global one); the
 * first table that knows a name has it.  Operands are added in order. */
int options_parse(const struct option_table *tables, size_t ntables, int argc,
		  char **argv, struct strv *operands, struct error *err);
/* Only what stands before the first operand; *next is that operand's index, argc when
 * there is none. */
int options_parse_leading(const struct option_table *tables, size_t ntables, int argc,
			  char **argv, int *next, struct error *err);

/* The lines below "Options:" of a help text, in the table's order; appended to out. */
void options_usage(const struct option_table *table, struct buf *out);

#endif
