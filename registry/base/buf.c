#include "registry/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "registry/base/alloc.h"

char buf_empty_[1];

void buf_release(struct buf *b)
{
	if (b->cap)
		free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_reset(struct buf *b)
{
	buf_truncate(b, 0);
}

void buf_reserve(struct buf *b, size_t more)
{
	size_t need = b->len + more + 1, cap = b->cap;

	if (need <= cap)
		return;
	if (need < b->len)
		abort(); /* sizes are bounded long before */
	cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap < need)
		cap = need;
	if (cap < 64)
		cap = 64;
	b->data = xrealloc(b->cap ? b->data : NULL, cap);
	b->cap = cap;
	b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (!len)
		return;
	buf_reserve(b, len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0)
		return;
	buf_reserve(b, (size_t)n);
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_truncate(struct buf *b, size_t len)
{
	b->len = len;
	if (b->cap)
		b->data[len] = '\0';
}

char *buf_detach(struct buf *b)
{
	char *data;

	buf_reserve(b, 0);
	data = b->data;
	*b = (struct buf)BUF_INIT;
	return data;
}

void strv_release(struct strv *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strv)STRV_INIT;
}

void strv_take(struct strv *s, char *text)
{
	if (s->n + 1 >= s->cap) {
		s->cap = s->cap ? s->cap * 2 : 8;
		s->v = xreallocarray(s->v, s->cap, sizeof(*s->v));
	}
	s->v[s->n++] = text;
	s->v[s->n] = NULL;
}

void strv_add(struct strv *s, const char *text)
{
	strv_take(s, xstrdup(text));
}

void strv_addf(struct strv *s, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	buf_reserve(&b, n > 0 ? (size_t)n : 0);
	va_start(ap, fmt);
	vsnprintf(b.data, (size_t)n + 1, fmt, ap);
	va_end(ap);
	strv_take(s, b.data);
}

void strv_copy(struct strv *to, const struct strv *from)
{
	struct strv copy = STRV_INIT;

	for (size_t i = 0; i < from->n; i++)
		strv_add(&copy, from->v[i]);
	strv_release(to);
	*to = copy;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *s)
{
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_bytes);
}

ptrdiff_t strv_find(const struct strv *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i], text))
			return (ptrdiff_t)i;
	return -1;
}

static ptrdiff_t find_key(const struct strv *s, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < s->n; i++)
		if (!strncmp(s->v[i], key, len) && s->v[i][len] == '=')
			return (ptrdiff_t)i;
	return -1;
}

const char *strv_get(const struct strv *s, const char *key)
{
	ptrdiff_t i = find_key(s, key);

	return i < 0 ? NULL : s->v[i] + strlen(key) + 1;
}

void strv_set(struct strv *s, const char *key, const char *value)
{
	ptrdiff_t i = find_key(s, key);
	char *pair = xasprintf("%s=%s", key, value);

	if (i < 0) {
		strv_take(s, pair);
		return;
	}
	free(s->v[i]);
	s->v[i] = pair;
}
