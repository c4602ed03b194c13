/*
 * hod's layers against the second writer, testdata/slowlayer.py, byte for byte.
 * Run from the root of the repository.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/layer_golden.h"
#include "builder/rootfs/layer_test.h"
#include "builder/rootfs/treeload.h"
#include "registry/base/job.h"
#include "registry/base/stream.h"

static void write_layer(const struct description *d, const struct layer_options *o,
			struct layer *out)
{
	struct error err = ERROR_INIT;
	struct layer_writer *w = layer_writer_open(o, &err);
	struct digest got, want;

	assert_non_null(w);
	for (size_t i = 0; i < d->n; i++) {
		const struct line *l = &d->v[i];
		bool file = l->e.type == NODE_FILE && !l->e.hardlink;
		struct source *src =
			file ? source_bytes(l->content.data, l->content.len) : NULL;

		if (layer_writer_add(w, &l->e, src, file ? &got : NULL, NULL, &err) < 0)
			fail_msg("%s", err.msg);
		if (file) {
			digest_of(&want, l->content.data, l->content.len);
			assert_true(digest_equal(&got, &want));
		}
	}
	if (layer_writer_end(w, out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(out->entries, d->n);
}

/* The blob in the store is the slow writer's file, and out says the truth. */
static void assert_same(struct store *st, const struct layer *out)
{
	auto_buf struct buf tar = BUF_INIT, gz = BUF_INIT, blob = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest d;
	auto_fd int fd = store_get(st, &out->digest, NULL, &err);

	assert_true(fd >= 0);
	assert_int_equal(file_read_fd(fd, (size_t)1 << 30, &blob, &err), 0);
	read_file("slow.tar", &tar);
	read_file("slow.gz", &gz);
	assert_int_equal(out->tar_size, tar.len);
	digest_of(&d, tar.data, tar.len);
	assert_true(digest_equal(&d, &out->diff_id));
	assert_int_equal(out->size, gz.len);
	assert_int_equal(blob.len, gz.len);
	assert_memory_equal(blob.data, gz.data, gz.len);
	digest_of(&d, gz.data, gz.len);
	assert_true(digest_equal(&d, &out->digest));
}

static const unsigned thread_counts[] = {1, 2, 5};

static void compare(struct store *st, const struct description *d, int level)
{
	for (size_t i = 0; i < sizeof(thread_counts) / sizeof(*thread_counts); i++) {
		struct layer out;
		struct layer_options o = {.store = st,
					  .level = level,
					  .mtime = d->time,
					  .threads = thread_counts[i]};

		write_layer(d, &o, &out);
		assert_same(st, &out);
	}
}

static void random_trees_are_the_slow_writers_bytes(void **state)
{
	struct store *st = open_store();
	const char *seeds = getenv("LAYER_SEEDS");
	unsigned last = seeds ? (unsigned)atoi(seeds) : 6;

	(void)state;
	for (unsigned seed = 1; seed <= last; seed++) {
		struct description d;

		make_random(seed, seed % 3 == 0);
		slow_writer("random.json", NULL);
		load(&d, "random.json");
		compare(st, &d, d.level);
		unload(&d);
	}
	store_close(st);
}

static void every_level_is_the_slow_writers_bytes(void **state)
{
	static const char *const levels[] = {"0", "1", "2", "6"};
	struct store *st = open_store();
	struct description d;

	(void)state;
	make_random(1000, false);
	load(&d, "random.json");
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		slow_writer("random.json", levels[i]);
		compare(st, &d, atoi(levels[i]));
	}
	unload(&d);
	store_close(st);
}

/* The diff ids are the same on every machine; the digests of the gzip hold for the
 * compressors that they were made with. */
static void golden_digests_hold(void **state)
{
	struct store *st = open_store();

	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(*golden); i++) {
		const struct golden *g = &golden[i];
		struct description d;
		struct layer out;
		char hex[DIGEST_HEX];

		write_file("golden.json", g->description);
		load(&d, "golden.json");
		write_layer(&d,
			    &(struct layer_options){
				    .store = st, .level = d.level, .mtime = d.time},
			    &out);
		if (strcmp(digest_hex(&out.diff_id, hex), g->diff_id) != 0)
			fail_msg("%s: diff id %s", g->rule, hex);
		if (strcmp(layer_compressor(d.level), g->compressor) == 0 &&
		    strcmp(digest_hex(&out.digest, hex), g->digest) != 0)
			fail_msg("%s: digest %s", g->rule, hex);
		unload(&d);
	}
	store_close(st);
}

static void gzip_and_tar_accept_a_layer(void **state)
{
	struct store *st = open_store();
	auto_free char *blob = in_folder("blob.gz");
	const char *test[] = {"gzip", "-t", blob, NULL};
	const char *list[] = {"tar", "tvf", blob, NULL};
	auto_buf struct buf bytes = BUF_INIT, names = BUF_INIT;
	struct error err = ERROR_INIT;
	struct description d;
	struct layer out;
	size_t lines = 0;
	FILE *f;

	(void)state;
	make_random(77, false);
	load(&d, "random.json");
	write_layer(&d, &(struct layer_options){.store = st, .level = 1, .mtime = 1},
		    &out);
	int fd = store_get(st, &out.digest, NULL, &err);
	assert_int_equal(file_read_fd(fd, (size_t)1 << 30, &bytes, &err), 0);
	close(fd);
	f = fopen(blob, "we");
	assert_int_equal(fwrite(bytes.data, 1, bytes.len, f), bytes.len);
	fclose(f);
	assert_int_equal(run("out", test), 0);
	assert_int_equal(run("names", list), 0);
	read_file("names", &names);
	for (size_t i = 0; i < names.len; i++)
		lines += names.data[i] == '\n';
	assert_int_equal(lines, d.n);
	unload(&d);
	store_close(st);
}

/* Below the step: every path that it is going to remove. */
static void push_removed(struct tree *t, const struct description *d)
{
	struct index_builder *b = index_builder_new();
	auto_buf struct buf bytes = BUF_INIT;
	struct error err = ERROR_INIT;
	struct digest id = {{1}};
	struct index *ix;

	for (size_t i = 0; i < d->n; i++) {
		struct index_entry e = {.path = d->v[i].e.path, .type = NODE_FILE};

		if (d->v[i].e.type == NODE_WHITEOUT && index_builder_add(b, &e, &err) < 0)
			fail_msg("%s", err.msg);
	}
	assert_int_equal(index_builder_finish(b, &id, &bytes, &err), 0);
	index_builder_free(b);
	ix = index_open_bytes(bytes.data, bytes.len, &id, &err);
	assert_non_null(ix);
	assert_int_equal(tree_push_index(t, ix, &err), 0);
	index_unref(ix);
}

static struct node *folder_of(struct tree *t, const char *path, const char **name)
{
	struct node *dir = tree_root(t);
	struct error err = ERROR_INIT;
	const char *slash;

	for (; (slash = strchr(path, '/')); path = slash + 1) {
		dir = tree_child(t, dir, path, (size_t)(slash - path), &err);
		assert_non_null(dir);
	}
	*name = path;
	return dir;
}

static void put_line(struct tree *t, const struct line *l)
{
	const struct tar_entry *e = &l->e;
	struct error err = ERROR_INIT;
	const char *name;
	struct node *dir = folder_of(t, e->path, &name), *n;
	struct node_value v = {.type = e->type,
			       .attrs = e->attrs,
			       .mtime = e->mtime,
			       .major = e->major,
			       .minor = e->minor,
			       .link = e->type == NODE_SYMLINK ? e->link : NULL,
			       .group = l->hard};

	if (*e->path == '\0') {
		tree_set_attrs(t, tree_root(t), &e->attrs, e->mtime);
		return;
	}
	if (e->type == NODE_WHITEOUT) {
		n = tree_child(t, dir, name, strlen(name), &err);
		assert_non_null(n);
		tree_remove(t, n);
		return;
	}
	if (e->type == NODE_FILE && l->content.len > 0) {
		v.size = l->content.len;
		v.content.kind = CONTENT_INLINE;
		v.content.bytes = l->content.data;
	}
	assert_non_null(tree_put(t, dir, name, strlen(name), &v, &err));
}

/* What was saved is what a reader of the layer sees. */
static void assert_index(struct store *st, const struct layer *out)
{
	struct error err = ERROR_INIT;
	struct index_builder *b = index_builder_new();
	auto_buf struct buf bytes = BUF_INIT;
	struct source *src =
		source_inflate(source_fd(store_get(st, &out->digest, NULL, &err)));
	struct index *saved = treeload_open(st, &out->diff_id, &err), *read;
	struct index_node x, y;

	assert_non_null(saved);
	assert_int_equal(treeload_read(src, b, &err), 0);
	source_close(src);
	assert_int_equal(index_builder_finish(b, &out->diff_id, &bytes, &err), 0);
	index_builder_free(b);
	read = index_open_bytes(bytes.data, bytes.len, &out->diff_id, &err);
	assert_non_null(read);
	assert_int_equal(index_count(saved), index_count(read));
	for (uint32_t i = 0; i < index_count(read); i++) {
		index_get(saved, i, &x);
		index_get(read, i, &y);
		assert_string_equal(x.name, y.name);
		assert_int_equal(x.type, y.type);
		assert_int_equal(x.size, y.size);
		assert_int_equal(x.mtime, y.mtime);
		assert_int_equal(x.attrs.mode, y.attrs.mode);
		assert_int_equal(x.attrs.uid, y.attrs.uid);
		assert_int_equal(x.content.kind, y.content.kind);
		if (x.content.kind == CONTENT_LAYER)
			assert_int_equal(x.content.layer.header, y.content.layer.header);
		if (x.content.kind == CONTENT_INLINE)
			assert_memory_equal(x.content.bytes, y.content.bytes, x.size);
	}
	index_unref(saved);
	index_unref(read);
}

static void assert_contents(struct tree *t, const struct description *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct line *l = &d->v[i];
		struct error err = ERROR_INIT;
		struct digest want;
		const char *name;
		struct node *n;

		if (l->e.type != NODE_FILE)
			continue;
		n = folder_of(t, l->e.path, &name);
		n = tree_child(t, n, name, strlen(name), &err);
		assert_non_null(n);
		digest_of(&want, l->content.data, l->content.len);
		assert_true(n->content.has_digest);
		assert_true(digest_equal(&want, &n->content.digest));
		if (l->content.len > 0 && strcmp(l->e.path, "etc/passwd") != 0)
			assert_int_equal(n->content.kind, CONTENT_LAYER);
	}
}

static void write_tree(struct store *st, const struct description *d, bool keep,
		       struct layer *out)
{
	struct layer_options o = {.store = st,
				  .level = d->level,
				  .mtime = d->time,
				  .keep_mtime = keep,
				  .threads = 2};
	struct error err = ERROR_INIT;
	struct tree *t = tree_new();

	push_removed(t, d);
	tree_begin_step(t);
	for (size_t i = 0; i < d->n; i++)
		put_line(t, &d->v[i]);
	if (layer_write(t, &o, out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(out->entries, d->n);
	assert_contents(t, d);
	tree_free(t);
}

static void a_trees_changes_are_the_slow_writers_bytes(void **state)
{
	struct store *st = open_store();

	(void)state;
	for (unsigned seed = 101; seed <= 104; seed++) {
		bool keep = seed % 2 == 0;
		struct description d;
		struct layer out;

		make_random(seed, keep);
		slow_writer("random.json", NULL);
		load(&d, "random.json");
		write_tree(st, &d, keep, &out);
		assert_same(st, &out);
		assert_index(st, &out);
		unload(&d);
	}
	store_close(st);
}

static void passwd_stays_in_the_index(void **state)
{
	static const char text[] =
		"{\"type\": \"dir\", \"path\": \"etc\", \"mode\": 493}\n"
		"{\"type\": \"file\", \"path\": \"etc/passwd\", \"data\": "
		"\"cm9vdA==\"}\n";
	struct store *st = open_store();
	struct description d;
	struct layer out;

	(void)state;
	write_file("passwd.json", text);
	slow_writer("passwd.json", NULL);
	load(&d, "passwd.json");
	write_tree(st, &d, false, &out);
	assert_same(st, &out);
	assert_index(st, &out);
	unload(&d);
	store_close(st);
}

static unsigned blobs_and_temporaries(void)
{
	auto_free char *path = in_folder("fresh");
	const char *argv[] = {
		"find", path,    "-type",           "f",  "-size", "+0",
		"(",    "-path", "*/fresh/blobs/*", "-o", "-path", "*/fresh/tmp/*/*",
		")",    NULL};
	auto_buf struct buf b = BUF_INIT;
	unsigned n = 0;

	assert_int_equal(run("found", argv), 0);
	read_file("found", &b);
	for (size_t i = 0; i < b.len; i++)
		n += b.data[i] == '\n';
	return n;
}

/* Zeros, then whatever the test wants. */
struct bad_source {
	struct source base;
	uint64_t left;
	bool fails;
	struct job *cancel;
};

static ssize_t bad_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct bad_source *b = (struct bad_source *)s;
	struct error stop = ERROR_INIT;

	if (b->left == 0 && b->fails)
		return error_set(err, E_AUTH, "bad sector");
	if (len > b->left)
		len = b->left;
	memset(buf, 0, len);
	b->left -= len;
	if (b->cancel && b->left < 1048576 * 50) {
		error_set(&stop, E_NETWORK, "somebody else failed");
		job_fail(b->cancel, &stop);
		b->cancel = NULL;
	}
	return (ssize_t)len;
}

static void bad_close(struct source *s)
{
	(void)s;
}

static const struct source_ops bad_ops = {bad_read, bad_close};

/* Adds one file that goes wrong and expects the writer to say so. */
static void expect_failure(uint64_t says, struct bad_source *b, struct job *job,
			   enum error_kind kind)
{
	auto_free char *path = in_folder("fresh");
	struct error err = ERROR_INIT;
	struct store *st = store_open(path, &err);
	struct layer_options o = {.store = st, .level = 1, .threads = 2, .job = job};
	struct layer_writer *w = layer_writer_open(&o, &err);
	struct tar_entry e = {.path = "f", .type = NODE_FILE, .size = says};

	b->base.ops = &bad_ops;
	assert_int_equal(layer_writer_add(w, &e, &b->base, NULL, NULL, &err), -1);
	assert_int_equal(err.kind, kind);
	layer_writer_abort(w);
	assert_int_equal(blobs_and_temporaries(), 0);
	store_close(st);
}

static void a_failure_keeps_its_kind_and_leaves_nothing(void **state)
{
	struct job job;

	(void)state;
	/* small: before threads start; large: while they run */
	for (uint64_t size = 1000; size < 100000000; size *= 10000) {
		expect_failure(size,
			       &(struct bad_source){.left = size - 1, .fails = true},
			       NULL, E_AUTH);
		expect_failure(size, &(struct bad_source){.left = size - 1}, NULL,
			       E_FAILED);
		expect_failure(size, &(struct bad_source){.left = size + 1}, NULL,
			       E_FAILED);
	}
	job_init(&job, NULL);
	expect_failure(1048576 * 100,
		       &(struct bad_source){.left = 1048576 * 100, .cancel = &job}, &job,
		       E_NETWORK);
	assert_int_equal(job_wait(&job, NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_trees_are_the_slow_writers_bytes),
		cmocka_unit_test(every_level_is_the_slow_writers_bytes),
		cmocka_unit_test(golden_digests_hold),
		cmocka_unit_test(a_trees_changes_are_the_slow_writers_bytes),
		cmocka_unit_test(passwd_stays_in_the_index),
		cmocka_unit_test(gzip_and_tar_accept_a_layer),
		cmocka_unit_test(a_failure_keeps_its_kind_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
