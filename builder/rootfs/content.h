/*
 * content.h - the bytes of a regular file, wherever they are
 */
#ifndef HOD_CONTENT_H
#define HOD_CONTENT_H

#include <stdint.h>

#include "builder/rootfs/node.h"

struct error;
struct node;
struct source;

/* A folder on disk, or a spool file, that contents point into. */
struct disk_root {
	int fd; /* folder, or the spool file itself when `spool` */
	bool spool;
	const char *name; /* for messages: "context" */
};

/* The bytes of a regular file node.  E_FAILED when a context file changed its size
 * meanwhile ("changed while it was read").  CONTENT_LAYER can't be opened here:
 * see treeload_extract. */
struct source *content_open(const struct node *n, struct error *err);

#endif
