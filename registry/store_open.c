/* Opening and making a store: its folder and the files beside the blobs. */
#include "registry/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/json.h"
#include "registry/store_priv.h"

#define LAYOUT_FILE "oci-layout"
#define LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define INDEX_TEXT \
	"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[]}"
#define FORMAT_FILE "hod-format"

/* mkdir -p, 0700: what images hold is for their owner. */
static int make_private(const char *path, struct error *err)
{
	auto_free char *part = xstrdup(path);

	for (char *p = part + 1; *part; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return error_errno(err, "cannot make folder %s", part);
		*p = c;
		if (!c)
			return 0;
	}
	return error_set(err, E_INPUT, "the path of the image store is empty");
}

static int open_folder(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? error_errno(err, "cannot open %s", path) : fd;
}

static bool exists(int dirfd, const char *name)
{
	return !faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

/* Writes a file unless it is there. */
static int ensure_file(struct store *st, const char *name, const char *text,
		       struct error *err)
{
	if (exists(st->dirfd, name))
		return 0;
	return file_replace(st->tmpdir, st->dirfd, name, text, strlen(text), true, err);
}

/* The files that make a folder a store, oci-layout last.  Under the lock: another process
 * may have begun to name images in the new store. */
static int ensure_files(struct store *st, struct error *err)
{
	auto_free char *number = xasprintf("%d\n", STORE_FORMAT);
	auto_fd int lock = -1;

	if (exists(st->dirfd, LAYOUT_FILE) &&
	    (!st->root || exists(st->dirfd, FORMAT_FILE)))
		return 0;
	lock = store_lock_(st, err);
	if (lock == -1 || !store_writable_(st, err) ||
	    (st->root && ensure_file(st, FORMAT_FILE, number, err) < 0) ||
	    ensure_file(st, "index.json", INDEX_TEXT, err) < 0)
		return -1;
	return ensure_file(st, LAYOUT_FILE, LAYOUT_TEXT, err);
}

/* Whether hod-format says that this hod may use the folder; none yet is fine. */
static int check_format(struct store *st, struct error *err)
{
	auto_buf struct buf text = BUF_INIT;
	unsigned long number;
	char *end;

	if (!exists(st->dirfd, FORMAT_FILE))
		return 0;
	if (file_read(st->dirfd, FORMAT_FILE, 64, &text, err) < 0)
		return -1;
	number = strtoul(text.data, &end, 10);
	if (end == text.data || strcmp(end, "\n") != 0 || !number) {
		error_set(err, E_CORRUPT, "%s holds no format number", FORMAT_FILE);
		return error_hint(err,
				  "move the folder away or choose another with --root");
	}
	if (number > STORE_FORMAT) {
		error_set(err, E_INPUT,
			  "made by a later hod (format %lu, this hod knows %d)", number,
			  STORE_FORMAT);
		return error_hint(err,
				  "update hod, or choose another folder with --root");
	}
	return 0;
}

static struct store *store_new(const char *path, bool root)
{
	struct store *st = xcalloc(1, sizeof(*st));

	st->path = xstrdup(path);
	st->dirfd = st->blobs = -1;
	st->root = root;
	pthread_mutex_init(&st->lock, NULL);
	return st;
}

/* What lies in a root is believed without reading it again, so nobody else may write
 * there.  root may use anybody's: a folder mounted into a container often is. */
static int check_owner(struct store *st, struct error *err)
{
	struct stat s;

	if (fstat(st->dirfd, &s) < 0)
		return error_errno(err, "cannot stat it");
	if (!(s.st_mode & S_IWOTH) && (!geteuid() || s.st_uid == geteuid() || !s.st_uid))
		return 0;
	if (s.st_mode & S_IWOTH)
		error_set(err, E_AUTH, "everybody may write there");
	else
		error_set(err, E_AUTH, "it belongs to another user (%u)",
			  (unsigned)s.st_uid);
	return error_hint(err, "use a folder of your own: --root DIR or HOD_ROOT");
}

/* What a root that was only begun may hold already. */
static bool is_own_name(const char *name)
{
	static const char *const own[] = {
		".",      "..",        "blobs",     "files",      "index.json",
		"steps",  "trees",     "tmp",       "index.lock", "roots",
		"uppers", LAYOUT_FILE, FORMAT_FILE, "lost+found"};

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (!strcmp(name, own[i]))
			return true;
	return false;
}

/* A folder that is no root yet must be empty: a mistyped --root shall not fill somebody's
 * home with blobs. */
static int check_foreign(struct store *st, struct error *err)
{
	int fd = openat(st->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return error_errno(err, "cannot read it");
	while (!rc && (e = readdir(d)))
		if (!is_own_name(e->d_name))
			rc = error_set(err, E_INPUT, "no image store, and not empty (%s)",
				       e->d_name);
	closedir(d);
	return rc < 0 ? error_hint(err, "choose another folder with --root or HOD_ROOT")
		      : 0;
}

static int open_root(struct store *st, struct error *err)
{
	static const char *const folders[] = {"trees", "steps", "files"};

	if (make_private(st->path, err) < 0)
		return -1;
	st->dirfd = open_folder(st->path, err);
	if (st->dirfd < 0 || check_owner(st, err) < 0 || check_format(st, err) < 0 ||
	    (!exists(st->dirfd, FORMAT_FILE) && check_foreign(st, err) < 0) ||
	    !store_writable_(st, err))
		return -1;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (file_mkdirs(st->dirfd, folders[i], err) < 0)
			return -1;
	/* they hold set-user-id programs of images */
	if ((mkdirat(st->dirfd, "roots", 0700) < 0 && errno != EEXIST) ||
	    (mkdirat(st->dirfd, "uppers", 0700) < 0 && errno != EEXIST))
		return error_errno(err, "cannot make a folder for RUN");
	return ensure_files(st, err);
}

/* What is made when it is missing is not "not found" when it can't be made. */
static void cannot_make(bool create, struct error *err)
{
	if (create && err && err->kind == E_MISSING)
		err->kind = E_FAILED;
}

struct store *store_open(const char *path, struct error *err)
{
	struct store *st = store_new(path, true);

	if (!open_root(st, err))
		return st;
	cannot_make(true, err);
	error_wrap(err, "image store %s", path);
	store_close(st);
	return NULL;
}

static int check_layout(struct store *st, struct error *err)
{
	auto_buf struct buf text = BUF_INIT;
	auto_json cJSON *doc = NULL;
	const char *version = NULL;

	if (!exists(st->dirfd, LAYOUT_FILE))
		return error_set(err, E_INPUT, "no OCI image layout (%s is missing)",
				 LAYOUT_FILE);
	if (file_read(st->dirfd, LAYOUT_FILE, 4096, &text, err) < 0)
		return -1;
	doc = json_parse(text.data, text.len, LAYOUT_FILE, err);
	if (!doc || json_get_string(doc, "imageLayoutVersion", true, &version, err) < 0)
		return -1;
	if (strncmp(version, "1.", 2) != 0)
		return error_set(err, E_INPUT, "image layout version %.30s is not known",
				 version);
	return 0;
}

static int open_layout(struct store *st, bool create, struct error *err)
{
	if (create && file_mkdirs(AT_FDCWD, st->path, err) < 0)
		return -1;
	st->dirfd = open_folder(st->path, err);
	if (st->dirfd < 0)
		return -1;
	if (create && ensure_files(st, err) < 0)
		return -1;
	if (check_layout(st, err) < 0)
		return -1;
	if (st->blobs < 0)
		st->blobs = openat(st->dirfd, BLOBS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

struct store *store_open_layout(const char *path, bool create, struct error *err)
{
	struct store *st = store_new(path, false);

	if (!open_layout(st, create, err))
		return st;
	cannot_make(create, err);
	error_wrap(err, "image layout %s", path);
	store_close(st);
	return NULL;
}

void store_close(struct store *st)
{
	if (!st)
		return;
	if (st->tmpdir) {
		tmpdir_close(st->tmpdir);
		/* a layout is left as other tools expect it; fails while another uses it
		 */
		if (!st->root)
			unlinkat(st->dirfd, "tmp", AT_REMOVEDIR);
	}
	if (st->blobs >= 0)
		close(st->blobs);
	if (st->dirfd >= 0)
		close(st->dirfd);
	map_release(&st->verified);
	pthread_mutex_destroy(&st->lock);
	free(st->path);
	free(st);
}
