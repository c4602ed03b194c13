/*
 * file.h - files by (dirfd, relative path): whole reads, atomic writes, temporaries
 *
 * What an image, a context or a Dockerfile names is opened by file_open_in()
 * only.  A file that others can see is always whole: it is written under a
 * temporary name and renamed last.
 */
#ifndef HOD_FILE_H
#define HOD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct buf;
struct error;

/* Opens path below dirfd with dirfd as root: `..` and absolute links cannot
 * leave it (openat2 RESOLVE_IN_ROOT, where missing a walk with O_NOFOLLOW that
 * refuses links).  A fd or -1. */
int file_open_in(int dirfd, const char *path, int flags, struct error *err);

/* Reads a whole regular file of at most max bytes into out (appended).  A
 * larger one is E_INPUT. */
int file_read(int dirfd, const char *path, size_t max, struct buf *out,
	      struct error *err);
int file_read_fd(int fd, size_t max, struct buf *out, struct error *err);

/* All of it, or -1.  EINTR goes on unless interrupted. */
int file_write_all(int fd, const void *data, size_t len, struct error *err);
/* Fills buf from offset; fewer bytes only at the end of the file. */
ssize_t file_pread_full(int fd, void *buf, size_t len, uint64_t offset,
			struct error *err);

/* mkdir -p below dirfd, mode 0755 & ~umask for each. */
int file_mkdirs(int dirfd, const char *path, struct error *err);
/* Removes a folder tree of any depth; missing is fine.  Never follows links.  Folders of
 * ours that lack permission bits get them first. */
int file_remove_tree(int dirfd, const char *path, struct error *err);

/* A temporary directory of one process below DIR/tmp, held by a lock so that a
 * later process can tell that its owner is gone and sweep it (kill -9, crash). */
struct tmpdir;
struct tmpdir *
tmpdir_open(int dirfd, struct error *err); /* makes DIR/tmp/XXXXXX; sweeps dead ones */
void tmpdir_close(struct tmpdir *t);       /* removes it; NULL is fine */
int tmpdir_fd(const struct tmpdir *t);     /* of the directory; borrowed */
/* Makes a new, empty folder in it (mode 0700) and opens it: an fd that is yours, -1. */
int tmpdir_folder(struct tmpdir *t, char name[static 32], struct error *err);

/* One temporary file; committed by rename or linked away, else removed. */
struct tmp {
	struct tmpdir *dir;
	int fd;        /* -1 when closed */
	char name[32]; /* within dir */
};
#define TMP_INIT         \
	{                \
		.fd = -1 \
	}
int tmp_open(struct tmp *t, struct tmpdir *dir,
	     struct error *err); /* O_RDWR, mode 0644 & ~umask */
/* Renames it to NAME below dirfd (replacing what is there).  `durable`: fdatasync
 * the file before and the directory after.  t is closed. */
int tmp_commit(struct tmp *t, int dirfd, const char *name, bool durable,
	       struct error *err);
void tmp_abort(struct tmp *t); /* fine when never opened or committed */
#define auto_tmp __attribute__((cleanup(tmp_abort)))

/* Writes data to NAME below dirfd through a temporary. */
int file_replace(struct tmpdir *dir, int dirfd, const char *name, const void *data,
		 size_t len, bool durable, struct error *err);

/* Takes an exclusive lock on NAME below dirfd (made if missing), waiting for
 * other processes; an fd whose close releases it, or -1 (also when interrupted). */
int file_lock(int dirfd, const char *name, struct error *err);

#endif
