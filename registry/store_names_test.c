#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/json.h"
#include "registry/store.h"

struct fixture {
	char *dir, *root, *layout;
	int fd;
	struct store *st, *l; /* hod's root, a foreign layout */
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	f->dir = xasprintf("%s/hod-names-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->root = xasprintf("%s/root", f->dir);
	f->layout = xasprintf("%s/layout", f->dir);
	f->st = store_open(f->root, NULL);
	f->l = store_open_layout(f->layout, true, NULL);
	assert_non_null(f->st);
	assert_non_null(f->l);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->st);
	store_close(f->l);
	assert_int_equal(file_remove_tree(AT_FDCWD, f->dir, NULL), 0);
	close(f->fd);
	free(f->dir);
	free(f->root);
	free(f->layout);
	free(f);
	return 0;
}

static void write_file(struct fixture *f, const char *path, const char *text)
{
	auto_fd int fd =
		openat(f->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text), NULL), 0);
}

/* Puts an image without layers whose config says `n`; *config gets its digest. */
static void put_image(struct store *st, int n, struct descriptor *out,
		      struct digest *config)
{
	auto_free char *json = xasprintf("{\"author\":\"%d\"}", n);
	auto_manifest struct manifest m = MANIFEST_INIT;
	auto_buf struct buf raw = BUF_INIT;

	m.config.media_type = xstrdup(MT_OCI_CONFIG);
	m.config.size = strlen(json);
	assert_int_equal(store_put_bytes(st, json, strlen(json), &m.config.digest, NULL),
			 0);
	manifest_write(&m, &raw);
	descriptor_release(out);
	out->media_type = xstrdup(MT_OCI_MANIFEST);
	out->size = raw.len;
	assert_int_equal(store_put_bytes(st, raw.data, raw.len, &out->digest, NULL), 0);
	if (config)
		*config = m.config.digest;
}

/* "name name - name": names in order, - for an entry without one. */
static char *names_of(struct store *st)
{
	struct buf b = BUF_INIT;
	struct store_image *v;
	size_t n;

	assert_int_equal(store_images(st, &v, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "%s%s", i ? " " : "", v[i].name ? v[i].name : "-");
	store_images_free(v, n);
	return buf_detach(&b);
}

static void assert_names(struct store *st, const char *want)
{
	auto_free char *got = names_of(st);

	assert_string_equal(got, want);
}

static void a_name_finds_its_manifest_with_platform_and_time(void **state)
{
	struct fixture *f = *state;
	auto_descriptor struct descriptor d = {0}, got = {0};
	struct store_image *v;
	size_t n;

	put_image(f->st, 1, &d, NULL);
	assert_int_equal(store_find(f->st, "example.com/a:1", &got, NULL), 0);
	assert_int_equal(store_tag(f->st, "example.com/a:1", &d, "linux/arm/v7", NULL),
			 0);
	assert_int_equal(store_find(f->st, "example.com/a:1", &got, NULL), 1);
	assert_true(digest_equal(&got.digest, &d.digest));
	assert_string_equal(got.media_type, MT_OCI_MANIFEST);
	assert_int_equal(got.size, d.size);
	assert_int_equal(store_find(f->st, "example.com/a:12", &got, NULL), 0);
	assert_int_equal(store_images(f->st, &v, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(v[0].platform, "linux/arm/v7");
	assert_int_equal(strlen(v[0].created), strlen("2026-01-02T03:04:05Z"));
	store_images_free(v, n);
}

static void a_manifest_that_is_not_here_gets_no_name(void **state)
{
	struct fixture *f = *state;
	auto_descriptor struct descriptor d = {0};
	struct error err = ERROR_INIT;

	put_image(f->l, 1, &d, NULL);
	assert_int_equal(store_tag(f->st, "a:1", &d, NULL, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	assert_names(f->st, "");
	put_image(f->st, 1, &d, NULL);
	d.size++;
	assert_int_equal(store_tag(f->st, "a:1", &d, NULL, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
}

static void in_the_root_an_image_that_loses_its_name_stays(void **state)
{
	struct fixture *f = *state;
	auto_descriptor struct descriptor one = {0}, two = {0};

	put_image(f->st, 1, &one, NULL);
	put_image(f->st, 2, &two, NULL);
	assert_int_equal(store_tag(f->st, "a", &one, NULL, NULL), 0);
	assert_int_equal(store_tag(f->st, "a", &one, NULL, NULL), 0);
	assert_names(f->st, "a");
	assert_int_equal(store_tag(f->st, "a", &two, NULL, NULL), 0);
	assert_names(f->st, "- a");
	assert_int_equal(store_tag(f->st, "b", &one, NULL, NULL), 0); /* named again */
	assert_names(f->st, "a b");
	assert_int_equal(store_tag(f->st, "a", &one, NULL, NULL), 0);
	assert_names(f->st, "- b a");
	assert_int_equal(store_tag(f->st, "b", &two, NULL, NULL),
			 0); /* one still has a */
	assert_names(f->st, "b a");
	assert_int_equal(store_tag(f->st, NULL, &two, NULL, NULL), 0);
	assert_names(f->st, "b a");
}

static void an_image_can_be_kept_without_a_name(void **state)
{
	struct fixture *f = *state;
	auto_descriptor struct descriptor one = {0};

	put_image(f->st, 1, &one, NULL);
	assert_int_equal(store_tag(f->st, NULL, &one, "linux/amd64", NULL), 0);
	assert_int_equal(store_tag(f->st, NULL, &one, "linux/amd64", NULL), 0);
	assert_names(f->st, "-");
}

static void in_a_layout_a_name_is_replaced_and_the_rest_stays_as_it_was(void **state)
{
#define OTHER                                                                   \
	"{\"mediaType\":\"application/x\",\"digest\":\"sha512:00\",\"size\":3," \
	"\"annotations\":{\"z\":\"1\",\"a\":\"2\"},\"data\":\"eA==\",\"urls\":[\"u\"]}"
#define NAMED                                                                            \
	"{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"sha256:"                    \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"size\":1," \
	"\"annotations\":{\"org.opencontainers.image.ref.name\":\""
	struct fixture *f = *state;
	auto_descriptor struct descriptor one = {0}, got = {0};
	auto_buf struct buf b = BUF_INIT;
	auto_free char *want = NULL;
	char text[DIGEST_TEXT];

	write_file(f, "layout/index.json",
		   "{ \"x\": {\"b\":1,\"a\":[2.5]}, \"manifests\": [" OTHER ", " NAMED
		   "old\"}}, " NAMED "v1\"}}, " OTHER "], \"schemaVersion\": 2,\n"
		   "\"annotations\": {\"k\":\"v\"} }\n");
	put_image(f->l, 1, &one, NULL);
	assert_int_equal(store_tag(f->l, "v1", &one, "linux/arm64", NULL), 0);
	want = xasprintf(
		"{\"x\":{\"b\":1,\"a\":[2.5]},\"manifests\":[" OTHER "," NAMED
		"old\"}},{\"mediaType\":\"" MT_OCI_MANIFEST
		"\",\"digest\":\"%s\",\"size\":%llu,"
		"\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"},"
		"\"platform\":{\"architecture\":\"arm64\",\"os\":\"linux\"}}," OTHER
		"],\"schemaVersion\":2,\"annotations\":{\"k\":\"v\"}}",
		digest_text(&one.digest, text), (unsigned long long)one.size);
	assert_int_equal(file_read(f->fd, "layout/index.json", 1 << 20, &b, NULL), 0);
	assert_string_equal(b.data, want);
	/* entries with other digests than hod's are passed over */
	assert_int_equal(store_find(f->l, "v1", &got, NULL), 1);
	assert_names(f->l, "old v1");
}

static void an_id_is_found_by_manifest_or_config_prefix(void **state)
{
	struct fixture *f = *state;
	auto_descriptor struct descriptor one = {0}, two = {0}, got = {0};
	struct digest config;
	char hex[DIGEST_HEX], text[DIGEST_TEXT];
	char *name;

	put_image(f->st, 1, &one, &config);
	put_image(f->st, 2, &two, NULL);
	assert_int_equal(store_tag(f->st, NULL, &two, NULL, NULL), 0);
	assert_int_equal(store_tag(f->st, "a", &one, NULL, NULL), 0);
	assert_int_equal(store_tag(f->st, "b", &one, NULL, NULL), 0);

	digest_hex(&config, hex);
	for (int len = 64; len >= 4; len -= 30) {
		hex[len] = '\0';
		assert_int_equal(store_find_id(f->st, hex, &got, &name, NULL), 1);
		assert_true(digest_equal(&got.digest, &one.digest));
		assert_string_equal(name, "a");
		free(name);
	}
	hex[3] = '\0';
	assert_int_equal(store_find_id(f->st, hex, &got, NULL, NULL), 0);
	assert_int_equal(
		store_find_id(f->st, digest_text(&two.digest, text), &got, &name, NULL),
		1);
	assert_true(digest_equal(&got.digest, &two.digest));
	assert_null(name);
	assert_int_equal(store_find_id(f->st, "not-hex", &got, NULL, NULL), 0);
	assert_int_equal(store_find_id(f->st, "", &got, NULL, NULL), 0);
}

static void an_id_that_fits_two_images_is_refused(void **state)
{
	struct fixture *f = *state;
	auto_descriptor struct descriptor d = {0};
	struct error err = ERROR_INIT;
	bool seen[65536] = {false};

	/* two images of 2000 share four digits with near certainty (birthdays) */
	for (int i = 0; i < 2000; i++) {
		unsigned first;
		char prefix[5];

		put_image(f->l, i, &d, NULL);
		first = (unsigned)d.digest.bytes[0] << 8 | d.digest.bytes[1];
		if (!seen[first]) {
			seen[first] = true;
			continue;
		}
		for (int k = 0; k <= i; k++) {
			auto_descriptor struct descriptor e = {0};

			put_image(f->l, k, &e, NULL);
			if (((unsigned)e.digest.bytes[0] << 8 | e.digest.bytes[1]) !=
			    first)
				continue;
			put_image(f->st, k, &e, NULL);
			assert_int_equal(store_tag(f->st, NULL, &e, NULL, NULL), 0);
		}
		snprintf(prefix, sizeof(prefix), "%04x", first);
		assert_int_equal(store_find_id(f->st, prefix, &d, NULL, &err), -1);
		assert_int_equal(err.kind, E_INPUT);
		assert_non_null(strstr(err.msg, "more than one"));
		return;
	}
	fail();
}

static void a_bad_index_is_corrupt_and_says_what_to_do(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"schemaVersion\":1,\"manifests\":[]}",
		"{\"schemaVersion\":2,\"manifests\":{}}",
		"{\"schemaVersion\":2,\"manifests\":[1]}",
		"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:zz\"}]}",
		"{\"schemaVersion\":2,\"manifests\":[]} trailing",
	};
	struct fixture *f = *state;
	auto_descriptor struct descriptor d = {0};
	struct store_image *v;
	size_t n;

	put_image(f->st, 1, &d, NULL);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct error err = ERROR_INIT;

		write_file(f, "root/index.json", texts[i]);
		assert_int_equal(store_images(f->st, &v, &n, &err), -1);
		assert_int_equal(err.kind, E_CORRUPT);
		assert_non_null(strstr(err.msg, f->root));
		assert_non_null(strstr(err.msg, "index.json"));
		assert_non_null(strstr(err.hint, "move that file away"));
	}
	assert_int_equal(store_tag(f->st, "a", &d, NULL, NULL), -1);
	assert_int_equal(unlinkat(f->fd, "root/index.json", 0), 0);
	assert_int_equal(store_tag(f->st, "a", &d, NULL, NULL), 0);
	assert_names(f->st, "a");
	write_file(f, "layout/index.json", "{\"schemaVersion\":2,\"manifests\":null}");
	assert_names(f->l, "");
}

#define PROCESSES 8
#define TAGS 20

static void tag_many(const char *path, bool layout, int process)
{
	struct store *st =
		layout ? store_open_layout(path, false, NULL) : store_open(path, NULL);
	struct descriptor d = {0};

	if (!st)
		_exit(1);
	for (int i = 0; i < TAGS; i++) {
		auto_free char *name = xasprintf("p%d-t%d", process, i);
		struct store_image *v;
		size_t n;

		put_image(st, process * TAGS + i, &d, NULL);
		if (store_tag(st, name, &d, NULL, NULL) < 0 ||
		    store_images(st, &v, &n, NULL) < 0) /* readers see whole files */
			_exit(2);
		store_images_free(v, n);
	}
	store_close(st);
	descriptor_release(&d);
	_exit(0);
}

static void race(const char *path, bool layout)
{
	pid_t pids[PROCESSES];

	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		assert_true(pids[p] >= 0);
		if (!pids[p])
			tag_many(path, layout, p);
	}
	for (int p = 0; p < PROCESSES; p++) {
		int status;

		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
}

static void assert_all_tagged(struct store *st)
{
	auto_descriptor struct descriptor d = {0}, got = {0};

	for (int p = 0; p < PROCESSES; p++) {
		for (int i = 0; i < TAGS; i++) {
			auto_free char *name = xasprintf("p%d-t%d", p, i);

			descriptor_release(&got);
			assert_int_equal(store_find(st, name, &got, NULL), 1);
			put_image(st, p * TAGS + i, &d, NULL);
			assert_true(digest_equal(&d.digest, &got.digest));
		}
	}
}

static void names_of_many_processes_all_land(void **state)
{
	struct fixture *f = *state;

	race(f->layout, true);
	assert_all_tagged(f->l);
}

static void many_processes_may_make_one_root_at_once(void **state)
{
	struct fixture *f = *state;

	store_close(f->st);
	f->st = NULL;
	assert_int_equal(file_remove_tree(f->fd, "root", NULL), 0);
	race(f->root, false);
	f->st = store_open(f->root, NULL);
	assert_non_null(f->st);
	assert_all_tagged(f->st);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_finds_its_manifest_with_platform_and_time),
		TEST(a_manifest_that_is_not_here_gets_no_name),
		TEST(in_the_root_an_image_that_loses_its_name_stays),
		TEST(an_image_can_be_kept_without_a_name),
		TEST(in_a_layout_a_name_is_replaced_and_the_rest_stays_as_it_was),
		TEST(an_id_is_found_by_manifest_or_config_prefix),
		TEST(an_id_that_fits_two_images_is_refused),
		TEST(a_bad_index_is_corrupt_and_says_what_to_do),
		TEST(names_of_many_processes_all_land),
		TEST(many_processes_may_make_one_root_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
