/*
 * layer_test.h - for tests: runs the second writer, reads its descriptions
 *
 * The format is in testdata/README.md.  Include it after cmocka.h.
 */
#ifndef HOD_LAYER_TEST_H
#define HOD_LAYER_TEST_H

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/rootfs/layer.h"
#include "builder/rootfs/tar.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/store.h"

#define PYTHON "/usr/bin/python3"
#define SLOW "testdata/slowlayer.py"

/* One line of a description (testdata/README.md). */
struct line {
	struct tar_entry e;
	struct buf content;
	unsigned hard;
};

struct description {
	struct line *v;
	size_t n, cap;
	int64_t time;
	int level;
};

static char *folder; /* of this run */

static char *in_folder(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

/* Runs a program with its output in a file of the run's folder; its status. */
static int run(const char *output, const char *const argv[])
{
	auto_free char *path = in_folder(output);
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		if (fd < 0 || dup2(fd, 1) < 0)
			_exit(126);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void read_file(const char *name, struct buf *out)
{
	auto_free char *path = in_folder(name);
	struct error err = ERROR_INIT;

	if (file_read(AT_FDCWD, path, (size_t)1 << 30, out, &err) < 0)
		fail_msg("%s", err.msg);
}

static void write_file(const char *name, const char *text)
{
	auto_free char *path = in_folder(name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

/* Writes slow.tar and slow.gz; level NULL: the description's. */
static void slow_writer(const char *description, const char *level)
{
	auto_free char *in = in_folder(description), *tar = in_folder("slow.tar"),
		       *gz = in_folder("slow.gz");
	const char *argv[] = {PYTHON, SLOW, "--tar",   tar,   "--gzip",
			      gz,     in,   "--level", level, NULL};

	if (!level)
		argv[7] = NULL;
	assert_int_equal(run("slow.out", argv), 0);
}

static void add_base64(struct buf *out, const char *text)
{
	size_t len = strlen(text);
	int n;

	buf_reserve(out, len);
	n = EVP_DecodeBlock((unsigned char *)out->data + out->len,
			    (const unsigned char *)text, (int)len);
	assert_true(n >= 0);
	while (len > 0 && text[--len] == '=')
		n--;
	out->len += (size_t)n;
	out->data[out->len] = '\0';
}

static double number(const cJSON *o, const char *key, double otherwise)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return v ? v->valuedouble : otherwise;
}

/* KEY, or KEY_b64; yours.  NULL when there is neither. */
static char *text(const cJSON *o, const char *key)
{
	auto_free char *b64 = xasprintf("%s_b64", key);
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	auto_buf struct buf out = BUF_INIT;

	if (v)
		return xstrdup(v->valuestring);
	v = cJSON_GetObjectItemCaseSensitive(o, b64);
	if (!v)
		return NULL;
	add_base64(&out, v->valuestring);
	return buf_detach(&out);
}

static void make_content(const cJSON *o, struct buf *out)
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(o, "data");
	size_t size = (size_t)number(o, "size", 0);
	char input[64];
	struct digest d;

	if (!cJSON_GetObjectItemCaseSensitive(o, "seed")) {
		if (data)
			add_base64(out, data->valuestring);
		return;
	}
	for (size_t i = 0; out->len < size; i++) {
		snprintf(input, sizeof(input), "%.0f.%zu", number(o, "seed", 0), i);
		digest_of(&d, input, strlen(input));
		buf_add(out, d.bytes, sizeof(d.bytes));
	}
	buf_truncate(out, size);
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "text")))
		for (size_t i = 0; i < size; i++)
			out->data[i] = (char)(0x61 + (out->data[i] & 7));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

static const struct xattrs *make_xattrs(const cJSON *o)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(o, "xattrs"), *v;
	struct xattrs *x;

	if (!all)
		return NULL;
	x = xcalloc(1, sizeof(*x) + (size_t)cJSON_GetArraySize(all) * sizeof(x->v[0]));
	cJSON_ArrayForEach(v, all)
	{
		struct buf value = BUF_INIT;

		add_base64(&value, v->valuestring);
		x->v[x->n].name = xstrdup(v->string);
		x->v[x->n].len = value.len;
		x->v[x->n++].value = buf_detach(&value);
	}
	qsort(x->v, x->n, sizeof(x->v[0]), by_name);
	return x;
}

static enum node_type type_of(const char *word)
{
	static const char *const words[] = {
		[NODE_FILE] = "file",        [NODE_DIR] = "dir",
		[NODE_SYMLINK] = "symlink",  [NODE_CHAR] = "char",
		[NODE_BLOCK] = "block",      [NODE_FIFO] = "fifo",
		[NODE_WHITEOUT] = "whiteout"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(word, words[i]) == 0)
			return (enum node_type)i;
	fail_msg("type %s", word);
	return NODE_FILE;
}

static void add_line(struct description *d, const cJSON *o)
{
	struct line *l;
	char *path;

	GROW(d->v, d->n, d->cap);
	l = &d->v[d->n++];
	*l = (struct line){.content = BUF_INIT};
	path = text(o, "path");
	if (strcmp(path, ".") == 0)
		*path = '\0';
	l->e.path = path;
	l->e.type = type_of(cJSON_GetObjectItemCaseSensitive(o, "type")->valuestring);
	l->e.attrs.mode = (uint16_t)number(o, "mode", 0644);
	l->e.attrs.uid = (uint32_t)number(o, "uid", 0);
	l->e.attrs.gid = (uint32_t)number(o, "gid", 0);
	l->e.attrs.xattrs = make_xattrs(o);
	l->e.mtime = (int64_t)number(o, "mtime", (double)d->time);
	l->e.link = text(o, "link");
	l->e.major = (uint32_t)number(o, "major", 0);
	l->e.minor = (uint32_t)number(o, "minor", 0);
	l->hard = (unsigned)number(o, "hard", 0);
	make_content(o, &l->content);
	l->e.size = l->content.len;
}

/* Bytewise by names: a slash sorts before every byte of a name. */
static int by_path(const void *a, const void *b)
{
	const struct line *left = a, *right = b;
	auto_buf struct buf pa = BUF_INIT, pb = BUF_INIT;
	size_t i = 0;
	int x, y;

	tar_path(&left->e, &pa);
	tar_path(&right->e, &pb);
	if (*left->e.path == '\0' || *right->e.path == '\0')
		return (*left->e.path != '\0') - (*right->e.path != '\0');
	while (pa.data[i] && pa.data[i] == pb.data[i])
		i++;
	x = pa.data[i] == '/'    ? 1
	    : pa.data[i] == '\0' ? 0
				 : 1 + (unsigned char)pa.data[i];
	y = pb.data[i] == '/'    ? 1
	    : pb.data[i] == '\0' ? 0
				 : 1 + (unsigned char)pb.data[i];
	return x - y;
}

static void resolve_links(struct description *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct line *l = &d->v[i];

		for (size_t j = 0; l->hard && j < i; j++) {
			if (d->v[j].hard != l->hard)
				continue;
			l->e.hardlink = true;
			free((char *)(uintptr_t)l->e.link);
			l->e.link = xstrdup(d->v[j].e.path);
			break;
		}
	}
}

static void load(struct description *d, const char *name)
{
	auto_buf struct buf all = BUF_INIT;
	char *save = NULL;

	*d = (struct description){.time = 315532800, .level = 1};
	read_file(name, &all);
	for (char *s = strtok_r(all.data, "\n", &save); s;
	     s = strtok_r(NULL, "\n", &save)) {
		cJSON *o = cJSON_Parse(s);

		assert_non_null(o);
		if (strcmp(cJSON_GetObjectItemCaseSensitive(o, "type")->valuestring,
			   "layer") == 0) {
			d->time = (int64_t)number(o, "time", 315532800);
			d->level = (int)number(o, "level", 1);
		} else {
			add_line(d, o);
		}
		cJSON_Delete(o);
	}
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].e.type == NODE_WHITEOUT)
			d->v[i].e.mtime = d->time;
	if (d->n > 0)
		qsort(d->v, d->n, sizeof(*d->v), by_path);
	resolve_links(d);
}

static void unload(struct description *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct tar_entry *e = &d->v[i].e;

		free((char *)(uintptr_t)e->path);
		free((char *)(uintptr_t)e->link);
		for (size_t j = 0; e->attrs.xattrs && j < e->attrs.xattrs->n; j++) {
			free((char *)(uintptr_t)e->attrs.xattrs->v[j].name);
			free((void *)(uintptr_t)e->attrs.xattrs->v[j].value);
		}
		free((void *)(uintptr_t)e->attrs.xattrs);
		buf_release(&d->v[i].content);
	}
	free(d->v);
}

static struct store *open_store(void)
{
	struct error err = ERROR_INIT;
	auto_free char *path = in_folder("store");
	struct store *st = store_open(path, &err);

	if (!st)
		fail_msg("%s", err.msg);
	return st;
}

static void make_random(unsigned seed, bool keep)
{
	auto_free char *word = xasprintf("%u", seed);
	const char *argv[] = {PYTHON, "testdata/randomtree.py", word, NULL, NULL};

	if (keep)
		argv[3] = "--keep";
	assert_int_equal(run("random.json", argv), 0);
}

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	folder = xasprintf("%s/layer_test.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	file_remove_tree(AT_FDCWD, folder, NULL);
	free(folder);
	return 0;
}

#endif
