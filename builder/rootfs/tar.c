#include "builder/rootfs/tar.h"

#include <stdio.h>
#include <string.h>

#include "registry/base/buf.h"

#define BLOCK 512
#define NAME_MAX_USTAR 100
#define PREFIX_MAX_USTAR 155

/* POSIX.1-1988 ustar, the fields at their places. */
struct ustar {
	char name[NAME_MAX_USTAR];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[NAME_MAX_USTAR];
	char magic[6], version[2];
	char uname[32], gname[32];
	char major[8], minor[8];
	char prefix[PREFIX_MAX_USTAR];
	char pad[12];
};

_Static_assert(sizeof(struct ustar) == BLOCK, "a header is one block");

unsigned tar_padding(uint64_t size)
{
	return (unsigned)(-size % BLOCK);
}

void tar_path(const struct tar_entry *e, struct buf *out)
{
	const char *slash;

	if (*e->path == '\0') {
		buf_adds(out, "./");
		return;
	}
	if (e->type != NODE_WHITEOUT) {
		buf_adds(out, e->path);
	} else {
		slash = strrchr(e->path, '/');
		if (slash)
			buf_add(out, e->path, (size_t)(slash + 1 - e->path));
		buf_adds(out, ".wh.");
		buf_adds(out, slash ? slash + 1 : e->path);
	}
	if (e->type == NODE_DIR)
		buf_addc(out, '/');
}

/* Octal digits that fill the field but for its NUL; false, and 0, if value is too large.
 */
static bool octal(char *field, size_t width, uint64_t value)
{
	bool fits = value >> (3 * (width - 1)) == 0;

	if (!fits)
		value = 0;
	field[width - 1] = '\0';
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
	return fits;
}

/* "LENGTH KEY=VALUE\n", LENGTH counting itself. */
static void record(struct buf *pax, const char *key, const void *value, size_t len)
{
	size_t body = 1 + strlen(key) + 1 + len + 1, n = body, before;
	char digits[24];

	do {
		before = n;
		n = body + (size_t)snprintf(digits, sizeof(digits), "%zu", before);
	} while (n != before);
	buf_addf(pax, "%s %s=", digits, key);
	buf_add(pax, value, len);
	buf_addc(pax, '\n');
}

static void record_number(struct buf *pax, const char *key, const char *sign, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%s%llu", sign, (unsigned long long)n);
	record(pax, key, text, strlen(text));
}

static void put_text(char *field, size_t width, const char *text, size_t len)
{
	memcpy(field, text, len < width ? len : width);
}

/* The name whole, split at a slash, or cut with a pax record. */
static void put_path(struct ustar *h, const struct buf *path, struct buf *pax)
{
	size_t at;

	if (path->len <= NAME_MAX_USTAR) {
		put_text(h->name, sizeof(h->name), path->data, path->len);
		return;
	}
	/* The rightmost slash that is not the end and leaves a short enough prefix. */
	at = path->len - 1 < PREFIX_MAX_USTAR + 1 ? path->len - 1 : PREFIX_MAX_USTAR + 1;
	while (at-- > 1)
		if (path->data[at] == '/')
			break;
	if (at >= 1 && at < path->len && path->len - at - 1 <= NAME_MAX_USTAR) {
		put_text(h->prefix, sizeof(h->prefix), path->data, at);
		put_text(h->name, sizeof(h->name), path->data + at + 1,
			 path->len - at - 1);
		return;
	}
	record(pax, "path", path->data, path->len);
	put_text(h->name, sizeof(h->name), path->data, path->len);
}

static void put_mtime(struct ustar *h, int64_t mtime, struct buf *pax)
{
	uint64_t value = mtime < 0 ? UINT64_MAX : (uint64_t)mtime;

	if (octal(h->mtime, sizeof(h->mtime), value) || !pax)
		return;
	if (mtime < 0)
		record_number(pax, "mtime", "-", -(uint64_t)mtime);
	else
		record_number(pax, "mtime", "", value);
}

static char type_flag(const struct tar_entry *e)
{
	if (e->hardlink)
		return '1';
	switch (e->type) {
	case NODE_SYMLINK:
		return '2';
	case NODE_CHAR:
		return '3';
	case NODE_BLOCK:
		return '4';
	case NODE_DIR:
		return '5';
	case NODE_FIFO:
		return '6';
	case NODE_FILE:
	case NODE_WHITEOUT:
		break;
	}
	return '0';
}

static void put_fixed(struct ustar *h)
{
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += ((const unsigned char *)h)[i];
	octal(h->checksum, 7, sum);
}

/* The pax entry before its entry. */
static void add_pax(const struct buf *pax, int64_t mtime, struct buf *out)
{
	static const char zeros[BLOCK];
	struct ustar h = {.type = 'x'};

	put_text(h.name, sizeof(h.name), "@PaxHeader", 10);
	octal(h.mode, sizeof(h.mode), 0644);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), pax->len);
	put_mtime(&h, mtime, NULL);
	octal(h.major, sizeof(h.major), 0);
	octal(h.minor, sizeof(h.minor), 0);
	put_fixed(&h);
	buf_add(out, &h, sizeof(h));
	buf_add(out, pax->data, pax->len);
	buf_add(out, zeros, tar_padding(pax->len));
}

/* What a type has not becomes 0. */
static struct tar_entry plain(const struct tar_entry *e)
{
	struct tar_entry p = *e;

	if (e->type == NODE_WHITEOUT)
		p.attrs = (struct attrs){.mode = 0644};
	if (e->type == NODE_SYMLINK)
		p.attrs.mode = 0777;
	if (e->type != NODE_FILE || e->hardlink)
		p.size = 0;
	if ((e->type != NODE_CHAR && e->type != NODE_BLOCK) || e->hardlink)
		p.major = p.minor = 0;
	if (e->hardlink)
		p.attrs.xattrs = NULL;
	if (!e->hardlink && e->type != NODE_SYMLINK)
		p.link = NULL;
	return p;
}

static void add_xattrs(const struct xattrs *x, struct buf *pax)
{
	auto_buf struct buf key = BUF_INIT;

	for (size_t i = 0; x && i < x->n; i++) {
		buf_reset(&key);
		buf_addf(&key, "SCHILY.xattr.%s", x->v[i].name);
		record(pax, key.data, x->v[i].value, x->v[i].len);
	}
}

void tar_header(const struct tar_entry *entry, struct buf *out)
{
	struct tar_entry e = plain(entry);
	auto_buf struct buf path = BUF_INIT;
	auto_buf struct buf pax = BUF_INIT;
	struct ustar h = {.type = type_flag(entry)};
	size_t link = e.link ? strlen(e.link) : 0;

	tar_path(&e, &path);
	put_path(&h, &path, &pax);
	if (link > 0)
		put_text(h.link, sizeof(h.link), e.link, link);
	if (link > sizeof(h.link))
		record(&pax, "linkpath", e.link, link);
	octal(h.mode, sizeof(h.mode), e.attrs.mode & 07777);
	if (!octal(h.uid, sizeof(h.uid), e.attrs.uid))
		record_number(&pax, "uid", "", e.attrs.uid);
	if (!octal(h.gid, sizeof(h.gid), e.attrs.gid))
		record_number(&pax, "gid", "", e.attrs.gid);
	if (!octal(h.size, sizeof(h.size), e.size))
		record_number(&pax, "size", "", e.size);
	put_mtime(&h, e.mtime, &pax);
	octal(h.major, sizeof(h.major), e.major);
	octal(h.minor, sizeof(h.minor), e.minor);
	put_fixed(&h);
	add_xattrs(e.attrs.xattrs, &pax);
	if (pax.len > 0)
		add_pax(&pax, e.pax_mtime, out);
	buf_add(out, &h, sizeof(h));
}
