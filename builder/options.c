#include "builder/options.h"

#include <stdlib.h>
#include <string.h>

#include "parser/diag.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

/* Help starts at this column at the latest; a longer option has a line of its own. */
#define HELP_COLUMN_MAX 34

struct parse {
	const struct option_table *tables;
	size_t ntables;
	int argc, at; /* at: index of the argument being read */
	char **argv;
};

static const struct option *find_name(const struct parse *p, const char *name, size_t len)
{
	for (size_t t = 0; t < p->ntables; t++)
		for (size_t i = 0; i < p->tables[t].n; i++) {
			const struct option *o = &p->tables[t].v[i];

			if (!strncmp(o->name, name, len) && !o->name[len])
				return o;
		}
	return NULL;
}

static const struct option *find_letter(const struct parse *p, char letter)
{
	for (size_t t = 0; t < p->ntables; t++)
		for (size_t i = 0; i < p->tables[t].n; i++)
			if (p->tables[t].v[i].letter == letter)
				return &p->tables[t].v[i];
	return NULL;
}

static int unknown_name(const struct parse *p, const char *name, size_t len,
			struct error *err)
{
	auto_free char *word = xstrndup(name, len);
	auto_free const char **known = NULL;
	const char *near;
	size_t n = 0, cap = 0;

	for (size_t t = 0; t < p->ntables; t++)
		for (size_t i = 0; i < p->tables[t].n; i++) {
			GROW(known, n, cap);
			known[n++] = p->tables[t].v[i].name;
		}
	near = diag_nearest(word, known, n);
	error_set(err, E_USAGE, "unknown option --%s", word);
	return near ? error_hint(err, "did you mean --%s?", near) : -1;
}

static int set_bool(const struct option *o, const char *text, struct error *err)
{
	bool yes = !text || !strcmp(text, "true");

	if (!yes && strcmp(text, "false") != 0)
		return error_set(err, E_USAGE, "--%s takes true or false, not \"%s\"",
				 o->name, text);
	*(bool *)o->value = yes;
	return 0;
}

/* text NULL: the value is the next argument. */
static int set_value(struct parse *p, const struct option *o, const char *text,
		     struct error *err)
{
	if (!text && ++p->at >= p->argc) {
		error_set(err, E_USAGE, "option --%s needs a value", o->name);
		return error_hint(err, "write --%s %s", o->name, o->metavar);
	}
	if (!text)
		text = p->argv[p->at];
	if (o->kind == OPTION_LIST)
		strv_add(o->value, text);
	else
		*(const char **)o->value = text;
	return 0;
}

static int parse_long(struct parse *p, struct error *err)
{
	const char *name = p->argv[p->at] + 2;
	size_t len = strcspn(name, "=");
	const char *text = name[len] ? name + len + 1 : NULL;
	const struct option *o = find_name(p, name, len);

	if (!o)
		return unknown_name(p, name, len, err);
	return o->kind == OPTION_BOOL ? set_bool(o, text, err)
				      : set_value(p, o, text, err);
}

/* -q, -qf x, -fx, -f=x, -q=true */
static int parse_letters(struct parse *p, struct error *err)
{
	for (const char *s = p->argv[p->at] + 1; *s; s++) {
		const struct option *o = find_letter(p, *s);

		if (!o)
			return error_set(err, E_USAGE, "unknown option -%c", *s);
		if (o->kind != OPTION_BOOL)
			return set_value(p, o,
					 s[1] == '=' ? s + 2
					 : s[1]      ? s + 1
						     : NULL,
					 err);
		if (s[1] == '=')
			return set_bool(o, s + 2, err);
		if (set_bool(o, NULL, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_operand(const char *arg)
{
	return arg[0] != '-' || !arg[1];
}

static int parse_option(struct parse *p, struct error *err)
{
	return p->argv[p->at][1] == '-' ? parse_long(p, err) : parse_letters(p, err);
}

int options_parse(const struct option_table *tables, size_t ntables, int argc,
		  char **argv, struct strv *operands, struct error *err)
{
	struct parse p = {tables, ntables, argc, 1, argv};

	for (; p.at < argc; p.at++) {
		if (!strcmp(argv[p.at], "--")) {
			while (++p.at < argc)
				strv_add(operands, argv[p.at]);
			break;
		}
		if (is_operand(argv[p.at]))
			strv_add(operands, argv[p.at]);
		else if (parse_option(&p, err) < 0)
			return -1;
	}
	return 0;
}

int options_parse_leading(const struct option_table *tables, size_t ntables, int argc,
			  char **argv, int *next, struct error *err)
{
	struct parse p = {tables, ntables, argc, 1, argv};

	for (; p.at < argc && !is_operand(argv[p.at]); p.at++) {
		if (!strcmp(argv[p.at], "--")) {
			p.at++;
			break;
		}
		if (parse_option(&p, err) < 0)
			return -1;
	}
	*next = p.at;
	return 0;
}

/* "  -f, --file FILE" */
static void usage_left(const struct option *o, struct buf *out)
{
	if (o->letter)
		buf_addf(out, "  -%c, --%s", o->letter, o->name);
	else
		buf_addf(out, "      --%s", o->name);
	if (o->metavar)
		buf_addf(out, " %s", o->metavar);
}

void options_usage(const struct option_table *table, struct buf *out)
{
	auto_buf struct buf left = BUF_INIT;
	size_t column = 0;

	for (size_t i = 0; i < table->n; i++) {
		buf_reset(&left);
		usage_left(&table->v[i], &left);
		if (left.len + 3 > column && left.len + 3 <= HELP_COLUMN_MAX)
			column = left.len + 3;
	}
	for (size_t i = 0; i < table->n; i++) {
		size_t line = out->len;

		usage_left(&table->v[i], out);
		if (out->len - line + 2 > column) {
			buf_addc(out, '\n');
			line = out->len;
		}
		buf_addf(out, "%*s%s\n", (int)(column - (out->len - line)), "",
			 table->v[i].help);
	}
}
