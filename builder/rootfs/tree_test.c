#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/tree.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

static const struct digest no_digest;

static void add(struct index_builder *b, const struct index_entry *e)
{
	struct error err = ERROR_INIT;

	if (index_builder_add(b, e, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct index *finish(struct index_builder *b)
{
	auto_buf struct buf bytes = BUF_INIT;
	struct error err = ERROR_INIT;

	assert_int_equal(index_builder_finish(b, &no_digest, &bytes, &err), 0);
	index_builder_free(b);
	struct index *ix = index_open_bytes(bytes.data, bytes.len, NULL, &err);
	if (!ix)
		fail_msg("%s", err.msg);
	return ix;
}

/* A layer in words: "NAME/" a folder, "NAME=N" a file of N bytes, "NAME>TARGET" a
 * symlink, "NAME&TARGET" a hard link. */
static struct index *layer(const char *words)
{
	struct index_builder *b = index_builder_new();
	auto_free char *copy = xstrdup(words);
	char *save = NULL;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		struct index_entry e = {.path = w, .attrs.mode = 0644, .mtime = 7};
		char *sign = strpbrk(w, "=>&");

		if (!sign) {
			e.type = NODE_DIR;
			e.attrs.mode = 0700;
		} else if (*sign == '=') {
			e.size = strtoull(sign + 1, NULL, 10);
		} else {
			e.type = *sign == '>' ? NODE_SYMLINK : NODE_FILE;
			e.hardlink = *sign == '&';
			e.link = sign + 1;
		}
		if (sign)
			*sign = '\0';
		add(b, &e);
	}
	return finish(b);
}

static struct tree *stack(const char *const layers[])
{
	struct tree *t = tree_new();
	struct error err = ERROR_INIT;

	for (; *layers; layers++) {
		struct index *ix = layer(*layers);
		if (tree_push_index(t, ix, &err) < 0)
			fail_msg("%s", err.msg);
		index_unref(ix);
	}
	return t;
}

static void show(struct tree *t, struct node *dir, bool full, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct cursor c;
	struct node *n;

	assert_int_equal(tree_children(t, dir, &c, &err), 0);
	while ((n = cursor_next(&c))) {
		tree_path(n, out);
		if (n->type == NODE_DIR)
			buf_addc(out, '/');
		else if (n->type == NODE_SYMLINK)
			buf_addf(out, ">%s", n->link);
		else
			buf_addf(out, "=%llu", (unsigned long long)n->size);
		if (full)
			buf_addf(out, ":%o:%u:%lld\n", n->attrs.mode, n->attrs.uid,
				 (long long)n->mtime);
		else
			buf_addc(out, ' ');
		if (n->type == NODE_DIR)
			show(t, n, full, out);
	}
}

struct merge {
	const char *layers[5], *shown;
};

static void layers_merge_by_the_rules(void **state)
{
	static const struct merge table[] = {
		{{"a/ a/x=1", "a/ a/y=2"}, "a/ a/x=1 a/y=2 "},
		{{"a/ a/x=1", "a/ a/x=2"}, "a/ a/x=2 "},
		{{"a/ a/x=1", ".wh.a=0"}, ""},
		{{"a/ a/x=1", ".wh.a=0", "a/ a/y=2"}, "a/ a/y=2 "},
		{{"a/ a/x=1", ".wh.a=0 a/ a/y=2"}, "a/ a/y=2 "},
		{{"a/ a/x=1", "a/ a/y=2 .wh.a=0"}, "a/ a/y=2 "},
		{{"a/ a/x=1", "a/ a/.wh..wh..opq=0 a/y=2"}, "a/ a/y=2 "},
		{{"a/ a/x=1", "a/y=2 a/.wh..wh..opq=0"}, "a/ a/y=2 "},
		{{"a/ a/x=1", "a=5"}, "a=5 "},
		{{"a/ a/x=1", "a=5", "a/ a/y=2"}, "a/ a/y=2 "},
		{{"a=5", "a/ a/y=2"}, "a/ a/y=2 "},
		{{"a=5", ".wh.a=0 a=6"}, "a=6 "},
		{{"a=5 a=6"}, "a=6 "},
		{{"a/ a/x=1 a=6 a/ a/y=2"}, "a/ a/y=2 "},
		{{"a/ a/x=1", "a/ a/.wh.x=0"}, "a/ "},
		{{"a/ a/x=1", "a/ a/.wh.nothing=0"}, "a/ a/x=1 "},
		{{"a/ a/x=1", ".wh..wh.plnk/7=0 .wh..wh.aufs=0"}, "a/ a/x=1 "},
		{{"x=1", ".wh..wh..opq=0 y=2"}, "y=2 "},
		{{"f=5", "g&f .wh.f=0"}, "g=5 "},
		{{"f=5 d/", "d/g&f f=6"}, "d/ d/g=5 f=6 "},
		{{"f=5", "f=6 g&f"}, "f=6 g=6 "},
		{{"usr/ usr/bin/ usr/bin/a=1 bin>usr/bin", "bin/b=2"},
		 "bin>usr/bin usr/ usr/bin/ usr/bin/a=1 usr/bin/b=2 "},
		{{"usr/ usr/bin/ usr/bin/a=1 bin>usr/bin", "bin/.wh.a=0"},
		 "bin>usr/bin usr/ usr/bin/ "},
		{{"usr/ usr/bin/ bin>usr/bin", "bin/ bin/b=2"},
		 "bin/ bin/b=2 usr/ usr/bin/ "},
		{{"bin>nowhere", "bin/b=2"}, "bin/ bin/b=2 "},
		{{"bin>bin", "bin/b=2"}, "bin/ bin/b=2 "},
		{{"l>d d/ d/m>e d/e/", "l/m/f=1"}, "d/ d/e/ d/e/f=1 d/m>e l>d "},
		{{"b=1 a=2 B=3 a.b/ a-=4"}, "B=3 a=2 a-=4 a.b/ b=1 "},
		{{"//./a//b/=1"}, "a/ a/b/ "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		auto_buf struct buf got = BUF_INIT;
		struct tree *t = stack(table[i].layers);

		show(t, tree_root(t), false, &got);
		if (strcmp(got.data, table[i].shown) != 0)
			fail_msg("row %zu: %s, not %s", i, got.data, table[i].shown);
		tree_free(t);
	}
}

static struct node *get(struct tree *t, const char *path)
{
	struct error err = ERROR_INIT;
	struct node *n = NULL;
	auto_free char *rest = NULL;

	return tree_resolve(t, path, 0, &n, &rest, &err) == 1 ? n : NULL;
}

static void an_implied_folder_takes_the_attributes_below(void **state)
{
	static const char *const layers[] = {"a/", "a/x=1 b/x=1", ".wh.b=0 b/y=1", NULL};
	struct tree *t = stack(layers);

	(void)state;
	assert_int_equal(get(t, "a")->attrs.mode, 0700);
	assert_int_equal(get(t, "a")->mtime, 7);
	assert_int_equal(get(t, "b")->attrs.mode, 0755);
	assert_int_equal(get(t, "b")->mtime, 0);
	tree_free(t);
}

static void hard_links_share_a_group_and_foreign_ones_must_exist(void **state)
{
	static const char *const layers[] = {"f=5 g&f", "d/h&f", NULL};
	struct tree *t = stack(layers);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_not_equal(get(t, "f")->group, 0);
	assert_int_equal(get(t, "f")->group, get(t, "g")->group);
	assert_int_equal(get(t, "f")->group, get(t, "d/h")->group);
	static const char *const bad[] = {"x&nothing", "x&d"};
	for (size_t i = 0; i < 2; i++) {
		struct index *ix = layer(bad[i]);
		assert_int_equal(tree_push_index(t, ix, &err), -1);
		assert_int_equal(err.kind, E_CORRUPT);
		assert_null(get(t, "x"));
		index_unref(ix);
	}
	tree_free(t);
}

struct resolving {
	const char *path;
	bool follow;
	int found;
	const char *at, *rest;
};

static void paths_resolve_inside_the_root(void **state)
{
	static const char *const layers[] = {
		"d/ d/e/ d/e/f=1 d/up>../.. d/abs>/d/e abs>/d rel>d/e file>d/e/f "
		"loop>loop "
		"gone>d/new/x out>/../../d/e chain>rel empty=0 d/two>gone",
		NULL};
	static const struct resolving table[] = {
		{"", false, 1, "", NULL},
		{"/", false, 1, "", NULL},
		{"..", false, 1, "", NULL},
		{"../../d/./e//", false, 1, "d/e", NULL},
		{"d/e/f", false, 1, "d/e/f", NULL},
		{"d/e/../../d", false, 1, "d", NULL},
		{"abs", false, 1, "abs", NULL},
		{"abs", true, 1, "d", NULL},
		{"abs/", false, 1, "d", NULL},
		{"abs/e/f", false, 1, "d/e/f", NULL},
		{"d/up/d/abs/f", false, 1, "d/e/f", NULL},
		{"d/up/..", false, 1, "", NULL},
		{"rel/..", false, 1, "d", NULL},
		{"out", true, 1, "d/e", NULL},
		{"chain/f", false, 1, "d/e/f", NULL},
		{"file", true, 1, "d/e/f", NULL},
		{"file/", false, -1, "d/e/f", NULL},
		{"d/e/f/", false, -1, "d/e/f", NULL},
		{"d/e/f/.", false, -1, "d/e/f", NULL},
		{"d/e/f/x", false, -1, "d/e/f", NULL},
		{"d/e/f/..", false, -1, "d/e/f", NULL},
		{"loop", false, 1, "loop", NULL},
		{"loop", true, -1, "", NULL},
		{"loop/x", false, -1, "", NULL},
		{"d/x", false, 0, "d", "x"},
		{"d/x/y//z/", false, 0, "d", "x/y/z"},
		{"d/x/../y", false, 0, "d", "y"},
		{"d/x/..", false, 1, "d", NULL},
		{"d/x/../../d/e/f", false, 1, "d/e/f", NULL},
		{"gone", false, 1, "gone", NULL},
		{"gone", true, 0, "d", "new/x"},
		{"gone/y", false, 0, "d", "new/x/y"},
		{"d/two", true, 0, "d", "gone"},
	};
	struct tree *t = stack(layers);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct resolving *r = &table[i];
		auto_buf struct buf at = BUF_INIT;
		struct error err = ERROR_INIT;
		auto_free char *rest = NULL;
		struct node *n = NULL;
		int found = tree_resolve(t, r->path, r->follow ? TREE_FOLLOW_LAST : 0, &n,
					 &rest, &err);

		tree_path(n, &at);
		if (found != r->found ||
		    strcmp(r->rest ? r->rest : "", rest ? rest : "") != 0)
			fail_msg("%s: %d, rest %s", r->path, found, rest ? rest : "none");
		if (found < 0)
			assert_int_equal(err.kind, E_INPUT);
		if (*r->at || found >= 0)
			assert_string_equal(at.data, r->at);
	}
	tree_free(t);
}

static void a_chain_of_forty_links_is_followed_but_not_more(void **state)
{
	auto_buf struct buf words = BUF_INIT;
	struct error err = ERROR_INIT;
	auto_free char *rest = NULL;
	struct node *n;

	(void)state;
	buf_adds(&words, "l0=1");
	for (int i = 1; i <= 41; i++)
		buf_addf(&words, " l%d>l%d", i, i - 1);
	const char *layers[] = {words.data, NULL};
	struct tree *t = stack(layers);
	assert_int_equal(tree_resolve(t, "l40", TREE_FOLLOW_LAST, &n, &rest, &err), 1);
	assert_string_equal(n->name, "l0");
	assert_int_equal(tree_resolve(t, "l41", TREE_FOLLOW_LAST, &n, &rest, &err), -1);
	tree_free(t);
}

/* Changes in words, as layer()'s; "-NAME" removes. */
static void change(struct tree *t, const char *words)
{
	auto_free char *copy = xstrdup(words);
	struct error err = ERROR_INIT;
	char *save = NULL;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		struct node_value v = {.attrs.mode = 0604, .mtime = 9, .type = NODE_DIR};
		char *sign = strpbrk(w, "=>");
		char *slash;
		struct node *dir = tree_root(t);

		if (*w == '-') {
			struct node *n = get(t, w + 1);
			assert_non_null(n);
			tree_remove(t, n);
			continue;
		}
		if (sign) {
			v.type = *sign == '=' ? NODE_FILE : NODE_SYMLINK;
			v.size = *sign == '=' ? strtoull(sign + 1, NULL, 10) : 0;
			v.link = *sign == '>' ? sign + 1 : NULL;
			*sign = '\0';
		} else if (w[strlen(w) - 1] == '/') {
			w[strlen(w) - 1] = '\0';
		}
		slash = strrchr(w, '/');
		if (slash) {
			*slash = '\0';
			dir = get(t, w);
			assert_non_null(dir);
			w = slash + 1;
		}
		assert_non_null(tree_put(t, dir, w, strlen(w), &v, &err));
	}
}

static int tell(void *ctx, struct node *n, const char *path, bool changed,
		struct error *err)
{
	struct buf *out = ctx;

	(void)err;
	buf_addf(out, "%s%s%s%s ", changed ? "" : "(",
		 n->type == NODE_WHITEOUT ? "-" : "", *path ? path : ".",
		 changed ? "" : ")");
	return 0;
}

struct changing {
	const char *below, *before, *step, *told;
};

static void a_step_tells_what_it_set(void **state)
{
	static const struct changing table[] = {
		{"a/ a/x=1", "", "", ""},
		{"a/ a/x=1", "", "a/y=2", "(a) a/y "},
		{"a/ a/x=1", "", "a/x=1", "(a) a/x "},
		{"a/ a/x=1", "", "-a/x", "(a) -a/x "},
		{"a/ a/x=1", "", "-a", "-a "},
		{"a/ a/x=1", "", "-a/x -a", "-a "},
		{"a/ a/x=1", "", "a=3", "a "},
		{"a/ a/x=1", "", "-a a=3", "a "},
		{"a/ a/x=1", "", "-a a/", "a -a/x "},
		{"a/ a/x=1", "", "-a a/ a/x=2", "a a/x "},
		{"a/ a/x=1", "", "a=3 -a", "-a "},
		{"a/ a/x=1", "", "a=3 a/ a/y=1", "a -a/x a/y "},
		{"a/ a/x=1", "", "a=3 a/ -a", "-a "},
		{"a/ a/x=1", "", "a=3 a/ -a a/", "a -a/x "},
		{"a/ a/b/ a/b/x=1 a/b/y=1", "", "-a a/ a/b/", "a a/b -a/b/x -a/b/y "},
		{"a/ a/b/ a/b/x=1", "", "-a/b/x -a a/ a/b/ a/b/x=2", "a a/b a/b/x "},
		{"a/ a/x=1", "-a", "a/", "a "},
		{"a/ a/x=1", "-a", "a/ -a", ""},
		{"a/ a/x=1", "a/y=1", "-a a/", "a -a/x -a/y "},
		{"a/ a/x=1", "a/y=1", "-a/y", "(a) -a/y "},
		{"a=1", "", "-a a/ a/x=1", "a a/x "},
		{"a=1", "", "a=2 a/ -a", "-a "},
		{"a=1", "", "a>b", "a "},
		{"", "", "a/ a/b=1 -a/b", "a "},
		{"", "", "a/ a/b=1 -a", ""},
		{"", "", "a=1 a-=1 a.b/ a.b/c=1 a/ a/x=1", "a a/x a- a.b a.b/c "},
		{".a=1 .xh=1 b=1 .wh=1", "", "-b .a=1 .xh=1 .wh=1", ".a .wh -b .xh "},
		{"a/ a/b/ a/b/c/ a/b/c/d=1 a/e=1", "", "a/b/c/d=2 a/e=2",
		 "(a) (a/b) (a/b/c) a/b/c/d a/e "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const char *layers[] = {table[i].below, NULL};
		auto_buf struct buf told = BUF_INIT;
		struct error err = ERROR_INIT;
		struct tree *t = stack(layers);

		tree_begin_step(t);
		change(t, table[i].before);
		tree_begin_step(t);
		change(t, table[i].step);
		assert_int_equal(tree_changes(t, tell, &told, &err), 0);
		if (strcmp(told.data, table[i].told) != 0)
			fail_msg("row %zu: %s, not %s", i, told.data, table[i].told);
		assert_int_equal(tree_step_empty(t), told.len == 0);
		tree_free(t);
	}
}

static void the_root_is_told_only_when_it_changed(void **state)
{
	static const char *const layers[] = {"a=1", NULL};
	const struct attrs a = {.uid = 5, .mode = 0700};
	auto_buf struct buf told = BUF_INIT;
	struct error err = ERROR_INIT;
	struct tree *t = stack(layers);

	(void)state;
	tree_begin_step(t);
	tree_set_attrs(t, tree_root(t), &a, 3);
	change(t, "a=2");
	assert_int_equal(tree_changes(t, tell, &told, &err), 0);
	assert_string_equal(told.data, ". a ");
	assert_int_equal(tree_root(t)->attrs.uid, 5);
	tree_free(t);
}

/* A small generator of its own: the sequence must not change with libc. */
static uint32_t draw(uint64_t *seed, uint32_t n)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33) % n;
}

static int to_layer(void *ctx, struct node *n, const char *path, bool changed,
		    struct error *err)
{
	struct index_entry e = {.path = path,
				.type = n->type,
				.attrs = n->attrs,
				.mtime = n->mtime,
				.size = n->size,
				.link = n->link};
	auto_free char *white = NULL;

	(void)changed;
	if (n->type == NODE_WHITEOUT) {
		const char *slash = strrchr(path, '/');
		white = xasprintf("%.*s.wh.%s", slash ? (int)(slash + 1 - path) : 0, path,
				  n->name);
		e = (struct index_entry){.path = white};
	}
	return index_builder_add(ctx, &e, err);
}

static void random_change(struct tree *t, uint64_t *seed)
{
	static const char *const names[] = {"a", "b", "c", "a.", "a-"};
	struct node *dir = tree_root(t), *n;
	struct error err = ERROR_INIT;
	const char *name;

	for (;;) {
		name = names[draw(seed, 5)];
		n = tree_child(t, dir, name, strlen(name), &err);
		if (!n || n->type != NODE_DIR || draw(seed, 4) == 0)
			break;
		dir = n;
	}
	struct node_value v = {
		.attrs = {.uid = draw(seed, 3), .mode = 0700 + draw(seed, 8)},
		.mtime = draw(seed, 5)};
	switch (draw(seed, 6)) {
	case 0:
	case 1:
		v.type = NODE_FILE;
		v.size = draw(seed, 9);
		break;
	case 2:
	case 3:
		v.type = NODE_DIR;
		break;
	case 4:
		if (n)
			tree_remove(t, n);
		return;
	default:
		if (n)
			tree_set_attrs(t, n, &v.attrs, v.mtime);
		return;
	}
	assert_non_null(tree_put(t, dir, name, strlen(name), &v, &err));
}

static void the_layers_of_random_steps_show_the_same_tree(void **state)
{
	(void)state;
	for (uint64_t round = 1; round <= 1500; round++) {
		static const char *const base[] = {
			"a/ a/b/ a/b/c=1 a/c=2 b/ b/a/ b/a/a/ b/a/a/a=3 c=4",
			"a/ a/.wh.c=0 b/a/ b/a/b=5", NULL};
		struct tree *t = stack(base);
		uint64_t seed = round;

		for (int step = 0; step < 3; step++) {
			auto_buf struct buf want = BUF_INIT, got = BUF_INIT;
			struct index_builder *b = index_builder_new();
			struct error err = ERROR_INIT;

			tree_begin_step(t);
			for (uint32_t i = 0, n = 1 + draw(&seed, 12); i < n; i++)
				random_change(t, &seed);
			if (tree_changes(t, to_layer, b, &err) < 0)
				fail_msg("%s", err.msg);
			struct index *ix = finish(b);
			assert_int_equal(tree_step_empty(t), index_count(ix) == 1);
			tree_add_layer(t, ix);
			index_unref(ix);
			struct tree *copy = tree_fork(t);
			assert_non_null(copy);
			show(t, tree_root(t), true, &want);
			show(copy, tree_root(copy), true, &got);
			if (strcmp(want.data, got.data) != 0)
				fail_msg(
					"round %llu, step %d\n--- tree\n%s--- layers\n%s",
					(unsigned long long)round, step, want.data,
					got.data);
			if (draw(&seed, 2)) {
				tree_free(t);
				t = copy;
			} else {
				tree_free(copy);
			}
		}
		tree_free(t);
	}
}

static int fill(void *ctx, struct tree *t, struct node *dir, struct error *err)
{
	struct node_value v = {.type = NODE_DIR, .attrs.mode = 0755};
	unsigned *filled = ctx;

	if (dir->name_len == 3)
		return error_set(err, E_AUTH, "no entry");
	(*filled)++;
	tree_add(t, dir, "bbb", 3, &v);
	tree_add(t, dir, "a", 1, &v);
	return 0;
}

static void a_view_is_filled_when_it_is_entered(void **state)
{
	unsigned filled = 0;
	struct tree *t = tree_new_view(fill, &filled);
	struct error err = ERROR_INIT;
	struct cursor c;

	(void)state;
	assert_int_equal(filled, 0);
	assert_non_null(get(t, "a/a/a"));
	assert_int_equal(filled, 3);
	assert_int_equal(tree_children(t, tree_root(t), &c, &err), 0);
	assert_string_equal(cursor_next(&c)->name, "a");
	struct node *bbb = cursor_next(&c);
	assert_string_equal(bbb->name, "bbb");
	assert_null(cursor_next(&c));
	assert_null(tree_child(t, bbb, "a", 1, &err));
	assert_int_equal(err.kind, E_AUTH);
	struct error failed = ERROR_INIT;
	auto_free char *rest = NULL;
	struct node *n;
	assert_int_equal(tree_resolve(t, "bbb/a", 0, &n, &rest, &failed), -1);
	assert_int_equal(failed.kind, E_AUTH);
	tree_free(t);
}

static void a_folder_of_200000_entries_takes_no_quadratic_time(void **state)
{
	struct index_builder *b = index_builder_new();
	struct error err = ERROR_INIT;
	char path[32];

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(path, sizeof(path), "d/%u", i * 7919u % 200000u);
		add(b, &(struct index_entry){.path = path, .size = i});
	}
	struct index *ix = finish(b);
	struct tree *t = tree_new();
	assert_int_equal(tree_push_index(t, ix, &err), 0);
	index_unref(ix);
	struct node *d = get(t, "d");
	tree_begin_step(t);
	for (unsigned i = 0; i < 200000; i += 2) {
		struct node_value v = {.size = i};
		snprintf(path, sizeof(path), "%u", i);
		struct node *n = tree_child(t, d, path, strlen(path), &err);
		assert_non_null(n);
		if (i % 4)
			tree_remove(t, n);
		else
			assert_non_null(tree_put(t, d, path, strlen(path), &v, &err));
	}
	struct cursor c;
	size_t n = 0;
	assert_int_equal(tree_children(t, d, &c, &err), 0);
	while (cursor_next(&c))
		n++;
	assert_int_equal(n, 150000);
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_merge_by_the_rules),
		cmocka_unit_test(an_implied_folder_takes_the_attributes_below),
		cmocka_unit_test(hard_links_share_a_group_and_foreign_ones_must_exist),
		cmocka_unit_test(paths_resolve_inside_the_root),
		cmocka_unit_test(a_chain_of_forty_links_is_followed_but_not_more),
		cmocka_unit_test(a_step_tells_what_it_set),
		cmocka_unit_test(the_root_is_told_only_when_it_changed),
		cmocka_unit_test(the_layers_of_random_steps_show_the_same_tree),
		cmocka_unit_test(a_view_is_filled_when_it_is_entered),
		cmocka_unit_test(a_folder_of_200000_entries_takes_no_quadratic_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
