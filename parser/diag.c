#include "parser/diag.h"

#include <stdlib.h>
#include <string.h>

/* Longer names are not compared: the distance takes product-of-lengths time. */
#define NEAREST_MAX 256

static void diag_add(struct diags *d, enum diag_level level, unsigned line,
		     unsigned column, const char *rule, const char *message)
{
	d->v = arena_grow(d->arena, d->v, d->n, &d->cap, sizeof(*d->v));
	d->v[d->n++] = (struct diag){
		.level = level,
		.line = line,
		.column = column,
		.message = message,
		.rule = rule,
	};
	if (level == DIAG_ERROR)
		d->errors++;
}

void diag_error(struct diags *d, unsigned line, unsigned column, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_ERROR, line, column, NULL, arena_vprintf(d->arena, fmt, ap));
	va_end(ap);
}

void diag_warn(struct diags *d, unsigned line, unsigned column, const char *rule,
	       const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_WARNING, line, column, rule, arena_vprintf(d->arena, fmt, ap));
	va_end(ap);
}

void diag_hint(struct diags *d, const char *fmt, ...)
{
	va_list ap;

	if (!d->n)
		return;
	va_start(ap, fmt);
	d->v[d->n - 1].hint = arena_vprintf(d->arena, fmt, ap);
	va_end(ap);
}

struct placed {
	struct diag diag;
	size_t index;
};

static int compare_places(const void *left, const void *right)
{
	const struct placed *a = left, *b = right;

	if (a->diag.line != b->diag.line)
		return a->diag.line < b->diag.line ? -1 : 1;
	if (a->diag.column != b->diag.column)
		return a->diag.column < b->diag.column ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

void diag_sort(struct diags *d)
{
	struct placed *v;

	if (d->n < 2)
		return;
	v = arena_array(d->arena, d->n, sizeof(*v));
	for (size_t i = 0; i < d->n; i++)
		v[i] = (struct placed){d->v[i], i};
	qsort(v, d->n, sizeof(*v), compare_places);
	for (size_t i = 0; i < d->n; i++)
		d->v[i] = v[i].diag;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Optimal string alignment: insert, delete, replace, swap two neighbours. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned rows[3][NEAREST_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= m; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned cost = lower(a[i - 1]) != lower(b[j - 1]);

			row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]) &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[m];
}

const char *diag_nearest(const char *word, const char *const *candidates, size_t n)
{
	size_t len = strlen(word);
	unsigned best = len / 3 > 1 ? (unsigned)(len / 3) : 1;
	const char *nearest = NULL;

	if (!len || len > NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t m = candidates[i] ? strlen(candidates[i]) : 0;
		size_t apart = m > len ? m - len : len - m;
		unsigned d;

		if (!m || m > NEAREST_MAX || apart > best)
			continue;
		d = distance(word, len, candidates[i], m);
		/* A word replaced as a whole is not a misspelling. */
		if (d > best || d >= len || (nearest && d == best))
			continue;
		best = d;
		nearest = candidates[i];
	}
	return nearest;
}
