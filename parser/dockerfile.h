/*
 * dockerfile.h - a Dockerfile as typed instructions and stages
 *
 * The parser knows the syntax of the whole language, also of what a builder
 * may refuse.  It goes on behind an error: what it returns can always be dumped
 * and, if no error was reported, be built.  Nothing is expanded.  Lines and
 * columns count from 1, columns in bytes.
 *
 *	struct arena a = ARENA_INIT;
 *	struct diags d = { .arena = &a };
 *	struct dockerfile *df = dockerfile_parse(&a, text, len, &d);
 *	if (d.errors) ...
 *	arena_release(&a);
 */
#ifndef PARSER_DOCKERFILE_H
#define PARSER_DOCKERFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "parser/arena.h"
#include "parser/diag.h"
#include "parser/words.h"

enum keyword {
	KW_ADD,
	KW_ARG,
	KW_CMD,
	KW_COPY,
	KW_ENTRYPOINT,
	KW_ENV,
	KW_EXPOSE,
	KW_FROM,
	KW_HEALTHCHECK,
	KW_LABEL,
	KW_MAINTAINER,
	KW_ONBUILD,
	KW_RUN,
	KW_SHELL,
	KW_STOPSIGNAL,
	KW_USER,
	KW_VOLUME,
	KW_WORKDIR,
	KW_COUNT /* also: an unknown word, which is an error */
};

struct instruction {
	enum keyword kw;
	const char *word;   /* the keyword as written */
	const char *source; /* the logical line as glued */
	unsigned line, end_line, column;
	struct flag *flags;
	size_t nflags;
	bool json;   /* exec form */
	bool broken; /* its arguments could not be split; an error says why */
	/* What rules 3 yield.  RUN, CMD, ENTRYPOINT, SHELL: the JSON elements,
	 * or one raw string (none when the line is empty).  COPY, ADD, VOLUME,
	 * EXPOSE, FROM, ARG: words.  USER, WORKDIR, STOPSIGNAL, MAINTAINER: one
	 * word.  HEALTHCHECK: its type in upper case, then the command (one raw
	 * string, or the elements when json).  ENV, LABEL, ONBUILD: none. */
	struct word *args;
	size_t nargs;
	const char *health_type; /* HEALTHCHECK's type as written, or NULL */
	/* ENV, LABEL: key and value as the splitter leaves them, quotes kept.
	 * ARG: key, and the value if it has one. */
	struct pair *pairs;
	size_t npairs;
	struct heredoc *heredocs;
	size_t nheredocs;
	/* ONBUILD's instruction, or NULL; it shares the heredocs. */
	struct instruction *trigger;
	const char *trigger_text; /* as it is stored in an image (5.8) */
};

struct stage {
	const char *base;     /* FROM's image word, unexpanded; "" if wrong */
	const char *platform; /* value of --platform, unexpanded, or NULL */
	const char *name;     /* lower-cased, or NULL */
	unsigned line;
	/* Its instructions behind FROM are instructions[first..first + count);
	 * FROM itself is instructions[first - 1]. */
	size_t first, count;
};

struct dockerfile {
	const char *syntax, *check; /* directives, or NULL */
	char escape;
	struct instruction *instructions;
	size_t ninstructions;
	size_t nglobal; /* the first nglobal instructions are before the first FROM */
	struct stage *stages;
	size_t nstages;
};

/* The name in upper case; "" for KW_COUNT. */
const char *keyword_name(enum keyword kw);

/* The keyword of any case; KW_COUNT when unknown. */
enum keyword keyword_find(const char *word, size_t len);

/* Parses text (need not end in NUL; not kept).  Always returns a tree; what is
 * wrong with it goes to out, whose arena may be a, sorted by line. */
struct dockerfile *dockerfile_parse(struct arena *a, const char *text, size_t len,
				    struct diags *out);

/* A duration of HEALTHCHECK in Go's syntax (1h2m3.5s) to nanoseconds; false when it
 * is malformed or does not fit. */
bool duration_parse(const char *text, long long *ns);

/* Parses one ONBUILD trigger of a base image: exactly one instruction, heredoc
 * bodies behind it.  Lines are counted from line on.  NULL when it is not one
 * instruction, or wrong; out says why. */
struct instruction *instruction_parse(struct arena *a, const char *text, char escape,
				      unsigned line, struct diags *out);

/* The first flag of that name, or NULL. */
const struct flag *instruction_flag(const struct instruction *in, const char *name);

/* Whether the boolean flag is there and not false. */
bool instruction_flag_on(const struct instruction *in, const char *name);

#endif
