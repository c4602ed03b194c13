/*
 * arena.h - one pool of memory per parsed file
 *
 * Everything the parser returns (tree, words, messages) lives in one arena and
 * goes with it; nothing is freed singly.  One thread at a time may allocate.
 *
 *	struct arena a = ARENA_INIT;
 *	char *s = arena_printf(&a, "stage-%u", n);
 *	arena_release(&a);
 *
 * Running out of memory ends the process with status 70, so callers bound the
 * sizes that come from outside.
 */
#ifndef PARSER_ARENA_H
#define PARSER_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* the current block first */
};

#define ARENA_INIT \
	{          \
		0  \
	}

/* size zeroed bytes, aligned for any type; never NULL, also for size 0. */
void *arena_alloc(struct arena *a, size_t size);

/* count zeroed elements; a product that overflows ends the process. */
void *arena_array(struct arena *a, size_t count, size_t size);

/* Room for one more element in the array v of n used and *cap allocated ones:
 * returns v, or its copy in a larger place. */
void *arena_grow(struct arena *a, void *v, size_t n, size_t *cap, size_t size);

/* A NUL-terminated copy of exactly n bytes (also behind a NUL byte). */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_strdup(struct arena *a, const char *s);

char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* Gives all memory back; the arena is empty and may be used again. */
void arena_release(struct arena *a);

/* A string that grows inside an arena.  s is NUL-terminated once non-NULL. */
struct text {
	struct arena *arena;
	char *s;
	size_t len, cap;
};

void text_add(struct text *t, const char *s, size_t n);
void text_char(struct text *t, char c);
void text_str(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The collected string, "" when nothing was added. */
char *text_done(struct text *t);

#endif
