#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <isa-l/crc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/index_format.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

static const struct digest diff_id = {{1, 2, 3}};

static void must_add(struct index_builder *b, const struct index_entry *e)
{
	struct error err = ERROR_INIT;

	if (index_builder_add(b, e, &err) < 0)
		fail_msg("%s", err.msg);
}

static void must_finish(struct index_builder *b, struct buf *out)
{
	struct error err = ERROR_INIT;

	if (index_builder_finish(b, &diff_id, out, &err) < 0)
		fail_msg("%s", err.msg);
	index_builder_free(b);
}

static struct index *must_open(const struct buf *bytes)
{
	struct error err = ERROR_INIT;
	struct index *ix = index_open_bytes(bytes->data, bytes->len, &diff_id, &err);

	if (!ix)
		fail_msg("%s", err.msg);
	return ix;
}

/* The names of a plain Python tree: packages with modules, caches, data. */
static void realistic_path(unsigned i, char *path, size_t size)
{
	static const char *const kinds[][2] = {{"module_", ".py"},
					       {"__pycache__/mod_", ".cpython-38.pyc"},
					       {"data-", ".json"},
					       {"libpart", ".so.1"}};
	unsigned folder = i / 12;

	snprintf(path, size, "opt/lib/python3.8/site-packages/pkg%u/sub%u/%s%u%s",
		 folder / 10, folder, kinds[i % 4][0], i, kinds[i % 4][1]);
}

static void a_realistic_layer_takes_at_most_100_bytes_a_file(void **state)
{
	struct index_builder *b = index_builder_new();
	auto_buf struct buf bytes = BUF_INIT;
	unsigned files = 15000;

	(void)state;
	for (unsigned i = 0; i < files; i++) {
		char path[128];
		struct digest d;

		realistic_path(i, path, sizeof(path));
		digest_of(&d, path, strlen(path));
		must_add(b, &(struct index_entry){.path = path,
						  .size = i,
						  .attrs.mode = i % 9 ? 0644 : 0755,
						  .mtime = 1600000000 + i,
						  .header = i * 4096ull,
						  .digest = &d});
	}
	must_finish(b, &bytes);
	struct index *ix = must_open(&bytes);
	assert_true(index_count(ix) > files + 1000);
	if (index_file_size(ix) > 100 * (size_t)files)
		fail_msg("%zu bytes a file", index_file_size(ix) / files);
	index_unref(ix);
}

static void what_was_added_is_read_back(void **state)
{
	static const struct digest content = {{9}};
	struct xattrs *x = xcalloc(1, sizeof(*x) + 2 * sizeof(x->v[0]));
	struct index_builder *b = index_builder_new();
	auto_buf struct buf bytes = BUF_INIT;
	struct index_node n;

	(void)state;
	x->n = 2;
	x->v[0] = (struct xattr){"security.capability", "\0\1\2", 3};
	x->v[1] = (struct xattr){"user.empty", NULL, 0};
	must_add(b, &(struct index_entry){.path = "./",
					  .type = NODE_DIR,
					  .attrs = {.uid = 7, .gid = 8, .mode = 01777}});
	must_add(b, &(struct index_entry){.path = "a",
					  .attrs = {.uid = 4294967294u,
						    .gid = 1,
						    .mode = 06755,
						    .xattrs = x},
					  .mtime = -5,
					  .size = 1ull << 40,
					  .header = 512ull << 33,
					  .digest = &content});
	must_add(b, &(struct index_entry){.path = "b",
					  .type = NODE_BLOCK,
					  .major = 4294967295u,
					  .minor = 3});
	must_add(b, &(struct index_entry){
			    .path = "c", .type = NODE_SYMLINK, .link = "../x"});
	must_add(b,
		 &(struct index_entry){
			 .path = "d", .size = 5, .inline_bytes = "hello", .header = 512});
	must_add(b, &(struct index_entry){.path = "e", .hardlink = true, .link = "/a"});
	must_add(b,
		 &(struct index_entry){.path = "f", .hardlink = true, .link = "./q//r/"});
	must_add(b, &(struct index_entry){.path = "g/.wh.h"});
	free(x);
	must_finish(b, &bytes);
	struct index *ix = must_open(&bytes);
	assert_int_equal(index_count(ix), 9);
	index_get(ix, 0, &n);
	assert_false(n.implied);
	assert_int_equal(n.attrs.uid, 7);
	assert_int_equal(n.attrs.mode, 01777);
	assert_int_equal(n.first, 1);
	assert_int_equal(n.count, 7);
	for (uint32_t i = 1; i <= 5; i += 4) {
		index_get(ix, i, &n);
		assert_string_equal(n.name, i == 1 ? "a" : "e");
		assert_int_equal(n.attrs.uid, 4294967294u);
		assert_int_equal(n.attrs.mode, 06755);
		assert_int_equal(n.attrs.xattrs->n, 2);
		assert_string_equal(n.attrs.xattrs->v[0].name, "security.capability");
		assert_memory_equal(n.attrs.xattrs->v[0].value, "\0\1\2", 3);
		assert_int_equal(n.attrs.xattrs->v[1].len, 0);
		assert_int_equal(n.mtime, -5);
		assert_int_equal(n.size, 1ull << 40);
		assert_int_equal(n.content.kind, CONTENT_LAYER);
		assert_int_equal(n.content.layer.header, 512ull << 33);
		assert_true(digest_equal(n.content.layer.diff_id, &diff_id));
		assert_true(n.content.has_digest);
		assert_true(digest_equal(&n.content.digest, &content));
		assert_int_equal(n.group, 1);
	}
	index_get(ix, 2, &n);
	assert_int_equal(n.major, 4294967295u);
	assert_int_equal(n.minor, 3);
	index_get(ix, 3, &n);
	assert_string_equal(n.link, "../x");
	index_get(ix, 4, &n);
	assert_int_equal(n.content.kind, CONTENT_INLINE);
	assert_memory_equal(n.content.bytes, "hello", 5);
	index_get(ix, 6, &n);
	assert_true(n.foreign_link);
	assert_string_equal(n.link, "q/r");
	index_get(ix, 7, &n);
	assert_true(n.implied);
	index_get(ix, n.first, &n);
	assert_int_equal(n.type, NODE_WHITEOUT);
	assert_string_equal(n.name, "h");
	assert_int_equal(index_foreign_links(ix), 1);
	assert_int_equal(index_implied_folders(ix), 1);
	index_unref(ix);
}

struct refusal {
	struct index_entry first, second;
	const char *text;
};

static void hostile_entries_are_refused(void **state)
{
	static const struct refusal table[] = {
		{{.path = ""}, {0}, "empty name"},
		{{.path = "../a"}, {0}, "\"..\""},
		{{.path = "a/.."}, {0}, "\"..\""},
		{{.path = "."}, {0}, "no folder"},
		{{.path = "/", .type = NODE_SYMLINK, .link = "x"}, {0}, "no folder"},
		{{.path = ".", .hardlink = true, .link = "a"}, {0}, "no folder"},
		{{.path = "f"}, {.path = "f/x"}, "\"f/x\" lies below \"f\""},
		{{.path = "d/l", .type = NODE_SYMLINK, .link = "/"},
		 {.path = "d/l/x/y"},
		 "below \"d/l\""},
		{{.path = "d", .type = NODE_DIR},
		 {.path = "h", .hardlink = true, .link = "d"},
		 "folder"},
		{{.path = "h", .hardlink = true, .link = "/"}, {0}, "folder"},
		{{.path = "h", .hardlink = true, .link = "a/../../b"}, {0}, "\"..\""},
		{{.path = "h", .hardlink = true, .link = ""}, {0}, "empty name"},
		{{.path = ".wh."}, {0}, "no whiteout"},
		{{.path = "a/.wh.."}, {0}, "no whiteout"},
		{{.path = "a/.wh..."}, {0}, "no whiteout"},
		{{.path = "a/.wh.b/c"}, {0}, "below a whiteout"},
		{{.path = "a", .header = 511}, {0}, "impossible"},
		{{.path = "a", .size = 1ull << 63}, {0}, "impossible"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct index_builder *b = index_builder_new();
		struct error err = ERROR_INIT;
		int r = index_builder_add(b, &table[i].first, &err);

		if (table[i].second.path) {
			assert_int_equal(r, 0);
			r = index_builder_add(b, &table[i].second, &err);
		}
		if (r == 0 || err.kind != E_CORRUPT || !strstr(err.msg, table[i].text))
			fail_msg("row %zu: %s", i, r == 0 ? "accepted" : err.msg);
		index_builder_free(b);
	}
}

static void levels_and_names_have_their_limit(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		struct index_builder *b = index_builder_new();
		auto_buf struct buf path = BUF_INIT, name = BUF_INIT, bytes = BUF_INIT;
		struct error err = ERROR_INIT;

		for (int i = 0; i < 255 + more; i++) {
			buf_adds(&path, "d/");
			buf_addc(&name, 'n');
		}
		struct index_entry deep = {.path = path.data, .type = NODE_DIR};
		struct index_entry wide = {.path = name.data};
		assert_int_equal(index_builder_add(b, &deep, &err), -more);
		assert_int_equal(index_builder_add(b, &wide, &err), -more);
		must_finish(b, &bytes);
		index_unref(must_open(&bytes));
	}
}

static void set_crc(struct buf *b)
{
	uint32_t crc = htole32(crc32_gzip_refl(
		0, (unsigned char *)b->data + INDEX_CRC_FROM, b->len - INDEX_CRC_FROM));

	memcpy(b->data + offsetof(struct index_header, crc), &crc, sizeof(crc));
}

/* Reads all that a checked index has. */
static uint64_t touch(const struct index *ix)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < index_count(ix); i++) {
		struct index_node n;
		index_get(ix, i, &n);
		sum += strlen(n.name) + (n.link ? strlen(n.link) : 0) + n.count;
		for (uint32_t k = 0; k < n.count; k++) {
			struct index_node child;
			index_get(ix, n.first + k, &child);
			sum += child.name_len;
		}
		for (uint64_t k = 0; n.content.kind == CONTENT_INLINE && k < n.size; k++)
			sum += ((const unsigned char *)n.content.bytes)[k];
		for (size_t k = 0; n.attrs.xattrs && k < n.attrs.xattrs->n; k++)
			for (size_t j = 0; j < n.attrs.xattrs->v[k].len; j++)
				sum += ((const unsigned char *)n.attrs.xattrs->v[k]
						.value)[j];
	}
	return sum;
}

static void make_small(struct buf *out)
{
	struct index_builder *b = index_builder_new();
	struct xattrs *x = xcalloc(1, sizeof(*x) + sizeof(x->v[0]));

	x->n = 1;
	x->v[0] = (struct xattr){"user.a", "vv", 2};
	must_add(b, &(struct index_entry){
			    .path = "a/b/c", .size = 3, .inline_bytes = "abc"});
	must_add(b, &(struct index_entry){.path = "a/b/d",
					  .size = 9,
					  .digest = &diff_id,
					  .attrs.xattrs = x});
	must_add(b,
		 &(struct index_entry){.path = "a/e", .type = NODE_SYMLINK, .link = "b"});
	must_add(b, &(struct index_entry){.path = "f", .hardlink = true, .link = "zz"});
	must_add(b, &(struct index_entry){.path = ".wh.g"});
	must_add(b,
		 &(struct index_entry){.path = "h", .hardlink = true, .link = "a/b/d"});
	free(x);
	must_finish(b, out);
}

static void every_damaged_byte_is_noticed(void **state)
{
	auto_buf struct buf bytes = BUF_INIT;

	(void)state;
	make_small(&bytes);
	index_unref(must_open(&bytes));
	for (size_t i = 0; i < bytes.len; i++) {
		struct error err = ERROR_INIT;
		bytes.data[i] ^= 0x10;
		assert_null(index_open_bytes(bytes.data, bytes.len, NULL, &err));
		assert_int_equal(err.kind, E_CORRUPT);
		bytes.data[i] ^= 0x10;
	}
	for (size_t len = 0; len < bytes.len; len++) {
		struct error err = ERROR_INIT;
		assert_null(index_open_bytes(bytes.data, len, NULL, &err));
		assert_int_equal(err.kind, E_CORRUPT);
	}
	struct error err = ERROR_INIT;
	assert_null(index_open_bytes(bytes.data, bytes.len, &(struct digest){{5}}, &err));
	assert_int_equal(err.kind, E_CORRUPT);
}

/* A forger fixes the checksum too: what is then accepted must be safe to read. */
static void forged_bytes_are_refused_or_harmless(void **state)
{
	static const unsigned char values[] = {0, 1, 2, 4, 6, 7, 0x7f, 0x80, 0xff};
	auto_buf struct buf bytes = BUF_INIT;
	size_t accepted = 0, refused = 0;

	(void)state;
	make_small(&bytes);
	for (size_t i = INDEX_CRC_FROM; i < bytes.len; i++) {
		char kept = bytes.data[i];
		for (size_t k = 0; k < sizeof(values); k++) {
			struct error err = ERROR_INIT;
			bytes.data[i] = (char)values[k];
			set_crc(&bytes);
			struct index *ix =
				index_open_bytes(bytes.data, bytes.len, NULL, &err);
			if (ix)
				touch(ix);
			accepted += ix != NULL;
			refused += ix == NULL;
			index_unref(ix);
		}
		bytes.data[i] = kept;
	}
	assert_true(accepted > 0 && refused > 0);
}

struct forgery {
	const char *what;
	size_t record, field, size;
	uint32_t value;
};

#define FIELD(f) offsetof(struct index_record, f), sizeof(((struct index_record *)0)->f)

static void forged_records_are_refused(void **state)
{
	/* 0 root: 1 a/, 2 f (foreign), 3 g (whiteout), 4 h; a: 5 b/, 6 e (link); b: 7 c,
	 * 8 d */
	static const struct forgery table[] = {
		{"unchanged", 8, FIELD(mtime), 0},
		{"root is a file", 0, FIELD(type), NODE_FILE},
		{"unknown type", 7, FIELD(type), 7},
		{"children before", 1, FIELD(a), 4},
		{"own child", 1, FIELD(a), 1},
		{"children twice", 5, FIELD(a), 5},
		{"too many children", 5, FIELD(b), 3},
		{"too few children", 5, FIELD(b), 1},
		{"huge number of children", 5, FIELD(b), 0xffffffff},
		{"folder turned file", 5, FIELD(type), NODE_FIFO},
		{"name beyond the pool", 7, FIELD(name), 0xffffffff},
		{"name too long", 7, FIELD(name_len), 255},
		{"empty name", 7, FIELD(name_len), 0},
		{"name cut", 1, FIELD(name), 0},
		{"attributes", 7, FIELD(attrs), 99},
		{"group", 7, FIELD(group), 2},
		{"group of a folder", 5, FIELD(group), 1},
		{"digest", 8, FIELD(digest), 2},
		{"digest of a link", 6, FIELD(digest), 1},
		{"flag of another type", 7, FIELD(flags), RECORD_IMPLIED},
		{"unknown flag", 5, FIELD(flags), 16},
		{"inline without bytes", 8, FIELD(flags), RECORD_INLINE},
		{"bytes without inline", 7, FIELD(flags), 0},
		{"inline size", 7, FIELD(a), 0x10000},
		{"link beyond the pool", 6, FIELD(a), 0x7fffffff},
		{"link length", 6, FIELD(b), 2},
		{"link too long", 6, FIELD(b), 0xffffffff},
	};
	auto_buf struct buf good = BUF_INIT;

	(void)state;
	make_small(&good);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct forgery *f = &table[i];
		auto_buf struct buf bytes = BUF_INIT;
		struct error err = ERROR_INIT;
		uint32_t value = htole32(f->value);

		buf_add(&bytes, good.data, good.len);
		memcpy(bytes.data + sizeof(struct index_header) +
			       f->record * sizeof(struct index_record) + f->field,
		       &value, f->size < sizeof(value) ? f->size : sizeof(value));
		set_crc(&bytes);
		struct index *ix = index_open_bytes(bytes.data, bytes.len, NULL, &err);
		if ((ix != NULL) != (i == 0))
			fail_msg("%s", f->what);
		if (!ix)
			assert_int_equal(err.kind, E_CORRUPT);
		index_unref(ix);
	}
}

static void names_out_of_order_are_refused(void **state)
{
	auto_buf struct buf bytes = BUF_INIT;
	struct index_record *r;

	(void)state;
	make_small(&bytes);
	r = (struct index_record *)(void *)(bytes.data + sizeof(struct index_header));
	for (int twice = 0; twice < 2; twice++) {
		struct error err = ERROR_INIT;
		uint32_t c = r[7].name;

		r[7].name = r[8].name;
		r[8].name = twice ? r[8].name : c;
		set_crc(&bytes);
		assert_null(index_open_bytes(bytes.data, bytes.len, NULL, &err));
		assert_int_equal(err.kind, E_CORRUPT);
		assert_non_null(strstr(err.msg, "order"));
	}
}

static void a_file_is_mapped(void **state)
{
	auto_buf struct buf bytes = BUF_INIT;
	struct error err = ERROR_INIT;
	auto_fd int fd = memfd_create("index", MFD_CLOEXEC);

	(void)state;
	make_small(&bytes);
	assert_null(index_open(fd, &diff_id, &err));
	assert_int_equal(err.kind, E_CORRUPT);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	struct index *ix = index_open(fd, &diff_id, &err);
	assert_non_null(ix);
	struct index *same = index_ref(ix);
	index_unref(ix);
	assert_int_not_equal(touch(same), 0);
	assert_int_equal(index_count(same), 9);
	index_unref(same);
}

/* Adds etc/passwd again and again, then says how large the index is. */
static size_t size_of_repeated(const char *const *paths, size_t npaths, size_t len)
{
	struct index_builder *b = index_builder_new();
	auto_buf struct buf bytes = BUF_INIT;
	auto_free char *content = xcalloc(len, 1);

	for (unsigned i = 0; i < 3000; i++)
		must_add(b, &(struct index_entry){.path = paths[i % npaths],
						  .size = len,
						  .inline_bytes = content,
						  .header = i * 1024ull});
	must_finish(b, &bytes);
	struct index *ix = must_open(&bytes);
	index_unref(ix);
	return bytes.len;
}

static void a_content_that_comes_again_takes_the_place_of_the_first(void **state)
{
	static const char *const paths[] = {"etc/passwd", "etc/group"};

	(void)state;
	assert_in_range(size_of_repeated(paths, 1, 65536), 65536, 66536);
	assert_in_range(size_of_repeated(paths, 2, 65536), 2 * 65536, 2 * 65536 + 1000);
}

static void contents_over_the_limits_stay_in_the_layer(void **state)
{
	struct index_builder *b = index_builder_new();
	auto_buf struct buf bytes = BUF_INIT;
	auto_free char *content = xcalloc(65537, 1);
	unsigned kept = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		auto_free char *path = xasprintf("f%03u", i);
		must_add(b, &(struct index_entry){.path = path,
						  .size = i == 0 ? 65537 : 65536,
						  .inline_bytes = content,
						  .header = i * 512ull});
	}
	must_finish(b, &bytes);
	struct index *ix = must_open(&bytes);
	for (uint32_t i = 1; i <= 1000; i++) {
		struct index_node n;
		index_get(ix, i, &n);
		kept += n.content.kind == CONTENT_INLINE;
		if (n.content.kind != CONTENT_INLINE) {
			assert_int_equal(n.content.kind, CONTENT_LAYER);
			assert_int_equal(n.content.layer.header, (i - 1) * 512ull);
		}
		assert_true(i > 1 || n.content.kind == CONTENT_LAYER);
	}
	assert_in_range(kept, 1, 16);
	assert_true(bytes.len < 1200000);
	index_unref(ix);
}

/* A name of a group that is replaced leaves the content to the others. */
static void a_hard_link_keeps_the_content_of_what_is_replaced(void **state)
{
	struct index_builder *b = index_builder_new();
	auto_buf struct buf bytes = BUF_INIT;
	struct index_node n;

	(void)state;
	must_add(b, &(struct index_entry){.path = "a", .size = 3, .inline_bytes = "one"});
	must_add(b, &(struct index_entry){.path = "b", .hardlink = true, .link = "a"});
	must_add(b, &(struct index_entry){.path = "a", .size = 3, .inline_bytes = "two"});
	must_add(b, &(struct index_entry){.path = "a", .size = 3, .inline_bytes = "six"});
	must_finish(b, &bytes);
	struct index *ix = must_open(&bytes);
	index_get(ix, 1, &n);
	assert_memory_equal(n.content.bytes, "six", 3);
	index_get(ix, 2, &n);
	assert_memory_equal(n.content.bytes, "one", 3);
	index_unref(ix);
}

/* Adds files of distinct xattrs until one is refused: how many bytes went in. */
static size_t xattrs_until_refused(struct error *err)
{
	struct xattrs *x = xcalloc(1, sizeof(*x) + sizeof(x->v[0]));
	struct index_builder *b = index_builder_new();
	auto_free char *value = xcalloc(65536, 1);
	size_t total = 0;

	x->n = 1;
	x->v[0] = (struct xattr){"user.a", value, 65536};
	for (unsigned i = 0; i < 4000; i++) {
		auto_free char *path = xasprintf("f%u", i);
		memcpy(value, &i, sizeof(i));
		if (index_builder_add(
			    b, &(struct index_entry){.path = path, .attrs.xattrs = x},
			    err) < 0)
			break;
		/* the same ones again cost nothing */
		must_add(b, &(struct index_entry){.path = "again", .attrs.xattrs = x});
		total += 65536;
	}
	index_builder_free(b);
	free(x);
	return total;
}

static void the_extended_attributes_of_a_layer_are_bounded(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_in_range(xattrs_until_refused(&err), 16 << 20, 40 << 20);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_non_null(strstr(err.msg, "extended attributes"));
}

static void link_targets_do_not_grow_an_index_without_bound(void **state)
{
	struct index_builder *b = index_builder_new();
	auto_free char *target = xmalloc(65536);
	struct error err = ERROR_INIT;
	unsigned i;

	(void)state;
	memset(target, 'x', 65535);
	target[65535] = '\0';
	for (i = 0; i < 20000; i++) {
		auto_free char *path = xasprintf("l%u", i);
		memcpy(target, path, strlen(path));
		if (index_builder_add(b,
				      &(struct index_entry){.path = path,
							    .type = NODE_SYMLINK,
							    .link = target},
				      &err) < 0)
			break;
	}
	assert_in_range(i, 400, 4000);
	assert_int_equal(err.kind, E_CORRUPT);
	index_builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_realistic_layer_takes_at_most_100_bytes_a_file),
		cmocka_unit_test(what_was_added_is_read_back),
		cmocka_unit_test(hostile_entries_are_refused),
		cmocka_unit_test(levels_and_names_have_their_limit),
		cmocka_unit_test(every_damaged_byte_is_noticed),
		cmocka_unit_test(forged_bytes_are_refused_or_harmless),
		cmocka_unit_test(forged_records_are_refused),
		cmocka_unit_test(names_out_of_order_are_refused),
		cmocka_unit_test(a_file_is_mapped),
		cmocka_unit_test(a_content_that_comes_again_takes_the_place_of_the_first),
		cmocka_unit_test(contents_over_the_limits_stay_in_the_layer),
		cmocka_unit_test(a_hard_link_keeps_the_content_of_what_is_replaced),
		cmocka_unit_test(the_extended_attributes_of_a_layer_are_bounded),
		cmocka_unit_test(link_targets_do_not_grow_an_index_without_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
