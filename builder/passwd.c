#include "builder/passwd.h"

#include <ctype.h>
#include <string.h>

#include "builder/extract.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

#define FILE_MAX (16u << 20)

/* A part of a file. */
struct text {
	const char *p;
	size_t len;
};

bool passwd_id(const char *text, size_t len, uint32_t *out)
{
	uint64_t v = 0;

	if (!len || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		v = v * 10 + (uint64_t)(text[i] - '0');
	}
	if (v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

int passwd_read(struct stage_state *s, const char *path, struct buf *out,
		struct error *err)
{
	return extract_file(s, path, FILE_MAX, out, err) < 0 ? error_wrap(err, "%s", path)
							     : 0;
}

static bool next_line(const struct buf *file, size_t *at, struct text *line)
{
	const char *nl;

	if (*at >= file->len)
		return false;
	line->p = file->data + *at;
	nl = memchr(line->p, '\n', file->len - *at);
	line->len = nl ? (size_t)(nl - line->p) : file->len - *at;
	*at += line->len + 1;
	return true;
}

/* The k-th field (from 0), parted by `by`; false when there are fewer. */
static bool field(struct text line, char by, unsigned k, struct text *out)
{
	const char *end = line.p + line.len, *at = line.p, *stop;

	while (k--) {
		at = memchr(at, by, (size_t)(end - at));
		if (!at)
			return false;
		at++;
	}
	stop = memchr(at, by, (size_t)(end - at));
	*out = (struct text){at, (size_t)((stop ? stop : end) - at)};
	return true;
}

static bool same(struct text a, const char *p, size_t len)
{
	return a.len == len && !memcmp(a.p, p, len);
}

/* name:password:uid:gid:gecos:home:shell, of which what follows the gid may be missing */
static bool read_entry(struct text line, struct passwd_entry *out)
{
	struct text name, uid, gid, home = {"", 0};

	if (!field(line, ':', 0, &name) || !field(line, ':', 2, &uid) ||
	    !field(line, ':', 3, &gid) || !passwd_id(uid.p, uid.len, &out->uid) ||
	    !passwd_id(gid.p, gid.len, &out->gid))
		return false;
	field(line, ':', 5, &home);
	out->name = name.p;
	out->name_len = name.len;
	out->home = home.p;
	out->home_len = home.len;
	return true;
}

/* By name or, where that is NULL, by number. */
static bool find_entry(const struct buf *passwd, const char *name, uint32_t uid,
		       struct passwd_entry *out)
{
	struct text line;
	size_t at = 0, len = name ? strlen(name) : 0;

	while (next_line(passwd, &at, &line)) {
		struct text first;

		field(line, ':', 0, &first);
		if (name && !same(first, name, len))
			continue;
		if (read_entry(line, out) && (name || out->uid == uid))
			return true;
	}
	return false;
}

bool passwd_by_name(const struct buf *passwd, const char *name, struct passwd_entry *out)
{
	return find_entry(passwd, name, 0, out);
}

bool passwd_by_id(const struct buf *passwd, uint32_t uid, struct passwd_entry *out)
{
	return find_entry(passwd, NULL, uid, out);
}

bool group_by_name(const struct buf *group, const char *name, uint32_t *gid)
{
	struct text line, first, id;
	size_t at = 0, len = strlen(name);

	while (next_line(group, &at, &line))
		if (field(line, ':', 0, &first) && same(first, name, len) &&
		    field(line, ':', 2, &id) && passwd_id(id.p, id.len, gid))
			return true;
	return false;
}

bool group_next_of(const struct buf *group, const char *user, size_t len, size_t *at,
		   uint32_t *gid)
{
	struct text line, members, id, member;

	while (next_line(group, at, &line)) {
		if (!field(line, ':', 2, &id) || !field(line, ':', 3, &members) ||
		    !passwd_id(id.p, id.len, gid))
			continue;
		while (field(members, ',', 0, &member)) {
			if (len && same(member, user, len))
				return true;
			if (member.len == members.len)
				break;
			members.p += member.len + 1;
			members.len -= member.len + 1;
		}
	}
	return false;
}
