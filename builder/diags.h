/*
 * diags.h - the parser's messages, for people
 *
 * A file yields many messages, a command fails with one error: all but the last are
 * printed, the last becomes the error.
 */
#ifndef HOD_DIAGS_H
#define HOD_DIAGS_H

#include <stddef.h>

struct diags;
struct error;

/* Prints warnings and all errors but the last; -1 and that one as err (E_INPUT, with its
 * place in `file`) when there is any.  text: the file's len bytes, for excerpts. */
int diags_report(const char *file, const struct diags *d, const char *text, size_t len,
		 struct error *err);
/* A line (from 1) of a text, for the excerpt below a message; yours to free, NULL when
 * there is none. */
char *diags_line(const char *text, size_t len, unsigned line);

#endif
