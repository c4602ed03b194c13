/*
 * Layers read from tars that other programs made.  Run from the root of the repository.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/rootfs/treeload_test.h"

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
		unsigned long long offset;
		struct index_node in;

		copy = NULL;
		char *name = strchr(line, ' '), *at = strrchr(line, ' ');

		assert_true(name && at && name < at);
		*name++ = *at++ = '\0';
		offset = strtoull(at, NULL, 10);
		read_file(line, &tar);
		struct index *ix = must_load(&tar);
		assert_true(find(ix, name, &in));
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
	struct buf *out = ctx;

	(void)i, (void)err;
	if (bytes) {
		buf_add(out, bytes, len);
		return 0;
	}
	assert_true(len < 4 << 20);
	buf_reserve(out, len);
	memset(out->data + out->len, 0, len);
	out->len += len;
	return 0;
}

/* Runs a Python script in the run's folder. */
static void python(const char *text)
{
	auto_free char *script = xasprintf("%s/make.py", folder);
	FILE *f = fopen(script, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	sh(NULL, PYTHON " make.py");
}

struct holes {
	uint64_t holes, data;
};

static int count_piece(void *ctx, size_t i, const void *bytes, size_t len,
		       struct error *err)
{
	struct holes *h = ctx;

	(void)i, (void)err;
	if (bytes)
		h->data += len;
	else
		h->holes += len;
	return 0;
}

static void the_holes_of_a_sparse_file_are_not_spelled_out(void **state)
{
	auto_buf struct buf tar = BUF_INIT;
	struct holes h = {0};
	struct error err = ERROR_INIT;
	struct index_node in;

	(void)state;
	python("import io, tarfile\n"
	       "t = tarfile.open('h.tar', 'w', format=tarfile.PAX_FORMAT)\n"
	       "ti = tarfile.TarInfo('big'); ti.size = 3\n"
	       "ti.pax_headers = {'GNU.sparse.size': str(1 << 50), "
	       "'GNU.sparse.numblocks': '1',\n"
	       "  'GNU.sparse.map': '1000000000000,3', 'GNU.sparse.name': 'big'}\n"
	       "t.addfile(ti, io.BytesIO(b'abc')); t.close()\n");
	read_file("h.tar", &tar);
	struct index *ix = must_load(&tar);
	assert_true(find(ix, "big", &in));
	assert_int_equal(in.size, 1ull << 50);
	struct source *src = source_bytes(tar.data, tar.len);
	uint64_t header = in.content.layer.header;
	if (treeload_extract(src, &header, 1, count_piece, &h, &err) < 0)
		fail_msg("%s", err.msg);
	source_close(src);
	assert_int_equal(h.data, 3);
	assert_int_equal(h.holes, (1ull << 50) - 3);
	index_unref(ix);
}

/* A header, then a block again and again. */
struct endless {
	struct source base;
	const char *begin;
	const char *again; /* 512 bytes */
	size_t at;
};

static ssize_t endless_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct endless *e = (struct endless *)s;

	(void)err;
	if (e->at > 64 << 20)
		return 0;
	len -= len % 512;
	for (size_t i = 0; i < len; i += 512, e->at += 512)
		memcpy((char *)buf + i, e->at < 512 ? e->begin : e->again, 512);
	return (ssize_t)len;
}

static void endless_close(struct source *s)
{
	(void)s;
}

static const struct source_ops endless_ops = {endless_read, endless_close};

/* GNU's old sparse headers go on in blocks of 21 regions each, as many as they like. */
static void the_headers_of_one_entry_are_bounded(void **state)
{
	char begin[512] = "f", again[512] = {0};
	struct endless e = {.base = {&endless_ops}, .begin = begin, .again = again};
	struct index_builder *b = index_builder_new();
	struct error err = ERROR_INIT;
	unsigned sum = 0;

	(void)state;
	memcpy(begin + 100, "0000644", 8);
	memcpy(begin + 108, "0000000", 8);
	memcpy(begin + 116, "0000000", 8);
	memcpy(begin + 124, "00000000000", 12);
	memcpy(begin + 136, "00000000000", 12);
	begin[156] = 'S';
	memcpy(begin + 257, "ustar  ", 8);
	begin[482] = 1;
	memcpy(begin + 483, "77777777777", 12);
	memset(begin + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += (unsigned char)begin[i];
	snprintf(begin + 148, 8, "%06o", sum);
	for (size_t i = 0; i < 42; i++)
		memset(again + i * 12, '0', 11);
	again[504] = 1;
	assert_int_equal(treeload_read(&e.base, b, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_non_null(strstr(err.msg, "headers"));
	assert_true(e.at < 20 << 20);
	index_builder_free(b);
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
	sh(NULL, "head -c 65536 /dev/zero >r/etc/passwd && "
		 "head -c 65537 /dev/zero >r/etc/group && tar -C r -cf i.tar .");
	read_file("i.tar", &tar);
	ix = must_load(&tar);
	assert_true(find(ix, "etc/passwd", &in));
	assert_int_equal(in.content.kind, CONTENT_INLINE);
	assert_true(find(ix, "etc/group", &in));
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

/* A layer's tar from some offset on, which must not be read past `end`. */
struct part {
	struct source base;
	const struct buf *tar;
	size_t at, end;
};

static ssize_t part_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct part *p = (struct part *)s;
	size_t n = p->tar->len - p->at;

	(void)err;
	assert_true(p->at < p->end);
	n = n < len ? n : len;
	memcpy(buf, p->tar->data + p->at, n);
	p->at += n;
	return (ssize_t)n;
}

/* layer_put: "INDEX:BYTES;" for each piece. */
static int add_numbered(void *ctx, size_t i, const void *bytes, size_t len,
			struct error *err)
{
	(void)err;
	buf_addf(ctx, "%zu:", i);
	buf_add(ctx, bytes, len);
	buf_addc(ctx, ';');
	return 0;
}

/* Entries with pax and GNU headers before their own, folders and links between, and much
 * behind. */
static void files_come_out_of_the_middle_of_a_tar(void **state)
{
	static const char *const formats[] = {"PAX", "GNU"};
	static const struct source_ops ops = {part_read, NULL};
	auto_free char *deep = xasprintf("%0150d/c", 0);
	const char *const names[] = {"a", "b", deep, "d"};

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		auto_buf struct buf tar = BUF_INIT, text = BUF_INIT;
		uint64_t wanted[4];

		sh(&text,
		   "python3 -c \"\n"
		   "import tarfile, io\n"
		   "t = tarfile.open('m.tar', 'w', format=tarfile.%s_FORMAT)\n"
		   "def add(name, data, type=tarfile.REGTYPE):\n"
		   "  ti = tarfile.TarInfo(name); ti.type = type; ti.size = len(data)\n"
		   "  ti.mtime = 1.5; ti.linkname = 'a' * 120\n"
		   "  t.addfile(ti, io.BytesIO(data))\n"
		   "add('dir', b'', tarfile.DIRTYPE)\n"
		   "add('a', b'one')\n"
		   "add('b', b'x' * 513)\n"
		   "add('link', b'', tarfile.SYMTYPE)\n"
		   "add('%s', b'three')\n"
		   "add('d', b'y')\n"
		   "add('rest', bytes(3000000))\n"
		   "t.close()\n"
		   "for m in tarfile.open('m.tar'):\n"
		   "  if m.isreg(): print(m.offset)\"",
		   formats[f], deep);
		read_file("m.tar", &tar);
		struct index *ix = must_load(&tar);
		char *line = text.data;
		for (size_t i = 0; i < 4; i++) {
			struct index_node in;

			wanted[i] = strtoull(line, &line, 10);
			assert_true(find(ix, names[i], &in));
			assert_int_equal(in.content.layer.header, wanted[i]);
		}
		index_unref(ix);
		for (size_t first = 0; first < 4; first++) {
			for (size_t at = 0; at <= wanted[first]; at += 512) {
				auto_buf struct buf got = BUF_INIT, want = BUF_INIT;
				struct part src = {
					{&ops}, &tar, at, (size_t)wanted[3] + 600000};
				struct error err = ERROR_INIT;

				if (treeload_extract_from(&src.base, at, wanted + first,
							  4 - first, add_numbered, &got,
							  &err) < 0)
					fail_msg("%s", err.msg);
				if (first == 0)
					buf_adds(&want, "0:one;");
				if (first <= 1) {
					buf_addf(&want, "%zu:", 1 - first);
					for (int x = 0; x < 513; x++)
						buf_addc(&want, 'x');
					buf_addc(&want, ';');
				}
				if (first <= 2)
					buf_addf(&want, "%zu:three;", 2 - first);
				buf_addf(&want, "%zu:y;", 3 - first);
				assert_string_equal(got.data, want.data);
			}
		}
	}
}

static void a_wanted_file_before_or_behind_the_part_is_corrupt(void **state)
{
	static const uint64_t before[] = {0}, behind[] = {1 << 20};
	auto_buf struct buf tar = BUF_INIT, got = BUF_INIT;

	(void)state;
	sh(NULL, "printf 12345 >f && tar -cf t.tar f");
	read_file("t.tar", &tar);
	for (int i = 0; i < 2; i++) {
		struct source *src = source_bytes(tar.data + 512, tar.len - 512);
		struct error err = ERROR_INIT;

		assert_int_equal(treeload_extract_from(src, 512, i ? behind : before, 1,
						       add_piece, &got, &err),
				 -1);
		assert_int_equal(err.kind, E_CORRUPT);
		source_close(src);
	}
	assert_int_equal(got.len, 0);
}

static void an_index_is_only_saved_under_what_its_tar_hashes_to(void **state)
{
	static const char empty[1024];
	struct error err = ERROR_INIT;
	auto_free char *root = xasprintf("%s/root2", folder);
	struct store *st = store_open(root, &err);
	struct digest other;

	(void)state;
	assert_non_null(st);
	digest_of(&other, "another", 7);
	assert_int_equal(
		treeload_save(source_bytes(empty, sizeof(empty)), st, &other, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_null(treeload_open(st, &other, &err));
	assert_int_equal(err.kind, E_MISSING);
	store_close(st);
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
	if (treeload_save(source_bytes(tar.data, tar.len), st, &d, &err) < 0)
		fail_msg("%s", err.msg);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_where_python_sees_them),
		cmocka_unit_test(sparse_files_come_out_whole),
		cmocka_unit_test(the_holes_of_a_sparse_file_are_not_spelled_out),
		cmocka_unit_test(the_headers_of_one_entry_are_bounded),
		cmocka_unit_test(a_tar_cut_anywhere_but_between_entries_is_corrupt),
		cmocka_unit_test(a_layer_can_be_empty),
		cmocka_unit_test(what_is_no_tar_is_corrupt),
		cmocka_unit_test(hostile_entries_are_refused_by_name),
		cmocka_unit_test(passwd_and_group_are_kept_inline),
		cmocka_unit_test(a_header_that_is_not_met_is_corrupt),
		cmocka_unit_test(files_come_out_of_the_middle_of_a_tar),
		cmocka_unit_test(a_wanted_file_before_or_behind_the_part_is_corrupt),
		cmocka_unit_test(an_index_is_only_saved_under_what_its_tar_hashes_to),
		cmocka_unit_test(a_damaged_index_in_the_store_is_removed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
