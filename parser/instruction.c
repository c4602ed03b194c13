#include "parser/instruction.h"

#include <string.h>
#include <strings.h>

/* What the functions below need while they take a line to pieces. */
struct reader {
	struct arena *arena;
	struct diags *diags;
	const struct line *line;
	char escape;
};

static void place(const struct reader *r, size_t at, unsigned *line, unsigned *column)
{
	line_position(r->line, at, line, column);
}

static void error_at(const struct reader *r, size_t at, const char *message)
{
	unsigned line, column;

	place(r, at, &line, &column);
	diag_error(r->diags, line, column, "%s", message);
}

static void read_flags(const struct reader *r, struct instruction *in,
		       const struct spans *words)
{
	in->flags = arena_array(r->arena, words->n, sizeof(*in->flags));
	in->nflags = words->n;
	for (size_t i = 0; i < words->n; i++) {
		const char *name = words->v[i].text + 2, *eq = strchr(name, '=');
		struct flag *f = &in->flags[i];

		f->name = arena_strndup(r->arena, name,
					eq ? (size_t)(eq - name) : strlen(name));
		f->value = eq ? eq + 1 : NULL;
		place(r, words->v[i].at, &f->line, &f->column);
	}
}

static void add_args(const struct reader *r, struct instruction *in,
		     const struct spans *words)
{
	struct word *v = arena_array(r->arena, in->nargs + words->n, sizeof(*v));

	if (in->nargs)
		memcpy(v, in->args, in->nargs * sizeof(*v));
	in->args = v;
	for (size_t i = 0; i < words->n; i++) {
		struct word *w = &v[in->nargs++];

		w->text = words->v[i].text;
		place(r, words->v[i].at, &w->line, &w->column);
	}
}

/* The rest of the line as one word, if there is any. */
static void add_raw(const struct reader *r, struct instruction *in, size_t at, size_t end)
{
	struct span span = {.at = at};
	struct spans one = {.v = &span, .n = 1};

	if (at == end)
		return;
	span.text = arena_strndup(r->arena, r->line->text + at, end - at);
	add_args(r, in, &one);
}

/* The JSON form; false when the arguments have not got it (3.1). */
static bool read_json(const struct reader *r, struct instruction *in, size_t at,
		      size_t end)
{
	struct spans words = {0};
	size_t bad = at;

	switch (words_json(r->arena, r->line->text, at, end, &words, &bad)) {
	case JSON_STRINGS:
		in->json = true;
		add_args(r, in, &words);
		return true;
	case JSON_NONSTRING:
		error_at(r, bad,
			 "when using JSON array syntax, arrays must be comprised of "
			 "strings only");
		diag_hint(r->diags, "put it between double quotes");
		return true;
	case JSON_NOT:
		break;
	}
	return false;
}

static void read_words(const struct reader *r, struct instruction *in, size_t at,
		       size_t end)
{
	struct spans words = {0};

	words_split(r->arena, r->line->text, at, end, &words);
	add_args(r, in, &words);
}

static char *upper_case(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);

	for (char *p = copy; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - ('a' - 'A'));
	return copy;
}

static void read_health(const struct reader *r, struct instruction *in, size_t at,
			size_t end)
{
	size_t type = at, n;

	while (at < end && !space_at(r->line->text + at, end - at))
		at++;
	add_raw(r, in, type, at);
	if (in->nargs) {
		in->health_type = in->args[0].text;
		in->args[0].text = upper_case(r->arena, in->health_type);
	}
	while (at < end && (n = space_at(r->line->text + at, end - at)))
		at += n;
	if (at < end && !read_json(r, in, at, end))
		add_raw(r, in, at, end);
}

static struct pair *new_pairs(const struct reader *r, struct instruction *in,
			      const struct spans *words)
{
	in->pairs = arena_array(r->arena, words->n, sizeof(*in->pairs));
	in->npairs = words->n;
	for (size_t i = 0; i < words->n; i++) {
		const char *text = words->v[i].text, *eq = strchr(text, '=');
		struct pair *p = &in->pairs[i];

		p->key = eq ? arena_strndup(r->arena, text, (size_t)(eq - text)) : text;
		p->value = eq ? eq + 1 : "";
		p->has_value = eq != NULL;
		place(r, words->v[i].at, &p->line, &p->column);
	}
	return in->pairs;
}

/* ENV key value: the value is the rest of the line (11.1). */
static void read_legacy_pair(const struct reader *r, struct instruction *in, size_t at,
			     size_t end)
{
	const char *text = r->line->text;
	size_t key_end = at, value;
	struct pair *p;

	while (key_end < end && !is_blank(text[key_end]))
		key_end++;
	for (value = key_end; value < end && is_blank(text[value]);)
		value++;
	if (value == end) {
		unsigned line, column;

		place(r, at, &line, &column);
		diag_error(r->diags, line, column, "%s must have two arguments",
			   keyword_name(in->kw));
		diag_hint(r->diags, "write %s %.*s=VALUE", keyword_name(in->kw),
			  (int)(key_end - at), text + at);
		return;
	}
	p = in->pairs = arena_alloc(r->arena, sizeof(*p));
	in->npairs = 1;
	p->key = arena_strndup(r->arena, text + at, key_end - at);
	p->value = arena_strndup(r->arena, text + value, end - value);
	p->has_value = p->legacy = true;
	place(r, at, &p->line, &p->column);
}

static void read_pairs(const struct reader *r, struct instruction *in, size_t at,
		       size_t end)
{
	struct spans words = {0};
	struct pair *pairs;

	words_quoted(r->arena, r->line->text, at, end, r->escape, &words);
	if (!words.n)
		return;
	if (!strchr(words.v[0].text, '=')) {
		read_legacy_pair(r, in, at, end);
		return;
	}
	pairs = new_pairs(r, in, &words);
	for (size_t i = 0; i < words.n; i++) {
		if (pairs[i].has_value)
			continue;
		diag_error(r->diags, pairs[i].line, pairs[i].column,
			   "syntax error: can't find = in \"%s\": must be of the form "
			   "name=value",
			   pairs[i].key);
		diag_hint(r->diags, "put quotes around a value with blanks");
	}
}

static void read_arg(const struct reader *r, struct instruction *in, size_t at,
		     size_t end)
{
	struct spans words = {0};

	words_quoted(r->arena, r->line->text, at, end, r->escape, &words);
	add_args(r, in, &words);
	new_pairs(r, in, &words);
}

static void read_instruction(const struct reader *r, struct instruction *in, size_t at);

static void read_trigger(const struct reader *r, struct instruction *in, size_t at,
			 size_t end)
{
	if (at == end)
		return;
	in->trigger = arena_alloc(r->arena, sizeof(*in->trigger));
	/* Chained ONBUILDs are an error; there is no need to follow them all. */
	if (in->kw == KW_ONBUILD && !strncasecmp(r->line->text + at, "onbuild", 7) &&
	    (end - at == 7 || is_blank(r->line->text[at + 7]))) {
		in->trigger->kw = KW_ONBUILD;
		in->trigger->word = arena_strndup(r->arena, r->line->text + at, 7);
		in->trigger->source =
			arena_strndup(r->arena, r->line->text + at, end - at);
		place(r, at, &in->trigger->line, &in->trigger->column);
		return;
	}
	read_instruction(r, in->trigger, at);
}

static void read_arguments(const struct reader *r, struct instruction *in, size_t at,
			   size_t end)
{
	switch (in->kw) {
	case KW_RUN:
	case KW_CMD:
	case KW_ENTRYPOINT:
	case KW_SHELL:
		if (!read_json(r, in, at, end))
			add_raw(r, in, at, end);
		break;
	case KW_ADD:
	case KW_COPY:
	case KW_VOLUME:
		if (!read_json(r, in, at, end))
			read_words(r, in, at, end);
		break;
	case KW_EXPOSE:
	case KW_FROM:
		read_words(r, in, at, end);
		break;
	case KW_MAINTAINER:
	case KW_STOPSIGNAL:
	case KW_USER:
	case KW_WORKDIR:
		add_raw(r, in, at, end);
		break;
	case KW_HEALTHCHECK:
		read_health(r, in, at, end);
		break;
	case KW_ENV:
	case KW_LABEL:
		read_pairs(r, in, at, end);
		break;
	case KW_ARG:
		read_arg(r, in, at, end);
		break;
	case KW_ONBUILD:
		read_trigger(r, in, at, end);
		break;
	case KW_COUNT:
		break;
	}
}

/* An instruction, or ONBUILD's trigger, from at to the end of the line. */
static void read_instruction(const struct reader *r, struct instruction *in, size_t at)
{
	const char *text = r->line->text;
	size_t end = r->line->len, word;
	struct spans flags = {0};
	size_t errors = r->diags->errors;

	span_trim(text, &at, &end);
	in->source = arena_strndup(r->arena, text + at, end - at);
	place(r, at, &in->line, &in->column);
	in->end_line = r->line->end_line;
	for (word = at; word < end && !is_blank(text[word]);)
		word++;
	in->word = arena_strndup(r->arena, text + at, word - at);
	in->kw = keyword_find(text + at, word - at);
	while (word < end && is_blank(text[word]))
		word++;
	word = words_flags(r->arena, text, word, end, &flags);
	read_flags(r, in, &flags);
	span_trim(text, &word, &end);
	read_arguments(r, in, word, end);
	in->broken = r->diags->errors > errors;
}

/* RUN, COPY and ADD in shell form, also under ONBUILD (5.1). */
static bool may_have_heredocs(const struct instruction *in)
{
	if (in->kw == KW_ONBUILD && in->trigger)
		in = in->trigger;
	return (in->kw == KW_RUN || in->kw == KW_COPY || in->kw == KW_ADD) && !in->json;
}

/* Points the sources of COPY and ADD to their bodies; of two heredocs with one
 * name BuildKit takes the last. */
static void link_heredocs(const struct reader *r, struct instruction *in)
{
	for (size_t i = 0; i < in->nargs; i++) {
		struct heredoc h;

		if (!heredoc_parse(r->arena, in->args[i].text, &h, NULL))
			continue;
		for (size_t j = 0; j < in->nheredocs; j++)
			if (!strcmp(in->heredocs[j].name, h.name))
				in->args[i].heredoc = &in->heredocs[j];
	}
}

static void read_heredocs(const struct reader *r, struct source *s,
			  struct instruction *in)
{
	struct heredocs found = {0};
	const char *why = heredocs_find(r->arena, r->line->text, r->line->len, &found);
	struct instruction *user = in->kw == KW_ONBUILD ? in->trigger : in;

	if (why) {
		error_at(r, 0, why);
		return;
	}
	for (size_t i = 0; i < found.n; i++) {
		if (s && source_heredoc(s, &found.v[i]))
			continue;
		diag_error(r->diags, in->line, in->column,
			   "unterminated heredoc: no line %s", found.v[i].name);
		diag_hint(r->diags,
			  found.v[i].strip_tabs
				  ? "the last line is the word alone, behind tabs only"
				  : "the last line is the word alone, without blanks "
				    "around it");
		found.n = i + 1;
	}
	in->heredocs = found.v;
	in->nheredocs = found.n;
	if (s)
		in->end_line = s->line - 1;
	user->heredocs = found.v;
	user->nheredocs = found.n;
	user->end_line = in->end_line;
	if (user->kw != KW_RUN)
		link_heredocs(r, user);
}

/* ONBUILD's text as an image stores it: what follows the word, then the bodies
 * (5.8). */
static void store_trigger(const struct reader *r, struct instruction *in)
{
	const char *p = strcasestr(r->line->text, "onbuild");
	struct text t = {.arena = r->arena};

	p = p ? p + strlen("onbuild") : r->line->text;
	p += strspn(p, "\t\n\f\r ");
	text_str(&t, p);
	for (size_t i = 0; i < in->nheredocs; i++) {
		text_char(&t, '\n');
		text_add(&t, in->heredocs[i].body, in->heredocs[i].body_len);
		text_str(&t, in->heredocs[i].name);
	}
	in->trigger_text = text_done(&t);
}

void instruction_read(struct arena *a, struct source *s, const struct line *l,
		      char escape, struct instruction *in, struct diags *d)
{
	struct reader r = {.arena = a, .diags = d, .line = l, .escape = escape};

	read_instruction(&r, in, 0);
	if (may_have_heredocs(in))
		read_heredocs(&r, s, in);
	if (in->kw == KW_ONBUILD)
		store_trigger(&r, in);
}
