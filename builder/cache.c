#include "builder/cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/json.h"
#include "registry/base/log.h"
#include "registry/store.h"

#define RECORD_MAX 4096
/* Longer lists are not kept: a miss is then explained less exactly. */
#define LISTING_MAX (4u << 20)
#define LISTING_READ_MAX (LISTING_MAX + 1)

static char *step_path(const struct digest *d, const char *suffix)
{
	char hex[DIGEST_HEX];

	return xasprintf("steps/%s%s", digest_hex(d, hex), suffix);
}

static void save(struct store *st, const char *path, const struct buf *text)
{
	struct error err = ERROR_INIT;

	if (file_replace(store_tmpdir(st), store_dirfd(st), path, text->data, text->len,
			 false, &err) < 0)
		log_debug("step cache: %s", err.msg);
}

/* save, unless the file says so already. */
static void save_new(struct store *st, const char *path, const struct buf *text)
{
	auto_buf struct buf old = BUF_INIT;

	if (file_read(store_dirfd(st), path, LISTING_READ_MAX, &old, NULL) < 0 ||
	    old.len != text->len || memcmp(old.data, text->data, old.len))
		save(st, path, text);
}

void cache_key(const struct digest *prefix, const struct digest *inputs,
	       struct digest *key)
{
	struct hash h;

	hash_init(&h);
	hash_add(&h, prefix->bytes, DIGEST_BYTES);
	hash_add(&h, inputs->bytes, DIGEST_BYTES);
	hash_end(&h, key);
}

/* A record is believed only as a whole, and only under its own key. */
static void record_check(const struct digest *key, const struct step_record *r,
			 struct digest *out)
{
	struct hash h;

	hash_init(&h);
	hash_add(&h, key->bytes, DIGEST_BYTES);
	hash_u64(&h, r->empty);
	hash_add(&h, r->digest.bytes, DIGEST_BYTES);
	hash_add(&h, r->diff_id.bytes, DIGEST_BYTES);
	hash_u64(&h, r->size);
	hash_end(&h, out);
}

static int parse_digest_field(const cJSON *doc, const char *name, struct digest *out,
			      struct error *err)
{
	const char *text = NULL;

	if (json_get_string(doc, name, true, &text, err) < 0)
		return -1;
	return digest_parse(out, text, err);
}

static int parse_record(const struct buf *text, const struct digest *key,
			struct step_record *out, struct error *err)
{
	auto_json cJSON *doc = json_parse(text->data, text->len, "step record", err);
	struct digest check, want;

	if (!doc || json_get_bool(doc, "empty", &out->empty, err) < 0 ||
	    parse_digest_field(doc, "check", &check, err) < 0)
		return -1;
	if (!out->empty && (parse_digest_field(doc, "digest", &out->digest, err) < 0 ||
			    parse_digest_field(doc, "diffId", &out->diff_id, err) < 0 ||
			    json_get_size(doc, "size", true, &out->size, err) < 0))
		return -1;
	record_check(key, out, &want);
	return digest_equal(&check, &want) ? 0
					   : error_set(err, E_CORRUPT, "it is damaged");
}

/* The layer is in the store, and not cut short: that shows without reading it. */
static bool has_layer(struct store *st, const struct step_record *r)
{
	uint64_t size = 0;
	auto_fd int fd = store_get(st, &r->digest, &size, NULL);

	if (fd >= 0 && size != r->size)
		store_drop(st, &r->digest, fd);
	return fd >= 0 && size == r->size;
}

bool cache_find(struct store *st, const struct digest *key, struct step_record *out)
{
	auto_free char *path = step_path(key, "");
	auto_buf struct buf text = BUF_INIT;
	struct error err = ERROR_INIT;

	memset(out, 0, sizeof(*out));
	if (file_read(store_dirfd(st), path, RECORD_MAX, &text, &err) < 0)
		return false;
	if (parse_record(&text, key, out, &err) < 0) {
		log_debug("step cache: %s dropped: %s", path, err.msg);
		return false;
	}
	return out->empty || has_layer(st, out);
}

void cache_record(struct store *st, const struct digest *key, const struct step_record *r)
{
	auto_free char *path = step_path(key, "");
	auto_buf struct buf text = BUF_INIT;
	char digest[DIGEST_TEXT];
	struct digest check;

	record_check(key, r, &check);
	json_open(&text, '{');
	json_key(&text, "check");
	json_string(&text, digest_text(&check, digest));
	json_key(&text, "empty");
	json_bool(&text, r->empty);
	if (!r->empty) {
		json_key(&text, "digest");
		json_string(&text, digest_text(&r->digest, digest));
		json_key(&text, "diffId");
		json_string(&text, digest_text(&r->diff_id, digest));
		json_key(&text, "size");
		json_int(&text, (int64_t)r->size);
	}
	json_close(&text, '}');
	save(st, path, &text);
}

bool cache_inputs(struct store *st, const struct digest *prefix, struct buf *listing)
{
	auto_free char *path = step_path(prefix, ".inputs");

	return file_read(store_dirfd(st), path, LISTING_READ_MAX, listing, NULL) == 0;
}

bool cache_met(struct store *st, const struct digest *prefix)
{
	auto_free char *path = step_path(prefix, ".inputs");

	return !faccessat(store_dirfd(st), path, R_OK, AT_SYMLINK_NOFOLLOW);
}

void cache_set_inputs(struct store *st, const struct digest *prefix,
		      const struct buf *listing)
{
	auto_free char *path = step_path(prefix, ".inputs");
	static const struct buf none = BUF_INIT;

	save_new(st, path, listing->len <= LISTING_MAX ? listing : &none);
}

enum { HEX = 17 }; /* 16 digits and a blank, before each name of a list */

/* The next "HEX PATH" line; *next is set behind it.  Length without the newline. */
static size_t next_line(const char *at, const char **next)
{
	size_t n = strcspn(at, "\n");

	*next = at + n + (at[n] == '\n');
	return n;
}

/* Order of walk: a folder, what is in it, then its next sibling.  So a slash sorts before
 * every byte of a name. */
static int by_walk(const char *a, size_t n, const char *b, size_t m)
{
	size_t i = 0;

	while (i < n && i < m && a[i] == b[i])
		i++;
	if (i == n || i == m)
		return (i < n) - (i < m);
	if (a[i] == '/' || b[i] == '/')
		return a[i] == '/' ? -1 : 1;
	return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
}

/* Names the first difference of two listings, both in the same order of walk. */
static char *first_difference(const char *old, const char *now)
{
	while (*old || *now) {
		const char *next_old, *next_now;
		size_t n = next_line(old, &next_old), m = next_line(now, &next_now);

		if (n == m && !memcmp(old, now, n)) {
			old = next_old;
			now = next_now;
			continue;
		}
		if (n > HEX && n == m && !memcmp(old + HEX, now + HEX, n - HEX))
			return xasprintf("%.*s changed", (int)(m - HEX), now + HEX);
		/* siblings are sorted: the smaller one has no partner */
		if (m > HEX &&
		    (n <= HEX || by_walk(old + HEX, n - HEX, now + HEX, m - HEX) > 0))
			return xasprintf("%.*s is new", (int)(m - HEX), now + HEX);
		if (n > HEX)
			return xasprintf("%.*s is gone", (int)(n - HEX), old + HEX);
		break;
	}
	return xstrdup("its layer is no longer in the store");
}

/* The line of a list of "HEX NAME" with that name; NULL. */
static const char *find_part(const char *list, const char *name, size_t len)
{
	const char *next;

	for (; *list; list = next) {
		size_t n = next_line(list, &next);

		if (n == HEX + len && !memcmp(list + HEX, name, len))
			return list;
	}
	return NULL;
}

/* Names the first difference of two lists of parts; NULL: they have the same, perhaps in
 * another order. */
static char *part_difference(const char *old, const char *now)
{
	const char *next, *other;

	for (const char *at = now; *at; at = next) {
		size_t n = next_line(at, &next);

		if (n <= HEX)
			continue;
		other = find_part(old, at + HEX, n - HEX);
		if (!other)
			return xasprintf("%.*s is new", (int)(n - HEX), at + HEX);
		if (memcmp(other, at, HEX) != 0)
			return xasprintf("%.*s changed", (int)(n - HEX), at + HEX);
	}
	for (const char *at = old; *at; at = next) {
		size_t n = next_line(at, &next);

		if (n > HEX && !find_part(now, at + HEX, n - HEX))
			return xasprintf("%.*s is gone", (int)(n - HEX), at + HEX);
	}
	return NULL;
}

/* Two texts of a place that are not the same: the instruction, or one of its parts. */
static char *text_difference(const char *old, const char *now)
{
	const char *old_parts, *now_parts;
	size_t n = next_line(old, &old_parts), m = next_line(now, &now_parts);
	char *why = NULL;

	if (n == m && !memcmp(old, now, n)) {
		why = part_difference(old_parts, now_parts);
		if (!why)
			return xstrdup("the order of its environment changed");
	}
	return why ? why : xasprintf("the instruction changed: it was %.*s", (int)n, old);
}

static char *why_missed(struct store *st, const struct cache_place *place,
			const char *last, const struct digest *prefix,
			const struct buf *listing)
{
	char parent[DIGEST_HEX];
	size_t n = strcspn(last, "\n");
	auto_buf struct buf old = BUF_INIT;

	if (!*last)
		return xstrdup("not built before");
	digest_hex(&place->parent, parent);
	if (n != strlen(parent) || memcmp(last, parent, n))
		return xstrdup(place->first ? "the base, the time or an option changed"
					    : "a step before it changed");
	last += n + (last[n] == '\n');
	if (strcmp(last, place->text))
		return text_difference(last, place->text);
	if (!listing || !cache_inputs(st, prefix, &old))
		return xstrdup("not built before");
	if (!old.len && listing->len)
		return xstrdup("a file that it reads changed");
	return first_difference(old.data, listing->data);
}

void cache_set_place(struct store *st, const struct cache_place *place)
{
	auto_free char *path = step_path(&place->id, ".place");
	auto_buf struct buf now = BUF_INIT;
	char parent[DIGEST_HEX];

	buf_addf(&now, "%s\n%s", digest_hex(&place->parent, parent), place->text);
	save_new(st, path, &now);
}

char *cache_explain(struct store *st, const struct cache_place *place,
		    const struct digest *prefix, const struct buf *listing)
{
	auto_free char *path = step_path(&place->id, ".place");
	auto_buf struct buf last = BUF_INIT;

	if (file_read(store_dirfd(st), path, LISTING_READ_MAX, &last, NULL) < 0)
		buf_reset(&last);
	return why_missed(st, place, last.data, prefix, listing);
}
