/*
 * error.h - one failure as a plain value
 *
 * A fallible function takes `struct error *err` last and returns -1 or NULL
 * after filling it; success leaves it alone.  The function that sees the
 * failure sets kind, cause and, when it knows one, a hint; callers wrap it
 * with what they alone know (the image, the file and line).  Nothing is
 * allocated: threads copy an error, a child writes one down a pipe.
 *
 *	if (fd < 0)
 *		return error_errno(err, "cannot open %s", name);
 *	if (store_put(st, fd, want, err) < 0)
 *		return error_wrap(err, "layer %s", text);
 *
 * Messages are single lines in lower case without a final full stop.  Text
 * that comes from outside is made printable.  When a message outgrows its
 * room the context is shortened in the middle, the cause (its end) never.
 */
#ifndef HOD_ERROR_H
#define HOD_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

enum error_kind {
	E_NONE,
	E_FAILED,      /* the work failed: a RUN, a full disk */
	E_USAGE,       /* wrong command line */
	E_INPUT,       /* wrong Dockerfile, reference, ignore file, missing source */
	E_AUTH,        /* login or permission */
	E_MISSING,     /* not found */
	E_NETWORK,     /* worth retrying */
	E_CORRUPT,     /* content does not match its digest, or is malformed */
	E_SANDBOX,     /* this host cannot sandbox */
	E_BUG,         /* a bug in hod, or no memory */
	E_INTERRUPTED, /* SIGINT or SIGTERM; see interrupt.h */
	E_KINDS
};

#define ERROR_MSG 768
#define ERROR_HINT 256
#define ERROR_FILE 256

struct error {
	enum error_kind kind;
	int sys_errno;         /* 0 when no system call failed */
	unsigned line, column; /* of file; 0 = no place */
	char file[ERROR_FILE]; /* "" = no place */
	char msg[ERROR_MSG];
	char hint[ERROR_HINT]; /* "" = no advice */
};

#define ERROR_INIT             \
	{                      \
		.kind = E_NONE \
	}

/* Replaces err by a failure of this kind.  Always returns -1.  err may be
 * NULL, then only the return value is given (so for all functions here). */
int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Like error_set with the text of errno appended (": No such file or
 * directory"); the kind follows from errno: EACCES, EPERM, EROFS are E_AUTH,
 * ENOENT and ENOTDIR E_MISSING, EINTR E_INTERRUPTED, ENOMEM E_BUG, connection errors
 * E_NETWORK, everything else E_FAILED.  Always returns -1. */
int error_errno(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Puts "text: " before the message.  Kind and hint stay.  Returns -1. */
int error_wrap(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Sets the advice, replacing an earlier one.  Returns -1. */
int error_hint(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Names the place in an input file, if none is named yet.  Returns -1. */
int error_at(struct error *err, const char *file, unsigned line, unsigned column);

/* The exit status: 0 for E_NONE, then as hod(1), EXIT STATUS, lists.
 * For E_INTERRUPTED 128 plus the signal that was received. */
int error_status(const struct error *err);

/* "network", "corrupt", ...: the word for the JSON log. */
const char *error_kind_name(enum error_kind kind);

#endif
