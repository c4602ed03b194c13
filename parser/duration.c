#include <limits.h>
#include <string.h>

#include "parser/dockerfile.h"

static const struct {
	const char *name;
	long long ns;
} units[] = {
	/* Longer names first where one begins another. */
	{"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
	{"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000},
};

static long long unit_at(const char **p)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		size_t n = strlen(units[i].name);

		if (!strncmp(*p, units[i].name, n)) {
			*p += n;
			return units[i].ns;
		}
	}
	return 0;
}

/* One number with its unit, added to *sum. */
static bool add_part(const char **p, long long *sum)
{
	long long whole = 0, unit, part;
	double fraction = 0, scale = 1;
	const char *start = *p;
	size_t digits;

	for (; **p >= '0' && **p <= '9'; ++*p)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, **p - '0', &whole))
			return false;
	digits = (size_t)(*p - start);
	if (**p == '.') {
		for (++*p; **p >= '0' && **p <= '9'; ++*p, digits++) {
			if (scale > 1e17)
				continue;
			fraction = fraction * 10 + (**p - '0');
			scale *= 10;
		}
	}
	if (!digits)
		return false;
	unit = unit_at(p);
	if (!unit || __builtin_mul_overflow(whole, unit, &part) ||
	    __builtin_add_overflow(part, (long long)(fraction * ((double)unit / scale)),
				   &part))
		return false;
	return !__builtin_add_overflow(*sum, part, sum);
}

bool duration_parse(const char *text, long long *ns)
{
	bool negative = *text == '-';
	const char *p = text + (negative || *text == '+');
	long long sum = 0;

	if (!strcmp(p, "0")) {
		*ns = 0;
		return true;
	}
	if (!*p)
		return false;
	while (*p)
		if (!add_part(&p, &sum))
			return false;
	*ns = negative ? -sum : sum;
	return true;
}
