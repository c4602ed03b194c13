/*
 * context.h - the files that COPY may take: a folder, minus what is ignored
 *
 * The context is a tree view (tree.h) whose folders are read when they are first
 * entered; ignored paths do not exist in it (rules 15).  Owners are 0:0, the host's
 * xattrs are dropped, sockets are empty files (8.7, 8.16; hod-layers(5), LAYERS).
 * Links are resolved inside the folder.  A file whose content digest is
 * remembered (filehash.h) has it in its node from the start.
 */
#ifndef HOD_CONTEXT_H
#define HOD_CONTEXT_H

#include <stdbool.h>

#include "registry/base/digest.h"

struct error;
struct node;
struct store;
struct tree;
struct context;

/* dir: the folder.  dockerfile: its path as given, whose NAME.dockerignore goes before
 * the folder's .dockerignore (15.1).  st keeps the content digests. */
struct context *context_open(const char *dir, const char *dockerfile, struct store *st,
			     struct error *err);
void context_close(struct context *c); /* NULL is fine; saves the digests */
struct tree *context_tree(struct context *c);

/* Reads and hashes the file if need be: n->content.has_digest afterwards. */
int context_digest(struct context *c, struct node *n, struct error *err);
/* Remembers a digest that was computed elsewhere while the file was read. */
void context_remember(struct context *c, struct node *n, const struct digest *d);
/* True when a path exists on disk but .dockerignore hides it. */
bool context_ignores(struct context *c, const char *path);

#endif
