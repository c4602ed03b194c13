#include "parser/pattern.h"

#include <stdint.h>
#include <string.h>

#include "parser/unicode.h"

/* A bad byte is a character of its own, apart from all real ones. */
static size_t decode(const char *s, uint32_t *c)
{
	size_t n = unicode_decode(s, strnlen(s, 4), c);

	if (*c == UNICODE_BAD)
		*c = 0x80000000u + (unsigned char)*s;
	return n;
}

bool pattern_has_wildcard(const char *s)
{
	for (; *s; s++) {
		if (strchr("*?[", *s))
			return true;
		if (*s == '\\' && s[1])
			s++;
	}
	return false;
}

void pattern_unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && s[1])
			s++;
		*to++ = *s;
	}
	*to = '\0';
}

/* One end of a range inside a set, as Go's getEsc; false when malformed. */
static bool set_char(const char **p, uint32_t *c)
{
	if (!**p || **p == '-' || **p == ']')
		return false;
	if (**p == '\\' && !*++*p)
		return false;
	*p += decode(*p, c);
	return **p && *c < 0x80000000u;
}

struct set_range {
	uint32_t low, high;
};

/* The next range of a set; 1 when there is one, 0 behind the closing bracket,
 * -1 when malformed. */
static int set_range(const char **p, bool first, struct set_range *r)
{
	if (**p == ']' && !first) {
		++*p;
		return 0;
	}
	if (!set_char(p, &r->low))
		return -1;
	r->high = r->low;
	if (**p == '-') {
		++*p;
		if (!set_char(p, &r->high))
			return -1;
	}
	return 1;
}

/* Whether c is in the set at *p, which is behind the bracket; *p moves behind
 * the set, or to NULL when it is malformed. */
static bool in_set(const char **p, uint32_t c)
{
	bool negated = **p == '^', found = false;
	struct set_range r;
	int more;

	*p += negated;
	for (bool first = true; (more = set_range(p, first, &r)) > 0; first = false)
		found |= r.low <= c && c <= r.high;
	if (more < 0) {
		*p = NULL;
		return false;
	}
	return found != negated;
}

bool pattern_valid(const char *pattern)
{
	const char *p = pattern;

	while (p && *p) {
		if (*p == '[') {
			p++;
			in_set(&p, 0);
			continue;
		}
		if (*p == '\\' && !*++p)
			return false;
		p++;
	}
	return p != NULL;
}

/* Matches one element that is no star; NULL when it does not match. */
static const char *match_one(const char **pattern, const char *name)
{
	const char *p = *pattern;
	uint32_t c;
	size_t n;

	if (!*name)
		return NULL;
	n = decode(name, &c);
	if (*p == '?') {
		*pattern = p + 1;
		return name + n;
	}
	if (*p == '[') {
		bool in;

		p++;
		in = in_set(&p, c);
		*pattern = p;
		return in ? name + n : NULL;
	}
	if (*p == '\\')
		p++;
	*pattern = p + 1;
	return *p == *name ? name + 1 : NULL;
}

bool pattern_match_component(const char *pattern, const char *name)
{
	const char *star = NULL, *retry = NULL;

	if (!pattern_valid(pattern))
		return false;
	/* Elements take one character each, so only the last star need give way. */
	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = name;
			continue;
		}
		if (!*pattern && !*name)
			return true;
		name = *pattern ? match_one(&pattern, name) : NULL;
		if (name)
			continue;
		if (!star || !*retry)
			return false;
		pattern = star;
		name = ++retry;
	}
}

enum token_kind {
	LITERAL,
	ANY_CHAR, /* [^/] */
	IN_SET,   /* may be a slash, as in the regexp it becomes in BuildKit */
	ANY_NAME, /* [^/]* */
	ANY_PATH, /* .* */
	ANY_DIRS, /* (.*\/)? */
};

struct token {
	enum token_kind kind;
	uint32_t c;      /* LITERAL */
	const char *set; /* IN_SET: behind its bracket */
};

/* One component of a path pattern. */
struct part {
	const char *text;
	size_t len;
	char first, last; /* bytes it must begin and end with, or NUL */
	bool any;         /* `**` */
};

/* The tokens are a machine whose states are positions among them; the last one
 * is the match.  Most patterns do without: see parts. */
struct pattern {
	struct token *tokens;
	size_t n, words;
	struct part *parts; /* NULL unless each component matches by itself */
	size_t nparts;
	const char *literal; /* what every match begins with, unescaped */
	size_t literal_len;
	bool all_literal; /* nothing but literal */
	bool any_depth;   /* `**`/ and then literal only */
};

#define STATE_WORDS (PATTERN_MAX / 64 + 1)

struct states {
	uint64_t bits[STATE_WORDS];
};

/* `**` at p[0..1]: what it means, and how long it is. */
static enum token_kind double_star(const char *p, const char *start, size_t *len)
{
	*len = p[2] == '/' ? 3 : 2;
	if (!p[*len])
		return ANY_PATH;
	/* `**name` with no other wildcard is BuildKit's plain suffix match. */
	if (p == start && *len == 2 && !strpbrk(p + 2, "*?[]\\"))
		return ANY_PATH;
	return ANY_DIRS;
}

/* Reads one token at *p and moves behind it. */
static struct token read_token(const char **p, const char *start)
{
	struct token t = {.kind = LITERAL};
	size_t len = 1;

	if (**p == '*') {
		t.kind = ANY_NAME;
		if ((*p)[1] == '*')
			t.kind = double_star(*p, start, &len);
		*p += len;
	} else if (**p == '?') {
		t.kind = ANY_CHAR;
		++*p;
	} else if (**p == '[') {
		t.kind = IN_SET;
		t.set = ++*p;
		in_set(p, 0);
	} else {
		*p += **p == '\\';
		*p += decode(*p, &t.c);
	}
	return t;
}

static void find_literal(struct arena *a, struct pattern *p)
{
	struct text literal = {.arena = a};
	size_t first = p->n && p->tokens[0].kind == ANY_DIRS, i = first;
	char utf8[4];

	for (; i < p->n && p->tokens[i].kind == LITERAL; i++) {
		uint32_t c = p->tokens[i].c;

		if (c >= 0x80000000u)
			text_char(&literal, (char)(c & 0xff));
		else
			text_add(&literal, utf8, unicode_encode(c, utf8));
	}
	p->all_literal = !first && i == p->n;
	p->any_depth = first && i == p->n;
	if (first && i < p->n)
		literal = (struct text){.arena = a};
	p->literal = text_done(&literal);
	p->literal_len = literal.len;
}

/* Components, if no `**` is inside one and no set could match a slash. */
static void find_parts(struct arena *a, struct pattern *p, const char *pattern)
{
	size_t cap = 0;

	for (const char *at = pattern; *at;) {
		struct part part = {.text = at, .len = strcspn(at, "/")};
		const char *stars = memmem(at, part.len, "**", 2);

		part.any = part.len == 2 && stars;
		part.first = part.len && !strchr("*?\\", at[0]) ? at[0] : '\0';
		part.last = part.len && !strchr("*?", at[part.len - 1]) ? at[part.len - 1]
									: '\0';
		if ((stars && !part.any) || memchr(at, '[', part.len)) {
			p->parts = NULL;
			return;
		}
		p->parts = arena_grow(a, p->parts, p->nparts, &cap, sizeof(*p->parts));
		p->parts[p->nparts++] = part;
		at += part.len;
		at += *at == '/';
	}
}

struct pattern *pattern_compile(struct arena *a, const char *pattern, const char **error)
{
	struct pattern *p;
	size_t len = strlen(pattern);

	if (!pattern_valid(pattern)) {
		*error = arena_printf(a, "malformed pattern: %s", pattern);
		return NULL;
	}
	if (len > PATTERN_MAX) {
		*error = arena_printf(a, "pattern is longer than %d bytes", PATTERN_MAX);
		return NULL;
	}
	p = arena_alloc(a, sizeof(*p));
	pattern = arena_strndup(a, pattern, len);
	p->tokens = arena_array(a, len + 1, sizeof(*p->tokens));
	for (const char *at = pattern; *at;)
		p->tokens[p->n++] = read_token(&at, pattern);
	p->words = p->n / 64 + 1;
	find_literal(a, p);
	find_parts(a, p, pattern);
	return p;
}

/* Adds state i and those that it reaches without a character. */
static void enter(const struct pattern *p, struct states *s, size_t i)
{
	for (;; i++) {
		s->bits[i / 64] |= (uint64_t)1 << i % 64;
		if (i == p->n || p->tokens[i].kind < ANY_NAME)
			return;
	}
}

static void step_state(const struct pattern *p, struct states *to, size_t i, uint32_t c)
{
	const struct token *t = &p->tokens[i];
	const char *set = t->set;

	switch (t->kind) {
	case LITERAL:
		if (t->c == c)
			enter(p, to, i + 1);
		break;
	case ANY_CHAR:
		if (c != '/')
			enter(p, to, i + 1);
		break;
	case IN_SET:
		if (in_set(&set, c))
			enter(p, to, i + 1);
		break;
	case ANY_NAME:
		if (c != '/')
			enter(p, to, i);
		break;
	case ANY_PATH:
		enter(p, to, i);
		break;
	case ANY_DIRS:
		/* Inside it there is no leaving but by a slash. */
		to->bits[i / 64] |= (uint64_t)1 << i % 64;
		if (c == '/')
			enter(p, to, i + 1);
		break;
	}
}

static bool matched(const struct pattern *p, const struct states *s)
{
	return s->bits[p->n / 64] >> p->n % 64 & 1;
}

/* One character on; false when no state is left. */
static bool step(const struct pattern *p, struct states *s, uint32_t c)
{
	struct states to;
	bool alive = false;

	memset(to.bits, 0, p->words * sizeof(*to.bits));
	for (size_t w = 0; w < p->words; w++) {
		for (uint64_t left = s->bits[w]; left; left &= left - 1) {
			size_t i = w * 64 + (size_t)__builtin_ctzll(left);

			if (i < p->n)
				step_state(p, &to, i, c);
		}
	}
	for (size_t w = 0; w < p->words; w++)
		alive |= to.bits[w] != 0;
	memcpy(s->bits, to.bits, p->words * sizeof(*to.bits));
	return alive;
}

enum outcome { DEAD, ALIVE, MATCHED };

/* Runs over the path; MATCHED when it or a folder above it is matched, ALIVE
 * when the pattern could go on from its end. */
static enum outcome run(const struct pattern *p, const char *path, struct states *s)
{
	memset(s->bits, 0, p->words * sizeof(*s->bits));
	enter(p, s, 0);
	while (*path) {
		uint32_t c;

		path += decode(path, &c);
		if (!step(p, s, c))
			return DEAD;
		if ((*path == '/' || !*path) && matched(p, s))
			return MATCHED;
	}
	return ALIVE;
}

static bool literal_at(const struct pattern *p, const char *path)
{
	if (strncmp(path, p->literal, p->literal_len) != 0)
		return false;
	return !path[p->literal_len] || path[p->literal_len] == '/';
}

/* Whether one component matches its part, which has no set. */
static bool part_matches(const struct part *part, const char *s, size_t len)
{
	const char *p = part->text, *p_end = p + part->len, *end = s + len;
	const char *star = NULL, *retry = NULL;
	uint32_t c;

	if (!len || (part->first && part->first != *s) ||
	    (part->last && part->last != end[-1]))
		return false;
	for (;;) {
		if (p < p_end && *p == '*') {
			star = ++p;
			retry = s;
			continue;
		}
		if (p == p_end && s == end)
			return true;
		if (p < p_end && s < end) {
			if (*p == '?') {
				p++;
				s += unicode_decode(s, (size_t)(end - s), &c);
				continue;
			}
			if (p[*p == '\\'] == *s) {
				p += 1 + (*p == '\\');
				s++;
				continue;
			}
		}
		if (!star || retry == end)
			return false;
		retry += unicode_decode(retry, (size_t)(end - retry), &c);
		p = star;
		s = retry;
	}
}

static const char *next_component(const char *path)
{
	path = strchrnul(path, '/');
	return path + (*path == '/');
}

/* Whether the parts match the path or the start of it.  A component takes one
 * part, so only the last `**` need give way. */
static bool parts_match(const struct pattern *p, const char *path)
{
	size_t i = 0, retry_part = 0;
	const char *retry = NULL;

	while (i < p->nparts) {
		if (!*path)
			return false;
		if (p->parts[i].any) {
			retry_part = ++i;
			retry = path;
			/* At the end of a pattern it is something, not nothing. */
			continue;
		}
		if (part_matches(&p->parts[i], path,
				 (size_t)(strchrnul(path, '/') - path))) {
			i++;
			path = next_component(path);
			continue;
		}
		if (!retry)
			return false;
		i = retry_part;
		path = retry = next_component(retry);
	}
	return true;
}

bool pattern_match_path(const struct pattern *p, const char *path)
{
	struct states s;

	if (p->all_literal)
		return literal_at(p, path);
	if (p->any_depth) {
		for (; path; path = strchr(path, '/') ? strchr(path, '/') + 1 : NULL)
			if (literal_at(p, path))
				return true;
		return false;
	}
	if (strncmp(path, p->literal, p->literal_len) != 0)
		return false;
	if (p->parts)
		return parts_match(p, path);
	return run(p, path, &s) == MATCHED;
}

bool pattern_may_match_below(const struct pattern *p, const char *dir)
{
	struct states s;

	switch (run(p, dir, &s)) {
	case MATCHED:
		return true;
	case ALIVE:
		return step(p, &s, '/');
	case DEAD:
		break;
	}
	return false;
}
