/*
 * platform.h - operating system, architecture, variant
 *
 * A plain value that owns its strings, kept in containerd's normal form: lower
 * case, amd64 for x86_64, arm64 for aarch64 and without its default variant v8,
 * arm always with one (v7 unless said otherwise).
 */
#ifndef HOD_PLATFORM_H
#define HOD_PLATFORM_H

#include <stdbool.h>

struct error;

struct platform {
	char *os, *arch, *variant; /* variant NULL when there is none */
};
#define PLATFORM_INIT \
	{             \
		0     \
	}

/* "linux/amd64", "linux/arm/v7", "amd64", "arm/v6", "linux" (with this machine's
 * architecture).  E_INPUT for anything else. */
int platform_parse(struct platform *p, const char *text, struct error *err);
/* linux and this machine's architecture. */
void platform_host(struct platform *p);
/* From the three fields of an index entry or a config; NULL and "" are absent (an
 * absent os or architecture stays ""). */
void platform_set(struct platform *p, const char *os, const char *arch,
		  const char *variant);
void platform_release(struct platform *p);
void platform_copy(struct platform *to, const struct platform *from);
char *platform_text(const struct platform *p); /* "linux/arm/v7"; yours to free */
bool platform_equal(const struct platform *a, const struct platform *b);
/* How well a machine `want` runs an image for `have`: -1 not at all, 0 it
 * is the very platform, more for an older variant of it. */
int platform_rank(const struct platform *want, const struct platform *have);

#define auto_platform __attribute__((cleanup(platform_release)))

#endif
