/* A store's blobs; opening it is in store_open.c, names are in store_names.c. */
#include "registry/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/store_priv.h"

#define COPY_BYTES ((size_t)256 * 1024)

int store_dirfd(const struct store *st)
{
	return st->dirfd;
}

const char *store_path(const struct store *st)
{
	return st->path;
}

struct tmpdir *store_tmpdir(struct store *st)
{
	struct tmpdir *t;

	pthread_mutex_lock(&st->lock);
	t = st->tmpdir;
	pthread_mutex_unlock(&st->lock);
	return t;
}

int store_blobs_(struct store *st)
{
	int fd;

	pthread_mutex_lock(&st->lock);
	fd = st->blobs;
	pthread_mutex_unlock(&st->lock);
	return fd;
}

static int make_writable(struct store *st, struct error *err)
{
	if (!st->tmpdir)
		st->tmpdir = tmpdir_open(st->dirfd, err);
	if (!st->tmpdir)
		return -1;
	if (st->blobs >= 0)
		return 0;
	if (file_mkdirs(st->dirfd, BLOBS, err) < 0)
		return -1;
	st->blobs = openat(st->dirfd, BLOBS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return st->blobs < 0 ? error_errno(err, "cannot open %s", BLOBS) : 0;
}

struct tmpdir *store_writable_(struct store *st, struct error *err)
{
	int rc;

	pthread_mutex_lock(&st->lock);
	rc = make_writable(st, err);
	pthread_mutex_unlock(&st->lock);
	return rc < 0 ? NULL : st->tmpdir;
}

static bool is_verified(struct store *st, const char *hex)
{
	bool yes;

	pthread_mutex_lock(&st->lock);
	yes = map_get(&st->verified, hex, strlen(hex)) == st;
	pthread_mutex_unlock(&st->lock);
	return yes;
}

static void set_verified(struct store *st, const char *hex)
{
	pthread_mutex_lock(&st->lock);
	map_put(&st->verified, hex, strlen(hex), st);
	pthread_mutex_unlock(&st->lock);
}

int store_get(struct store *st, const struct digest *d, uint64_t *size, struct error *err)
{
	char hex[DIGEST_HEX];
	auto_fd int fd = -1;
	int blobs = store_blobs_(st);
	struct stat sb;

	digest_hex(d, hex);
	errno = ENOENT;
	/* a FIFO in a foreign layout must not hold us up */
	if (blobs >= 0)
		fd = openat(blobs, hex, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, E_MISSING, "blob sha256:%s is not in %s", hex,
				 st->path);
	if (fd < 0 || fstat(fd, &sb) < 0)
		return error_errno(err, "cannot open blob sha256:%s", hex);
	if (!S_ISREG(sb.st_mode))
		return error_set(err, E_CORRUPT, "blob sha256:%s is no regular file",
				 hex);
	if (size)
		*size = (uint64_t)sb.st_size;
	return steal_fd(&fd);
}

bool store_has(struct store *st, const struct digest *d)
{
	char hex[DIGEST_HEX];
	int blobs = store_blobs_(st);

	return blobs >= 0 && !faccessat(blobs, digest_hex(d, hex), F_OK, 0);
}

void store_drop(struct store *st, const struct digest *d, int fd)
{
	char hex[DIGEST_HEX];
	struct stat read, named;
	int blobs = store_blobs_(st);

	if (!st->root || blobs < 0)
		return;
	digest_hex(d, hex);
	if (fstat(fd, &read) < 0 ||
	    fstatat(blobs, hex, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    read.st_dev != named.st_dev || read.st_ino != named.st_ino)
		return;
	if (!unlinkat(blobs, hex, 0))
		atomic_fetch_add(&st->dropped, 1);
}

unsigned store_dropped(const struct store *st)
{
	return atomic_load(&st->dropped);
}

/* Hashes a file from its start, whatever its offset is. */
static int hash_fd(int fd, struct digest *out, struct error *err)
{
	auto_free char *block = xmalloc(COPY_BYTES);
	struct hash h;
	uint64_t at = 0;
	ssize_t n;

	hash_init(&h);
	while ((n = file_pread_full(fd, block, COPY_BYTES, at, err)) > 0) {
		hash_add(&h, block, (size_t)n);
		at += (uint64_t)n;
		if (interrupt_check(err) < 0) {
			n = -1;
			break;
		}
	}
	hash_end(&h, out);
	return n < 0 ? -1 : 0;
}

static int damaged(struct store *st, const struct digest *d, int fd, struct error *err)
{
	char text[DIGEST_TEXT];

	store_drop(st, d, fd);
	return error_set(err, E_CORRUPT, "blob %s in %s is damaged", digest_text(d, text),
			 st->path);
}

int store_check(struct store *st, const struct digest *d, uint64_t size,
		struct error *err)
{
	char hex[DIGEST_HEX];
	struct digest got;
	uint64_t have;
	auto_fd int fd = store_get(st, d, &have, err);

	if (fd < 0)
		return -1;
	if (have != size)
		return damaged(st, d, fd, err);
	if (is_verified(st, digest_hex(d, hex)))
		return 0;
	if (hash_fd(fd, &got, err) < 0)
		return error_wrap(err, "blob sha256:%s", hex);
	if (!digest_equal(&got, d))
		return damaged(st, d, fd, err);
	set_verified(st, hex);
	return 0;
}

int store_read(struct store *st, const struct digest *d, size_t max, struct buf *out,
	       struct error *err)
{
	char hex[DIGEST_HEX];
	struct digest got;
	size_t start = out->len;
	uint64_t size;
	auto_fd int fd = store_get(st, d, &size, err);

	if (fd < 0)
		return -1;
	if (size > max)
		return error_set(err, E_CORRUPT,
				 "blob sha256:%s is larger than %zu bytes",
				 digest_hex(d, hex), max);
	if (file_read_fd(fd, max, out, err) < 0)
		return error_wrap(err, "blob sha256:%s", digest_hex(d, hex));
	digest_of(&got, out->data + start, out->len - start);
	if (digest_equal(&got, d))
		return 0;
	buf_truncate(out, start);
	return damaged(st, d, fd, err);
}

struct blob_writer {
	struct store *st;
	struct tmp tmp;
	uint64_t size;
};

struct blob_writer *blob_writer_open(struct store *st, struct error *err)
{
	struct tmpdir *dir = store_writable_(st, err);
	struct blob_writer *w;

	if (!dir)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	w->st = st;
	w->tmp = (struct tmp)TMP_INIT;
	if (!tmp_open(&w->tmp, dir, err))
		return w;
	free(w);
	return NULL;
}

int blob_writer_add(struct blob_writer *w, const void *data, size_t len,
		    struct error *err)
{
	w->size += len;
	return file_write_all(w->tmp.fd, data, len, err);
}

uint64_t blob_writer_size(const struct blob_writer *w)
{
	return w->size;
}

int blob_writer_commit(struct blob_writer *w, const struct digest *d, struct error *err)
{
	char hex[DIGEST_HEX];
	int rc = tmp_commit(&w->tmp, store_blobs_(w->st), digest_hex(d, hex), false, err);

	if (!rc)
		set_verified(w->st, hex);
	free(w);
	return rc;
}

void blob_writer_abort(struct blob_writer *w)
{
	if (!w)
		return;
	tmp_abort(&w->tmp);
	free(w);
}

/* True when the very bytes are there: then nothing needs to be written. */
static bool has_bytes(struct store *st, const struct digest *d, size_t len)
{
	auto_buf struct buf there = BUF_INIT;
	uint64_t size = 0;
	auto_fd int fd = store_get(st, d, &size, NULL);

	return fd >= 0 && size == len && !store_read(st, d, len, &there, NULL);
}

int store_put_bytes(struct store *st, const void *data, size_t len, struct digest *d,
		    struct error *err)
{
	struct digest got;
	struct blob_writer *w;

	digest_of(&got, data, len);
	if (d)
		*d = got;
	if (has_bytes(st, &got, len))
		return 0;
	w = blob_writer_open(st, err);
	if (!w)
		return -1;
	if (blob_writer_add(w, data, len, err) < 0) {
		blob_writer_abort(w);
		return -1;
	}
	return blob_writer_commit(w, &got, err);
}

/* All of from into w, hashed; by reflink first, which leaves only the hashing. */
static int copy_hashed(struct blob_writer *w, int from, struct digest *got,
		       struct error *err)
{
	auto_free char *block = NULL;
	struct hash h;
	uint64_t at = 0;
	ssize_t n;

	if (!ioctl(w->tmp.fd, FICLONE, from))
		return hash_fd(w->tmp.fd, got, err);
	block = xmalloc(COPY_BYTES);
	hash_init(&h);
	while ((n = file_pread_full(from, block, COPY_BYTES, at, err)) > 0) {
		hash_add(&h, block, (size_t)n);
		at += (uint64_t)n;
		if (interrupt_check(err) < 0 ||
		    blob_writer_add(w, block, (size_t)n, err) < 0) {
			n = -1;
			break;
		}
	}
	hash_end(&h, got);
	return n < 0 ? -1 : 0;
}

int store_copy_blob(struct store *to, struct store *from, const struct digest *d,
		    struct error *err)
{
	char text[DIGEST_TEXT];
	struct blob_writer *w;
	struct digest got;
	uint64_t size = 0;
	auto_fd int fd = store_get(from, d, &size, err);

	if (fd < 0)
		return -1;
	if (!store_check(to, d, size, NULL))
		return 0;
	w = blob_writer_open(to, err);
	if (!w)
		return -1;
	if (copy_hashed(w, fd, &got, err) < 0) {
		blob_writer_abort(w);
		return error_wrap(err, "blob %s", digest_text(d, text));
	}
	if (!digest_equal(&got, d)) {
		blob_writer_abort(w);
		return damaged(from, d, fd, err);
	}
	return blob_writer_commit(w, d, err);
}

int store_sync_blob_(struct store *st, const struct digest *d, struct error *err)
{
	char hex[DIGEST_HEX];
	auto_fd int fd = store_get(st, d, NULL, NULL);

	if (fd >= 0 && fdatasync(fd) < 0)
		return error_errno(err, "cannot sync blob sha256:%s", digest_hex(d, hex));
	return 0;
}

int store_sync_blobs_(struct store *st, struct error *err)
{
	int fd = store_blobs_(st);

	if (fd >= 0 && fsync(fd) < 0)
		return error_errno(err, "cannot sync %s", BLOBS);
	return 0;
}
