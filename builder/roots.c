#include "builder/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "builder/rootfs/index.h"
#include "builder/rootfs/layer_source.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/treeload.h"
#include "builder/rootfs/unpack.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/base/log.h"
#include "registry/base/stream.h"
#include "registry/points.h"
#include "registry/store.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define SEEN_SECONDS (24 * 60 * 60)
#define GONE (-2) /* no folder of that name, or one that had to go */

/* One folder that is kept, and what it is made of. */
struct kept {
	struct store *st;
	const struct idmap *ids;
	const struct root_layer *layers;
	size_t n;
	bool look;  /* never believe the boot file */
	bool flat;  /* all layers as one tree; else one, with whiteouts */
	char *name; /* in the store: roots/... */
	struct tree *tree;
	struct index *index;
};

static void kept_release(struct kept *k)
{
	free(k->name);
	tree_free(k->tree);
	index_unref(k->index);
}
#define auto_kept __attribute__((cleanup(kept_release)))

static char *named(const char *folder, const char *what, const struct idmap *ids)
{
	auto_buf struct buf name = BUF_INIT;

	buf_addf(&name, "%s/%s.", folder, what);
	idmap_text(ids, &name);
	return buf_detach(&name);
}

/* The chain id (image-spec config.md, "Layer ChainID"). */
static char *root_name(const struct idmap *ids, const struct root_layer *layers, size_t n)
{
	char text[DIGEST_TEXT + 1 + DIGEST_TEXT], hex[DIGEST_HEX];
	struct digest chain;

	if (n == 0)
		return named("roots", "scratch", ids);
	chain = layers[0].diff_id;
	for (size_t i = 1; i < n; i++) {
		char one[DIGEST_TEXT], two[DIGEST_TEXT];

		snprintf(text, sizeof(text), "%s %s", digest_text(&chain, one),
			 digest_text(&layers[i].diff_id, two));
		digest_of(&chain, text, strlen(text));
	}
	return named("roots", digest_hex(&chain, hex), ids);
}

static char *upper_name(const struct idmap *ids, const struct digest *diff_id)
{
	char hex[DIGEST_HEX];

	return named("uppers", digest_hex(diff_id, hex), ids);
}

static const struct root_layer *layer_of(const struct kept *k,
					 const struct digest *diff_id)
{
	for (size_t i = 0; i < k->n; i++)
		if (digest_equal(&k->layers[i].diff_id, diff_id))
			return &k->layers[i];
	return NULL;
}

/* unpack_open, unpack_points, unpack_owner */
static struct source *open_layer(void *ctx, const struct digest *diff_id, uint64_t from,
				 uint64_t *at, struct error *err)
{
	const struct kept *k = ctx;
	const struct root_layer *l = layer_of(k, diff_id);

	if (l)
		return layer_source(k->st, &l->blob, l->size, from, at, err);
	error_set(err, E_BUG, "a file's layer is not part of its root");
	return NULL;
}

static void points_of_layer(void *ctx, const struct digest *diff_id, uint64_t **v,
			    size_t *n)
{
	const struct kept *k = ctx;
	const struct root_layer *l = layer_of(k, diff_id);

	*v = NULL;
	*n = 0;
	if (l)
		layer_points(k->st, &l->blob, v, n);
}

static bool has_ids(void *ctx, uint32_t uid, uint32_t gid)
{
	const struct kept *k = ctx;

	return idmap_has(k->ids, uid, gid);
}

static struct unpack_options options_of(struct kept *k)
{
	return (struct unpack_options){.open = open_layer,
				       .points = points_of_layer,
				       .has_owner = has_ids,
				       .ctx = k,
				       .owners = k->ids->mode != SANDBOX_ONE,
				       .devices = k->ids->mode == SANDBOX_ROOT};
}

/* A layer's index, made again where it is missing. */
static struct index *load_index(struct kept *k, const struct root_layer *l,
				struct error *err)
{
	struct error why = ERROR_INIT;
	struct index *ix = treeload_open(k->st, &l->diff_id, &why);
	struct source *src;
	uint64_t at;

	if (ix || why.kind != E_MISSING) {
		if (!ix && err)
			*err = why;
		return ix;
	}
	/* from its start, so that the source verifies it */
	points_drop(k->st, &l->blob);
	src = layer_source(k->st, &l->blob, l->size, 0, &at, err);
	if (!src || treeload_save(src, k->st, &l->diff_id, err) < 0)
		return NULL;
	return treeload_open(k->st, &l->diff_id, err);
}

static int load(struct kept *k, struct error *err)
{
	if (k->tree || k->index)
		return 0;
	if (!k->flat) {
		k->index = load_index(k, &k->layers[0], err);
		return k->index ? 0 : -1;
	}
	k->tree = tree_new();
	for (size_t i = 0; i < k->n; i++) {
		struct index *ix = load_index(k, &k->layers[i], err);
		int rc = ix ? tree_push_index(k->tree, ix, err) : -1;

		index_unref(ix);
		if (rc < 0)
			return error_wrap(err, "layer %zu", i + 1);
	}
	return 0;
}

static int lock_folder(int fd, int how, struct error *err)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	while (flock(fd, how | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_errno(err, "cannot lock a folder");
		if (interrupt_check(err) < 0)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void read_boot(int dirfd, const char *name, struct buf *out)
{
	if (file_read(dirfd, name, 4096, out, NULL) < 0)
		buf_reset(out);
}

/* Whether the folder was seen to be whole since this host was started, and within a day:
 * programs that clear old files away take some and leave others. */
static bool was_seen(const struct kept *k)
{
	auto_free char *name = xasprintf("%s.boot", k->name);
	auto_buf struct buf now = BUF_INIT, then = BUF_INIT;

	struct stat st;

	if (fstatat(store_dirfd(k->st), name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    time(NULL) - st.st_mtim.tv_sec > SEEN_SECONDS)
		return false;
	read_boot(AT_FDCWD, BOOT_ID, &now);
	read_boot(store_dirfd(k->st), name, &then);
	return now.len > 0 && now.len == then.len &&
	       memcmp(now.data, then.data, now.len) == 0;
}

static int write_boot(const struct kept *k, struct error *err)
{
	auto_free char *name = xasprintf("%s.boot", k->name);
	auto_buf struct buf now = BUF_INIT;

	read_boot(AT_FDCWD, BOOT_ID, &now);
	return file_replace(store_tmpdir(k->st), store_dirfd(k->st), name, now.data,
			    now.len, false, err);
}

/* Whether the folder fd still has its name. */
static bool has_name(const struct kept *k, int fd)
{
	struct stat ours, named_now;

	return !fstat(fd, &ours) &&
	       !fstatat(store_dirfd(k->st), k->name, &named_now, AT_SYMLINK_NOFOLLOW) &&
	       ours.st_dev == named_now.st_dev && ours.st_ino == named_now.st_ino;
}

/* Takes a bad folder away and removes it.  Under a lock, so that what another process has
 * put in its place meanwhile stays. */
static int drop(struct kept *k, int fd, struct error *err)
{
	struct tmpdir *tmp = store_tmpdir(k->st);
	auto_free char *boot = xasprintf("%s.boot", k->name);
	char name[32];
	auto_fd int lock = openat(store_dirfd(k->st), k->flat ? "roots" : "uppers",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int place = -1;

	if (lock < 0)
		return error_errno(err, "cannot open the folder of %s", k->name);
	if (lock_folder(lock, LOCK_EX, err) < 0)
		return -1;
	if (!has_name(k, fd))
		return 0;
	log_debug("%s is not as it was made, and is made again", k->name);
	place = tmpdir_folder(tmp, name, err);
	if (place < 0)
		return -1;
	unlinkat(store_dirfd(k->st), boot, 0);
	if (renameat(store_dirfd(k->st), k->name, tmpdir_fd(tmp), name) < 0)
		return error_errno(err, "cannot remove %s", k->name);
	return file_remove_tree(tmpdir_fd(tmp), name, err);
}

static int check(struct kept *k, int fd, struct error *err)
{
	struct unpack_options o = options_of(k);

	if (load(k, err) < 0)
		return -1;
	return k->flat ? unpack_check(k->tree, fd, &o, err)
		       : unpack_check_layer(k->index, fd, &o, err);
}

/* The folder, if it is there and right; -1; GONE. */
static int open_kept(struct kept *k, struct error *err)
{
	auto_fd int fd = openat(store_dirfd(k->st), k->name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int right;

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
		/* no folder of hod's: what stands there goes */
		unlinkat(store_dirfd(k->st), k->name, 0);
		return GONE;
	}
	if (fd < 0)
		return errno == ENOENT ? GONE : error_errno(err, "cannot open it");
	if (lock_folder(fd, LOCK_SH, err) < 0)
		return -1;
	if (k->look || !was_seen(k)) {
		right = check(k, fd, err);
		if (right < 0 || (right == 0 && drop(k, fd, err) < 0) ||
		    (right > 0 && write_boot(k, err) < 0))
			return -1;
		if (right == 0)
			return GONE;
	}
	/* last: another process may have taken it away before it wrote the boot */
	return has_name(k, fd) ? steal_fd(&fd) : GONE;
}

/* Whether all blobs are what they should be; one that is not is dropped. */
static int check_blobs(const struct kept *k, struct error *err)
{
	for (size_t i = 0; i < k->n; i++)
		if (store_check(k->st, &k->layers[i].blob, k->layers[i].size, err) < 0)
			return error_wrap(err, "layer %zu", i + 1);
	return 0;
}

static int unpack(struct kept *k, int fd, struct error *err)
{
	struct unpack_options o = options_of(k);

	if (load(k, err) < 0)
		return -1;
	return k->flat ? unpack_tree(k->tree, fd, &o, err)
		       : unpack_layer(k->index, fd, &o, err);
}

/* Puts a whole folder in its place: 0; 1 when another process was faster. */
static int settle(struct kept *k, int dirfd, const char *name, struct error *err)
{
	int rc = renameat2(dirfd, name, store_dirfd(k->st), k->name, RENAME_NOREPLACE);

	/* a file system that cannot; then an empty one may be replaced */
	if (rc < 0 && (errno == EINVAL || errno == ENOSYS))
		rc = renameat(dirfd, name, store_dirfd(k->st), k->name);
	if (rc < 0 && errno != EEXIST && errno != ENOTEMPTY)
		return error_errno(err, "cannot rename to %s", k->name);
	if (rc < 0)
		return file_remove_tree(dirfd, name, err) < 0 ? -1 : 1;
	return write_boot(k, err);
}

/* Makes the folder: the fd; -1; GONE when it is to be opened. */
static int make(struct kept *k, struct error *err)
{
	struct tmpdir *tmp = store_tmpdir(k->st);
	char name[32];
	auto_fd int fd = tmpdir_folder(tmp, name, err);
	int rc;

	if (fd < 0 || lock_folder(fd, LOCK_SH, err) < 0)
		return -1;
	rc = unpack(k, fd, err);
	if (rc == 0)
		rc = settle(k, tmpdir_fd(tmp), name, err);
	else
		file_remove_tree(tmpdir_fd(tmp), name, NULL);
	if (rc < 0)
		return -1;
	return rc > 0 ? GONE : steal_fd(&fd);
}

/* What does not match its checksum is a blob, which has to be fetched again, or only
 * the restart points, which are done without. */
static int make_again(struct kept *k, struct error *err)
{
	struct error why = ERROR_INIT;

	if (check_blobs(k, &why) < 0) {
		if (err)
			*err = why;
		return -1;
	}
	for (size_t i = 0; i < k->n; i++)
		points_drop(k->st, &k->layers[i].blob);
	return make(k, err);
}

static int get(struct kept *k, struct error *err)
{
	struct error why;
	int fd;

	do {
		why = (struct error)ERROR_INIT;
		fd = open_kept(k, &why);
		if (fd == GONE)
			fd = make(k, &why);
		if (fd == -1 && why.kind == E_CORRUPT)
			fd = make_again(k, &why);
	} while (fd == GONE);
	if (fd < 0 && err)
		*err = why;
	return fd < 0 ? error_wrap(err, "%.30s", k->name) : fd;
}

bool roots_has(struct store *st, const struct idmap *ids, const struct root_layer *layers,
	       size_t n)
{
	auto_free char *name = root_name(ids, layers, n);

	return !faccessat(store_dirfd(st), name, F_OK, AT_SYMLINK_NOFOLLOW);
}

int roots_open(struct store *st, const struct idmap *ids, const struct root_layer *layers,
	       size_t n, bool look, struct error *err)
{
	auto_kept struct kept k = {.st = st,
				   .ids = ids,
				   .look = look,
				   .layers = layers,
				   .n = n,
				   .flat = true,
				   .name = root_name(ids, layers, n)};

	return get(&k, err);
}

int uppers_open(struct store *st, const struct idmap *ids, const struct root_layer *layer,
		bool look, struct error *err)
{
	auto_kept struct kept k = {.st = st,
				   .ids = ids,
				   .look = look,
				   .layers = layer,
				   .n = 1,
				   .name = upper_name(ids, &layer->diff_id)};

	return get(&k, err);
}

int uppers_keep(struct store *st, const struct idmap *ids, const struct digest *diff_id,
		int dirfd, const char *name, struct error *err)
{
	auto_kept struct kept k = {
		.st = st, .ids = ids, .name = upper_name(ids, diff_id)};

	return settle(&k, dirfd, name, err) < 0 ? -1 : 0;
}
