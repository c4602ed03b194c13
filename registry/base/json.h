/*
 * json.h - reading JSON from outside with checks, writing it in one exact form
 *
 * Reading: cJSON behind getters that name the bad field.  Input is bounded in
 * size and depth before it is parsed, and nothing may follow the value.
 *
 * Writing: the form of every config and manifest that hod makes (no white
 * space, fields in the order of the calls, strings escaped by one rule: `"`,
 * `\`, controls as \b \f \n \r \t or \u00xx, bytes that are no UTF-8 as U+FFFD).
 *
 *	json_open(&b, '{');
 *	json_key(&b, "os");
 *	json_string(&b, "linux");
 *	json_close(&b, '}');
 */
#ifndef HOD_JSON_H
#define HOD_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;

#define JSON_MAX_DEPTH 64

/* Parses one value; `what` names the document in messages.  cJSON_Delete it.
 * NULL and E_CORRUPT when malformed, too deep, or followed by anything. */
cJSON *json_parse(const char *text, size_t len, const char *what, struct error *err);

static inline void cleanup_json_(cJSON **j)
{
	cJSON_Delete(*j);
}
#define auto_json __attribute__((cleanup(cleanup_json_)))

/* Typed members of an object.  Missing or null: *out is untouched and 0 is
 * returned unless `required`.  A wrong type is E_CORRUPT with the field's name. */
int json_get_string(const cJSON *obj, const char *key, bool required, const char **out,
		    struct error *err);
int json_get_object(const cJSON *obj, const char *key, bool required, const cJSON **out,
		    struct error *err);
int json_get_array(const cJSON *obj, const char *key, bool required, const cJSON **out,
		   struct error *err);
int json_get_bool(const cJSON *obj, const char *key, bool *out, struct error *err);
/* Non-negative integers up to 2^53. */
int json_get_size(const cJSON *obj, const char *key, bool required, uint64_t *out,
		  struct error *err);
/* Integers of at most 53 bits, sign included. */
int json_get_int(const cJSON *obj, const char *key, int64_t *out, struct error *err);

/* Writer: commas are placed by themselves. */
void json_open(struct buf *b, char bracket);
void json_close(struct buf *b, char bracket);
void json_key(struct buf *b, const char *key);
void json_string(struct buf *b, const char *text);
void json_string_n(struct buf *b, const char *text, size_t len);
void json_int(struct buf *b, int64_t value);
void json_bool(struct buf *b, bool value);
/* Writes a parsed value in the same form, objects' members sorted bytewise. */
void json_value(struct buf *b, const cJSON *value);

#endif
