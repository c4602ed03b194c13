/*
 * buf.h - growing bytes and growing lists of strings
 *
 * A buf always has a NUL byte after its content (data is never NULL after the
 * first add, and BUF_INIT's data reads as ""), so data is also a C string when
 * the content has no NUL of its own.
 *
 *	auto_buf struct buf b = BUF_INIT;
 *	buf_addf(&b, "%s:%u", host, port);
 */
#ifndef HOD_BUF_H
#define HOD_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;
	size_t len, cap;
};

extern char buf_empty_[];
#define BUF_INIT                   \
	{                          \
		.data = buf_empty_ \
	}

void buf_release(struct buf *b);              /* content gone, empty again */
void buf_reset(struct buf *b);                /* length 0, memory kept */
void buf_reserve(struct buf *b, size_t more); /* room for more bytes + NUL */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_truncate(struct buf *b, size_t len); /* len <= b->len */
/* The bytes as malloc'ed, NUL-terminated memory that is yours; b is empty again. */
char *buf_detach(struct buf *b);

/* A NULL-terminated list of strings that the list owns. */
struct strv {
	char **v; /* NULL when the list is empty */
	size_t n, cap;
};

#define STRV_INIT \
	{         \
		0 \
	}

void strv_release(struct strv *s);
void strv_add(struct strv *s, const char *text); /* copies */
void strv_take(struct strv *s, char *text);      /* owns text */
void strv_addf(struct strv *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void strv_copy(struct strv *to, const struct strv *from); /* replaces to */
void strv_sort(struct strv *s);                           /* bytewise */
/* Index of text, or -1. */
ptrdiff_t strv_find(const struct strv *s, const char *text);

/* Ordered "key=value" lists (Env, Labels): NULL when key is not there. */
const char *strv_get(const struct strv *s, const char *key);
/* Replaces in place or appends. */
void strv_set(struct strv *s, const char *key, const char *value);

#define auto_buf __attribute__((cleanup(buf_release)))
#define auto_strv __attribute__((cleanup(strv_release)))

#endif
