#include "registry/textmap.h"

#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/json.h"
#include "registry/base/log.h"
#include "registry/base/map.h"

/* Adds text, or puts it where an equal key was seen first. */
static void add_last_wins(struct strv *out, struct map *seen, const char *key, char *text)
{
	size_t len = strlen(key);
	uintptr_t at = (uintptr_t)map_get(seen, key, len);

	if (at) {
		free(out->v[at - 1]);
		out->v[at - 1] = text;
		return;
	}
	strv_take(out, text);
	map_put(seen, key, len, (void *)(uintptr_t)out->n);
}

/* One member of a map ("key=value") or a set ("key"). */
static int add_member(struct strv *out, struct map *seen, const cJSON *m,
		      const char *field, bool set, struct error *err)
{
	if (!cJSON_IsNull(m) && !(set ? cJSON_IsObject(m) : cJSON_IsString(m)))
		return error_set(err, E_CORRUPT, "field %s: %s is no %s", field,
				 m->string, set ? "object" : "string");
	if (set) {
		add_last_wins(out, seen, m->string, xstrdup(m->string));
	} else if (strchr(m->string, '=')) {
		log_warn("%s: %s is left out: its name contains `=`", field, m->string);
	} else {
		add_last_wins(out, seen, m->string,
			      xasprintf("%s=%s", m->string,
					cJSON_IsString(m) ? m->valuestring : ""));
	}
	return 0;
}

static int parse(const cJSON *obj, const char *field, bool set, struct strv *out,
		 struct error *err)
{
	const cJSON *map = NULL, *m;
	struct map seen = MAP_INIT;
	int rc = 0;

	if (json_get_object(obj, field, false, &map, err) < 0)
		return -1;
	for (m = map ? map->child : NULL; m && !rc; m = m->next)
		rc = add_member(out, &seen, m, field, set, err);
	map_release(&seen);
	return rc;
}

int textmap_parse(const cJSON *obj, const char *field, struct strv *out,
		  struct error *err)
{
	return parse(obj, field, false, out, err);
}

int textset_parse(const cJSON *obj, const char *field, struct strv *out,
		  struct error *err)
{
	return parse(obj, field, true, out, err);
}

struct pair {
	const char *key, *value;
	size_t len, place;
};

static int by_key(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	size_t shorter = x->len < y->len ? x->len : y->len;
	int c = memcmp(x->key, y->key, shorter);

	if (c)
		return c;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->place < y->place ? -1 : 1;
}

static bool same_key(const struct pair *a, const struct pair *b)
{
	return a->len == b->len && !memcmp(a->key, b->key, a->len);
}

static void write_sorted(struct buf *b, const char *field, const struct strv *list,
			 bool set)
{
	auto_free struct pair *pairs = NULL;

	if (!list->n)
		return;
	pairs = xcalloc(list->n, sizeof(*pairs));
	for (size_t i = 0; i < list->n; i++) {
		size_t len = set ? strlen(list->v[i]) : strcspn(list->v[i], "=");

		pairs[i] = (struct pair){list->v[i], list->v[i] + len, len, i};
		if (*pairs[i].value)
			pairs[i].value++;
	}
	qsort(pairs, list->n, sizeof(*pairs), by_key);
	json_key(b, field);
	json_open(b, '{');
	for (size_t i = 0; i < list->n; i++) {
		if (i + 1 < list->n && same_key(&pairs[i], &pairs[i + 1]))
			continue;
		json_string_n(b, pairs[i].key, pairs[i].len);
		buf_addc(b, ':');
		if (set) {
			json_open(b, '{');
			json_close(b, '}');
		} else {
			json_string(b, pairs[i].value);
		}
	}
	json_close(b, '}');
}

void textmap_write(struct buf *b, const char *field, const struct strv *map)
{
	write_sorted(b, field, map, false);
}

void textset_write(struct buf *b, const char *field, const struct strv *set)
{
	write_sorted(b, field, set, true);
}
