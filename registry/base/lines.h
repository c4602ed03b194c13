/*
 * lines.h - what a program writes, as lines for people
 *
 * Bytes come in pieces as they are read; lines go out.  A carriage return starts the line
 * anew, so of a progress bar only the last state is left; terminal sequences (CSI, such
 * as colours) and NUL bytes go; a very long line goes out in pieces of LINES_MAX bytes,
 * cut between characters.
 */
#ifndef HOD_LINES_H
#define HOD_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define LINES_MAX 1000

struct lines {
	char text[LINES_MAX + 1]; /* the line so far */
	size_t len;
	bool open;   /* it has begun, be it empty */
	bool cut;    /* a piece of it went out already */
	bool fresh;  /* a carriage return came: the next character begins anew */
	char escape; /* within a terminal sequence: its last byte */
};
#define LINES_INIT \
	{          \
		0  \
	}

typedef void lines_put(void *ctx, const char *line);
/* put is called for each line that is complete. */
void lines_add(struct lines *l, const char *data, size_t len, lines_put *put, void *ctx);
/* ... and for the last one, if it has no end. */
void lines_end(struct lines *l, lines_put *put, void *ctx);

#endif
