/* Resolving and reading without a network; with one: testdata/e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/store.h"
#include "registry/transfer.h"

#define LAYERS 3

struct fixture {
	char *dir;
	struct store *st, *layout;
	struct platform amd64, arm64;
	/* the image that make_image puts */
	struct manifest m;
	struct image_config c;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	auto_free char *root = NULL, *layout = NULL;

	f->dir = xasprintf("%s/hod-transfer-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	root = xasprintf("%s/root", f->dir);
	layout = xasprintf("%s/layout", f->dir);
	f->st = store_open(root, NULL);
	f->layout = store_open_layout(layout, true, NULL);
	assert_non_null(f->st);
	assert_non_null(f->layout);
	platform_set(&f->amd64, "linux", "amd64", NULL);
	platform_set(&f->arm64, "linux", "arm64", NULL);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->st);
	store_close(f->layout);
	manifest_release(&f->m);
	image_config_release(&f->c);
	platform_release(&f->amd64);
	platform_release(&f->arm64);
	assert_int_equal(file_remove_tree(AT_FDCWD, f->dir, NULL), 0);
	free(f->dir);
	free(f);
	return 0;
}

/* Layer i's tar: some bytes of a length that depends on i. */
static void layer_tar(size_t i, struct buf *out)
{
	buf_reset(out);
	for (size_t k = 0; k < (i + 1) * 40000; k++)
		buf_addc(out, (char)(k * k >> 7 ^ i));
}

static void gzip(const struct buf *in, struct buf *out)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	buf_reset(out);
	buf_reserve(out, in->len + 1000);
	z.next_in = (void *)in->data;
	z.avail_in = (unsigned)in->len;
	z.next_out = (void *)out->data;
	z.avail_out = (unsigned)(in->len + 1000);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len = z.total_out;
	deflateEnd(&z);
}

static void add_layer(struct fixture *f, struct store *st, size_t i)
{
	auto_buf struct buf tar = BUF_INIT;
	auto_buf struct buf blob = BUF_INIT;
	struct descriptor *d;
	struct digest diff_id;

	layer_tar(i, &tar);
	digest_of(&diff_id, tar.data, tar.len);
	image_config_add_diff_id(&f->c, &diff_id);
	gzip(&tar, &blob);
	f->m.layers = xreallocarray(f->m.layers, f->m.nlayers + 1, sizeof(*f->m.layers));
	d = &f->m.layers[f->m.nlayers++];
	*d = (struct descriptor){.media_type = xstrdup(MT_OCI_LAYER_GZIP),
				 .size = blob.len};
	assert_int_equal(store_put_bytes(st, blob.data, blob.len, &d->digest, NULL), 0);
}

/* f->m and f->c with layers 0, 1, 2, whose blobs are in st. */
static void start_image(struct fixture *f, struct store *st, const char *arch)
{
	manifest_release(&f->m);
	image_config_release(&f->c);
	f->c.os = xstrdup("linux");
	f->c.architecture = xstrdup(arch);
	f->m.config.media_type = xstrdup(MT_OCI_CONFIG);
	for (size_t i = 0; i < LAYERS; i++)
		add_layer(f, st, i);
}

static void put_image(struct fixture *f, struct store *st, struct descriptor *out)
{
	auto_buf struct buf config = BUF_INIT;
	auto_buf struct buf raw = BUF_INIT;

	image_config_write(&f->c, &config);
	f->m.config.size = config.len;
	assert_int_equal(
		store_put_bytes(st, config.data, config.len, &f->m.config.digest, NULL),
		0);
	manifest_write(&f->m, &raw);
	descriptor_release(out);
	*out = (struct descriptor){.media_type = xstrdup(MT_OCI_MANIFEST),
				   .size = raw.len};
	assert_int_equal(store_put_bytes(st, raw.data, raw.len, &out->digest, NULL), 0);
}

/* A whole image named `tag`. */
static void make_image(struct fixture *f, struct store *st, const char *tag,
		       const char *arch)
{
	auto_descriptor struct descriptor d = {0};
	auto_free char *platform = xasprintf("linux/%s", arch);

	start_image(f, st, arch);
	put_image(f, st, &d);
	assert_int_equal(store_tag(st, tag, &d, platform, NULL), 0);
}

/* Replaces a blob's bytes behind the store's back. */
static void overwrite(struct store *st, const struct digest *d, size_t offset, char c)
{
	char hex[DIGEST_HEX];
	auto_free char *path = xasprintf("blobs/sha256/%s", digest_hex(d, hex));
	auto_fd int fd = openat(store_dirfd(st), path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)offset), 1);
}

struct seen {
	pthread_mutex_t lock;
	size_t calls[LAYERS + 2];
	size_t layers;  /* calls is as long */
	size_t fail_at; /* layer whose reader fails; LAYERS + 9: none */
	bool lazy;      /* reads only some bytes */
};

static int read_all(void *ctx, size_t i, struct source *src, struct error *err)
{
	struct seen *s = ctx;
	auto_buf struct buf want = BUF_INIT;
	auto_buf struct buf got = BUF_INIT;
	char block[1000];
	ssize_t n;

	pthread_mutex_lock(&s->lock);
	s->calls[i]++;
	pthread_mutex_unlock(&s->lock);
	while ((n = source_read(src, block, sizeof(block), err)) > 0) {
		buf_add(&got, block, (size_t)n);
		if (i == s->fail_at && got.len > 20000)
			return error_set(err, E_INPUT, "the reader does not like it");
		if (s->lazy)
			return 0;
	}
	if (n < 0)
		return -1;
	layer_tar(i % LAYERS, &want);
	if (got.len != want.len || memcmp(got.data, want.data, got.len) != 0)
		return error_set(err, E_BUG, "layer %zu has other bytes", i);
	return 0;
}

#define SEEN_INIT                                                        \
	{                                                                \
		.lock = PTHREAD_MUTEX_INITIALIZER, .fail_at = LAYERS + 9 \
	}

static void needed_layers_of_a_layout_are_read_to_their_end(void **state)
{
	struct fixture *f = *state;
	auto_image struct image im = IMAGE_INIT;
	struct seen seen = SEEN_INIT;
	const bool need[LAYERS] = {true, false, true};
	struct error err = ERROR_INIT;

	make_image(f, f->layout, "v1", "amd64");
	assert_int_equal(image_from_layout(&im, f->layout, "v1", &f->amd64, &err), 0);
	assert_ptr_equal(im.layout, f->layout);
	assert_int_equal(im.manifest.nlayers, LAYERS);
	assert_int_equal(
		image_fetch_layers(&im, f->st, NULL, need, read_all, &seen, &err), 0);
	assert_int_equal(seen.calls[0], 1);
	assert_int_equal(seen.calls[1], 0);
	assert_int_equal(seen.calls[2], 1);
	seen.lazy = true; /* what a reader leaves is read all the same */
	assert_int_equal(
		image_fetch_layers(&im, f->st, NULL, NULL, read_all, &seen, &err), 0);
	assert_int_equal(seen.calls[1], 1);
	assert_false(store_has(f->st, &im.manifest.layers[0].digest));
}

static void a_layer_that_is_there_twice_is_read_twice(void **state)
{
	struct fixture *f = *state;
	auto_image struct image im = IMAGE_INIT;
	auto_descriptor struct descriptor d = {0};
	struct seen seen = SEEN_INIT;

	start_image(f, f->layout, "amd64");
	add_layer(f, f->layout, 0);
	put_image(f, f->layout, &d);
	assert_int_equal(store_tag(f->layout, "v1", &d, NULL, NULL), 0);
	assert_int_equal(image_from_layout(&im, f->layout, NULL, &f->amd64, NULL), 0);
	assert_int_equal(
		image_fetch_layers(&im, f->st, NULL, NULL, read_all, &seen, NULL), 0);
	assert_int_equal(seen.calls[0], 1);
	assert_int_equal(seen.calls[3], 1);
}

static void a_damaged_layer_of_a_layout_is_corrupt_by_name(void **state)
{
	struct fixture *f = *state;
	auto_image struct image im = IMAGE_INIT;
	struct seen seen = SEEN_INIT;
	struct error err = ERROR_INIT;
	char text[DIGEST_TEXT];
	struct digest *d;

	make_image(f, f->layout, "v1", "amd64");
	assert_int_equal(image_from_layout(&im, f->layout, "v1", &f->amd64, NULL), 0);
	d = &im.manifest.layers[1].digest;
	overwrite(f->layout, d, 5000, '!');
	assert_int_equal(
		image_fetch_layers(&im, f->st, NULL, NULL, read_all, &seen, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_non_null(strstr(err.msg, digest_text(d, text)));
	assert_true(store_has(f->layout, d)); /* not ours to remove */
}

static void a_damaged_layer_of_the_root_is_dropped(void **state)
{
	struct fixture *f = *state;
	auto_image struct image im = IMAGE_INIT;
	auto_reference struct reference ref = REFERENCE_INIT;
	struct seen seen = SEEN_INIT;
	struct error err = ERROR_INIT;

	make_image(f, f->st, "example.com/a:1", "amd64");
	assert_int_equal(reference_parse(&ref, "example.com/a:1", NULL), 0);
	assert_int_equal(
		image_resolve(&im, f->st, NULL, &ref, &f->amd64, true, PULL_NEVER, &err),
		0);
	assert_string_equal(im.ref.path, "a");
	assert_int_equal(image_complete(&im, f->st, NULL, &err), 0);
	overwrite(f->st, &im.manifest.layers[1].digest, 5000, '!');
	assert_int_equal(
		image_fetch_layers(&im, f->st, NULL, NULL, read_all, &seen, &err), -1);
	/* with a client it would be fetched again; without one it is missing */
	assert_int_equal(err.kind, E_MISSING);
	assert_non_null(strstr(err.msg, "pull example.com/a:1: layer sha256:"));
	assert_false(store_has(f->st, &im.manifest.layers[1].digest));
	assert_true(store_has(f->st, &im.manifest.layers[0].digest));
	assert_int_equal(image_complete(&im, f->st, NULL, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
}

static void a_tar_that_is_not_the_diff_id_is_corrupt_with_both_digests(void **state)
{
	struct fixture *f = *state;
	auto_image struct image im = IMAGE_INIT;
	auto_descriptor struct descriptor d = {0};
	struct error err = ERROR_INIT;
	struct digest right, wrong;
	char a[DIGEST_TEXT], b[DIGEST_TEXT];

	start_image(f, f->st, "amd64");
	right = f->c.diff_ids[1];
	f->c.diff_ids[1].bytes[3] ^= 1;
	wrong = f->c.diff_ids[1];
	put_image(f, f->st, &d);
	manifest_copy(&im.manifest, &f->m);
	image_config_copy(&im.config, &f->c);
	assert_int_equal(image_fetch_layers(&im, f->st, NULL, NULL, NULL, NULL, &err),
			 -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_non_null(strstr(err.msg, digest_text(&right, a)));
	assert_non_null(strstr(err.msg, digest_text(&wrong, b)));
	assert_true(
		store_has(f->st, &f->m.layers[1].digest)); /* the blob is what it says */
}

static void a_readers_failure_is_the_one_that_is_told(void **state)
{
	struct fixture *f = *state;
	auto_image struct image im = IMAGE_INIT;
	struct seen seen = SEEN_INIT;
	struct error err = ERROR_INIT;

	make_image(f, f->layout, "v1", "amd64");
	assert_int_equal(image_from_layout(&im, f->layout, "v1", &f->amd64, NULL), 0);
	seen.fail_at = 2;
	assert_int_equal(
		image_fetch_layers(&im, f->st, NULL, NULL, read_all, &seen, &err), -1);
	assert_int_equal(err.kind, E_INPUT);
	assert_non_null(strstr(err.msg, "the reader does not like it"));
}

static void a_layouts_image_can_be_completed_into_the_store(void **state)
{
	struct fixture *f = *state;
	auto_image struct image im = IMAGE_INIT;

	make_image(f, f->layout, "v1", "amd64");
	assert_int_equal(image_from_layout(&im, f->layout, "v1", &f->amd64, NULL), 0);
	assert_int_equal(image_complete(&im, f->st, NULL, NULL), 0);
	for (size_t i = 0; i < LAYERS; i++)
		assert_int_equal(store_check(f->st, &im.manifest.layers[i].digest,
					     im.manifest.layers[i].size, NULL),
				 0);
	assert_int_equal(store_tag(f->st, "x", &im.desc, NULL, NULL), 0);
}

static void put_index(struct store *st, const char *entries, struct descriptor *out)
{
	auto_free char *text =
		xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX
			  "\",\"manifests\":[%s]}",
			  entries);

	descriptor_release(out);
	*out = (struct descriptor){.media_type = xstrdup(MT_OCI_INDEX),
				   .size = strlen(text)};
	assert_int_equal(store_put_bytes(st, text, strlen(text), &out->digest, NULL), 0);
}

static char *index_entry(const struct descriptor *d, const char *arch)
{
	char text[DIGEST_TEXT];

	return xasprintf("{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu,"
			 "\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}",
			 d->media_type, digest_text(&d->digest, text),
			 (unsigned long long)d->size, arch);
}

static void nested_indexes_are_followed_three_deep(void **state)
{
	struct fixture *f = *state;
	auto_descriptor struct descriptor image = {0}, index = {0};
	struct error err = ERROR_INIT;

	start_image(f, f->layout, "arm64");
	put_image(f, f->layout, &image);
	descriptor_copy(&index, &image);
	for (int depth = 1; depth <= 4; depth++) {
		auto_image struct image im = IMAGE_INIT;
		auto_free char *entry = index_entry(&index, "arm64");
		auto_free char *tag = xasprintf("d%d", depth);
		int rc;

		put_index(f->layout, entry, &index);
		assert_int_equal(store_tag(f->layout, tag, &index, NULL, NULL), 0);
		rc = image_from_layout(&im, f->layout, tag, &f->arm64, &err);
		assert_int_equal(rc, depth <= 3 ? 0 : -1);
		if (!rc) {
			assert_true(digest_equal(&im.desc.digest, &image.digest));
			assert_string_equal(im.desc.media_type, MT_OCI_MANIFEST);
		}
	}
	assert_int_equal(err.kind, E_CORRUPT);
	assert_non_null(strstr(err.msg, "nested"));
}

static void an_image_of_a_layout_is_chosen_by_name_or_platform(void **state)
{
	struct fixture *f = *state;
	struct image im = IMAGE_INIT;
	struct error err = ERROR_INIT;

	assert_int_equal(image_from_layout(&im, f->layout, NULL, &f->amd64, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	make_image(f, f->layout, "one", "amd64");
	make_image(f, f->layout, "two", "arm64");
	assert_int_equal(image_from_layout(&im, f->layout, NULL, &f->arm64, NULL), 0);
	assert_string_equal(im.config.architecture, "arm64");
	image_release(&im);
	assert_int_equal(image_from_layout(&im, f->layout, "one", &f->amd64, NULL), 0);
	assert_string_equal(im.config.architecture, "amd64");
	image_release(&im);
	assert_int_equal(image_from_layout(&im, f->layout, "six", &f->amd64, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	assert_non_null(strstr(err.msg, "one, two"));
	add_layer(f, f->layout, 1); /* another amd64 image */
	{
		auto_descriptor struct descriptor d = {0};

		free(f->c.architecture);
		f->c.architecture = xstrdup("amd64");
		put_image(f, f->layout, &d);
		assert_int_equal(store_tag(f->layout, "three", &d, "linux/amd64", NULL),
				 0);
	}
	assert_int_equal(image_from_layout(&im, f->layout, NULL, &f->amd64, &err), -1);
	assert_int_equal(err.kind, E_INPUT);
	assert_non_null(strstr(err.msg, "one, two, three"));
}

/* What is wrong with an image that is otherwise right. */
enum fault {
	NO_FAULT,
	FOREIGN_LAYER,
	UNKNOWN_LAYER,
	ARTIFACT,
	LAYER_MISSING,
	CONFIG_SIZE,
	CONFIG_GONE,
};

static void make_faulty(struct fixture *f, enum fault fault, struct descriptor *d)
{
	char *type = NULL;

	start_image(f, f->layout, "amd64");
	if (fault == FOREIGN_LAYER)
		type = xstrdup(
			"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
	if (fault == UNKNOWN_LAYER)
		type = xstrdup("application/vnd.example.layer");
	if (type) {
		free(f->m.layers[1].media_type);
		f->m.layers[1].media_type = type;
	}
	if (fault == ARTIFACT) {
		free(f->m.config.media_type);
		f->m.config.media_type =
			xstrdup("application/vnd.cncf.helm.config.v1+json");
	}
	if (fault == LAYER_MISSING)
		f->c.ndiff_ids--;
	put_image(f, f->layout, d);
	if (fault == CONFIG_SIZE) {
		auto_buf struct buf raw = BUF_INIT;

		f->m.config.size++;
		manifest_write(&f->m, &raw);
		d->size = raw.len;
		assert_int_equal(
			store_put_bytes(f->layout, raw.data, raw.len, &d->digest, NULL),
			0);
	}
	if (fault == CONFIG_GONE) {
		char hex[DIGEST_HEX];
		auto_free char *path = xasprintf("blobs/sha256/%s",
						 digest_hex(&f->m.config.digest, hex));

		assert_int_equal(unlinkat(store_dirfd(f->layout), path, 0), 0);
	}
}

static void an_image_that_cannot_be_used_is_refused_when_it_is_resolved(void **state)
{
	static const struct {
		enum fault fault;
		enum error_kind kind;
		const char *says;
	} t[] = {
		{NO_FAULT, E_NONE, ""},
		{FOREIGN_LAYER, E_INPUT, "is foreign (application/vnd.docker"},
		{UNKNOWN_LAYER, E_INPUT, "unknown type application/vnd.example.layer"},
		{ARTIFACT, E_INPUT, "no container image"},
		{LAYER_MISSING, E_CORRUPT, "3 layers but 2 diff_ids"},
		{CONFIG_SIZE, E_CORRUPT, "config: has"},
		{CONFIG_GONE, E_MISSING, "config: blob"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		auto_image struct image im = IMAGE_INIT;
		auto_descriptor struct descriptor d = {0};
		struct error err = ERROR_INIT;

		make_faulty(f, t[i].fault, &d);
		assert_int_equal(store_tag(f->layout, "v1", &d, NULL, NULL), 0);
		assert_int_equal(image_from_layout(&im, f->layout, "v1", &f->amd64, &err),
				 t[i].kind == E_NONE ? 0 : -1);
		assert_int_equal(err.kind, t[i].kind);
		assert_non_null(strstr(err.msg, t[i].says));
	}
}

static void a_stored_image_is_used_for_its_platform_only(void **state)
{
	struct fixture *f = *state;
	auto_reference struct reference ref = REFERENCE_INIT;
	struct image im = IMAGE_INIT;
	struct error err = ERROR_INIT;

	make_image(f, f->st, "example.com/a:latest", "arm64");
	assert_int_equal(reference_parse(&ref, "example.com/a", NULL), 0);
	assert_int_equal(image_resolve(&im, f->st, NULL, &ref, &f->arm64, true,
				       PULL_IF_MISSING, &err),
			 0);
	assert_string_equal(im.ref.tag, "latest");
	image_release(&im);
	assert_int_equal(
		image_resolve(&im, f->st, NULL, &ref, &f->amd64, true, PULL_NEVER, &err),
		-1);
	assert_int_equal(err.kind, E_MISSING);
	assert_non_null(
		strstr(err.msg, "no image for linux/amd64; there is linux/arm64"));
	assert_int_equal(
		image_resolve(&im, f->st, NULL, &ref, &f->amd64, false, PULL_NEVER, &err),
		0);
	image_release(&im);
	reference_release(&ref);
	assert_int_equal(reference_parse(&ref, "example.com/b:1", NULL), 0);
	assert_int_equal(
		image_resolve(&im, f->st, NULL, &ref, &f->amd64, false, PULL_NEVER, &err),
		-1);
	assert_int_equal(err.kind, E_MISSING);
	assert_non_null(strstr(err.msg, "example.com/b:1: "));
}

static void origins_are_images_that_share_a_layer(void **state)
{
	struct fixture *f = *state;
	auto_manifest struct manifest m = MANIFEST_INIT;
	auto_descriptor struct descriptor d = {0};
	struct reference *refs;
	auto_free char *name = NULL;
	size_t n;

	make_image(f, f->st, "example.com/a:1", "amd64");
	manifest_copy(&m, &f->m);
	start_image(f, f->st, "arm64");
	for (size_t i = 0; i < LAYERS; i++)
		f->m.layers[i].digest.bytes[0] ^= 1;
	put_image(f, f->st, &d);
	assert_int_equal(store_tag(f->st, "example.com/other:1", &d, NULL, NULL), 0);
	f->m.layers[2].digest.bytes[0] ^= 1;
	put_image(f, f->st, &d);
	assert_int_equal(store_tag(f->st, "Not A Reference", &d, NULL, NULL), 0);
	assert_int_equal(store_origins(f->st, &m, &refs, &n, NULL), 0);
	assert_int_equal(n, 1);
	name = reference_text(&refs[0]);
	assert_string_equal(name, "example.com/a:1");
	references_free(refs, n);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(needed_layers_of_a_layout_are_read_to_their_end),
		TEST(a_layer_that_is_there_twice_is_read_twice),
		TEST(a_damaged_layer_of_a_layout_is_corrupt_by_name),
		TEST(a_damaged_layer_of_the_root_is_dropped),
		TEST(a_tar_that_is_not_the_diff_id_is_corrupt_with_both_digests),
		TEST(a_readers_failure_is_the_one_that_is_told),
		TEST(a_layouts_image_can_be_completed_into_the_store),
		TEST(nested_indexes_are_followed_three_deep),
		TEST(an_image_of_a_layout_is_chosen_by_name_or_platform),
		TEST(an_image_that_cannot_be_used_is_refused_when_it_is_resolved),
		TEST(a_stored_image_is_used_for_its_platform_only),
		TEST(origins_are_images_that_share_a_layer),
	};

	log_setup(PROGRESS_QUIET, false, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
