#include "builder/filehash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "builder/build_test.h"

static void stat_of(const char *name, struct stat *st)
{
	auto_free char *path = in_folder(name);

	assert_int_equal(lstat(path, st), 0);
}

/* A file that is old enough to be remembered. */
static void old_file(const char *name, const char *text, struct stat *st)
{
	const struct timespec ts = {.tv_nsec = 150000000};

	write_file(name, text, 0644);
	nanosleep(&ts, NULL);
	stat_of(name, st);
}

static struct filehash *open_table(struct store *store)
{
	struct stat root;

	stat_of("", &root);
	return filehash_open(store, &root);
}

/* The table's only file. */
static char *table_path(void)
{
	struct stat root;
	char hex[DIGEST_HEX];
	uint64_t key[2];
	struct digest d;

	stat_of("", &root);
	key[0] = root.st_dev;
	key[1] = root.st_ino;
	digest_of(&d, key, sizeof(key));
	return xasprintf("store/files/%.16s", digest_hex(&d, hex));
}

static bool knows(struct store *store, const struct stat *st, const struct digest *want)
{
	struct filehash *f = open_table(store);
	struct digest d;
	bool found = filehash_find(f, st, &d);

	filehash_close(f);
	if (found)
		assert_memory_equal(&d, want, sizeof(d));
	return found;
}

static void remember(struct store *store, const struct stat *st, const struct digest *d)
{
	struct filehash *f = open_table(store);

	filehash_add(f, st, d);
	filehash_close(f);
}

static void a_digest_is_remembered_as_long_as_the_stat_data_is_the_same(void **state)
{
	struct store *store = open_store();
	struct digest d;
	struct stat st, other;

	(void)state;
	digest_of(&d, "one", 3);
	old_file("a", "one", &st);
	assert_false(knows(store, &st, &d));
	remember(store, &st, &d);
	assert_true(knows(store, &st, &d));
	assert_true(knows(store, &st, &d)); /* also after a run that added nothing */

	other = st;
	other.st_size++;
	assert_false(knows(store, &other, &d));
	other = st;
	other.st_mtim.tv_nsec ^= 1;
	assert_false(knows(store, &other, &d));
	other = st;
	other.st_ctim.tv_sec++;
	assert_false(knows(store, &other, &d));
	other = st;
	other.st_ino++;
	assert_false(knows(store, &other, &d));
	other = st;
	other.st_dev++;
	assert_false(knows(store, &other, &d));
	store_close(store);
}

static void a_newer_digest_of_an_inode_takes_the_olders_place(void **state)
{
	struct store *store = open_store();
	struct digest d, e;
	struct stat st, changed;

	(void)state;
	digest_of(&d, "old", 3);
	digest_of(&e, "new", 3);
	old_file("a", "old", &st);
	remember(store, &st, &d);
	old_file("a", "new", &changed);
	assert_int_equal(changed.st_ino, st.st_ino);
	assert_false(knows(store, &changed, &e));
	remember(store, &changed, &e);
	assert_true(knows(store, &changed, &e));
	assert_false(knows(store, &st, &d));
	store_close(store);
}

/* Its times could stay the same when it changes again. */
static void a_file_that_just_changed_is_not_remembered(void **state)
{
	struct store *store = open_store();
	struct filehash *f;
	struct digest d;
	struct stat st;

	(void)state;
	digest_of(&d, "x", 1);
	write_file("fresh", "x", 0644);
	stat_of("fresh", &st);
	remember(store, &st, &d);
	assert_false(knows(store, &st, &d));

	/* one that changes during a build, its mtime set back: nobody saw what it holds
	 */
	f = open_table(store);
	old_file("fresh", "y", &st);
	filehash_add(f, &st, &d);
	filehash_close(f);
	assert_false(knows(store, &st, &d));
	store_close(store);
}

static void the_times_of_far_years_are_times_too(void **state)
{
	struct store *store = open_store();
	struct digest d;
	struct stat st;

	(void)state;
	digest_of(&d, "x", 1);
	old_file("a", "x", &st);
	st.st_mtim.tv_sec = INT64_MAX;
	remember(store, &st, &d);
	st.st_mtim.tv_sec = INT64_MIN;
	remember(store, &st, &d);
	st.st_mtim.tv_sec = 0;
	remember(store, &st, &d);
	assert_true(knows(store, &st, &d));
	store_close(store);
}

static void what_was_neither_found_nor_added_goes_when_the_table_is_saved(void **state)
{
	struct store *store = open_store();
	struct digest d;
	struct stat a, b, c;
	struct filehash *f;

	(void)state;
	digest_of(&d, "x", 1);
	old_file("a", "x", &a);
	old_file("b", "x", &b);
	old_file("c", "x", &c);
	f = open_table(store);
	filehash_add(f, &a, &d);
	filehash_add(f, &b, &d);
	filehash_close(f);
	f = open_table(store);
	assert_true(filehash_find(f, &b, &d));
	filehash_add(f, &c, &d);
	filehash_close(f);
	assert_false(knows(store, &a, &d));
	assert_true(knows(store, &b, &d));
	assert_true(knows(store, &c, &d));
	store_close(store);
}

static void a_damaged_table_is_an_empty_one(void **state)
{
	struct store *store = open_store();
	auto_free char *name = table_path(), *path = in_folder(name);
	auto_buf struct buf good = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest d;
	struct stat st;

	(void)state;
	digest_of(&d, "one", 3);
	old_file("a", "one", &st);
	remember(store, &st, &d);
	fine(file_read(AT_FDCWD, path, 1 << 20, &good, &err), &err);
	for (size_t i = 0; i < good.len; i++) { /* one bit anywhere */
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		char flipped = (char)(good.data[i] ^ (1 << i % 8));

		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
		if (knows(store, &st, &d))
			fail_msg("byte %zu", i);
		assert_int_equal(pwrite(fd, &good.data[i], 1, (off_t)i), 1);
		close(fd);
	}
	assert_true(knows(store, &st, &d));
	for (size_t len = 0; len < good.len; len++) { /* and cut anywhere */
		assert_int_equal(truncate(path, (off_t)len), 0);
		assert_false(knows(store, &st, &d));
	}
	remember(store, &st, &d);
	assert_true(knows(store, &st, &d));
	store_close(store);
}

static void many_files_are_found_again(void **state)
{
	struct store *store = open_store();
	struct filehash *f = open_table(store);
	struct digest d, e;
	struct stat st;
	enum { N = 50000 };

	(void)state;
	old_file("a", "x", &st);
	filehash_close(f);
	f = open_table(store);
	for (uint64_t i = 0; i < N; i++) {
		st.st_ino = i * 7919 % 65536;
		digest_of(&d, &i, sizeof(i));
		filehash_add(f, &st, &d);
	}
	filehash_close(f);
	f = open_table(store);
	for (uint64_t i = 0; i < N; i++) {
		st.st_ino = i * 7919 % 65536;
		digest_of(&d, &i, sizeof(i));
		assert_true(filehash_find(f, &st, &e));
		assert_memory_equal(&d, &e, sizeof(d));
	}
	filehash_close(f);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_digest_is_remembered_as_long_as_the_stat_data_is_the_same),
		cmocka_unit_test(a_newer_digest_of_an_inode_takes_the_olders_place),
		cmocka_unit_test(a_file_that_just_changed_is_not_remembered),
		cmocka_unit_test(the_times_of_far_years_are_times_too),
		cmocka_unit_test(
			what_was_neither_found_nor_added_goes_when_the_table_is_saved),
		cmocka_unit_test(a_damaged_table_is_an_empty_one),
		cmocka_unit_test(many_files_are_found_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
