#include "parser/lex.h"

#include <stdint.h>
#include <string.h>

#include "parser/modify.h"
#include "parser/unicode.h"
#include "parser/words.h"

/* What a run of text is collected in: the result, and words if wanted. */
struct sink {
	struct text text;
	struct lex_words *words;
};

static bool fail(struct lex *l, const char *message)
{
	if (!l->error)
		l->error = message;
	return false;
}

static bool run_until(struct lex *l, char stop, bool raw_escapes, struct sink *out);

/* Counts what was made, so that no nesting of values gets out of hand. */
static bool put(struct lex *l, struct text *t, const char *s, size_t n)
{
	if (n > LEX_RESULT_MAX - l->made)
		return fail(l, "the result is longer than 16 MiB");
	l->made += n;
	text_add(t, s, n);
	return true;
}

static void end_word(struct arena *a, struct lex_words *w)
{
	if (!w->word.len)
		return;
	w->v = arena_grow(a, w->v, w->n, &w->cap, sizeof(*w->v));
	w->v[w->n++] = text_done(&w->word);
	w->word = (struct text){.arena = a};
	w->in_word = false;
}

/* Adds to the words text that blanks part. */
static void add_split(struct lex *l, struct lex_words *w, const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t space = space_at(s + i, n - i);

		if (space && w->in_word)
			end_word(l->arena, w);
		else if (!space) {
			text_char(&w->word, s[i]);
			w->in_word = true;
		}
		i += space ? space : 1;
	}
}

static bool emit(struct lex *l, struct sink *out, const char *s, size_t n, bool split)
{
	if (!put(l, &out->text, s, n))
		return false;
	if (!out->words)
		return true;
	if (split) {
		add_split(l, out->words, s, n);
	} else {
		text_add(&out->words->word, s, n);
		out->words->in_word = true;
	}
	return true;
}

/* Length of the character at p. */
static size_t width(const struct lex *l)
{
	uint32_t c;

	return unicode_decode(l->p, (size_t)(l->end - l->p), &c);
}

static bool is_special(char c)
{
	return c && strchr("@*#?-$!0", c);
}

/* The name behind $ or ${ (4.4); "" when there is none. */
static char *read_name(struct lex *l)
{
	const char *start = l->p;
	bool number = false;

	while (l->p < l->end) {
		uint32_t c;
		size_t n = unicode_decode(l->p, (size_t)(l->end - l->p), &c);

		if (l->p == start && unicode_digit(c))
			number = true;
		else if (l->p == start && is_special(*l->p)) {
			l->p++;
			break;
		}
		if (!unicode_digit(c) && (number || (!unicode_letter(c) && c != '_')))
			break;
		l->p += n;
	}
	return arena_strndup(l->arena, start, (size_t)(l->p - start));
}

static void note_unset(struct lex *l, const char *name)
{
	struct expand_unset *u = l->unset;

	if (!u)
		return;
	for (size_t i = 0; i < u->n; i++)
		if (!strcmp(u->v[i], name))
			return;
	u->v = arena_grow(l->arena, u->v, u->n, &u->cap, sizeof(*u->v));
	u->v[u->n++] = name;
}

static const char *look_up(struct lex *l, const char *name)
{
	return l->lookup ? l->lookup(l->ctx, name) : NULL;
}

/* A variable whose being unset nothing makes good. */
static const char *value_or_note(struct lex *l, const char *name)
{
	const char *value = look_up(l, name);

	if (!value)
		note_unset(l, name);
	return value;
}

/* Reads up to stop into *out; the nested text counts once more when used. */
static bool nested_word(struct lex *l, char stop, bool raw_escapes, char **out)
{
	struct sink s = {.text = {.arena = l->arena}};
	bool ok;

	if (l->depth >= LEX_DEPTH_MAX)
		return fail(l, "substitutions are nested too deeply");
	l->depth++;
	ok = run_until(l, stop, raw_escapes, &s);
	l->depth--;
	if (!ok)
		return false;
	*out = text_done(&s.text);
	return true;
}

static bool missing_value(struct lex *l, const char *name, const char *word,
			  const char *what)
{
	return fail(l,
		    arena_printf(l->arena, "%s: %s", name,
				 *word ? word
				       : arena_printf(l->arena, "is not allowed to be %s",
						      what)));
}

/* The result of ${name-word}, +, ? and, with colon, of ${name:-word} ... */
static bool default_value(struct lex *l, const char *name, char op, bool colon,
			  const char *word, const char **out)
{
	const char *value = look_up(l, name);
	bool there = value && (!colon || *value);

	if (op == '-')
		*out = there ? value : word;
	else if (op == '+')
		*out = there ? word : "";
	else if (!there)
		return missing_value(l, name, word, value ? "empty" : "unset");
	else
		*out = value;
	return true;
}

static bool trimmed_value(struct lex *l, const char *name, char op, const char *word,
			  const char **out)
{
	const char *value = value_or_note(l, name), *why = NULL;
	bool longest = *word == op;

	if (longest)
		word++;
	*out = modify_trim(l->arena, value ? value : "", word, op == '%', longest, &why);
	return *out || fail(l, arena_printf(l->arena, "%s: %s", name, why));
}

/* Everything behind ${name/. */
static bool replaced_value(struct lex *l, const char *name, const char **out)
{
	const char *value, *why = NULL;
	bool all = l->p < l->end && *l->p == '/';
	char *pattern, *replacement;

	if (all)
		l->p++;
	if (!nested_word(l, '/', true, &pattern) ||
	    !nested_word(l, '}', true, &replacement))
		return false;
	value = l->keep_unset ? look_up(l, name) : value_or_note(l, name);
	if (!value && l->keep_unset) {
		*out = arena_printf(l->arena, "${%s/%s/%s}", name, pattern, replacement);
		return true;
	}
	*out = modify_replace(l->arena, value ? value : "", pattern, replacement, all,
			      &why);
	return *out || fail(l, arena_printf(l->arena, "%s: %s", name, why));
}

static bool bad_modifier(struct lex *l, const char *name, const char *op, size_t n)
{
	return fail(l, arena_printf(l->arena,
				    "%s: modifier not supported in substitution: %.*s",
				    name, (int)n, op));
}

/* Everything behind ${name that is not }. */
static bool modified_value(struct lex *l, const char *name, const char **out)
{
	const char *op = l->p;
	bool colon = *op == ':';
	size_t op_len = colon ? 2 : 1;
	char *word, c;

	if (colon && l->end - op < 2)
		return fail(l, "missing '}'");
	c = op[op_len - 1];
	if (!colon && c == '/') {
		l->p++;
		return replaced_value(l, name, out);
	}
	if (!strchr("+-?", c) && (colon || (c != '#' && c != '%'))) {
		l->p += op_len - 1;
		return bad_modifier(l, name, op, op_len - 1 + width(l));
	}
	l->p += op_len;
	if (!nested_word(l, '}', c == '#' || c == '%', &word))
		return false;
	if (l->keep_unset && !look_up(l, name)) {
		*out = arena_printf(l->arena, "${%s%.*s%s}", name, (int)op_len, op, word);
		return true;
	}
	if (c == '#' || c == '%')
		return trimmed_value(l, name, c, word, out);
	return default_value(l, name, c, colon, word, out);
}

/* A $ at p: *out is what it stands for. */
static bool read_dollar(struct lex *l, const char **out)
{
	const char *start = l->p++, *value;
	char *name;

	if (l->p == l->end || *l->p != '{') {
		name = read_name(l);
		if (!*name) {
			*out = "$";
			return true;
		}
		value = l->keep_unset ? look_up(l, name) : value_or_note(l, name);
	} else {
		l->p++;
		if (l->p == l->end)
			return fail(l, "missing '}'");
		if (strchr("{}:", *l->p))
			return fail(l, "bad substitution");
		name = read_name(l);
		if (l->p == l->end)
			return fail(l, "missing '}'");
		if (*l->p != '}')
			return modified_value(l, name, out);
		l->p++;
		value = l->keep_unset ? look_up(l, name) : value_or_note(l, name);
	}
	if (value)
		*out = value;
	else
		*out = l->keep_unset
			       ? arena_strndup(l->arena, start, (size_t)(l->p - start))
			       : "";
	return true;
}

static bool single_quotes(struct lex *l, struct sink *out)
{
	const char *start = l->p, *close;

	close = memchr(start + 1, '\'', (size_t)(l->end - start - 1));
	if (!close)
		return fail(l, "unexpected end of statement while looking for matching "
			       "single-quote");
	l->p = close + 1;
	if (l->raw_quotes)
		return emit(l, out, start, (size_t)(close + 1 - start), false);
	return emit(l, out, start + 1, (size_t)(close - start - 1), false);
}

/* One character inside "...": an escape works only before ", $ and itself. */
static bool double_quoted_char(struct lex *l, struct sink *out)
{
	size_t n;

	if (*l->p == l->escape) {
		if (l->raw_escapes && !emit(l, out, l->p, 1, false))
			return false;
		if (l->end - l->p > 1 &&
		    (l->p[1] == '"' || l->p[1] == '$' || l->p[1] == l->escape))
			l->p++;
		else if (l->end - l->p == 1) {
			l->p++;
			return true;
		}
	}
	n = width(l);
	l->p += n;
	return emit(l, out, l->p - n, n, false);
}

static bool double_quotes(struct lex *l, struct sink *out)
{
	const char *value = "";

	if (!emit(l, out, l->p, l->raw_quotes, false))
		return false;
	l->p++;
	while (l->p < l->end) {
		if (*l->p == '"') {
			l->p++;
			return emit(l, out, l->p - 1, l->raw_quotes, false);
		}
		if (*l->p == '$') {
			if (!read_dollar(l, &value) ||
			    !emit(l, out, value, strlen(value), false))
				return false;
		} else if (!double_quoted_char(l, out)) {
			return false;
		}
	}
	return fail(
		l, "unexpected end of statement while looking for matching double-quote");
}

/* An escape character outside quotes makes the next one literal. */
static bool escaped_char(struct lex *l, struct sink *out)
{
	size_t n;

	if (l->raw_escapes && !emit(l, out, l->p, 1, false))
		return false;
	if (++l->p == l->end)
		return true;
	n = width(l);
	l->p += n;
	return emit(l, out, l->p - n, n, false);
}

/* "<" or "<<" with the blanks (and the dash) that may be before WORD. */
static bool angle(struct lex *l, struct sink *out)
{
	const char *start = l->p++;

	if (l->p < l->end && *l->p == '<') {
		const char *blanks;

		l->p++;
		blanks = l->p + (l->p < l->end && *l->p == '-');
		while (blanks < l->end && (*blanks == ' ' || *blanks == '\t'))
			blanks++;
		if (blanks < l->end)
			l->p = blanks;
	}
	return emit(l, out, start, (size_t)(l->p - start), false);
}

static bool one(struct lex *l, struct sink *out)
{
	const char *value = "";
	size_t n;

	if (*l->p == '$')
		return read_dollar(l, &value) && emit(l, out, value, strlen(value), true);
	if (!l->plain_quotes && *l->p == '\'')
		return single_quotes(l, out);
	if (!l->plain_quotes && *l->p == '"')
		return double_quotes(l, out);
	if (*l->p == l->escape)
		return escaped_char(l, out);
	if (*l->p == '<' && l->heredoc_blanks)
		return angle(l, out);
	n = width(l);
	l->p += n;
	return emit(l, out, l->p - n, n, true);
}

/* Reads to the end (stop is NUL) or behind the stop character. */
static bool run_until(struct lex *l, char stop, bool raw_escapes, struct sink *out)
{
	bool before = l->raw_escapes, ok = true;

	l->raw_escapes = raw_escapes;
	while (ok && l->p < l->end && (!stop || *l->p != stop))
		ok = one(l, out);
	l->raw_escapes = before;
	if (!ok)
		return false;
	if (stop && l->p == l->end)
		return fail(l, stop == '/' ? "missing '/' in ${}" : "missing '}'");
	if (stop)
		l->p++;
	if (out->words)
		end_word(l->arena, out->words);
	return true;
}

char *lex_run(struct lex *l, const char *text, size_t len, struct lex_words *words,
	      size_t *out_len)
{
	struct sink s = {.text = {.arena = l->arena}, .words = words};

	l->p = text;
	l->end = text + len;
	l->error = NULL;
	l->depth = 0;
	l->made = 0;
	if (words)
		*words = (struct lex_words){.word = {.arena = l->arena}};
	if (!run_until(l, '\0', l->raw_escapes, &s))
		return NULL;
	if (out_len)
		*out_len = s.text.len;
	return text_done(&s.text);
}
