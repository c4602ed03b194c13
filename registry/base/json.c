#include "registry/base/json.h"

#include <math.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

#define MAX_EXACT 9007199254740992.0 /* 2^53 */

/* cJSON recurses without a bound of ours: look at the depth before it does.
 * NUL bytes would end cJSON's strings early, so they are refused as well. */
static int check_shape(const char *text, size_t len, const char *what, struct error *err)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!c)
			return error_set(err, E_CORRUPT, "%s: a NUL byte in JSON", what);
		if (quoted) {
			if (c == '\\') {
				if (len - i > 5 && !memcmp(text + i, "\\u0000", 6))
					return error_set(
						err, E_CORRUPT,
						"%s: a NUL character in a string", what);
				i++;
			} else if (c == '"') {
				quoted = false;
			}
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_MAX_DEPTH)
				return error_set(err, E_CORRUPT,
						 "%s: JSON nested more than %d deep",
						 what, JSON_MAX_DEPTH);
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return 0;
}

cJSON *json_parse(const char *text, size_t len, const char *what, struct error *err)
{
	const char *end = NULL;
	cJSON *value;

	if (check_shape(text, len, what, err) < 0)
		return NULL;
	value = cJSON_ParseWithLengthOpts(text, len, &end, false);
	if (!value) {
		error_set(err, E_CORRUPT, "%s: malformed JSON at byte %zu", what,
			  end ? (size_t)(end - text) : (size_t)0);
		return NULL;
	}
	while (end < text + len && strchr(" \t\r\n", *end))
		end++;
	if (end < text + len) {
		error_set(err, E_CORRUPT, "%s: text after the JSON value at byte %zu",
			  what, (size_t)(end - text));
		cJSON_Delete(value);
		return NULL;
	}
	return value;
}

static const cJSON *member(const cJSON *obj, const char *key)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(obj, key);

	return m && !cJSON_IsNull(m) ? m : NULL;
}

/* 1: present and right; 0: absent and not needed; -1. */
static int typed(const cJSON *obj, const char *key, bool required, int type,
		 const char *type_name, const cJSON **out, struct error *err)
{
	const cJSON *m = member(obj, key);

	if (!m) {
		if (required)
			return error_set(err, E_CORRUPT, "field %s is missing", key);
		return 0;
	}
	if (!(m->type & type))
		return error_set(err, E_CORRUPT, "field %s is no %s", key, type_name);
	*out = m;
	return 1;
}

int json_get_string(const cJSON *obj, const char *key, bool required, const char **out,
		    struct error *err)
{
	const cJSON *m = NULL;
	int rc = typed(obj, key, required, cJSON_String, "string", &m, err);

	if (rc == 1)
		*out = m->valuestring;
	return rc < 0 ? -1 : 0;
}

int json_get_object(const cJSON *obj, const char *key, bool required, const cJSON **out,
		    struct error *err)
{
	return typed(obj, key, required, cJSON_Object, "object", out, err) < 0 ? -1 : 0;
}

int json_get_array(const cJSON *obj, const char *key, bool required, const cJSON **out,
		   struct error *err)
{
	return typed(obj, key, required, cJSON_Array, "array", out, err) < 0 ? -1 : 0;
}

int json_get_bool(const cJSON *obj, const char *key, bool *out, struct error *err)
{
	const cJSON *m = NULL;
	int rc = typed(obj, key, false, cJSON_True | cJSON_False, "boolean", &m, err);

	if (rc == 1)
		*out = cJSON_IsTrue(m);
	return rc < 0 ? -1 : 0;
}

static int whole_number(const cJSON *obj, const char *key, bool required, double low,
			double *out, struct error *err)
{
	const cJSON *m = NULL;
	int rc = typed(obj, key, required, cJSON_Number, "number", &m, err);

	if (rc != 1)
		return rc;
	if (!(m->valuedouble >= low && m->valuedouble <= MAX_EXACT) ||
	    m->valuedouble != floor(m->valuedouble))
		return error_set(err, E_CORRUPT, "field %s is out of range", key);
	*out = m->valuedouble;
	return 1;
}

int json_get_size(const cJSON *obj, const char *key, bool required, uint64_t *out,
		  struct error *err)
{
	double d = 0;
	int rc = whole_number(obj, key, required, 0, &d, err);

	if (rc == 1)
		*out = (uint64_t)d;
	return rc < 0 ? -1 : 0;
}

int json_get_int(const cJSON *obj, const char *key, int64_t *out, struct error *err)
{
	double d = 0;
	int rc = whole_number(obj, key, false, -MAX_EXACT, &d, err);

	if (rc == 1)
		*out = (int64_t)d;
	return rc < 0 ? -1 : 0;
}

/* A comma is due unless a bracket or a colon stands before. */
static void separate(struct buf *b)
{
	char last = b->len ? b->data[b->len - 1] : '[';

	if (last != '[' && last != '{' && last != ':')
		buf_addc(b, ',');
}

void json_open(struct buf *b, char bracket)
{
	separate(b);
	buf_addc(b, bracket);
}

void json_close(struct buf *b, char bracket)
{
	buf_addc(b, bracket);
}

/* Length of the valid UTF-8 sequence at s, 0 if there is none (RFC 3629: no
 * surrogates, no overlong forms, at most U+10FFFF). */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	size_t len;
	unsigned low = 0x80, high = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (n < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return len;
}

static void escape_control(struct buf *b, unsigned char c)
{
	static const char *const names[0x20] = {['\b'] = "\\b",
						['\f'] = "\\f",
						['\n'] = "\\n",
						['\r'] = "\\r",
						['\t'] = "\\t"};

	if (names[c])
		buf_adds(b, names[c]);
	else
		buf_addf(b, "\\u%04x", c);
}

/* The text between the quotes. */
static void add_escaped(struct buf *b, const unsigned char *s, size_t len)
{
	while (len) {
		size_t n = utf8_length(s, len);

		if (!n) {
			buf_adds(b, "\xef\xbf\xbd");
			n = 1;
		} else if (*s < 0x20) {
			escape_control(b, *s);
		} else {
			if (*s == '"' || *s == '\\')
				buf_addc(b, '\\');
			buf_add(b, s, n);
		}
		s += n;
		len -= n;
	}
}

void json_string_n(struct buf *b, const char *text, size_t len)
{
	separate(b);
	buf_addc(b, '"');
	add_escaped(b, (const unsigned char *)text, len);
	buf_addc(b, '"');
}

void json_string(struct buf *b, const char *text)
{
	json_string_n(b, text, strlen(text));
}

void json_key(struct buf *b, const char *key)
{
	json_string(b, key);
	buf_addc(b, ':');
}

void json_int(struct buf *b, int64_t value)
{
	separate(b);
	buf_addf(b, "%lld", (long long)value);
}

void json_bool(struct buf *b, bool value)
{
	separate(b);
	buf_adds(b, value ? "true" : "false");
}

static int by_key(const void *a, const void *b)
{
	return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

static void object_value(struct buf *b, const cJSON *value)
{
	size_t n = (size_t)cJSON_GetArraySize(value), i = 0;
	auto_free const cJSON **sorted = xcalloc(n, sizeof(*sorted));

	for (const cJSON *m = value->child; m; m = m->next)
		sorted[i++] = m;
	qsort(sorted, n, sizeof(*sorted), by_key);
	json_open(b, '{');
	for (i = 0; i < n; i++) {
		json_key(b, sorted[i]->string);
		json_value(b, sorted[i]);
	}
	json_close(b, '}');
}

static void number_value(struct buf *b, double d)
{
	if (d == floor(d) && fabs(d) <= MAX_EXACT) {
		json_int(b, (int64_t)d);
		return;
	}
	separate(b);
	buf_addf(b, "%.17g", d);
}

void json_value(struct buf *b, const cJSON *value)
{
	if (cJSON_IsObject(value)) {
		object_value(b, value);
	} else if (cJSON_IsArray(value)) {
		json_open(b, '[');
		for (const cJSON *m = value->child; m; m = m->next)
			json_value(b, m);
		json_close(b, ']');
	} else if (cJSON_IsString(value)) {
		json_string(b, value->valuestring);
	} else if (cJSON_IsNumber(value)) {
		number_value(b, value->valuedouble);
	} else if (cJSON_IsBool(value)) {
		json_bool(b, cJSON_IsTrue(value));
	} else {
		separate(b);
		buf_adds(b, "null");
	}
}
