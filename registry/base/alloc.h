/*
 * alloc.h - memory that is always there, and locals that clean up
 *
 * Out of memory ends the program with status 70; sizes that come from outside
 * are bounded before they get here.
 */
#ifndef HOD_ALLOC_H
#define HOD_ALLOC_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* As malloc, calloc, realloc, strdup, strndup; never NULL. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* realloc of n items; the product is checked. */
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
/* printf into fresh memory; yours to free. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for one more item in a growing array: doubles cap when n == cap. */
#define GROW(array, n, cap)                                                        \
	do {                                                                       \
		if ((n) == (cap)) {                                                \
			(cap) = (cap) ? (cap)*2 : 8;                               \
			(array) = xreallocarray((array), (cap), sizeof(*(array))); \
		}                                                                  \
	} while (0)

static inline void cleanup_free_(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hands an fd or a pointer on: the local no longer owns it. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void *steal_ptr_(void *pp)
{
	void **p = pp, *taken = *p;

	*p = NULL;
	return taken;
}
#define steal_ptr(pp) ((__typeof__(*(pp)))steal_ptr_(pp))

#define auto_free __attribute__((cleanup(cleanup_free_)))
#define auto_fd __attribute__((cleanup(cleanup_fd_)))

#endif
