#include "parser/dockerfile.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parser/instruction.h"
#include "parser/source.h"

const struct flag *instruction_flag(const struct instruction *in, const char *name)
{
	for (size_t i = 0; i < in->nflags; i++)
		if (!strcmp(in->flags[i].name, name))
			return &in->flags[i];
	return NULL;
}

bool instruction_flag_on(const struct instruction *in, const char *name)
{
	const struct flag *f = instruction_flag(in, name);

	return f && (!f->value || strcasecmp(f->value, "false") != 0);
}

/* The text with every NUL byte made visible, and one error for them all. */
static const char *without_nul(struct arena *a, const char *text, size_t len,
			       struct diags *d)
{
	const char *nul = len ? memchr(text, '\0', len) : NULL;
	unsigned line = 1, column = 1;
	char *copy;

	if (!nul)
		return text;
	for (const char *p = text; p < nul; p++) {
		column = *p == '\n' ? 1 : column + 1;
		line += *p == '\n';
	}
	diag_error(d, line, column, "NUL byte in Dockerfile");
	diag_hint(d, "save the file as UTF-8");
	copy = arena_strndup(a, text, len);
	for (size_t i = 0; i < len; i++)
		if (!copy[i])
			copy[i] = '?';
	return copy;
}

static char *lower_case(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);

	for (char *p = copy; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
	return copy;
}

static struct stage read_stage(struct arena *a, const struct instruction *from,
			       struct diags *d)
{
	const struct flag *platform = instruction_flag(from, "platform");
	struct stage s = {
		.base = from->nargs ? from->args[0].text : "",
		.platform = platform ? platform->value : NULL,
		.line = from->line,
	};

	if (from->nargs == 3 && !strcasecmp(from->args[1].text, "as"))
		s.name = lower_case(a, from->args[2].text);
	if (s.name && (!strcmp(s.name, "scratch") || !strcmp(s.name, "context")))
		diag_warn(d, from->line, from->args[2].column, "ReservedStageName",
			  "stage name should not use the reserved name \"%s\"", s.name);
	return s;
}

/* Instructions to stages: what is before the first FROM is global. */
static void find_stages(struct arena *a, struct dockerfile *df, struct diags *d)
{
	size_t cap = 0;

	for (size_t i = 0; i < df->ninstructions; i++) {
		const struct instruction *in = &df->instructions[i];

		if (in->kw == KW_FROM) {
			df->stages = arena_grow(a, df->stages, df->nstages, &cap,
						sizeof(*df->stages));
			df->stages[df->nstages] = read_stage(a, in, d);
			df->stages[df->nstages++].first = i + 1;
		} else if (df->nstages) {
			df->stages[df->nstages - 1].count++;
		} else {
			df->nglobal++;
		}
	}
}

static int compare_names(const void *left, const void *right)
{
	const struct stage *a = *(const struct stage *const *)left;
	const struct stage *b = *(const struct stage *const *)right;
	int order = strcmp(a->name, b->name);

	return order ? order : a->first < b->first ? -1 : 1;
}

static void warn_duplicates(struct arena *a, const struct dockerfile *df, struct diags *d)
{
	const struct stage **v = arena_array(a, df->nstages, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < df->nstages; i++)
		if (df->stages[i].name)
			v[n++] = &df->stages[i];
	if (n)
		qsort(v, n, sizeof(*v), compare_names);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(v[i - 1]->name, v[i]->name) != 0)
			continue;
		diag_warn(d, v[i]->line, df->instructions[v[i]->first - 1].args[2].column,
			  "DuplicateStageName",
			  "duplicate stage name \"%s\", also on line %u", v[i]->name,
			  v[i - 1]->line);
	}
}

/* Something must be built, and only ARG may stand before it (1.9). */
static void check_order(const struct dockerfile *df, struct diags *d)
{
	if (!df->ninstructions) {
		diag_error(d, 1, 1, "file with no instructions");
		diag_hint(d, "a Dockerfile begins with FROM");
		return;
	}
	for (size_t i = 0; i < df->nglobal; i++) {
		const struct instruction *in = &df->instructions[i];

		/* Most likely the FROM that is missing. */
		if (in->kw == KW_COUNT)
			return;
		if (in->kw == KW_ARG)
			continue;
		diag_error(d, in->line, in->column,
			   "no build stage in current context: %s", keyword_name(in->kw));
		diag_hint(d, "put FROM before it; only ARG may come first");
		return;
	}
	if (!df->nstages) {
		const struct instruction *last = &df->instructions[df->ninstructions - 1];

		diag_error(d, last->line, last->column,
			   "no FROM: there is no stage to build");
		diag_hint(d, "add FROM IMAGE");
	}
}

struct dockerfile *dockerfile_parse(struct arena *a, const char *text, size_t len,
				    struct diags *out)
{
	struct dockerfile *df = arena_alloc(a, sizeof(*df));
	struct source s;
	struct line line;
	size_t cap = 0;

	source_init(&s, a, without_nul(a, text, len, out), len, out);
	df->syntax = s.syntax;
	df->check = s.check;
	df->escape = s.escape;
	while (source_next(&s, &line)) {
		struct instruction *in;

		df->instructions = arena_grow(a, df->instructions, df->ninstructions,
					      &cap, sizeof(*df->instructions));
		in = &df->instructions[df->ninstructions++];
		memset(in, 0, sizeof(*in));
		instruction_read(a, &s, &line, s.escape, in, out);
		instruction_check(in, s.escape, false, out);
	}
	find_stages(a, df, out);
	check_order(df, out);
	warn_duplicates(a, df, out);
	diag_sort(out);
	return df;
}

struct instruction *instruction_parse(struct arena *a, const char *text, char escape,
				      unsigned line, struct diags *out)
{
	struct instruction *in = arena_alloc(a, sizeof(*in));
	size_t errors = out->errors;
	struct line first, second;
	struct source s;

	source_init(&s, a, text, strlen(text), out);
	s.escape = escape;
	s.line = line;
	if (!source_next(&s, &first)) {
		diag_error(out, line, 0, "empty ONBUILD trigger");
		return NULL;
	}
	instruction_read(a, &s, &first, escape, in, out);
	instruction_check(in, escape, false, out);
	if (in->kw == KW_FROM || in->kw == KW_MAINTAINER || in->kw == KW_ONBUILD)
		diag_error(out, line, 0, "%s isn't allowed as an ONBUILD trigger",
			   keyword_name(in->kw));
	if (source_next(&s, &second))
		diag_error(out, line, 0,
			   "ONBUILD trigger should be a single instruction: %s", text);
	return out->errors == errors ? in : NULL;
}
