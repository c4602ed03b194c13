/*
 * filehash.h - content digests of context files, remembered by their stat data
 *
 * One table for each context folder, files/KEY in the store: sorted fixed
 * records of {device, inode, size, mtime, ctime} -> SHA-256, checksummed.  A
 * file whose stat data is the same has the same content; a file that changed after the
 * table was opened, or so shortly before that a further change could leave its times
 * equal, is not remembered.
 */
#ifndef HOD_FILEHASH_H
#define HOD_FILEHASH_H

#include <stdbool.h>
#include <sys/stat.h>

#include "registry/base/digest.h"

struct error;
struct filehash;
struct store;

/* The table of the context that `root` (its stat) is.  A damaged one is empty. */
struct filehash *filehash_open(struct store *st, const struct stat *root);
/* True and *out when the content is known. */
bool filehash_find(struct filehash *f, const struct stat *st, struct digest *out);
/* Remembers it from now on. */
void filehash_add(struct filehash *f, const struct stat *st, const struct digest *d);
/* Saves the table if it changed (what was neither found nor added goes), and
 * frees it.  Failing to save is not an error: the cache is smaller, that's all. */
void filehash_close(struct filehash *f);

#endif
