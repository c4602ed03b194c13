/*
 * copy.h - COPY: from one tree into another
 *
 * Three parts, so that a cached step stops after the second: which sources match
 * (rules 8.1 to 8.8), what they are (the step's key), what they become in the
 * destination (8.9 to 8.20).  Sources are nodes of a tree, be it the context's view or a
 * stage's; nothing is read from the base.
 */
#ifndef HOD_COPY_H
#define HOD_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/digest.h"

struct context;
struct error;
struct node;
struct tree;

/* Larger files are refused by name (E_INPUT), and larger sums between stages: a hole
 * costs nothing in a layer that is read, but its zeros are compressed into the one that
 * is written, and no registry takes what comes of it. */
#define COPY_SIZE_MAX ((uint64_t)8 << 40) /* bytes */

struct copy_match {
	struct node *node;
	char *name; /* last part of the source as written: the file's name in a folder */
};

struct copy_pair {
	struct node *source, *target;
};

struct copy {
	/* what is asked for; borrowed */
	struct tree *from;
	struct context *context; /* of which `from` is the view; NULL: a stage's tree */
	struct strv sources;     /* expanded; owned */
	const char *text;        /* the instruction, for messages */
	const char *dest;        /* absolute, a final slash says that it is a folder */
	bool has_owner, has_mode;
	uint32_t uid, gid;
	uint16_t mode;   /* --chmod, octal */
	bool keep_mtime; /* --timestamp keep: sources' times matter */
	bool bytecode;   /* the rule for .pyc files is on */
	/* what was found; owned */
	struct copy_match *matches;
	size_t nmatches, cap_matches;
	/* files that were set, in the order of the destination's making */
	struct copy_pair *pairs;
	size_t npairs, cap_pairs;
};

void copy_release(struct copy *c);

/* Finds the sources.  A literal one that is missing is E_INPUT with a hint; a
 * wildcard that matches nothing is none (8.3). */
int copy_match(struct copy *c, struct error *err);
/* True when the content digest of every file that matched is known without
 * reading it.  Enters all folders that match. */
int copy_digests_known(struct copy *c, bool *known, struct error *err);
/* The digest of all that the step reads (hod-store(5)).  listing gets a line
 * "HEX PATH\n" for each entry, to explain a later miss.  Files of a context without a
 * digest are read. */
int copy_inputs(struct copy *c, struct digest *out, struct buf *listing,
		struct error *err);
/* Puts the sources into a tree whose step has begun.  time: the mtime of what is
 * made (the layer writer may set another). */
int copy_apply(struct copy *c, struct tree *to, int64_t time, struct error *err);
/* Gives valid .pyc files that were set the mtime that their sources have now (pyc.h).
 * Contents must be where they can be opened. */
int copy_bytecode(struct copy *c, struct tree *to, struct error *err);
/* The .pyc files that the tree had before, beside sources that were set: *v, to be freed,
 * and *n. */
int copy_bytecode_below(struct copy *c, struct tree *to, struct node ***v, size_t *n,
			struct error *err);
/* One of them whose header fits the new source, though it was not made from it, becomes
 * part of the step with a field that fits no more; *done says so.  Its content must be
 * where it can be opened until the layer is written. */
int copy_invalidate(struct tree *to, struct node *pyc, int64_t time, bool *done,
		    struct error *err);
/* E_INPUT, without the name, when the file is larger than COPY_SIZE_MAX. */
int copy_check_size(const struct node *n, struct error *err);
/* After the layer was written: gives the context's files the digests that were computed
 * on the way. */
void copy_settle(struct copy *c);

/* Makes the missing folders `rest` ("a/b") below dir, each with mode and owner; the
 * innermost is returned. */
struct node *copy_make_folders(struct tree *t, struct node *dir, const char *rest,
			       uint16_t mode, uint32_t uid, uint32_t gid, int64_t time,
			       struct error *err);

#endif
