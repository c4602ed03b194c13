/* The JSON form of arguments: a strict reader of one array (3.1). */
#include <stdint.h>
#include <string.h>

#include "parser/unicode.h"
#include "parser/words.h"

/* Go's limit is 10000; nobody nests arguments. */
#define DEPTH_MAX 128

struct json {
	struct arena *arena;
	const char *line;
	size_t at, len;
};

static bool value(struct json *j, unsigned depth);

static int peek(const struct json *j)
{
	return j->at < j->len ? (unsigned char)j->line[j->at] : -1;
}

static int next(struct json *j)
{
	while (j->at < j->len && strchr(" \t\r\n", j->line[j->at]))
		j->at++;
	return peek(j);
}

static bool take(struct json *j, const char *word)
{
	size_t n = strlen(word);

	if (j->len - j->at < n || memcmp(j->line + j->at, word, n) != 0)
		return false;
	j->at += n;
	return true;
}

static bool hex4(struct json *j, uint32_t *c)
{
	*c = 0;
	for (int i = 0; i < 4; i++) {
		int d = peek(j);

		if (d >= '0' && d <= '9')
			d -= '0';
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			d = (d | 0x20) - 'a' + 10;
		else
			return false;
		*c = *c << 4 | (uint32_t)d;
		j->at++;
	}
	return true;
}

/* \uXXXX behind the u; halves of a surrogate pair alone become U+FFFD. */
static bool unicode_escape(struct json *j, struct text *out)
{
	uint32_t c, low;
	char utf8[4];
	size_t n;

	if (!hex4(j, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00 && j->len - j->at >= 2 && j->line[j->at] == '\\' &&
	    j->line[j->at + 1] == 'u') {
		size_t back = j->at;

		j->at += 2;
		if (!hex4(j, &low))
			return false;
		if (low >= 0xdc00 && low < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		else
			j->at = back;
	}
	if (c >= 0xd800 && c < 0xe000)
		c = 0xfffd;
	/* A C string can't hold it. */
	if (!c)
		return false;
	n = unicode_encode(c, utf8);
	text_add(out, utf8, n);
	return true;
}

static bool escape(struct json *j, struct text *out)
{
	static const char names[] = "\"\\/bfnrt", chars[] = "\"\\/\b\f\n\r\t";
	int c = peek(j);
	const char *p;

	if (c < 0)
		return false;
	j->at++;
	if (c == 'u')
		return unicode_escape(j, out);
	p = strchr(names, c);
	if (!p || !c)
		return false;
	text_char(out, chars[p - names]);
	return true;
}

static bool string(struct json *j, struct text *out)
{
	j->at++;
	for (;;) {
		uint32_t u;
		size_t n;
		int c = peek(j);

		if (c < 0x20)
			return false;
		if (c == '"') {
			j->at++;
			return true;
		}
		if (c == '\\') {
			j->at++;
			if (!escape(j, out))
				return false;
			continue;
		}
		n = unicode_decode(j->line + j->at, j->len - j->at, &u);
		if (u == UNICODE_BAD)
			text_str(out, "\xef\xbf\xbd");
		else
			text_add(out, j->line + j->at, n);
		j->at += n;
	}
}

static bool digits(struct json *j)
{
	size_t start = j->at;

	while (peek(j) >= '0' && peek(j) <= '9')
		j->at++;
	return j->at > start;
}

static bool number(struct json *j)
{
	take(j, "-");
	if (!take(j, "0") && !digits(j))
		return false;
	if (take(j, ".") && !digits(j))
		return false;
	if (take(j, "e") || take(j, "E")) {
		if (!take(j, "+"))
			take(j, "-");
		return digits(j);
	}
	return true;
}

/* An array or object that is a member: only its form counts. */
static bool nested(struct json *j, unsigned depth)
{
	char close = peek(j) == '[' ? ']' : '}';

	j->at++;
	if (next(j) == close) {
		j->at++;
		return true;
	}
	for (;;) {
		struct text key = {.arena = j->arena};

		if (close == '}') {
			if (next(j) != '"' || !string(j, &key) || next(j) != ':')
				return false;
			j->at++;
		}
		if (!value(j, depth))
			return false;
		if (next(j) == close) {
			j->at++;
			return true;
		}
		if (peek(j) != ',')
			return false;
		j->at++;
	}
}

static bool value(struct json *j, unsigned depth)
{
	struct text ignored = {.arena = j->arena};
	int c = next(j);

	if (c == '"')
		return string(j, &ignored);
	if (c == '[' || c == '{')
		return depth < DEPTH_MAX && nested(j, depth + 1);
	return take(j, "true") || take(j, "false") || take(j, "null") || number(j);
}

static bool member(struct json *j, struct spans *out, bool *foreign, size_t *bad)
{
	struct text s = {.arena = j->arena};
	size_t at;

	if (next(j) != '"') {
		if (!*foreign)
			*bad = j->at;
		*foreign = true;
		return value(j, 1);
	}
	at = j->at;
	if (!string(j, &s))
		return false;
	out->v = arena_grow(j->arena, out->v, out->n, &out->cap, sizeof(*out->v));
	out->v[out->n++] = (struct span){.text = text_done(&s), .at = at};
	return true;
}

enum json_result words_json(struct arena *a, const char *line, size_t at, size_t len,
			    struct spans *out, size_t *bad)
{
	struct json j = {.arena = a, .line = line, .at = at, .len = len};
	struct spans found = {0};
	bool foreign = false;

	if (next(&j) != '[')
		return JSON_NOT;
	j.at++;
	if (next(&j) == ']') {
		j.at++;
	} else {
		for (;;) {
			if (!member(&j, &found, &foreign, bad))
				return JSON_NOT;
			if (next(&j) == ']') {
				j.at++;
				break;
			}
			if (peek(&j) != ',')
				return JSON_NOT;
			j.at++;
		}
	}
	if (next(&j) >= 0)
		return JSON_NOT;
	if (foreign)
		return JSON_NONSTRING;
	*out = found;
	return JSON_STRINGS;
}
