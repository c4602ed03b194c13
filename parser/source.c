#include "parser/source.h"

#include <string.h>
#include <strings.h>

/* One physical line, without its end; raw_len counts CR and LF too. */
struct raw {
	const char *text;
	size_t len, raw_len;
};

static bool peek_raw(const struct source *s, struct raw *out)
{
	size_t left = (size_t)(s->end - s->next);
	const char *lf;

	if (!left)
		return false;
	lf = memchr(s->next, '\n', left);
	out->text = s->next;
	out->raw_len = lf ? (size_t)(lf - s->next) + 1 : left;
	out->len = out->raw_len;
	while (out->len &&
	       (out->text[out->len - 1] == '\n' || out->text[out->len - 1] == '\r'))
		out->len--;
	return true;
}

static bool read_raw(struct source *s, struct raw *out)
{
	if (!peek_raw(s, out))
		return false;
	if (out->raw_len - (out->text[out->raw_len - 1] == '\n') > SOURCE_LINE_MAX) {
		diag_error(s->diags, s->line, SOURCE_LINE_MAX + 1,
			   "line is longer than %d bytes", SOURCE_LINE_MAX);
		diag_hint(s->diags, "put long data into a file and COPY it");
	}
	s->next += out->raw_len;
	s->line++;
	return true;
}

static void skip_spaces(const char **p, const char *end)
{
	size_t n;

	while (*p < end && (n = space_at(*p, (size_t)(end - *p))))
		*p += n;
}

static bool is_comment(const struct raw *r)
{
	const char *p = r->text, *end = r->text + r->len;

	skip_spaces(&p, end);
	return p < end && *p == '#';
}

static bool is_alnum(char c, bool digits)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (digits && c >= '0' && c <= '9');
}

/* The blanks of Go's \s, which directives use. */
static bool is_s(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

struct directive {
	const char *name, *value;
	size_t name_len, value_len, at;
};

/* `# name = value` with a non-empty value. */
static bool read_directive(const struct raw *r, struct directive *d)
{
	const char *p = r->text, *end = r->text + r->len;

	skip_spaces(&p, end);
	d->at = (size_t)(p - r->text);
	if (p == end || *p++ != '#')
		return false;
	skip_spaces(&p, end);
	d->name = p;
	while (p < end && is_alnum(*p, p > d->name))
		p++;
	d->name_len = (size_t)(p - d->name);
	while (p < end && is_s(*p))
		p++;
	if (!d->name_len || p == end || *p++ != '=')
		return false;
	while (p < end && is_s(*p))
		p++;
	while (end > p && is_s(end[-1]))
		end--;
	d->value = p;
	d->value_len = (size_t)(end - p);
	return d->value_len > 0;
}

static bool named(const struct directive *d, const char *name)
{
	return d->name_len == strlen(name) && !strncasecmp(d->name, name, d->name_len);
}

/* One `;` part of a check directive (1.4). */
static const char *check_part(struct arena *a, const char *part, size_t len)
{
	static const char *const truths[] = {"1", "t", "T", "true",  "TRUE",  "True",
					     "0", "f", "F", "false", "FALSE", "False"};
	const char *eq = memchr(part, '=', len);
	size_t at = 0, key_len = eq ? (size_t)(eq - part) : len;

	span_trim(part, &at, &key_len);
	if (eq) {
		const char *key = arena_strndup(a, part + at, key_len - at);
		size_t from = 0, to = len - (size_t)(eq + 1 - part);

		if (!strcmp(key, "skip") || !strcmp(key, "experimental"))
			return NULL;
		if (!strcmp(key, "error")) {
			const char *value;

			span_trim(eq + 1, &from, &to);
			value = arena_strndup(a, eq + 1 + from, to - from);
			for (size_t i = 0; i < sizeof(truths) / sizeof(*truths); i++)
				if (!strcmp(value, truths[i]))
					return NULL;
			return arena_printf(a, "check option error: not a boolean: %s",
					    value);
		}
	}
	return arena_printf(a, "invalid check option: %.*s", (int)(key_len - at),
			    part + at);
}

static void check_directive(struct source *s, unsigned line, unsigned column)
{
	const char *part = s->check;

	for (int i = 1; part; i++) {
		const char *semi = i < 3 ? strchr(part, ';') : NULL;
		size_t len = semi ? (size_t)(semi - part) : strlen(part);
		const char *why = check_part(s->arena, part, len);

		if (why) {
			diag_error(s->diags, line, column, "%s", why);
			diag_hint(s->diags, "known are skip=, error= and experimental=");
		}
		part = semi ? semi + 1 : NULL;
	}
}

/* Takes the directive; *seen has a bit for each name that was there.  False for
 * a name that is none. */
static bool take_directive(struct source *s, const struct directive *d, unsigned *seen)
{
	static const char *const names[] = {"syntax", "escape", "check"};
	unsigned i = 0, column = (unsigned)d->at + 1;
	const char *value;

	while (i < 3 && !named(d, names[i]))
		i++;
	if (i == 3)
		return false;
	if (*seen & 1u << i) {
		diag_error(s->diags, s->line, column,
			   "only one %s parser directive can be used", names[i]);
		return true;
	}
	*seen |= 1u << i;
	value = arena_strndup(s->arena, d->value, d->value_len);
	if (!strcmp(names[i], "syntax")) {
		s->syntax = value;
	} else if (!strcmp(names[i], "check")) {
		s->check = value;
		check_directive(s, s->line, column);
	} else if (!strcmp(value, "\\") || !strcmp(value, "`")) {
		s->escape = *value;
	} else {
		diag_error(s->diags, s->line, column,
			   "invalid escape token '%s' does not match ` or \\", value);
		diag_hint(s->diags, "use '# escape=\\' or '# escape=`'");
	}
	return true;
}

/* Reads directives up to a line that is none (1.2). */
static void read_directives(struct source *s)
{
	unsigned seen = 0;
	struct directive d;
	struct raw r;

	while (peek_raw(s, &r) && read_directive(&r, &d) && take_directive(s, &d, &seen))
		read_raw(s, &r);
}

void source_init(struct source *s, struct arena *a, const char *text, size_t len,
		 struct diags *d)
{
	if (!len)
		text = "";
	*s = (struct source){
		.arena = a,
		.diags = d,
		.next = text,
		.end = text + len,
		.line = 1,
		.escape = '\\',
	};
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		s->next += 3;
	read_directives(s);
}

/* Whether the line goes on (1.7); then *len loses the escape character and the
 * blanks behind it. */
static bool continues(const char *text, size_t *len, char escape)
{
	size_t n = *len;

	while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
		n--;
	if (!n || text[n - 1] != escape || (n > 1 && text[n - 2] == escape))
		return false;
	*len = n - 1;
	return true;
}

static void add_part(struct source *s, struct line *out, struct text *glued,
		     const char *text, size_t len, unsigned column)
{
	out->parts = arena_grow(s->arena, out->parts, out->nparts, &out->parts_cap,
				sizeof(*out->parts));
	out->parts[out->nparts++] = (struct line_part){
		.at = glued->len,
		.line = s->line - 1,
		.column = column,
	};
	text_add(glued, text, len);
}

/* Appends the lines that a continuation asks for. */
static void read_continuation(struct source *s, struct line *out, struct text *glued)
{
	bool warned = false, more = true;
	struct raw r;

	while (more && read_raw(s, &r)) {
		const char *p = r.text, *end = r.text + r.len;
		size_t len = r.len;

		if (is_comment(&r))
			continue;
		skip_spaces(&p, end);
		if (p == end) {
			if (!warned)
				diag_warn(s->diags, s->line - 1, 1, "NoEmptyContinuation",
					  "empty line inside a continued instruction");
			warned = true;
			continue;
		}
		more = continues(r.text, &len, s->escape);
		add_part(s, out, glued, r.text, len, 1);
	}
}

static bool all_blank(const char *text, size_t len)
{
	const char *p = text;

	skip_spaces(&p, text + len);
	return p == text + len;
}

bool source_next(struct source *s, struct line *out)
{
	struct raw r;

	while (read_raw(s, &r)) {
		const char *p = r.text, *end = r.text + r.len;
		struct text glued = {.arena = s->arena};
		size_t len;
		bool more;

		if (is_comment(&r))
			continue;
		skip_spaces(&p, end);
		if (p == end)
			continue;
		*out = (struct line){.line = s->line - 1};
		len = (size_t)(end - p);
		more = continues(p, &len, s->escape);
		add_part(s, out, &glued, p, len, (unsigned)(p - r.text) + 1);
		if (more)
			read_continuation(s, out, &glued);
		out->text = text_done(&glued);
		out->len = glued.len;
		out->end_line = s->line - 1;
		if (!all_blank(out->text, out->len))
			return true;
	}
	return false;
}

bool source_heredoc(struct source *s, struct heredoc *h)
{
	const char *start = s->next;
	size_t name_len = strlen(h->name);
	struct raw r;

	h->line = s->line;
	while (read_raw(s, &r)) {
		const char *p = r.text;
		size_t len = r.len;

		while (h->strip_tabs && len && *p == '\t') {
			p++;
			len--;
		}
		if (len == name_len && !memcmp(p, h->name, len)) {
			h->body_len = (size_t)(r.text - start);
			h->body = arena_strndup(s->arena, start, h->body_len);
			return true;
		}
	}
	h->body_len = (size_t)(s->next - start);
	h->body = arena_strndup(s->arena, start, h->body_len);
	return false;
}

void line_position(const struct line *l, size_t at, unsigned *line, unsigned *column)
{
	size_t low = 0, high = l->nparts;

	/* The last part that begins at or before the offset. */
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (l->parts[mid].at <= at)
			low = mid;
		else
			high = mid;
	}
	if (!l->nparts) {
		*line = l->line;
		*column = 0;
		return;
	}
	*line = l->parts[low].line;
	*column = l->parts[low].column + (unsigned)(at - l->parts[low].at);
}
