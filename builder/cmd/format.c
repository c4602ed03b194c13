/* --format: the part of Go's templates that output.h names. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "builder/cmd/output.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

/* The next piece of a format: literal text, or the path between {{ and }}. */
struct piece {
	const char *text;
	size_t len;
	bool is_path; /* text is "A.B", without the first dot */
};

static bool is_path(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '.' ? i + 1 == len || s[i + 1] == '.' : !isalnum(c) && c != '_')
			return false;
	}
	return len > 0 && s[0] != '.';
}

/* 1: *out is the next piece; 0: the end; -1. */
static int next_piece(const char **p, struct piece *out, struct error *err)
{
	const char *open = strstr(*p, "{{"), *close, *from;

	if (!**p)
		return 0;
	if (open != *p) {
		*out = (struct piece){*p, open ? (size_t)(open - *p) : strlen(*p), false};
		*p += out->len;
		return 1;
	}
	close = strstr(open, "}}");
	if (!close)
		return error_set(err, E_USAGE, "--format: {{ without }}");
	*p = close + 2;
	for (from = open + 2; *from == ' '; from++)
		;
	while (close > from && close[-1] == ' ')
		close--;
	*out = (struct piece){from + 1, (size_t)(close - from) - 1, true};
	if (from < close && *from == '.' && is_path(out->text, out->len))
		return 1;
	error_set(err, E_USAGE, "--format: {{%.*s}} is not supported",
		  (int)(close - from), from);
	return error_hint(err,
			  "json, and text with fields such as {{.Field.Field}}, are");
}

int format_check(const char *format, struct error *err)
{
	struct piece piece;
	int rc;

	while ((rc = next_piece(&format, &piece, err)) > 0)
		;
	return rc;
}

static void add_literal(const struct piece *piece, struct buf *out)
{
	for (size_t i = 0; i < piece->len; i++) {
		const char *s = piece->text + i;

		if (*s == '\\' && i + 1 < piece->len && (s[1] == 't' || s[1] == 'n')) {
			buf_addc(out, s[1] == 't' ? '\t' : '\n');
			i++;
		} else {
			buf_addc(out, *s);
		}
	}
}

static int by_name(const void *a, const void *b)
{
	const cJSON *const *x = a, *const *y = b;

	return strcmp((*x)->string, (*y)->string);
}

static void add_value(const cJSON *v, struct buf *out);

/* map[k:v k:v], sorted; the empty object of a set is a struct to Go: {} */
static void add_map(const cJSON *map, struct buf *out)
{
	auto_free const cJSON **members = NULL;
	const cJSON *m;
	size_t n = 0, cap = 0;

	cJSON_ArrayForEach(m, map)
	{
		GROW(members, n, cap);
		members[n++] = m;
	}
	if (n)
		qsort(members, n, sizeof(*members), by_name);
	buf_adds(out, "map[");
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "%s%s:", i ? " " : "", members[i]->string);
		if (cJSON_IsObject(members[i]) && !members[i]->child)
			buf_adds(out, "{}");
		else
			add_value(members[i], out);
	}
	buf_addc(out, ']');
}

/* As deep as the objects that commands make, which is three. */
static void add_value(const cJSON *v, struct buf *out)
{
	const cJSON *item;

	if (cJSON_IsString(v)) {
		buf_adds(out, v->valuestring);
	} else if (cJSON_IsBool(v)) {
		buf_adds(out, cJSON_IsTrue(v) ? "true" : "false");
	} else if (cJSON_IsNumber(v)) {
		buf_addf(out, "%.0f", v->valuedouble);
	} else if (cJSON_IsArray(v)) {
		buf_addc(out, '[');
		cJSON_ArrayForEach(item, v)
		{
			if (item != v->child)
				buf_addc(out, ' ');
			add_value(item, out);
		}
		buf_addc(out, ']');
	} else if (cJSON_IsObject(v)) {
		add_map(v, out);
	}
}

static int add_path(const struct piece *piece, const cJSON *obj,
		    const char *(*absent)(const char *), struct buf *out,
		    struct error *err)
{
	auto_free char *path = xstrndup(piece->text, piece->len);
	char *name = path, *dot;
	const char *text;

	for (;; name = dot + 1) {
		const cJSON *v;

		dot = strchr(name, '.');
		if (dot)
			*dot = '\0';
		v = cJSON_GetObjectItemCaseSensitive(obj, name);
		if (v && !cJSON_IsNull(v)) {
			obj = v;
			if (dot)
				continue;
			add_value(v, out);
			return 0;
		}
		text = absent && !dot ? absent(name) : NULL;
		if (!text)
			return error_set(err, E_USAGE,
					 "--format: there is no field .%.*s",
					 (int)piece->len, piece->text);
		buf_adds(out, text);
		return 0;
	}
}

int format_write(const char *format, const cJSON *obj,
		 const char *(*absent)(const char *field), struct buf *out,
		 struct error *err)
{
	struct piece piece;
	int rc;

	while ((rc = next_piece(&format, &piece, err)) > 0) {
		if (!piece.is_path)
			add_literal(&piece, out);
		else if (add_path(&piece, obj, absent, out, err) < 0)
			return -1;
	}
	return rc;
}
