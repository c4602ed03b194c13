#include "builder/sandbox/subid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

#define FILE_MAX ((size_t)16 << 20)
#define ID_LAST (UINT32_MAX - 1) /* 2^32 - 1 is no id: chown's "leave it" */
/* user_namespaces(7): at most 340 lines, in one write of less than a page. */
#define LINES_MAX 340
#define TEXT_MAX 4095

void id_ranges_add(struct id_ranges *r, uint32_t inside, uint32_t outside, uint32_t count)
{
	/* as GROW, but without a field for the room: it is the next power of two */
	if (!(r->n & (r->n - 1)))
		r->v = xreallocarray(r->v, r->n ? r->n * 2 : 1, sizeof(*r->v));
	r->v[r->n++] = (struct id_range){inside, outside, count};
}

void id_ranges_release(struct id_ranges *r)
{
	free(r->v);
	*r = (struct id_ranges){0};
}

uint32_t id_ranges_count(const struct id_ranges *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->n; i++)
		sum += r->v[i].count;
	return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

/* Digits only.  A leading zero is refused: newuidmap would read an octal number. */
static bool parse_id(const char *p, size_t len, uint32_t *out)
{
	uint64_t value = 0;

	if (!len || len > 10 || (*p == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(p[i] - '0');
	}
	*out = (uint32_t)value;
	return value <= UINT32_MAX;
}

static bool is_text(const char *p, size_t len, const char *want)
{
	return want && *want && strlen(want) == len && !memcmp(p, want, len);
}

/* NAME:FIRST:COUNT; *owner is the length of NAME. */
static bool parse_line(const char *line, size_t len, size_t *owner, struct id_range *out)
{
	const char *end = line + len;
	const char *first = memchr(line, ':', len), *count;

	if (!first)
		return false;
	*owner = (size_t)(first - line);
	first++;
	count = memchr(first, ':', (size_t)(end - first));
	if (!count || !parse_id(first, (size_t)(count - first), &out->outside))
		return false;
	count++;
	return parse_id(count, (size_t)(end - count), &out->count) && out->count &&
	       out->outside <= ID_LAST && out->count - 1 <= ID_LAST - out->outside;
}

void subid_parse(const char *text, size_t len, const char *name, uint32_t uid,
		 struct id_ranges *out)
{
	const char *end = text + len;
	char number[16];

	snprintf(number, sizeof(number), "%u", uid);
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;
		struct id_range r;
		size_t owner;

		if (parse_line(text, (size_t)(stop - text), &owner, &r) &&
		    (is_text(text, owner, name) || is_text(text, owner, number)))
			id_ranges_add(out, 0, r.outside, r.count);
		text = nl ? nl + 1 : end;
	}
}

static int read_file(const char *path, struct buf *out, struct error *err)
{
	struct error why = ERROR_INIT;

	if (!file_read(AT_FDCWD, path, FILE_MAX, out, &why) || why.kind == E_MISSING)
		return 0;
	if (!err)
		return -1;
	*err = why;
	err->kind = E_SANDBOX;
	return error_hint(err, "as root: chmod a+r %s", path);
}

int subid_read(const char *path, const char *name, uint32_t uid, struct id_ranges *out,
	       struct error *err)
{
	auto_buf struct buf text = BUF_INIT;

	if (read_file(path, &text, err) < 0)
		return -1;
	subid_parse(text.data, text.len, name, uid, out);
	return 0;
}

uint32_t subid_free(const char *text, size_t len, uint32_t from)
{
	const char *end = text + len;
	uint64_t next = from;

	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;
		struct id_range r;
		size_t owner;

		if (parse_line(text, (size_t)(stop - text), &owner, &r) &&
		    (uint64_t)r.outside + r.count > next)
			next = (uint64_t)r.outside + r.count;
		text = nl ? nl + 1 : end;
	}
	return next + SUBID_COUNT - 1 > ID_LAST ? from : (uint32_t)next;
}

uint32_t subid_advice(void)
{
	auto_buf struct buf uids = BUF_INIT, gids = BUF_INIT;

	read_file(SUBUID_FILE, &uids, NULL);
	read_file(SUBGID_FILE, &gids, NULL);
	return subid_free(gids.data, gids.len,
			  subid_free(uids.data, uids.len, SUBID_FIRST));
}

/* The map as it grows. */
struct map {
	struct id_ranges *ranges;
	uint64_t next; /* inside */
	size_t text;   /* length of what the kernel is given */
};

static bool add_line(struct map *m, uint64_t from, uint64_t to)
{
	uint32_t count = (uint32_t)(to - from);
	int len =
		snprintf(NULL, 0, "%u %u %u\n", (uint32_t)m->next, (uint32_t)from, count);

	if (m->ranges->n == LINES_MAX || m->text + (size_t)len > TEXT_MAX)
		return false;
	id_ranges_add(m->ranges, (uint32_t)m->next, (uint32_t)from, count);
	m->next += count;
	m->text += (size_t)len;
	return true;
}

/* The first mapped range that meets [from, to), or NULL. */
static const struct id_range *first_overlap(const struct id_ranges *r, uint64_t from,
					    uint64_t to)
{
	const struct id_range *best = NULL;

	for (size_t i = 0; i < r->n; i++) {
		const struct id_range *x = &r->v[i];

		if (x->outside < to && (uint64_t)x->outside + x->count > from &&
		    (!best || x->outside < best->outside))
			best = x;
	}
	return best;
}

static bool add_unmapped(struct map *m, uint64_t from, uint64_t to)
{
	while (from < to) {
		const struct id_range *x = first_overlap(m->ranges, from, to);

		if (!x)
			return add_line(m, from, to);
		if (x->outside > from) {
			uint64_t stop = x->outside, on = stop + x->count;

			/* x moves when the map grows */
			if (!add_line(m, from, stop))
				return false;
			from = on;
			continue;
		}
		from = (uint64_t)x->outside + x->count;
	}
	return true;
}

void subid_map(uint32_t own, const struct id_ranges *found, struct id_ranges *map)
{
	struct map m = {.ranges = map};

	add_line(&m, own, (uint64_t)own + 1);
	for (size_t i = 0; i < found->n; i++) {
		uint64_t from = found->v[i].outside;

		if (!add_unmapped(&m, from, from + found->v[i].count))
			return;
	}
}
