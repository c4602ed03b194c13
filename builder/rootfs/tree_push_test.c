/*
 * Random stacks of layers against the plain merge of testdata/mergetree.py.  Run from the
 * root of the repository.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/rootfs/treeload_test.h"

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

	static const char zeros[4096];

	(void)err;
	if (bytes) {
		hash_add(&c->hashes[i], bytes, len);
		return 0;
	}
	for (; len > 0; len -= len < sizeof(zeros) ? len : sizeof(zeros))
		hash_add(&c->hashes[i], zeros, len < sizeof(zeros) ? len : sizeof(zeros));
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
	unsigned last = seeds ? (unsigned)strtoul(seeds, NULL, 10) : 60;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_stacks_show_what_unpacking_them_leaves),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
