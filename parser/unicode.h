/*
 * unicode.h - characters beyond ASCII, independent of the locale
 *
 * Variable names, blanks and the dump follow Unicode's categories, whatever the
 * locale of the process is, so the C library's tables are of no use.
 */
#ifndef PARSER_UNICODE_H
#define PARSER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What unicode_decode says of a byte that is not UTF-8; no character. */
#define UNICODE_BAD 0xffffffffu

/* The character at s (len > 0) and its length; 1 for a bad byte. */
size_t unicode_decode(const char *s, size_t len, uint32_t *c);

/* Writes c, at most 0x10ffff; returns its length. */
size_t unicode_encode(uint32_t c, char out[4]);

bool unicode_letter(uint32_t c);
bool unicode_digit(uint32_t c);
bool unicode_space(uint32_t c);

/* Letters, marks, numbers, punctuation, symbols and the ASCII blank. */
bool unicode_printable(uint32_t c);

#endif
