/* struct run_spec as bytes: numbers of 8 bytes, strings with their length before them.
 * Both ends are the same program. */
#include <stdlib.h>
#include <string.h>

#include "builder/run_worker.h"
#include "registry/base/alloc.h"

static const char magic[] = "hod run 1";

void run_spec_release(struct run_spec *s)
{
	free(s->store);
	free(s->layers);
	strv_release(&s->argv);
	strv_release(&s->env);
	free(s->cwd);
	free(s->groups);
	free(s->script_name);
	free(s->script);
	*s = (struct run_spec){0};
}

static void put_number(struct buf *b, uint64_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void put_bytes(struct buf *b, const void *data, size_t len)
{
	put_number(b, len);
	buf_add(b, data, len);
}

static void put_text(struct buf *b, const char *s)
{
	put_bytes(b, s ? s : "", s ? strlen(s) : 0);
}

static void put_list(struct buf *b, const struct strv *list)
{
	put_number(b, list->n);
	for (size_t i = 0; i < list->n; i++)
		put_text(b, list->v[i]);
}

void run_spec_write(const struct run_spec *s, struct buf *out)
{
	put_bytes(out, magic, sizeof(magic));
	put_text(out, s->store);
	put_number(out, s->probe);
	put_number(out, s->isolation);
	put_number(out, s->mode);
	put_number(out, (uint64_t)s->time);
	put_number(out, s->keep_mtime);
	put_number(out, s->bytecode);
	put_number(out, s->check);
	put_number(out, (uint64_t)s->level);
	put_number(out, s->nbase);
	put_bytes(out, s->layers, s->nlayers * sizeof(*s->layers));
	put_list(out, &s->argv);
	put_list(out, &s->env);
	put_text(out, s->cwd);
	put_number(out, s->uid);
	put_number(out, s->gid);
	put_bytes(out, s->groups, s->ngroups * sizeof(*s->groups));
	put_number(out, s->network);
	put_number(out, s->processes);
	put_number(out, s->script != NULL);
	put_text(out, s->script_name);
	put_text(out, s->script);
}

/* What is left to read; `bad` once something did not fit. */
struct reader {
	const char *p;
	size_t left;
	bool bad;
};

static const void *take(struct reader *r, size_t len)
{
	const char *p = r->p;

	if (len > r->left) {
		r->bad = true;
		r->left = 0;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

static uint64_t take_number(struct reader *r)
{
	const void *p = take(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

static bool take_bool(struct reader *r)
{
	return take_number(r) != 0;
}

static char *take_text(struct reader *r)
{
	size_t len = take_number(r);
	const char *p = take(r, len);

	return xstrndup(p ? p : "", p ? len : 0);
}

/* Items of a size; NULL and 0 for none. */
static void *take_array(struct reader *r, size_t size, size_t *n)
{
	size_t len = take_number(r);
	const void *p = take(r, len);
	void *copy;

	*n = p ? len / size : 0;
	if (!*n)
		return NULL;
	r->bad |= len % size != 0;
	copy = xcalloc(*n, size);
	memcpy(copy, p, *n * size);
	return copy;
}

static void take_list(struct reader *r, struct strv *list)
{
	uint64_t n = take_number(r);

	while (n-- && !r->bad)
		strv_take(list, take_text(r));
}

int run_spec_read(struct run_spec *s, const void *data, size_t len, struct error *err)
{
	struct reader r = {.p = data, .left = len};
	auto_free char *first = take_text(&r);
	bool script;

	*s = (struct run_spec){0};
	r.bad |= strcmp(first, magic) != 0;
	s->store = take_text(&r);
	s->probe = take_bool(&r);
	s->isolation = (enum isolation)take_number(&r);
	s->mode = (enum sandbox_mode)take_number(&r);
	s->time = (int64_t)take_number(&r);
	s->keep_mtime = take_bool(&r);
	s->bytecode = take_bool(&r);
	s->check = take_bool(&r);
	s->level = (int)take_number(&r);
	s->nbase = take_number(&r);
	s->layers = take_array(&r, sizeof(*s->layers), &s->nlayers);
	take_list(&r, &s->argv);
	take_list(&r, &s->env);
	s->cwd = take_text(&r);
	s->uid = (uint32_t)take_number(&r);
	s->gid = (uint32_t)take_number(&r);
	s->groups = take_array(&r, sizeof(*s->groups), &s->ngroups);
	s->network = take_bool(&r);
	s->processes = take_number(&r);
	script = take_bool(&r);
	s->script_name = take_text(&r);
	s->script = take_text(&r);
	if (!script) {
		free(s->script_name);
		free(s->script);
		s->script_name = s->script = NULL;
	}
	if (!r.bad && !r.left && s->nbase <= s->nlayers && (s->probe || s->argv.n))
		return 0;
	run_spec_release(s);
	return error_set(err, E_BUG, "what the process for RUN shall do is unreadable");
}
