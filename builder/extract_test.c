/*
 * Contents out of a stage's own layers.  The tars come from Python.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "builder/build_test.h"
#include "builder/extract.h"
#include "builder/rootfs/content.h"
#include "builder/rootfs/index.h"
#include "builder/rootfs/treeload.h"
#include "builder/stage.h"
#include "registry/base/restart.h"
#include "registry/base/stream.h"
#include "registry/points.h"

/* A stage of one layer that hod made. */
struct fixture {
	struct build build;
	struct stage_state stage;
	struct stage_layer layer;
};

static void read_all(const char *name, struct buf *out)
{
	auto_free char *path = in_folder(name);
	struct error err = ERROR_INIT;

	fine(file_read(AT_FDCWD, path, 64 << 20, out, &err), &err);
}

static void open_stage(struct fixture *f)
{
	struct error err = ERROR_INIT;
	struct index *ix;

	f->stage = (struct stage_state){.build = &f->build,
					.name = (char *)"x",
					.layers = &f->layer,
					.nlayers = 1};
	ix = treeload_open(f->build.store, &f->layer.diff_id, &err);
	if (!ix)
		fail_msg("%s", err.msg);
	f->stage.tree = tree_new();
	fine(tree_push_index(f->stage.tree, ix, &err), &err);
	index_unref(ix);
}

/* Runs a script in the run's folder. */
static void run_python(const char *name)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(folder) == 0)
			execl("/usr/bin/python3", "python3", name, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Runs a Python script that writes t.tar and t.gz, and makes a stage of them. */
static void stage_of(struct fixture *f, const char *script)
{
	auto_buf struct buf tar = BUF_INIT, gz = BUF_INIT;
	struct error err = ERROR_INIT;

	*f = (struct fixture){.build.store = open_store()};
	write_file("make.py", script, 0644);
	run_python("make.py");
	read_all("t.tar", &tar);
	read_all("t.gz", &gz);
	digest_of(&f->layer.diff_id, tar.data, tar.len);
	fine(store_put_bytes(f->build.store, gz.data, gz.len, &f->layer.desc.digest,
			     &err),
	     &err);
	f->layer.desc.size = gz.len;
	fine(treeload_save(source_bytes(tar.data, tar.len), f->build.store,
			   &f->layer.diff_id, &err),
	     &err);
	open_stage(f);
}

static void close_stage(struct fixture *f)
{
	tree_free(f->stage.tree);
	store_close(f->build.store);
	remove_all("store");
}

static struct node *node_at(struct fixture *f, const char *path)
{
	struct error err = ERROR_INIT;
	struct node *n = NULL;

	assert_int_equal(tree_resolve(f->stage.tree, path, 0, &n, NULL, &err), 1);
	return n;
}

static struct spool *spool_of(struct fixture *f, const char *const *paths, size_t n,
			      struct tree *to, struct node **targets, struct error *err)
{
	auto_free struct node **nodes = xcalloc(n, sizeof(*nodes));

	for (size_t i = 0; i < n; i++) {
		struct node_value v = {.type = NODE_FILE};

		nodes[i] = node_at(f, paths[i]);
		v.size = nodes[i]->size;
		targets[i] =
			tree_put(to, tree_root(to), paths[i], strlen(paths[i]), &v, err);
	}
	return spool_open(&f->stage, nodes, targets, n, to, err);
}

static void a_sparse_file_takes_what_it_has_of_data(void **state)
{
	static const char script[] =
		"import gzip, io, tarfile\n"
		"t = tarfile.open('t.tar', 'w', format=tarfile.PAX_FORMAT)\n"
		"def add(name, data, pax={}):\n"
		"  ti = tarfile.TarInfo(name); ti.size = len(data); ti.pax_headers = "
		"pax\n"
		"  t.addfile(ti, io.BytesIO(data))\n"
		"add('before', b'first')\n"
		"add('big', b'abc', {'GNU.sparse.size': str(4 << 40), "
		"'GNU.sparse.numblocks': '1',\n"
		"  'GNU.sparse.map': '1000000000000,3', 'GNU.sparse.name': 'big'})\n"
		"add('zeros', bytes(30 << 20) + b'end')\n"
		"t.close()\n"
		"open('t.gz', 'wb').write(gzip.compress(open('t.tar', 'rb').read()))\n";
	static const char *const paths[] = {"before", "big", "zeros"};
	static const char zeros[4096];
	struct node *targets[3];
	struct tree *to = tree_new();
	struct error err = ERROR_INIT;
	struct fixture f;
	struct stat st;
	char got[4096];

	(void)state;
	stage_of(&f, script);
	struct spool *sp = spool_of(&f, paths, 3, to, targets, &err);
	if (!sp)
		fail_msg("%s", err.msg);
	int fd = targets[0]->content.disk.root->fd;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 5 + (4ull << 40) + (30 << 20) + 3);
	assert_true(st.st_blocks * 512ll < 2 << 20);
	assert_int_equal(pread(fd, got, 5, (off_t)targets[0]->content.disk.offset), 5);
	assert_memory_equal(got, "first", 5);
	off_t big = (off_t)targets[1]->content.disk.offset;
	assert_int_equal(pread(fd, got, 9, big + 1000000000000 - 3), 9);
	assert_memory_equal(got, "\0\0\0abc\0\0\0", 9);
	assert_int_equal(pread(fd, got, 4096, big + 12345678), 4096);
	assert_memory_equal(got, zeros, 4096);
	off_t end = (off_t)targets[2]->content.disk.offset;
	assert_int_equal(pread(fd, got, 4, end + (30 << 20) - 1), 4);
	assert_memory_equal(got, "\0end", 4);
	spool_close(sp);
	tree_free(to);
	close_stage(&f);
}

/* A layer's index alone, of files one after the other: nothing may be read. */
static void claim(struct fixture *f, const uint64_t *sizes, const uint64_t *stored,
		  size_t n)
{
	struct index_builder *b = index_builder_new();
	struct error err = ERROR_INIT;
	uint64_t header = 0;

	*f = (struct fixture){.build.store = open_store(), .layer.diff_id = {{1}}};
	for (size_t i = 0; i < n; i++) {
		const char name[2] = {(char)('a' + i)};

		fine(index_builder_add(b,
				       &(struct index_entry){.path = name,
							     .size = sizes[i],
							     .header = header},
				       &err),
		     &err);
		header += 512 + stored[i];
	}
	fine(treeload_save_index(b, f->build.store, &f->layer.diff_id, &err), &err);
	index_builder_free(b);
	open_stage(f);
}

static void what_cannot_fit_is_refused_before_anything_is_read(void **state)
{
	static const uint64_t tib = 1ull << 40;
	static const struct {
		uint64_t sizes[3], stored[3];
		enum error_kind kind;
		const char *text;
	} v[] = {
		{{5 * tib, 4 * tib, 1}, {0, 0, 512}, E_FAILED, "more than 8 TiB"},
		{{INT64_MAX, INT64_MAX, INT64_MAX},
		 {0, 0, 0},
		 E_FAILED,
		 "more than 8 TiB"},
		{{7 * tib, 1, 1}, {7 * tib, 512, 512}, E_FAILED, "are free"},
		/* a hole: the layer is looked for, but it is not there */
		{{7 * tib, 1, 1}, {512, 512, 512}, E_MISSING, ""},
	};
	static const char *const paths[] = {"a", "b", "c"};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct tree *to = tree_new();
		struct error err = ERROR_INIT;
		struct node *targets[3];
		struct fixture f;

		claim(&f, v[i].sizes, v[i].stored, 3);
		assert_null(spool_of(&f, paths, 3, to, targets, &err));
		if (err.kind != v[i].kind || !strstr(err.msg, v[i].text))
			fail_msg("%zu: %d %s", i, err.kind, err.msg);
		tree_free(to);
		close_stage(&f);
	}
}

/* Notes the points of the stage's layer; how many. */
static size_t note_points(struct fixture *f)
{
	auto_points struct points p = POINTS_INIT;
	auto_buf struct buf gz = BUF_INIT;
	static char block[65536];
	struct source *src;
	struct restarts *r;
	size_t n;

	read_all("t.gz", &gz);
	points_begin(&p, f->build.store, &f->layer.desc.digest);
	src = source_inflate_noting(source_bytes(gz.data, gz.len), p.writer);
	while (source_read(src, block, sizeof(block), NULL) > 0)
		;
	source_close(src);
	points_commit(&p, f->build.store, &f->layer.desc.digest);
	r = points_open(f->build.store, &f->layer.desc.digest, NULL);
	n = r ? restarts_count(r) : 0;
	restarts_close(r);
	return n;
}

/* Bytes of the layer's blob become others. */
static void damage(struct fixture *f, uint64_t from, uint64_t to)
{
	char hex[DIGEST_HEX];
	auto_free char *name = xasprintf("store/blobs/sha256/%s",
					 digest_hex(&f->layer.desc.digest, hex));
	auto_free char *path = in_folder(name);
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (; from < to; from += 8)
		assert_int_equal(pwrite(fd, "damaged!", 8, (off_t)from), 8);
}

/* Ten files of 3 MiB that do not pack, each followed by a small one. */
static const char many_files[] =
	"import gzip, io, random, tarfile\n"
	"t = tarfile.open('t.tar', 'w', format=tarfile.PAX_FORMAT)\n"
	"def add(name, data):\n"
	"  ti = tarfile.TarInfo(name); ti.size = len(data)\n"
	"  t.addfile(ti, io.BytesIO(data))\n"
	"for i in range(10):\n"
	"  add('large%d' % i, random.Random(i).randbytes(3 << 20))\n"
	"  add('small%d' % i, b'number %d' % i)\n"
	"t.close()\n"
	"open('t.gz', 'wb').write(gzip.compress(open('t.tar', 'rb').read(), 1))\n";

static void a_small_file_needs_only_what_follows_the_point_before_it(void **state)
{
	static const char *const two[] = {"small4", "small9"};
	struct error err = ERROR_INIT;
	auto_buf struct buf got = BUF_INIT;
	struct node *targets[2];
	struct tree *to = tree_new();
	struct fixture f;

	(void)state;
	stage_of(&f, many_files);
	assert_true(note_points(&f) >= 7);
	/* all of the blob but what is around the two */
	damage(&f, 100, 10 << 20);
	damage(&f, 20 << 20, 24 << 20);
	struct spool *sp = spool_of(&f, two, 2, to, targets, &err);
	if (!sp)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < 2; i++) {
		char text[8];

		assert_int_equal(pread(targets[i]->content.disk.root->fd, text, 8,
				       (off_t)targets[i]->content.disk.offset),
				 8);
		assert_memory_equal(text, i ? "number 9" : "number 4", 8);
	}
	spool_close(sp);
	tree_free(to);
	if (extract_file(&f.stage, "/small9", 100, &got, &err) != 1)
		fail_msg("%s", err.msg);
	assert_string_equal(got.data, "number 9");
	/* one that is damaged: the whole layer is read, and refused */
	assert_int_equal(extract_file(&f.stage, "/small1", 100, &got, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	close_stage(&f);
}

static void files_are_the_same_with_and_without_points(void **state)
{
	static const char *const paths[] = {"large9", "small0", "large4", "small8",
					    "large0", "large5", "small5", "large1",
					    "large2", "large3"};
	/* few, and most: these are read in one pass */
	static const size_t counts[] = {1, 2, 3, 4, 6, 10};

	(void)state;
	for (size_t k = 0; k < 12; k++) {
		size_t n = counts[k % 6];
		struct tree *to = tree_new();
		struct error err = ERROR_INIT;
		struct node *targets[10];
		struct fixture f;

		stage_of(&f, many_files);
		if (k < 6)
			assert_true(note_points(&f) >= 7);
		auto_buf struct buf tar = BUF_INIT;
		read_all("t.tar", &tar);
		struct spool *sp = spool_of(&f, paths, n, to, targets, &err);
		if (!sp)
			fail_msg("%s", err.msg);
		for (size_t i = 0; i < n; i++) {
			auto_free char *got = xmalloc(targets[i]->size);
			struct node *in = node_at(&f, paths[i]);

			assert_int_equal(pread(targets[i]->content.disk.root->fd, got,
					       targets[i]->size,
					       (off_t)targets[i]->content.disk.offset),
					 targets[i]->size);
			/* no pax headers: the content follows the header */
			assert_memory_equal(got,
					    tar.data + in->content.layer.header + 512,
					    targets[i]->size);
		}
		spool_close(sp);
		tree_free(to);
		close_stage(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sparse_file_takes_what_it_has_of_data),
		cmocka_unit_test(what_cannot_fit_is_refused_before_anything_is_read),
		cmocka_unit_test(
			a_small_file_needs_only_what_follows_the_point_before_it),
		cmocka_unit_test(files_are_the_same_with_and_without_points),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
