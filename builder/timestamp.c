#include "builder/timestamp.h"

#include <stdio.h>
#include <string.h>

#define DAY 86400

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(int64_t year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30,
					     31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to the first of January; year >= 0. */
static int64_t year_start(int64_t year)
{
	/* leap days of the years 0 .. year-1, year 0 being one */
	int64_t leaps =
		year ? (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 : 0;

	return year * 365 + leaps - 719528;
}

char *timestamp_text(int64_t t, char out[static TIMESTAMP_TEXT])
{
	int64_t day, year;
	unsigned month = 1, second;

	t = t < 0 ? 0 : t > TIMESTAMP_MAX ? TIMESTAMP_MAX : t;
	day = t / DAY;
	second = (unsigned)(t % DAY);
	year = 1970 + day / 366; /* never too late a year */
	while (year_start(year + 1) <= day)
		year++;
	day -= year_start(year);
	while (day >= month_days(year, month))
		day -= month_days(year, month++);
	snprintf(out, TIMESTAMP_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year,
		 month, (unsigned)day + 1, second / 3600, second / 60 % 60, second % 60);
	return out;
}

/* Exactly n digits at *p, which moves on. */
static bool digits(const char **p, int n, unsigned *out)
{
	*out = 0;
	for (; n; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (unsigned)(**p - '0');
	}
	return true;
}

static bool expect(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* "Z" or "+hh:mm", in seconds east of UTC. */
static bool offset(const char **p, int *out)
{
	unsigned hours, minutes;
	int sign;

	*out = 0;
	if (expect(p, 'Z') || expect(p, 'z'))
		return true;
	sign = **p == '-' ? -1 : 1;
	if (!expect(p, '+') && !expect(p, '-'))
		return false;
	if (!digits(p, 2, &hours) || !expect(p, ':') || !digits(p, 2, &minutes))
		return false;
	if (hours > 23 || minutes > 59)
		return false;
	*out = sign * (int)(hours * 3600 + minutes * 60);
	return true;
}

bool timestamp_parse(const char *text, int64_t *out)
{
	unsigned year, month, day, hour, minute, second;
	const char *p = text;
	int64_t days;
	int east;

	if (!digits(&p, 4, &year) || !expect(&p, '-') || !digits(&p, 2, &month) ||
	    !expect(&p, '-') || !digits(&p, 2, &day))
		return false;
	if (!expect(&p, 'T') && !expect(&p, 't'))
		return false;
	if (!digits(&p, 2, &hour) || !expect(&p, ':') || !digits(&p, 2, &minute) ||
	    !expect(&p, ':') || !digits(&p, 2, &second))
		return false;
	if (expect(&p, '.')) {
		size_t n = strspn(p, "0123456789");

		if (!n)
			return false;
		p += n;
	}
	if (!offset(&p, &east) || *p)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) ||
	    hour > 23 || minute > 59 || second > 59)
		return false;
	days = year_start(year) + day - 1;
	for (unsigned m = 1; m < month; m++)
		days += month_days(year, m);
	*out = days * DAY + hour * 3600 + minute * 60 + second - east;
	return true;
}

bool timestamp_parse_seconds(const char *text, int64_t *out)
{
	int64_t t = 0;

	if (!*text)
		return false;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		t = t * 10 + (*p - '0');
		if (t > TIMESTAMP_MAX)
			return false;
	}
	*out = t;
	return true;
}
