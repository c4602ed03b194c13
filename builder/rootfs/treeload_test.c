/*
 * Layers read from tars that other programs made, and stacks of them against the plain
 * merge of testdata/mergetree.py.  Run from the root of the repository.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/treeload.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/stream.h"
#include "registry/store.h"

#define PYTHON "/usr/bin/python3"

static char *folder;

/* Runs a command line of /bin/sh in the run's folder; its output. */
static void sh(struct buf *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void sh(struct buf *out, const char *fmt, ...)
{
	auto_free char *top = getcwd(NULL, 0);
	auto_free char *path = xasprintf("%s/sh.out", folder);
	auto_free char *line = NULL;
	struct error err = ERROR_INIT;
	va_list ap;
	int status;

	va_start(ap, fmt);
	assert_true(vasprintf(&line, fmt, ap) >= 0);
	va_end(ap);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || dup2(fd, 1) < 0 || setenv("TOP", top, 1) < 0)
			_exit(126);
		auto_free char *in = xasprintf("cd '%s' && %s", folder, line);
		execl("/bin/sh", "sh", "-ec", in, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("failed: %s", line);
	if (out)
		assert_int_equal(file_read(AT_FDCWD, path, (size_t)64 << 20, out, &err),
				 0);
}

static void read_file(const char *name, struct buf *out)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	struct error err = ERROR_INIT;

	buf_reset(out);
	if (file_read(AT_FDCWD, path, (size_t)256 << 20, out, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct index *load(const struct buf *tar, struct error *err)
{
	struct index_builder *b = index_builder_new();
	struct source *src = source_bytes(tar->data, tar->len);
	auto_buf struct buf bytes = BUF_INIT;
	struct digest d;
	struct index *ix = NULL;

	digest_of(&d, tar->data, tar->len);
	if (treeload_read(src, b, err) == 0 &&
	    index_builder_finish(b, &d, &bytes, err) == 0)
		ix = index_open_bytes(bytes.data, bytes.len, &d, err);
	source_close(src);
	index_builder_free(b);
	return ix;
}

static struct index *must_load(const struct buf *tar)
{
	struct error err = ERROR_INIT;
	struct index *ix = load(tar, &err);

	if (!ix)
		fail_msg("%s", err.msg);
	return ix;
}

/* The record of a path. */
static bool find(const struct index *ix, const char *path, struct index_node *out)
{
	index_get(ix, 0, out);
	while (*path) {
		size_t len = strcspn(path, "/");
		uint32_t i = out->first, end = out->first + out->count;
		for (; i < end; i++) {
			index_get(ix, i, out);
			if (out->name_len == len && memcmp(out->name, path, len) == 0)
				break;
		}
		if (i == end)
			return false;
		path += len + (path[len] == '/');
	}
	return true;
}

/* The SHA-256 of each file of a layer, by header. */
struct contents {
	const struct digest *diff_id;
	uint64_t *headers;
	struct hash *hashes;
	struct digest *digests;
	size_t n;
};

static int hash_piece(void *ctx, size_t i, const void *bytes, size_t len,
		      struct error *err)
{
	struct contents *c = ctx;

	(void)err;
	hash_add(&c->hashes[i], bytes, len);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void contents_read(struct contents *c, const struct index *ix,
			  const struct buf *tar)
{
	struct error err = ERROR_INIT;
	struct source *src = source_bytes(tar->data, tar->len);
	size_t n = 0;

	*c = (struct contents){.diff_id = index_diff_id(ix)};
	c->headers = xcalloc(index_count(ix), sizeof(*c->headers));
	for (uint32_t i = 0; i < index_count(ix); i++) {
		struct index_node in;
		index_get(ix, i, &in);
		if (in.content.kind == CONTENT_LAYER)
			c->headers[n++] = in.content.layer.header;
	}
	if (n > 0)
		qsort(c->headers, n, sizeof(*c->headers), by_number);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || c->headers[i] != c->headers[c->n - 1])
			c->headers[c->n++] = c->headers[i];
	c->hashes = xcalloc(c->n, sizeof(*c->hashes));
	c->digests = xcalloc(c->n, sizeof(*c->digests));
	for (size_t i = 0; i < c->n; i++)
		hash_init(&c->hashes[i]);
	if (treeload_extract(src, c->headers, c->n, hash_piece, c, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < c->n; i++)
		hash_end(&c->hashes[i], &c->digests[i]);
	source_close(src);
}

static void contents_release(struct contents *c)
{
	free(c->headers);
	free(c->hashes);
	free(c->digests);
}

struct stack {
	struct buf tars[8];
	struct index *layers[8];
	struct contents contents[8];
	size_t n;
};

static void add_text(struct buf *out, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	if (len == 0)
		buf_addc(out, '-');
	for (size_t i = 0; i < len; i++) {
		if (p[i] >= 33 && p[i] < 127 && p[i] != '\\')
			buf_addc(out, (char)p[i]);
		else
			buf_addf(out, "\\x%02x", p[i]);
	}
}

static void content_digest(const struct stack *s, const struct node *n,
			   struct digest *out)
{
	if (n->content.kind == CONTENT_NONE) {
		digest_of(out, "", 0);
		return;
	}
	assert_int_equal(n->content.kind, CONTENT_LAYER);
	for (size_t i = 0; i < s->n; i++) {
		const struct contents *c = &s->contents[i];
		if (!digest_equal(c->diff_id, n->content.layer.diff_id))
			continue;
		const uint64_t *h = bsearch(&n->content.layer.header, c->headers, c->n,
					    sizeof(*h), by_number);
		assert_non_null(h);
		*out = c->digests[h - c->headers];
		return;
	}
	fail_msg("no layer holds the content");
}

struct shown {
	struct node *n;
	char *path;
};

struct listing {
	struct shown *v;
	size_t n, cap;
};

static void collect(struct tree *t, struct node *n, struct listing *l)
{
	struct error err = ERROR_INIT;
	auto_buf struct buf path = BUF_INIT;
	struct cursor c;

	tree_path(n, &path);
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct shown){n, xstrdup(path.data)};
	if (n->type != NODE_DIR)
		return;
	assert_int_equal(tree_children(t, n, &c, &err), 0);
	while ((n = cursor_next(&c)))
		collect(t, n, l);
}

static void add_group(const struct listing *l, const struct node *n, struct buf *out)
{
	const char *first = NULL;
	size_t names = 0;

	for (size_t i = 0; n->group && i < l->n; i++) {
		if (l->v[i].n->group != n->group)
			continue;
		if (!first)
			first = l->v[i].path;
		names++;
	}
	if (names > 1)
		add_text(out, first, strlen(first));
	else
		buf_addc(out, '-');
}

static void show(const struct stack *s, struct tree *t, struct buf *out)
{
	static const char *const types[] = {"file", "dir",   "symlink",
					    "char", "block", "fifo"};
	struct listing l = {0};

	collect(t, tree_root(t), &l);
	for (size_t i = 0; i < l.n; i++) {
		const struct node *n = l.v[i].n;
		const struct xattrs *x = n->attrs.xattrs;
		char hex[DIGEST_HEX] = "-";
		struct digest d;

		assert_ptr_not_equal(n, NULL);
		assert_true(n->type < NODE_WHITEOUT);
		add_text(out, l.v[i].path, strlen(l.v[i].path));
		buf_addf(out, " %s %o %u:%u %lld %llu ", types[n->type], n->attrs.mode,
			 n->attrs.uid, n->attrs.gid, (long long)n->mtime,
			 (unsigned long long)n->size);
		add_text(out, n->link ? n->link : "", n->link ? strlen(n->link) : 0);
		buf_addf(out, " %u:%u ", n->major, n->minor);
		for (size_t k = 0; x && k < x->n; k++) {
			if (k > 0)
				buf_addc(out, ',');
			add_text(out, x->v[k].name, strlen(x->v[k].name));
			buf_addc(out, '=');
			add_text(out, x->v[k].value, x->v[k].len);
		}
		buf_adds(out, x ? " " : "- ");
		add_group(&l, n, out);
		if (n->type == NODE_FILE) {
			content_digest(s, n, &d);
			digest_hex(&d, hex);
		}
		buf_addf(out, " %s\n", hex);
	}
	for (size_t i = 0; i < l.n; i++)
		free(l.v[i].path);
	free(l.v);
}

static void stack_open(struct stack *s, unsigned seed, struct buf *want)
{
	*s = (struct stack){0};
	sh(want, "rm -f [0-9].tar && " PYTHON " \"$TOP/testdata/mergetree.py\" %u .",
	   seed);
	for (; s->n < 8; s->n++) {
		auto_free char *name = xasprintf("%zu.tar", s->n);
		auto_free char *path = xasprintf("%s/%s", folder, name);
		if (access(path, F_OK) < 0)
			break;
		s->tars[s->n] = (struct buf)BUF_INIT;
		read_file(name, &s->tars[s->n]);
		s->layers[s->n] = must_load(&s->tars[s->n]);
		contents_read(&s->contents[s->n], s->layers[s->n], &s->tars[s->n]);
	}
}

static void stack_close(struct stack *s)
{
	for (size_t i = 0; i < s->n; i++) {
		contents_release(&s->contents[i]);
		index_unref(s->layers[i]);
		buf_release(&s->tars[i]);
	}
}

/* How much of the tree is entered between two layers. */
enum { LAZY, EAGER, SOME, FORK, WAYS };

static void push_all(const struct stack *s, struct tree *t, int way)
{
	static const char *const some[] = {"a/b", "usr/a", "c/a.b/d", "b"};
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < s->n; i++) {
		if (tree_push_index(t, s->layers[i], &err) < 0)
			fail_msg("%s", err.msg);
		if (way == EAGER)
			assert_int_equal(tree_enter_all(t, &err), 0);
		for (size_t k = 0; way == SOME && k < sizeof(some) / sizeof(*some); k++) {
			struct node *n;
			char *rest = NULL;
			tree_resolve(t, some[k], 0, &n, &rest, &err);
			free(rest);
		}
	}
}

static void fail_at_first(unsigned seed, int way, const char *got, const char *want)
{
	while (*got && *want && strcspn(got, "\n") == strcspn(want, "\n") &&
	       memcmp(got, want, strcspn(got, "\n")) == 0) {
		got += strcspn(got, "\n") + 1;
		want += strcspn(want, "\n") + 1;
	}
	fail_msg("seed %u, way %d: got\n%.*s\nwanted\n%.*s", seed, way,
		 (int)strcspn(got, "\n"), got, (int)strcspn(want, "\n"), want);
}

static void random_stacks_show_what_unpacking_them_leaves(void **state)
{
	const char *seeds = getenv("MERGE_SEEDS");
	unsigned last = seeds ? (unsigned)atoi(seeds) : 60;

	(void)state;
	for (unsigned seed = 1; seed <= last; seed++) {
		auto_buf struct buf want = BUF_INIT;
		struct stack s;

		stack_open(&s, seed, &want);
		for (int way = 0; way < WAYS; way++) {
			auto_buf struct buf got = BUF_INIT;
			struct tree *t = tree_new();
			push_all(&s, t, way);
			if (way == FORK) {
				struct tree *copy = tree_fork(t);
				assert_non_null(copy);
				tree_free(t);
				t = copy;
			}
			show(&s, t, &got);
			tree_free(t);
			if (strcmp(got.data, want.data) != 0)
				fail_at_first(seed, way, got.data, want.data);
		}
		stack_close(&s);
	}
}

/* What Python's tarfile calls offset: the first header block, pax and long names
 * included. */
static void headers_are_where_python_sees_them(void **state)
{
	static const char make[] =
		"import io, sys, tarfile\n"
		"for fmt, name in ((tarfile.PAX_FORMAT, 'p.tar'), (tarfile.GNU_FORMAT, "
		"'g.tar')):\n"
		"  with tarfile.open(name, 'w', format=fmt) as t:\n"
		"    for n in ('plain', 'l' * 200, 'd/' * 80 + 'x', 'last'):\n"
		"      ti = tarfile.TarInfo(n); ti.size = 700; t.addfile(ti, "
		"io.BytesIO(b'x' * 700))\n"
		"  with tarfile.open(name) as t:\n"
		"    for m in t: print(name, m.name, m.offset)\n";
	auto_buf struct buf out = BUF_INIT, tar = BUF_INIT;
	char *line, *save = NULL, *copy;
	int seen = 0;

	(void)state;
	auto_free char *script = xasprintf("%s/make.py", folder);
	FILE *f = fopen(script, "we");
	assert_non_null(f);
	assert_true(fputs(make, f) >= 0);
	assert_int_equal(fclose(f), 0);
	sh(&out, PYTHON " make.py");
	copy = out.data;
	while ((line = strtok_r(copy, "\n", &save))) {
		char archive[16], path[300];
		unsigned long long offset;
		struct index_node in;

		copy = NULL;
		assert_int_equal(sscanf(line, "%15s %299s %llu", archive, path, &offset),
				 3);
		read_file(archive, &tar);
		struct index *ix = must_load(&tar);
		assert_true(find(ix, path, &in));
		assert_int_equal(in.content.kind, CONTENT_LAYER);
		assert_int_equal(in.content.layer.header, offset);
		index_unref(ix);
		seen++;
	}
	assert_int_equal(seen, 8);
}

static int add_piece(void *ctx, size_t i, const void *bytes, size_t len,
		     struct error *err)
{
	(void)i, (void)err;
	buf_add(ctx, bytes, len);
	return 0;
}

static void sparse_files_come_out_whole(void **state)
{
	static const char *const formats[] = {"gnu", "posix --sparse-version=0.0",
					      "posix --sparse-version=0.1",
					      "posix --sparse-version=1.0"};
	auto_buf struct buf want = BUF_INIT;

	(void)state;
	sh(NULL, "truncate -s 3M holes && printf middle | dd of=holes bs=1 seek=1000000 "
		 "conv=notrunc 2>/dev/null && printf end | dd of=holes bs=1 seek=2200000 "
		 "conv=notrunc 2>/dev/null");
	read_file("holes", &want);
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		auto_buf struct buf tar = BUF_INIT, got = BUF_INIT;
		struct error err = ERROR_INIT;
		struct index_node in;

		sh(NULL, "tar -cSf s.tar --format=%s holes", formats[i]);
		read_file("s.tar", &tar);
		assert_true(tar.len < 1000000);
		struct index *ix = must_load(&tar);
		assert_true(find(ix, "holes", &in));
		assert_int_equal(in.size, want.len);
		struct source *src = source_bytes(tar.data, tar.len);
		uint64_t header = in.content.layer.header;
		if (treeload_extract(src, &header, 1, add_piece, &got, &err) < 0)
			fail_msg("%s", err.msg);
		source_close(src);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.data, want.data, want.len);
		index_unref(ix);
	}
}

static void a_tar_cut_anywhere_but_between_entries_is_corrupt(void **state)
{
	auto_buf struct buf tar = BUF_INIT;

	(void)state;
	sh(NULL, "printf 12345 >f && head -c 3000 /dev/zero >g && "
		 "tar --format=posix -cf t.tar f g");
	read_file("t.tar", &tar);
	size_t whole = tar.len, cuts = 0;
	for (size_t len = 1; len < whole; len += 37) {
		struct error err = ERROR_INIT;
		struct buf cut = {.data = tar.data, .len = len};
		struct index *ix = load(&cut, &err);
		struct index_node in;

		if (ix) {
			/* whole entries were read: the end marks are not missed */
			assert_int_equal(find(ix, "g", &in), find(ix, "f", &in));
			index_unref(ix);
			continue;
		}
		assert_int_equal(err.kind, E_CORRUPT);
		cuts++;
	}
	assert_true(cuts > 80);
}

static void a_layer_can_be_empty(void **state)
{
	auto_buf struct buf tar = BUF_INIT;
	char zeros[10240] = {0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct index *ix = must_load(&tar);
		assert_int_equal(index_count(ix), 1);
		index_unref(ix);
		buf_reset(&tar);
		buf_add(&tar, zeros, i == 0 ? 1024 : sizeof(zeros));
	}
}

static void what_is_no_tar_is_corrupt(void **state)
{
	auto_buf struct buf junk = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	for (int i = 0; i < 2000; i++)
		buf_adds(&junk, "junk");
	assert_null(load(&junk, &err));
	assert_int_equal(err.kind, E_CORRUPT);
}

struct refusal {
	const char *what,
		*python;  /* sets fields of ti; may add more entries with add(ti) */
	const char *text; /* part of the message; NULL: accepted */
};

static void hostile_entries_are_refused_by_name(void **state)
{
	static const struct refusal table[] = {
		{"plain", "ti.name = 'a'", NULL},
		{"parent", "ti.name = 'a/../b'", "\"..\""},
		{"owner", "ti.uid = 2**32", "owner"},
		{"no owner", "ti.uid = 2**32 - 1", "owner"},
		{"negative owner", "ti.gid = -2", "owner"},
		{"xattr", "ti.pax_headers = {'SCHILY.xattr.user.x': 'x' * 65537}",
		 "extended"},
		{"longest xattr", "ti.pax_headers = {'SCHILY.xattr.user.x': 'x' * 65536}",
		 NULL},
		{"root as link", "ti.name, ti.type, ti.linkname = '.', b'2', '/'",
		 "no folder"},
		{"below a file", "add(ti); ti = T('f/x')", "no folder"},
		{"folder as target",
		 "ti.type = b'5'; add(ti); ti = T('h'); "
		 "ti.type, ti.linkname = b'1', 'f'",
		 "folder"},
		{"unowned target", "ti.type, ti.linkname = b'1', '../x'", "\"..\""},
		{"long part", "ti.name = 'x' * 256", "255"},
		{"deep", "ti.name = 'd/' * 256", "levels"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		auto_buf struct buf tar = BUF_INIT;
		struct error err = ERROR_INIT;
		const char *fmt =
			strstr(table[i].python, "-2") ? "GNU_FORMAT" : "PAX_FORMAT";
		auto_free char *script = xasprintf("%s/refuse.py", folder);
		FILE *f = fopen(script, "we");

		assert_non_null(f);
		fprintf(f,
			"import tarfile\nT = tarfile.TarInfo\n"
			"t = tarfile.open('r.tar', 'w', format=tarfile.%s)\n"
			"add = t.addfile\nti = T('f')\n%s\nadd(ti)\nt.close()\n",
			fmt, table[i].python);
		assert_int_equal(fclose(f), 0);
		sh(NULL, PYTHON " refuse.py");
		read_file("r.tar", &tar);
		struct index *ix = load(&tar, &err);
		if (!table[i].text) {
			if (!ix)
				fail_msg("%s: %s", table[i].what, err.msg);
			index_unref(ix);
			continue;
		}
		if (ix || err.kind != E_CORRUPT || !strstr(err.msg, table[i].text))
			fail_msg("%s: %s", table[i].what, ix ? "accepted" : err.msg);
	}
}

static void passwd_and_group_are_kept_inline(void **state)
{
	auto_buf struct buf tar = BUF_INIT;
	struct index_node in;

	(void)state;
	sh(NULL, "rm -rf r && mkdir -p r/etc/x && echo root:x:0:0 >r/etc/passwd && "
		 "echo g:x:5: >r/etc/group && cp r/etc/group r/etc/x/group && "
		 "cp r/etc/group r/etc/gshadow && tar -C r -cf i.tar .");
	read_file("i.tar", &tar);
	struct index *ix = must_load(&tar);
	assert_true(find(ix, "etc/passwd", &in));
	assert_int_equal(in.content.kind, CONTENT_INLINE);
	assert_int_equal(in.size, 11);
	assert_memory_equal(in.content.bytes, "root:x:0:0\n", 11);
	assert_true(find(ix, "etc/group", &in));
	assert_memory_equal(in.content.bytes, "g:x:5:\n", 7);
	assert_true(find(ix, "etc/x/group", &in));
	assert_int_equal(in.content.kind, CONTENT_LAYER);
	assert_true(find(ix, "etc/gshadow", &in));
	assert_int_equal(in.content.kind, CONTENT_LAYER);
	index_unref(ix);
}

static void a_header_that_is_not_met_is_corrupt(void **state)
{
	static const uint64_t wanted[] = {512};
	auto_buf struct buf tar = BUF_INIT, got = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	sh(NULL, "printf 12345 >f && tar -cf t.tar f");
	read_file("t.tar", &tar);
	struct source *src = source_bytes(tar.data, tar.len);
	assert_int_equal(treeload_extract(src, wanted, 1, add_piece, &got, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	source_close(src);
}

static void a_damaged_index_in_the_store_is_removed(void **state)
{
	auto_buf struct buf tar = BUF_INIT;
	struct error err = ERROR_INIT;
	auto_free char *root = xasprintf("%s/root", folder);
	struct store *st = store_open(root, &err);
	struct digest d;
	struct stat before;

	(void)state;
	assert_non_null(st);
	sh(NULL, "printf 12345 >f && tar -cf t.tar f");
	read_file("t.tar", &tar);
	digest_of(&d, tar.data, tar.len);
	assert_null(treeload_open(st, &d, &err));
	assert_int_equal(err.kind, E_MISSING);
	struct source *src = source_bytes(tar.data, tar.len);
	if (treeload_save(src, st, &d, &err) < 0)
		fail_msg("%s", err.msg);
	source_close(src);
	struct index *ix = treeload_open(st, &d, &err);
	assert_non_null(ix);
	assert_int_equal(index_count(ix), 2);
	assert_true(digest_equal(index_diff_id(ix), &d));
	index_unref(ix);
	char hex[DIGEST_HEX];
	auto_free char *path = xasprintf("%s/trees/%s", root, digest_hex(&d, hex));
	assert_int_equal(stat(path, &before), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, before.st_size - 2), 1);
	close(fd);
	assert_null(treeload_open(st, &d, &err));
	assert_int_equal(err.kind, E_MISSING);
	assert_int_equal(access(path, F_OK), -1);
	store_close(st);
}

static int set_up(void **state)
{
	(void)state;
	/* where libarchive left to itself would compose names */
	if (!setlocale(LC_ALL, "C.UTF-8"))
		return -1;
	folder = xstrdup("/tmp/hod-treeload.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	int r = file_remove_tree(AT_FDCWD, folder, &err);
	free(folder);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_stacks_show_what_unpacking_them_leaves),
		cmocka_unit_test(headers_are_where_python_sees_them),
		cmocka_unit_test(sparse_files_come_out_whole),
		cmocka_unit_test(a_tar_cut_anywhere_but_between_entries_is_corrupt),
		cmocka_unit_test(a_layer_can_be_empty),
		cmocka_unit_test(what_is_no_tar_is_corrupt),
		cmocka_unit_test(hostile_entries_are_refused_by_name),
		cmocka_unit_test(passwd_and_group_are_kept_inline),
		cmocka_unit_test(a_header_that_is_not_met_is_corrupt),
		cmocka_unit_test(a_damaged_index_in_the_store_is_removed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
