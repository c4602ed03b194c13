#include "parser/ignore.h"

#include <string.h>

#include "parser/pattern.h"
#include "parser/words.h"

struct rule {
	const struct pattern *pattern;
	bool exception; /* ! */
};

struct ignore {
	struct rule *v;
	size_t n, cap;
	bool exceptions;
};

/* Go's path.Clean: no empty, "." or inner ".." components. */
static char *clean(struct arena *a, const char *path)
{
	size_t len = strlen(path), n = 0, floor = 0;
	char *out = arena_alloc(a, len + 2);
	bool rooted = *path == '/';

	if (rooted)
		out[n++] = '/';
	for (const char *p = path; *p;) {
		size_t part = strcspn(p, "/");
		size_t root = rooted;

		if (part == 2 && !memcmp(p, "..", 2) && n > floor + root) {
			/* Drop the component before. */
			while (n > root && out[n - 1] != '/')
				n--;
			if (n > root)
				n--;
		} else if (part == 2 && !memcmp(p, "..", 2) && rooted) {
			/* Above the root is the root. */
		} else if (part && !(part == 1 && *p == '.')) {
			if (n > root)
				out[n++] = '/';
			memcpy(out + n, p, part);
			n += part;
			if (part == 2 && !memcmp(p, "..", 2))
				floor = n;
		}
		p += part;
		while (*p == '/')
			p++;
	}
	if (!n)
		out[n++] = '.';
	out[n] = '\0';
	return out;
}

static char *trimmed(struct arena *a, const char *s, size_t len)
{
	size_t at = 0;

	span_trim(s, &at, &len);
	return arena_strndup(a, s + at, len - at);
}

/* Adds one pattern; a blank one is none.  rooted: a leading slash is dropped. */
static bool add(struct arena *a, struct ignore *ig, const char *s, size_t len,
		bool rooted, const char **error)
{
	char *text = trimmed(a, s, len);
	bool exception = *text == '!';
	struct pattern *p;

	if (!*text)
		return true;
	if (exception)
		text = trimmed(a, text + 1, strlen(text + 1));
	if (!*text) {
		*error = "illegal exclusion pattern: \"!\"";
		return false;
	}
	text = clean(a, text);
	if (rooted && text[0] == '/' && text[1])
		text++;
	p = pattern_compile(a, text, error);
	if (!p)
		return false;
	ig->v = arena_grow(a, ig->v, ig->n, &ig->cap, sizeof(*ig->v));
	ig->v[ig->n++] = (struct rule){p, exception};
	ig->exceptions |= exception;
	return true;
}

struct ignore *ignore_parse(struct arena *a, const char *text, size_t len,
			    const char **error, unsigned *error_line)
{
	struct ignore *ig = arena_alloc(a, sizeof(*ig));
	const char *end;

	if (!len)
		text = "";
	end = text + len;
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	for (*error_line = 1; text < end; ++*error_line) {
		const char *lf = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((lf ? lf : end) - text);

		if (memchr(text, '\0', n)) {
			*error = "NUL byte";
			return NULL;
		}
		if (*text != '#' && !add(a, ig, text, n, true, error))
			return NULL;
		text = lf ? lf + 1 : end;
	}
	*error_line = 0;
	return ig;
}

struct ignore *ignore_from_patterns(struct arena *a, const char *const *patterns,
				    size_t n, const char **error, size_t *error_index)
{
	struct ignore *ig = arena_alloc(a, sizeof(*ig));

	for (size_t i = 0; i < n; i++) {
		if (!add(a, ig, patterns[i], strlen(patterns[i]), false, error)) {
			*error_index = i;
			return NULL;
		}
	}
	return ig;
}

static bool is_root(const char *path)
{
	return !*path || !strcmp(path, ".");
}

bool ignore_matches(const struct ignore *ig, const char *path)
{
	bool ignored = false;

	if (!ig || is_root(path))
		return false;
	for (size_t i = 0; i < ig->n; i++) {
		const struct rule *r = &ig->v[i];

		/* A rule that would change nothing need not be asked. */
		if (r->exception == ignored && pattern_match_path(r->pattern, path))
			ignored = !r->exception;
	}
	return ignored;
}

bool ignore_may_reinclude(const struct ignore *ig, const char *dir)
{
	if (!ig || !ig->exceptions)
		return false;
	if (is_root(dir))
		return true;
	for (size_t i = ig->n; i > 0; i--) {
		const struct rule *r = &ig->v[i - 1];

		if (r->exception && pattern_may_match_below(r->pattern, dir))
			return true;
		/* It decides for all below, and no later exception may reach there. */
		if (!r->exception && pattern_match_path(r->pattern, dir))
			return false;
	}
	return false;
}

bool ignore_has_exceptions(const struct ignore *ig)
{
	return ig && ig->exceptions;
}
