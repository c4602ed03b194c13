/*
 * extract.h - file contents out of a stage's layers
 *
 * A tree knows which layer and which tar header a file is in; here its bytes
 * come out.  A layer is read from the restart points before the files (layer_source.h),
 * or, where it has none or most of it is wanted, once from its start, whatever the number
 * of files.
 */
#ifndef HOD_EXTRACT_H
#define HOD_EXTRACT_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;
struct node;
struct stage_state;
struct tree;

/* Reads a regular file of the stage (links followed inside it), at most max bytes:
 * 1, 0 when it is not there or no regular file, -1. */
int extract_file(struct stage_state *s, const char *path, size_t max, struct buf *out,
		 struct error *err);

/* Copies the contents of nodes[] (regular files of s's tree whose content is
 * CONTENT_LAYER) into one temporary file and points targets[i] of `into` there;
 * nodes[i] and targets[i] belong together.  The file lives until spool_close.  Holes stay
 * holes, so a sparse file takes what it has of data.  E_FAILED when the sizes come to
 * more than COPY_SIZE_MAX, or the data to more than the free space. */
struct spool;
struct spool *spool_open(struct stage_state *s, struct node *const *nodes,
			 struct node *const *targets, size_t n, struct tree *into,
			 struct error *err);
void spool_close(struct spool *sp); /* NULL is fine */

#endif
