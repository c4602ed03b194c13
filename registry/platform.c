#include "registry/platform.h"

#include <ctype.h>
#include <string.h>
#include <sys/utsname.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

/* Other names of an architecture, with the variant that such a name implies. */
static const struct alias {
	const char *name, *arch, *variant;
} aliases[] = {
	{"x86_64", "amd64", NULL},
	{"x86-64", "amd64", NULL},
	{"aarch64", "arm64", NULL},
	{"i386", "386", NULL},
	{"i486", "386", NULL},
	{"i586", "386", NULL},
	{"i686", "386", NULL},
	{"armhf", "arm", "v7"},
	{"armel", "arm", "v6"},
	{"armv7l", "arm", "v7"},
	{"armv6l", "arm", "v6"},
	{"armv8l", "arm", "v7"},
	{"loongarch64", "loong64", NULL},
};

static const char *const known_arch[] = {
	"386",      "amd64", "arm",     "arm64",   "loong64", "mips64",
	"mips64le", "ppc64", "ppc64le", "riscv64", "s390x",   "wasm",
};

static const char *const known_os[] = {
	"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "wasi",
};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(text, list[i]))
			return true;
	return false;
}

static char *lower(const char *text)
{
	char *copy = xstrdup(text ? text : "");

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* "8" is "v8"; what is the architecture's default and not spoken is dropped. */
static char *normal_variant(const char *arch, const char *variant)
{
	auto_free char *v = lower(variant);

	if (isdigit((unsigned char)*v)) {
		char *with = xasprintf("v%s", v);

		free(v);
		v = with;
	}
	if (!strcmp(arch, "arm") && !*v)
		return xstrdup("v7");
	if (!*v || (!strcmp(arch, "arm64") && !strcmp(v, "v8")) ||
	    (!strcmp(arch, "amd64") && !strcmp(v, "v1")))
		return NULL;
	return steal_ptr(&v);
}

void platform_set(struct platform *p, const char *os, const char *arch,
		  const char *variant)
{
	auto_free char *a = lower(arch);
	auto_free char *v = lower(variant);

	for (size_t i = 0; i < COUNT(aliases); i++) {
		if (strcmp(a, aliases[i].name) != 0)
			continue;
		free(a);
		a = xstrdup(aliases[i].arch);
		if (!*v && aliases[i].variant) {
			free(v);
			v = xstrdup(aliases[i].variant);
		}
		break;
	}
	p->os = lower(os);
	p->variant = normal_variant(a, v);
	p->arch = steal_ptr(&a);
}

void platform_host(struct platform *p)
{
	struct utsname u;

	/* a 32-bit program on a 64-bit kernel still speaks for the kernel */
	platform_set(p, "linux", uname(&u) < 0 ? "" : u.machine, NULL);
}

static bool is_known_arch(const char *text)
{
	struct platform p;
	bool known;

	platform_set(&p, "", text, NULL);
	known = is_one_of(p.arch, known_arch, COUNT(known_arch));
	platform_release(&p);
	return known;
}

static bool is_known_os(const char *text)
{
	auto_free char *l = lower(text);

	return is_one_of(l, known_os, COUNT(known_os));
}

/* Splits at '/'; false for an empty part or a character no platform has. */
static bool split(const char *text, struct strv *parts)
{
	for (const char *p = text;; p++) {
		size_t n = strcspn(p, "/");

		if (!n)
			return false;
		for (size_t i = 0; i < n; i++)
			if (!isalnum((unsigned char)p[i]) && !strchr("_.-", p[i]))
				return false;
		strv_take(parts, xstrndup(p, n));
		p += n;
		if (!*p)
			return true;
	}
}

int platform_parse(struct platform *p, const char *text, struct error *err)
{
	auto_strv struct strv part = STRV_INIT;

	if (!split(text, &part) || part.n > 3) {
		error_set(err, E_INPUT, "%s is no platform", *text ? text : "\"\"");
		return error_hint(err, "write os/architecture, such as linux/amd64");
	}
	if (part.n == 3 || (part.n == 2 && is_known_os(part.v[0]))) {
		platform_set(p, part.v[0], part.v[1], part.n == 3 ? part.v[2] : NULL);
	} else if (is_known_arch(part.v[0])) {
		platform_set(p, "linux", part.v[0], part.n == 2 ? part.v[1] : NULL);
	} else if (part.n == 1 && is_known_os(part.v[0])) {
		platform_host(p);
		free(p->os);
		p->os = lower(part.v[0]);
	} else {
		error_set(err, E_INPUT, "platform %s: unknown %s", text,
			  part.n == 1 ? "architecture" : "operating system");
		return error_hint(err, "write os/architecture, such as linux/amd64");
	}
	return 0;
}

void platform_release(struct platform *p)
{
	free(p->os);
	free(p->arch);
	free(p->variant);
	*p = (struct platform)PLATFORM_INIT;
}

void platform_copy(struct platform *to, const struct platform *from)
{
	struct platform copy = {
		.os = xstrdup(from->os ? from->os : ""),
		.arch = xstrdup(from->arch ? from->arch : ""),
		.variant = from->variant ? xstrdup(from->variant) : NULL,
	};

	platform_release(to);
	*to = copy;
}

char *platform_text(const struct platform *p)
{
	return xasprintf("%s/%s%s%s", p->os, p->arch, p->variant ? "/" : "",
			 p->variant ? p->variant : "");
}

static bool same(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

bool platform_equal(const struct platform *a, const struct platform *b)
{
	return same(a->os, b->os) && same(a->arch, b->arch) &&
	       same(a->variant, b->variant);
}

/* "v8.1" as 801, -1 when it is no such number. */
static int variant_number(const char *v)
{
	int major = 0, minor = 0, digits = 0;

	if (*v++ != 'v')
		return -1;
	for (; isdigit((unsigned char)*v) && digits < 4; v++, digits++)
		major = major * 10 + (*v - '0');
	if (!digits)
		return -1;
	if (*v == '.' && isdigit((unsigned char)v[1]) && !v[2])
		minor = v[1] - '0';
	else if (*v)
		return -1;
	return major * 100 + minor;
}

int platform_rank(const struct platform *want, const struct platform *have)
{
	const char *unspoken = "";
	int w, h;

	if (!same(want->os, have->os) || !same(want->arch, have->arch))
		return -1;
	if (same(want->variant, have->variant))
		return 0;
	if (same(want->arch, "arm64"))
		unspoken = "v8";
	else if (same(want->arch, "amd64"))
		unspoken = "v1";
	w = variant_number(want->variant ? want->variant : unspoken);
	h = variant_number(have->variant ? have->variant : unspoken);
	return w < 0 || h < 0 || h > w ? -1 : w - h;
}
