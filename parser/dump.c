#include "parser/dump.h"

#include <stdint.h>
#include <string.h>

#include "parser/unicode.h"

/* A string as Go's strconv.Quote writes it. */
static void quote_go(struct text *t, const char *s)
{
	static const char plain[] = "\a\b\f\n\r\t\v\\\"", names[] = "abfnrtv\\\"";
	size_t len = strlen(s), n;

	text_char(t, '"');
	for (size_t i = 0; i < len; i += n) {
		const char *special = strchr(plain, s[i]);
		uint32_t c;

		n = unicode_decode(s + i, len - i, &c);
		if (special) {
			text_char(t, '\\');
			text_char(t, names[special - plain]);
		} else if (c == UNICODE_BAD || c < ' ' || c == 0x7f) {
			text_printf(t, "\\x%02x", (unsigned char)s[i]);
		} else if (unicode_printable(c)) {
			text_add(t, s + i, n);
		} else if (c < 0x10000) {
			text_printf(t, "\\u%04x", c);
		} else {
			text_printf(t, "\\U%08x", c);
		}
	}
	text_char(t, '"');
}

static void sexp_flags(struct text *t, const struct instruction *in)
{
	for (size_t i = 0; i < in->nflags; i++) {
		const struct flag *f = &in->flags[i];

		text_str(t, i ? " " : " [");
		quote_go(t, arena_printf(t->arena, f->value ? "--%s=%s" : "--%s%s",
					 f->name, f->value ? f->value : ""));
	}
	if (in->nflags)
		text_char(t, ']');
}

static void sexp_string(struct text *t, const char *s)
{
	text_char(t, ' ');
	quote_go(t, s);
}

static void sexp_instruction(struct text *t, const struct instruction *in)
{
	text_char(t, '(');
	for (const char *p = in->word; *p; p++)
		text_char(t, *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p);
	if (in->kw != KW_COUNT)
		sexp_flags(t, in);
	for (size_t i = 0; i < in->nargs; i++)
		sexp_string(t,
			    !i && in->health_type ? in->health_type : in->args[i].text);
	for (size_t i = 0; i < in->npairs && in->kw != KW_ARG; i++) {
		sexp_string(t, in->pairs[i].key);
		sexp_string(t, in->pairs[i].value);
		sexp_string(t, in->pairs[i].legacy || !in->pairs[i].has_value ? "" : "=");
	}
	/* A trigger has none of its own: the parser does not follow chains. */
	if (in->trigger) {
		text_char(t, ' ');
		sexp_instruction(t, in->trigger);
	}
	text_char(t, ')');
}

char *dockerfile_dump_sexp(struct arena *a, const struct dockerfile *df)
{
	struct text t = {.arena = a};

	for (size_t i = 0; i < df->ninstructions; i++) {
		sexp_instruction(&t, &df->instructions[i]);
		text_char(&t, '\n');
	}
	return text_done(&t);
}

static void json_string(struct text *t, const char *s)
{
	size_t len, n;

	if (!s) {
		text_str(t, "null");
		return;
	}
	len = strlen(s);
	text_char(t, '"');
	for (size_t i = 0; i < len; i += n) {
		uint32_t c;

		n = unicode_decode(s + i, len - i, &c);
		if (c == '"' || c == '\\')
			text_printf(t, "\\%c", (char)c);
		else if (c == '\n')
			text_str(t, "\\n");
		else if (c == '\t')
			text_str(t, "\\t");
		else if (c == UNICODE_BAD)
			text_str(t, "\xef\xbf\xbd");
		else if (c < ' ' || c == 0x7f || c == 0x2028 || c == 0x2029)
			text_printf(t, "\\u%04x", c);
		else
			text_add(t, s + i, n);
	}
	text_char(t, '"');
}

static void json_key(struct text *t, const char *name, const char *value)
{
	text_printf(t, "\"%s\": ", name);
	json_string(t, value);
}

static const char *json_bool(bool b)
{
	return b ? "true" : "false";
}

static void json_lists(struct text *t, const struct instruction *in)
{
	text_str(t, "\"flags\": [");
	for (size_t i = 0; i < in->nflags; i++) {
		text_str(t, i ? ", {" : "{");
		json_key(t, "name", in->flags[i].name);
		text_str(t, ", ");
		json_key(t, "value", in->flags[i].value);
		text_char(t, '}');
	}
	text_printf(t, "], \"json\": %s, \"args\": [", json_bool(in->json));
	for (size_t i = 0; i < in->nargs; i++) {
		text_str(t, i ? ", " : "");
		json_string(t, in->args[i].text);
	}
	text_str(t, "], \"pairs\": [");
	for (size_t i = 0; i < in->npairs; i++) {
		const struct pair *p = &in->pairs[i];

		text_str(t, i ? ", {" : "{");
		json_key(t, "key", p->key);
		text_str(t, ", ");
		json_key(t, "value", p->has_value ? p->value : NULL);
		text_char(t, '}');
	}
	text_str(t, "], \"heredocs\": [");
	for (size_t i = 0; i < in->nheredocs; i++) {
		const struct heredoc *h = &in->heredocs[i];

		text_str(t, i ? ", {" : "{");
		json_key(t, "name", h->name);
		text_printf(t, ", \"expand\": %s, \"stripTabs\": %s, \"line\": %u, ",
			    json_bool(h->expand), json_bool(h->strip_tabs), h->line);
		json_key(t, "body", h->body);
		text_char(t, '}');
	}
	text_char(t, ']');
}

static void json_instruction(struct text *t, const struct instruction *in)
{
	text_char(t, '{');
	json_key(t, "instruction", in->kw == KW_COUNT ? NULL : keyword_name(in->kw));
	text_printf(t, ", \"line\": %u, \"endLine\": %u, \"column\": %u, ", in->line,
		    in->end_line, in->column);
	json_key(t, "source", in->source);
	text_str(t, ", ");
	json_lists(t, in);
	text_str(t, ", \"trigger\": ");
	if (in->trigger)
		json_instruction(t, in->trigger);
	else
		text_str(t, "null");
	text_char(t, '}');
}

static void json_instructions(struct text *t, const struct instruction *in, size_t n,
			      const char *indent)
{
	text_char(t, '[');
	for (size_t i = 0; i < n; i++) {
		text_printf(t, "%s\n%s", i ? "," : "", indent);
		json_instruction(t, &in[i]);
	}
	text_char(t, ']');
}

char *dockerfile_dump_json(struct arena *a, const struct dockerfile *df)
{
	const char escape[] = {df->escape, '\0'};
	struct text t = {.arena = a};

	text_char(&t, '{');
	json_key(&t, "syntax", df->syntax);
	text_str(&t, ", ");
	json_key(&t, "check", df->check);
	text_str(&t, ", ");
	json_key(&t, "escape", escape);
	text_str(&t, ",\n \"global\": ");
	json_instructions(&t, df->instructions, df->nglobal, "  ");
	text_str(&t, ",\n \"stages\": [");
	for (size_t i = 0; i < df->nstages; i++) {
		const struct stage *s = &df->stages[i];

		text_str(&t, i ? ",\n  {" : "\n  {");
		json_key(&t, "name", s->name);
		text_str(&t, ", ");
		json_key(&t, "base", s->base);
		text_str(&t, ", ");
		json_key(&t, "platform", s->platform);
		text_printf(&t, ", \"line\": %u,\n   \"instructions\": ", s->line);
		json_instructions(&t, &df->instructions[s->first - 1], s->count + 1,
				  "    ");
		text_char(&t, '}');
	}
	text_str(&t, "]}\n");
	return text_done(&t);
}
