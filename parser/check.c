/* The rules that a well-split instruction must obey. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parser/expand.h"
#include "parser/instruction.h"

struct checker {
	struct diags *diags;
	const struct instruction *in;
	char escape;
	bool lenient;
};

static void complain(const struct checker *c, unsigned line, unsigned column,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void complain(const struct checker *c, unsigned line, unsigned column,
		     const char *fmt, ...)
{
	char *message;
	va_list ap;

	va_start(ap, fmt);
	message = arena_vprintf(c->diags->arena, fmt, ap);
	va_end(ap);
	if (c->lenient)
		diag_warn(c->diags, line, column, NULL, "%s", message);
	else
		diag_error(c->diags, line, column, "%s", message);
}

/* A message about the instruction as a whole. */
#define WHOLE(c) (c), (c)->in->line, (c)->in->column

enum flag_kind { FLAG_STRING, FLAG_BOOL, FLAG_LIST };

static const struct flag_rule {
	enum keyword kw;
	const char *name;
	enum flag_kind kind;
} flag_rules[] = {
	{KW_FROM, "platform", FLAG_STRING},
	{KW_ADD, "chown", FLAG_STRING},
	{KW_ADD, "chmod", FLAG_STRING},
	{KW_ADD, "link", FLAG_BOOL},
	{KW_ADD, "keep-git-dir", FLAG_BOOL},
	{KW_ADD, "checksum", FLAG_STRING},
	{KW_ADD, "unpack", FLAG_BOOL},
	{KW_ADD, "exclude", FLAG_LIST},
	{KW_COPY, "from", FLAG_STRING},
	{KW_COPY, "chown", FLAG_STRING},
	{KW_COPY, "chmod", FLAG_STRING},
	{KW_COPY, "link", FLAG_BOOL},
	{KW_COPY, "parents", FLAG_BOOL},
	{KW_COPY, "exclude", FLAG_LIST},
	{KW_RUN, "mount", FLAG_LIST},
	{KW_RUN, "network", FLAG_STRING},
	{KW_RUN, "security", FLAG_STRING},
	{KW_RUN, "device", FLAG_LIST},
	{KW_HEALTHCHECK, "interval", FLAG_STRING},
	{KW_HEALTHCHECK, "timeout", FLAG_STRING},
	{KW_HEALTHCHECK, "start-period", FLAG_STRING},
	{KW_HEALTHCHECK, "start-interval", FLAG_STRING},
	{KW_HEALTHCHECK, "retries", FLAG_STRING},
};

#define NRULES (sizeof(flag_rules) / sizeof(*flag_rules))

static const struct flag_rule *find_rule(enum keyword kw, const char *name)
{
	for (size_t i = 0; i < NRULES; i++)
		if (flag_rules[i].kw == kw && !strcmp(flag_rules[i].name, name))
			return &flag_rules[i];
	return NULL;
}

static void unknown_flag(const struct checker *c, const struct flag *f)
{
	const char *names[NRULES], *near;
	size_t n = 0;

	for (size_t i = 0; i < NRULES; i++)
		if (flag_rules[i].kw == c->in->kw)
			names[n++] = flag_rules[i].name;
	complain(c, f->line, f->column, "unknown flag: --%s", f->name);
	near = diag_nearest(f->name, names, n);
	if (near)
		diag_hint(c->diags, "did you mean --%s?", near);
	else if (!n)
		diag_hint(c->diags, "%s has no flags", keyword_name(c->in->kw));
}

static void check_flag(const struct checker *c, size_t i)
{
	const struct flag *f = &c->in->flags[i];
	const struct flag_rule *rule = find_rule(c->in->kw, f->name);

	if (!rule) {
		unknown_flag(c, f);
		return;
	}
	for (size_t j = 0; rule->kind != FLAG_LIST && j < i; j++) {
		if (!strcmp(c->in->flags[j].name, f->name)) {
			complain(c, f->line, f->column, "duplicate flag specified: --%s",
				 f->name);
			return;
		}
	}
	if (rule->kind != FLAG_BOOL && !f->value) {
		complain(c, f->line, f->column, "missing a value on flag: --%s", f->name);
		diag_hint(c->diags, "write --%s=VALUE", f->name);
	} else if (rule->kind == FLAG_BOOL && f->value && !*f->value) {
		complain(c, f->line, f->column, "missing a value on flag: --%s", f->name);
	} else if (rule->kind == FLAG_BOOL && f->value &&
		   strcasecmp(f->value, "true") != 0 &&
		   strcasecmp(f->value, "false") != 0) {
		complain(c, f->line, f->column,
			 "expecting boolean value for flag --%s, not: %s", f->name,
			 f->value);
	}
}

/* ARG, STOPSIGNAL and HEALTHCHECK NONE take any flag without a word (2.3). */
static bool flags_unchecked(const struct instruction *in)
{
	return in->kw == KW_ARG || in->kw == KW_STOPSIGNAL ||
	       (in->kw == KW_HEALTHCHECK && in->nargs &&
		!strcmp(in->args[0].text, "NONE"));
}

static void check_flags(const struct checker *c)
{
	if (flags_unchecked(c->in))
		return;
	for (size_t i = 0; i < c->in->nflags; i++)
		check_flag(c, i);
}

static void at_least_one(const struct checker *c, size_t n)
{
	if (!n)
		complain(WHOLE(c), "%s requires at least one argument",
			 keyword_name(c->in->kw));
}

static void exactly_one(const struct checker *c)
{
	if (c->in->nargs != 1)
		complain(WHOLE(c), "%s requires exactly one argument",
			 keyword_name(c->in->kw));
}

static const char *saw_variable(void *ctx, const char *name)
{
	(void)name;
	*(bool *)ctx = true;
	return NULL;
}

/* COPY --from is not expanded; one that would be is refused (4.1). */
static void check_from_flag(const struct checker *c)
{
	const struct flag *f = instruction_flag(c->in, "from");
	bool variable = false;
	const char *why;

	if (!f || !f->value || !strchr(f->value, '$'))
		return;
	expand_word(c->diags->arena, f->value, c->escape, saw_variable, &variable, &why);
	if (!variable)
		return;
	complain(c, f->line, f->column, "variable expansion is not supported for --from");
	diag_hint(c->diags, "define a new stage: FROM %s AS NAME", f->value);
}

static void check_copy(const struct checker *c)
{
	const struct instruction *in = c->in;
	const struct word *dest;
	struct heredoc h;

	if (in->nargs < 2) {
		complain(WHOLE(c), "%s requires at least two arguments%s",
			 keyword_name(in->kw),
			 in->nargs ? ", but only one was provided: destination could not "
				     "be determined"
				   : "");
		diag_hint(c->diags, "write %s SOURCE... DESTINATION",
			  keyword_name(in->kw));
		return;
	}
	dest = &in->args[in->nargs - 1];
	if (!in->json && heredoc_parse(c->diags->arena, dest->text, &h, NULL))
		complain(c, dest->line, dest->column,
			 "%s cannot accept a heredoc as a destination",
			 keyword_name(in->kw));
	if (in->kw == KW_COPY)
		check_from_flag(c);
}

static bool valid_stage_name(const char *s)
{
	if (!((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z'))
		return false;
	while (((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z') || (*s >= '0' && *s <= '9') ||
	       (*s && strchr("-_.", *s)))
		s++;
	return !*s;
}

static void check_from(const struct checker *c)
{
	const struct instruction *in = c->in;

	if (in->nargs == 3 && !strcasecmp(in->args[1].text, "as")) {
		const struct word *name = &in->args[2];

		if (valid_stage_name(name->text))
			return;
		complain(c, name->line, name->column,
			 "invalid name for build stage: \"%s\"", name->text);
		diag_hint(c->diags,
			  "a name begins with a letter and has letters, digits, - _ .");
	} else if (in->nargs != 1) {
		complain(WHOLE(c), "FROM requires either one or three arguments");
		diag_hint(c->diags, "write FROM IMAGE or FROM IMAGE AS NAME");
	}
}

static void check_pairs(const struct checker *c)
{
	for (size_t i = 0; i < c->in->npairs; i++) {
		const struct pair *p = &c->in->pairs[i];

		if (!*p->key)
			complain(c, p->line, p->column, "%s names can not be blank",
				 keyword_name(c->in->kw));
	}
}

static void check_interval(const struct checker *c, const struct flag *f)
{
	long long ns;

	if (!*f->value)
		return;
	if (!duration_parse(f->value, &ns)) {
		complain(c, f->line, f->column, "--%s: not a duration: %s", f->name,
			 f->value);
		diag_hint(c->diags, "write it as in 1m30s");
	} else if (ns && ns < 1000000) {
		complain(c, f->line, f->column, "--%s cannot be less than 1ms", f->name);
	}
}

static void check_retries(const struct checker *c, const struct flag *f)
{
	char *end;
	long n = strtol(f->value, &end, 10);

	if (!*f->value)
		return;
	if (*end || !strchr("+-0123456789", *f->value) || n > INT32_MAX || n < INT32_MIN)
		complain(c, f->line, f->column, "--retries: not a number: %s", f->value);
	else if (n < 0)
		complain(c, f->line, f->column, "--retries cannot be negative (%ld)", n);
}

static void check_health_flags(const struct checker *c)
{
	for (size_t i = 0; i < c->in->nflags; i++) {
		const struct flag *f = &c->in->flags[i];

		if (!f->value || !find_rule(KW_HEALTHCHECK, f->name))
			continue;
		if (!strcmp(f->name, "retries"))
			check_retries(c, f);
		else
			check_interval(c, f);
	}
}

static void check_health(const struct checker *c)
{
	const struct instruction *in = c->in;

	if (!in->nargs) {
		at_least_one(c, 0);
		return;
	}
	if (!strcmp(in->args[0].text, "NONE")) {
		if (in->nargs > 1)
			complain(WHOLE(c), "HEALTHCHECK NONE takes no arguments");
		return;
	}
	if (strcmp(in->args[0].text, "CMD") != 0) {
		complain(c, in->args[0].line, in->args[0].column,
			 "unknown type \"%s\" in HEALTHCHECK", in->health_type);
		diag_hint(c->diags, "write HEALTHCHECK CMD %s", in->health_type);
	} else if (in->nargs == 1) {
		complain(WHOLE(c), "missing command after HEALTHCHECK CMD");
	}
	check_health_flags(c);
}

static void check_volume(const struct checker *c)
{
	at_least_one(c, c->in->nargs);
	for (size_t i = 0; i < c->in->nargs; i++) {
		const struct word *w = &c->in->args[i];
		size_t at = 0, len = strlen(w->text);

		span_trim(w->text, &at, &len);
		if (at == len)
			complain(c, w->line, w->column,
				 "VOLUME specified can not be an empty string");
	}
}

static void check_shell(const struct checker *c)
{
	at_least_one(c, c->in->nargs);
	if (c->in->nargs && !c->in->json) {
		complain(WHOLE(c), "SHELL requires the arguments to be in JSON form");
		diag_hint(c->diags, "write SHELL [\"/bin/sh\", \"-c\"]");
	}
}

static void check_trigger(const struct checker *c)
{
	const struct instruction *t = c->in->trigger;

	if (!t) {
		at_least_one(c, 0);
		return;
	}
	if (t->kw == KW_ONBUILD)
		complain(c, t->line, t->column,
			 "chaining ONBUILD via ONBUILD ONBUILD isn't allowed");
	else if (t->kw == KW_FROM || t->kw == KW_MAINTAINER)
		complain(c, t->line, t->column, "%s isn't allowed as an ONBUILD trigger",
			 keyword_name(t->kw));
	else
		/* It is only stored here, and checked when it is triggered. */
		instruction_check(t, c->escape, true, c->diags);
}

static void unknown_instruction(const struct checker *c)
{
	const char *names[KW_COUNT], *near;

	for (enum keyword kw = 0; kw < KW_COUNT; kw++)
		names[kw] = keyword_name(kw);
	complain(WHOLE(c), "unknown instruction: %.100s", c->in->word);
	near = diag_nearest(c->in->word, names, KW_COUNT);
	if (near)
		diag_hint(c->diags, "did you mean %s?", near);
}

static void check_arguments(const struct checker *c)
{
	const struct instruction *in = c->in;

	switch (in->kw) {
	case KW_ADD:
	case KW_COPY:
		check_copy(c);
		break;
	case KW_FROM:
		check_from(c);
		break;
	case KW_ARG:
	case KW_ENV:
	case KW_LABEL:
		check_pairs(c);
		at_least_one(c, in->npairs);
		break;
	case KW_EXPOSE:
		at_least_one(c, in->nargs);
		break;
	case KW_HEALTHCHECK:
		check_health(c);
		break;
	case KW_VOLUME:
		check_volume(c);
		break;
	case KW_SHELL:
		check_shell(c);
		break;
	case KW_ONBUILD:
		check_trigger(c);
		break;
	case KW_MAINTAINER:
	case KW_STOPSIGNAL:
	case KW_USER:
	case KW_WORKDIR:
		exactly_one(c);
		break;
	case KW_RUN:
	case KW_CMD:
	case KW_ENTRYPOINT:
	case KW_COUNT:
		break;
	}
}

void instruction_check(const struct instruction *in, char escape, bool lenient,
		       struct diags *d)
{
	struct checker c = {.diags = d, .in = in, .escape = escape, .lenient = lenient};

	if (in->kw == KW_COUNT) {
		unknown_instruction(&c);
		return;
	}
	check_flags(&c);
	if (!in->broken)
		check_arguments(&c);
}
