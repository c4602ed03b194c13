#include "builder/filehash.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/log.h"
#include "registry/store.h"

#define MAGIC "hodfile1"
#define MAX_TABLE (1u << 30)
/* Kernels stamp times by the clock tick (at most 10 ms); file systems without
 * fractions by the second. */
#define FINE_NS 100000000LL
#define COARSE_NS 2500000000LL

struct record {
	uint64_t dev, ino, size;
	int64_t mtime, ctime; /* ns */
	struct digest digest;
};

struct table_head {
	char magic[8];
	uint32_t count, crc;
};

struct filehash {
	struct store *store;
	int64_t opened; /* before anything was read */
	char name[32];
	struct buf raw;           /* the table as it was read */
	const struct record *old; /* in raw, sorted */
	size_t nold;
	bool *used; /* old records that this build met */
	struct record *fresh;
	size_t nfresh, cap;
};

static int64_t ns(struct timespec ts)
{
	/* far years wrap: equal stays equal */
	return (int64_t)((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
}

static struct record key_of(const struct stat *st)
{
	return (struct record){.dev = st->st_dev,
			       .ino = st->st_ino,
			       .size = (uint64_t)st->st_size,
			       .mtime = ns(st->st_mtim),
			       .ctime = ns(st->st_ctim)};
}

static int by_inode(const void *va, const void *vb)
{
	const struct record *a = va, *b = vb;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->ino < b->ino ? -1 : a->ino > b->ino;
}

static bool load(struct filehash *f)
{
	struct table_head head;
	size_t body;

	if (file_read(store_dirfd(f->store), f->name, MAX_TABLE, &f->raw, NULL) < 0 ||
	    f->raw.len < sizeof(head))
		return false;
	memcpy(&head, f->raw.data, sizeof(head));
	body = f->raw.len - sizeof(head);
	if (memcmp(head.magic, MAGIC, sizeof(head.magic)) ||
	    body != head.count * sizeof(struct record) ||
	    crc32_z(0, (unsigned char *)f->raw.data + sizeof(head), body) != head.crc)
		return false;
	f->old = (const struct record *)(f->raw.data + sizeof(head));
	f->nold = head.count;
	return true;
}

struct filehash *filehash_open(struct store *st, const struct stat *root)
{
	struct filehash *f = xcalloc(1, sizeof(*f));
	uint64_t key[2] = {root->st_dev, root->st_ino};
	char hex[DIGEST_HEX];
	struct timespec now;
	struct digest d;

	clock_gettime(CLOCK_REALTIME, &now);
	f->opened = ns(now);
	f->store = st;
	f->raw = (struct buf)BUF_INIT;
	digest_of(&d, key, sizeof(key));
	snprintf(f->name, sizeof(f->name), "files/%.16s", digest_hex(&d, hex));
	if (!load(f))
		buf_reset(&f->raw);
	f->used = xcalloc(f->nold, sizeof(*f->used));
	return f;
}

bool filehash_find(struct filehash *f, const struct stat *st, struct digest *out)
{
	struct record key = key_of(st);
	const struct record *r =
		f->nold ? bsearch(&key, f->old, f->nold, sizeof(*f->old), by_inode)
			: NULL;

	if (!r || r->size != key.size || r->mtime != key.mtime || r->ctime != key.ctime)
		return false;
	f->used[r - f->old] = true;
	*out = r->digest;
	return true;
}

void filehash_add(struct filehash *f, const struct stat *st, const struct digest *d)
{
	struct record r = key_of(st);
	int64_t latest = r.mtime > r.ctime ? r.mtime : r.ctime;

	/* a later change, with its mtime set back, would be taken for what was read */
	if (latest > f->opened - (latest % 1000000000 ? FINE_NS : COARSE_NS))
		return;
	r.digest = *d;
	GROW(f->fresh, f->nfresh, f->cap);
	f->fresh[f->nfresh++] = r;
}

/* Old records that were met and the new ones, the newest of an inode winning. */
static void merge(struct filehash *f, struct buf *out)
{
	struct table_head head = {.magic = MAGIC};
	struct record *all;
	size_t n = 0, kept = 0;

	all = xcalloc(f->nold + f->nfresh, sizeof(*all));
	for (size_t i = 0; i < f->nfresh; i++)
		all[n++] = f->fresh[i];
	for (size_t i = 0; i < f->nold; i++)
		if (f->used[i])
			all[n++] = f->old[i];
	qsort(all, n, sizeof(*all), by_inode);
	for (size_t i = 0; i < n; i++)
		if (!kept || by_inode(&all[kept - 1], &all[i]))
			all[kept++] = all[i];
	head.count = (uint32_t)kept;
	head.crc = (uint32_t)crc32_z(0, (unsigned char *)all, kept * sizeof(*all));
	buf_add(out, &head, sizeof(head));
	buf_add(out, all, kept * sizeof(*all));
	free(all);
}

void filehash_close(struct filehash *f)
{
	struct error err = ERROR_INIT;

	if (!f)
		return;
	if (f->nfresh) {
		auto_buf struct buf out = BUF_INIT;

		merge(f, &out);
		if (file_replace(store_tmpdir(f->store), store_dirfd(f->store), f->name,
				 out.data, out.len, false, &err) < 0)
			log_debug("content digests not saved: %s", err.msg);
	}
	buf_release(&f->raw);
	free(f->used);
	free(f->fresh);
	free(f);
}
