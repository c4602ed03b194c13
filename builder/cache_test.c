#include "builder/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/build_test.h"

static struct store *store;

static struct digest named(const char *text)
{
	struct digest d;

	digest_of(&d, text, strlen(text));
	return d;
}

/* A record whose layer is in the store. */
static struct step_record layer_record(const char *bytes)
{
	struct step_record r = {.diff_id = named("diff"), .size = strlen(bytes)};
	struct error err = ERROR_INIT;

	fine(store_put_bytes(store, bytes, strlen(bytes), &r.digest, &err), &err);
	return r;
}

static void records_are_found_by_their_key(void **state)
{
	struct digest key = named("key"), other = named("other");
	struct step_record r = layer_record("layer"), got, nothing = {.empty = true};

	(void)state;
	assert_false(cache_find(store, &key, &got));
	cache_record(store, &key, &r);
	assert_true(cache_find(store, &key, &got));
	assert_false(got.empty);
	assert_memory_equal(&got.digest, &r.digest, sizeof(r.digest));
	assert_memory_equal(&got.diff_id, &r.diff_id, sizeof(r.diff_id));
	assert_int_equal(got.size, 5);
	assert_false(cache_find(store, &other, &got));
	cache_record(store, &other, &nothing);
	assert_true(cache_find(store, &other, &got));
	assert_true(got.empty);
	cache_record(store, &key, &nothing); /* the last one counts */
	assert_true(cache_find(store, &key, &got));
	assert_true(got.empty);
}

/* SHA-256 of the prefix's bytes and then the inputs'. */
static void a_key_is_the_digest_of_its_two_parts(void **state)
{
	struct digest a = named("a"), b = named("b"), key, want;
	uint8_t both[2 * DIGEST_BYTES];

	(void)state;
	memcpy(both, a.bytes, DIGEST_BYTES);
	memcpy(both + DIGEST_BYTES, b.bytes, DIGEST_BYTES);
	digest_of(&want, both, sizeof(both));
	cache_key(&a, &b, &key);
	assert_memory_equal(&key, &want, sizeof(want));
}

static char *record_path(const struct digest *key)
{
	char hex[DIGEST_HEX];
	auto_free char *name = xasprintf("store/steps/%s", digest_hex(key, hex));

	return in_folder(name);
}

static void a_damaged_record_is_none(void **state)
{
	struct digest key = named("damaged"), other = named("elsewhere");
	struct step_record r = layer_record("a layer"), got;
	auto_free char *path = record_path(&key), *moved = record_path(&other);
	auto_buf struct buf good = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	cache_record(store, &key, &r);
	fine(file_read(AT_FDCWD, path, 4096, &good, &err), &err);
	for (size_t i = 0; i < good.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			int fd = open(path, O_WRONLY | O_CLOEXEC);
			char flipped = (char)(good.data[i] ^ (1 << bit));

			assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
			/* a letter of a name in the other case may still be that name */
			if (cache_find(store, &key, &got) &&
			    (memcmp(&got.digest, &r.digest, sizeof(r.digest)) ||
			     memcmp(&got.diff_id, &r.diff_id, sizeof(r.diff_id)) ||
			     got.size != r.size))
				fail_msg("byte %zu, bit %d", i, bit);
			assert_int_equal(pwrite(fd, &good.data[i], 1, (off_t)i), 1);
			close(fd);
		}
	}
	assert_true(cache_find(store, &key, &got));
	assert_int_equal(rename(path, moved), 0);
	assert_false(cache_find(store, &other, &got)); /* it is another step's */
	cache_record(store, &key, &r);
	for (size_t len = 0; len < good.len; len++) {
		assert_int_equal(truncate(path, (off_t)len), 0);
		assert_false(cache_find(store, &key, &got));
	}
	cache_record(store, &key, &r);
	assert_true(cache_find(store, &key, &got));
}

static void a_record_without_its_layer_is_none(void **state)
{
	struct digest key = named("gone");
	struct step_record r = layer_record("to be removed"), got;
	char hex[DIGEST_HEX];
	auto_free char *name =
		xasprintf("store/blobs/sha256/%s", digest_hex(&r.digest, hex));
	auto_free char *path = in_folder(name);

	(void)state;
	cache_record(store, &key, &r);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 3), 0); /* cut short */
	assert_false(cache_find(store, &key, &got));
	r = layer_record("to be removed");
	assert_true(cache_find(store, &key, &got));
	assert_int_equal(unlink(path), 0);
	assert_false(cache_find(store, &key, &got));
}

static void what_a_prefix_read_is_kept(void **state)
{
	struct digest prefix = named("prefix");
	auto_buf struct buf in = BUF_INIT, out = BUF_INIT, big = BUF_INIT;

	(void)state;
	assert_false(cache_inputs(store, &prefix, &out));
	assert_false(cache_met(store, &prefix));
	buf_adds(&in, "0123456789abcdef a\n");
	cache_set_inputs(store, &prefix, &in);
	assert_true(cache_inputs(store, &prefix, &out));
	assert_true(cache_met(store, &prefix));
	assert_string_equal(out.data, in.data);
	buf_reset(&out);
	buf_reset(&in);
	cache_set_inputs(store, &prefix, &in); /* nothing was read: that is known too */
	assert_true(cache_inputs(store, &prefix, &out));
	assert_int_equal(out.len, 0);
	while (big.len <= 4u << 20)
		buf_adds(&big, "0123456789abcdef some/long/path/that/makes/it/large\n");
	cache_set_inputs(store, &prefix, &big); /* too long to keep, but it was met */
	assert_true(cache_inputs(store, &prefix, &out));
}

static char *explain(const char *id, const char *parent, const char *text, bool first,
		     const char *prefix, const char *listing)
{
	struct cache_place place = {
		.id = named(id), .parent = named(parent), .text = text, .first = first};
	struct digest p = named(prefix);
	auto_buf struct buf now = BUF_INIT;

	if (listing)
		buf_adds(&now, listing);
	char *why = cache_explain(store, &place, &p, listing ? &now : NULL);
	cache_set_place(store, &place);
	return why;
}

static void explained(const char *want, const char *id, const char *parent,
		      const char *text, bool first, const char *prefix,
		      const char *listing)
{
	auto_free char *why = explain(id, parent, text, first, prefix, listing);

	assert_string_equal(why, want);
}

static void a_miss_says_whether_base_step_or_instruction_changed(void **state)
{
	(void)state;
	explained("not built before", "p1", "base", "COPY a /", true, "x1", NULL);
	explained("the instruction changed: it was COPY a /", "p1", "base", "COPY b /",
		  true, "x2", NULL);
	explained("the instruction changed: it was COPY b /", "p1", "base", "COPY a /",
		  true, "x1", NULL);
	explained("the base, the time or an option changed", "p1", "base 2", "COPY a /",
		  true, "x3", NULL);
	explained("not built before", "p2", "k1", "COPY a /", false, "x4", NULL);
	explained("a step before it changed", "p2", "k2", "COPY a /", false, "x5", NULL);
	/* another place is another story */
	explained("not built before", "p3", "k2", "COPY a /", false, "x6", NULL);
}

static void a_miss_names_the_part_that_changed(void **state)
{
#define P(hex) "\n" hex hex hex hex hex hex hex hex " "
	static const struct {
		const char *old, *now, *why;
	} v[] = {
		{"RUN a" P("11") "x", "RUN a" P("22") "x", "x changed"},
		{"RUN a" P("11") "x" P("11") "y z", "RUN a" P("11") "x" P("22") "y z",
		 "y z changed"},
		{"RUN a" P("11") "x", "RUN a" P("11") "w" P("11") "x", "w is new"},
		{"RUN a" P("11") "w" P("11") "x", "RUN a" P("11") "x", "w is gone"},
		{"RUN a" P("11") "w" P("11") "x", "RUN a" P("11") "x" P("11") "w",
		 "the order of its environment changed"},
		{"RUN a" P("11") "x", "RUN b" P("22") "x",
		 "the instruction changed: it was RUN a"},
		/* what another version or chance wrote */
		{"RUN a", "RUN a" P("11") "x", "x is new"},
		{"RUN a\nx\n\n", "RUN a" P("11") "x", "x is new"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *id = xasprintf("part %zu", i);

		free(explain(id, "k", v[i].old, true, id, NULL));
		explained(v[i].why, id, "k", v[i].now, true, id, NULL);
	}
}

/* Lines as copy_inputs makes them: 16 hexadecimal digits, the path; folders before
 * their content, siblings bytewise. */
#define L(digit, path) digit digit digit digit digit digit digit digit " " path "\n"

static void a_miss_names_the_file_that_made_it(void **state)
{
	static const struct {
		const char *old, *now, *why;
	} v[] = {
		{L("11", "a"), L("22", "a"), "a changed"},
		{L("11", "a") L("11", "b"), L("11", "a") L("22", "b"), "b changed"},
		{L("11", "a"), L("11", "a") L("11", "b"), "b is new"},
		{L("11", "b"), L("11", "a") L("11", "b"), "a is new"},
		{L("11", "a") L("11", "b"), L("11", "a"), "b is gone"},
		{L("11", "a") L("11", "b"), L("11", "b"), "a is gone"},
		{L("11", "a") L("11", "b"), L("11", "a") L("11", "c"), "b is gone"},
		{L("11", "a") L("11", "c"), L("11", "a") L("11", "b"), "b is new"},
		{L("11", "d") L("11", "d/x") L("11", "d.x"), L("11", "d") L("11", "d.x"),
		 "d/x is gone"},
		{L("11", "d") L("11", "d.x"), L("11", "d") L("11", "d/x") L("11", "d.x"),
		 "d/x is new"},
		{L("11", "d") L("11", "d/x") L("11", "d/z"),
		 L("11", "d") L("11", "d/x") L("11", "d/x/y") L("11", "d/z"),
		 "d/x/y is new"},
		{"", L("11", "a"), "a file that it reads changed"},
		{L("11", "a"), L("11", "a"), "its layer is no longer in the store"},
		{L("11", "a b"), L("22", "a b"), "a b changed"},
		{"garbage", L("11", "a"), "a is new"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *id = xasprintf("file %zu", i);
		struct digest prefix = named(id);
		auto_buf struct buf old = BUF_INIT;

		free(explain(id, "k", "COPY . .", true, id, NULL));
		buf_adds(&old, v[i].old);
		cache_set_inputs(store, &prefix, &old);
		explained(v[i].why, id, "k", "COPY . .", true, id, v[i].now);
	}
}

static int begin(void **state)
{
	if (set_up(state))
		return -1;
	store = open_store();
	return 0;
}

static int end(void **state)
{
	store_close(store);
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_found_by_their_key),
		cmocka_unit_test(a_key_is_the_digest_of_its_two_parts),
		cmocka_unit_test(a_damaged_record_is_none),
		cmocka_unit_test(a_record_without_its_layer_is_none),
		cmocka_unit_test(what_a_prefix_read_is_kept),
		cmocka_unit_test(a_miss_says_whether_base_step_or_instruction_changed),
		cmocka_unit_test(a_miss_names_the_part_that_changed),
		cmocka_unit_test(a_miss_names_the_file_that_made_it),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
