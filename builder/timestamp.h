/*
 * timestamp.h - seconds since 1970 and their RFC 3339 text
 *
 * Plain arithmetic: no time zone, no locale, no leap seconds (second 60 is malformed,
 * as it is for Go's tools).
 */
#ifndef HOD_TIMESTAMP_H
#define HOD_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMP_TEXT 32
/* 1980-01-01T00:00:00Z: where nothing better is known (hod-layers(5), TIME). */
#define TIMESTAMP_FLOOR 315532800
#define TIMESTAMP_MAX 253402300799 /* 9999-12-31T23:59:59Z */

/* "2026-01-02T03:04:05Z", years 1970 to 9999; what lies outside becomes its nearest end.
 */
char *timestamp_text(int64_t t, char out[static TIMESTAMP_TEXT]);
/* Parses RFC 3339 with any fraction (cut, towards the earlier second) and offset; years
 * 0 to 9999, so *out may be negative.  False when malformed, *out untouched. */
bool timestamp_parse(const char *text, int64_t *out);
/* Parses a plain decimal count of seconds, 0 to the year 9999; false when malformed. */
bool timestamp_parse_seconds(const char *text, int64_t *out);

#endif
