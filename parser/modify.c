#include "parser/modify.h"

#include <stdint.h>
#include <string.h>

#include "parser/unicode.h"

#define NONE SIZE_MAX
#define TOKENS_MAX 4096

enum { ANY_STRING = -1, ANY_CHAR = -2 };

/* A pattern as characters (bad bytes as 0x80000000 + byte) and wildcards. */
struct pattern {
	int64_t *v;
	size_t n;
};

struct chars {
	uint32_t *v;
	size_t *at; /* byte offset of each, and of the end */
	size_t n;
};

static size_t decode(const char *s, size_t len, uint32_t *c)
{
	size_t n = unicode_decode(s, len, c);

	if (*c == UNICODE_BAD)
		*c = 0x80000000u + (unsigned char)*s;
	return n;
}

static struct chars read_chars(struct arena *a, const char *s)
{
	size_t len = strlen(s);
	struct chars c = {
		.v = arena_array(a, len + 1, sizeof(*c.v)),
		.at = arena_array(a, len + 1, sizeof(*c.at)),
	};

	for (size_t i = 0; i < len;) {
		c.at[c.n] = i;
		i += decode(s + i, len - i, &c.v[c.n++]);
	}
	c.at[c.n] = len;
	return c;
}

static bool compile(struct arena *a, const char *s, struct pattern *out,
		    const char **error)
{
	struct chars c = read_chars(a, s);

	out->v = arena_array(a, c.n + 1, sizeof(*out->v));
	out->n = 0;
	for (size_t i = 0; i < c.n; i++) {
		uint32_t u = c.v[i], next = i + 1 < c.n ? c.v[i + 1] : 0;
		int64_t token = u;

		if (u == '*' || u == '?') {
			token = u == '*' ? ANY_STRING : ANY_CHAR;
			/* A run of stars is one. */
			if (u == '*' && out->n && out->v[out->n - 1] == ANY_STRING)
				continue;
		} else if (u == '\\') {
			if (!next || !strchr("*?\\/}", (int)(next < 0x80 ? next : 'x'))) {
				*error = arena_printf(a, "invalid escape in pattern %s",
						      s);
				return false;
			}
			i++;
			token = next;
		}
		out->v[out->n++] = token;
	}
	if (out->n > TOKENS_MAX) {
		*error = "pattern is too long";
		return false;
	}
	return true;
}

static bool token_takes(int64_t token, uint32_t c)
{
	return token < 0 ? c != '\n' : (int64_t)c == token;
}

/* Adds state i, and those behind stars that may be empty, beginning at start.
 * Earlier starts win. */
static void enter(const struct pattern *p, size_t *states, size_t i, size_t start)
{
	for (; i <= p->n; i++) {
		if (states[i] > start)
			states[i] = start;
		if (i == p->n || p->v[i] != ANY_STRING)
			return;
	}
}

/* All states one character on; false when none is left. */
static bool step(const struct pattern *p, const size_t *from, size_t *to, uint32_t c)
{
	bool alive = false;

	for (size_t i = 0; i <= p->n; i++)
		to[i] = NONE;
	for (size_t i = 0; i < p->n; i++) {
		if (from[i] == NONE || !token_takes(p->v[i], c))
			continue;
		alive = true;
		enter(p, to, p->v[i] == ANY_STRING ? i : i + 1, from[i]);
	}
	return alive;
}

/* Two rows of states for a simulation; each holds where its match began, so
 * that time is the length of the text times that of the pattern. */
struct states {
	size_t *now, *then;
};

static struct states states_new(struct arena *a, const struct pattern *p)
{
	struct states s = {
		.now = arena_array(a, p->n + 1, sizeof(size_t)),
		.then = arena_array(a, p->n + 1, sizeof(size_t)),
	};

	return s;
}

static void states_clear(struct states *s, const struct pattern *p)
{
	for (size_t i = 0; i <= p->n; i++)
		s->now[i] = NONE;
}

static bool states_step(struct states *s, const struct pattern *p, uint32_t c)
{
	size_t *row = s->now;
	bool alive = step(p, s->now, s->then, c);

	s->now = s->then;
	s->then = row;
	return alive;
}

/* The end of the shortest or longest match that begins at start, or NONE. */
static size_t match_end(struct states *s, const struct pattern *p, const struct chars *c,
			size_t start, bool longest)
{
	size_t end = NONE;

	states_clear(s, p);
	enter(p, s->now, 0, start);
	for (size_t i = start;; i++) {
		if (s->now[p->n] != NONE) {
			end = i;
			if (!longest)
				return end;
		}
		if (i == c->n || !states_step(s, p, c->v[i]))
			return end;
	}
}

/* Where the leftmost match at or behind from begins, or NONE. */
static size_t match_start(struct states *s, const struct pattern *p,
			  const struct chars *c, size_t from)
{
	size_t best = NONE;

	states_clear(s, p);
	for (size_t i = from;; i++) {
		bool older = false;

		if (best == NONE)
			enter(p, s->now, 0, i);
		if (s->now[p->n] < best)
			best = s->now[p->n];
		for (size_t j = 0; j < p->n; j++)
			older |= s->now[j] < best;
		if (!older || i == c->n)
			return best;
		states_step(s, p, c->v[i]);
	}
}

static void reverse(void *v, size_t n, size_t size)
{
	char *a = v, tmp[8];

	for (size_t i = 0; i < n / 2; i++) {
		memcpy(tmp, a + i * size, size);
		memcpy(a + i * size, a + (n - 1 - i) * size, size);
		memcpy(a + (n - 1 - i) * size, tmp, size);
	}
}

char *modify_trim(struct arena *a, const char *value, const char *pattern, bool at_end,
		  bool longest, const char **error)
{
	struct chars c = read_chars(a, value);
	struct pattern p;
	struct states s;
	size_t end;

	if (!compile(a, pattern, &p, error))
		return NULL;
	/* A suffix is a prefix of the reversed text. */
	if (at_end) {
		reverse(p.v, p.n, sizeof(*p.v));
		reverse(c.v, c.n, sizeof(*c.v));
	}
	s = states_new(a, &p);
	end = match_end(&s, &p, &c, 0, longest);
	if (end == NONE)
		return arena_strdup(a, value);
	if (at_end)
		return arena_strndup(a, value, c.at[c.n - end]);
	return arena_strdup(a, value + c.at[end]);
}

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_';
}

/* A replacement as Go's regexp reads it: $0 is the match, and no other group
 * exists. */
static void add_template(struct text *out, const char *r, const char *match, size_t len)
{
	while (*r) {
		const char *name = r + 1;
		bool brace = *r == '$' && *name == '{';
		size_t n = 0;

		if (*r != '$') {
			text_char(out, *r++);
			continue;
		}
		if (*name == '$') {
			text_char(out, '$');
			r += 2;
			continue;
		}
		name += brace;
		while (is_word_char(name[n]))
			n++;
		if (!n || (brace && name[n] != '}')) {
			text_char(out, *r++);
			continue;
		}
		if (n == 1 && *name == '0')
			text_add(out, match, len);
		r = name + n + brace;
	}
}

static char *replace_first(struct arena *a, const char *value, const struct chars *c,
			   size_t start, size_t end, const char *replacement)
{
	return arena_printf(a, "%.*s%s%s", (int)c->at[start], value, replacement,
			    value + c->at[end]);
}

char *modify_replace(struct arena *a, const char *value, const char *pattern,
		     const char *replacement, bool all, const char **error)
{
	struct chars c = read_chars(a, value);
	struct text out = {.arena = a};
	size_t last = 0, from = 0;
	struct pattern p;
	struct states s;

	if (!compile(a, pattern, &p, error))
		return NULL;
	s = states_new(a, &p);
	while (from <= c.n) {
		size_t start = match_start(&s, &p, &c, from), end;

		if (start == NONE)
			break;
		end = match_end(&s, &p, &c, start, true);
		if (!all)
			return replace_first(a, value, &c, start, end, replacement);
		text_add(&out, value + c.at[last], c.at[start] - c.at[last]);
		/* An empty match right behind another one does not count. */
		if (end > last || start == 0)
			add_template(&out, replacement, value + c.at[start],
				     c.at[end] - c.at[start]);
		last = end;
		from = end > from ? end : from + 1;
		if (out.len > ((size_t)16 << 20)) {
			*error = "the result is longer than 16 MiB";
			return NULL;
		}
	}
	text_str(&out, value + c.at[last]);
	return text_done(&out);
}
