/*
 * pyc.h - Python bytecode that stays valid in the image (hod-layers(5), BYTECODE)
 *
 * A `.pyc` whose flags word is 0 holds the mtime and size of its source (PEP 552):
 * magic, flags, mtime, size, 4 bytes each, little-endian.  Where both match, Python
 * uses it; hod gives the source another mtime, so a valid one gets that time
 * too, else Lambda would compile again at each cold start.  An invalid one is
 * left alone.
 */
#ifndef HOD_PYC_H
#define HOD_PYC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct node;
struct tree;

#define PYC_HEADER 16

/* A regular file named *.pyc that is long enough to have a header. */
bool pyc_is(const struct node *n);
/* The source that a .pyc of that name belongs to: `__pycache__/N.TAG[.opt-K].pyc` has
 * ../N.py, any other N.pyc has N.py beside it.  A regular file of the tree; *out is NULL
 * when there is none. */
int pyc_source(struct tree *t, struct node *pyc, struct node **out, struct error *err);
/* Whether the header (PYC_HEADER bytes) is valid for a source of this mtime and size. */
bool pyc_header_valid(const uint8_t *header, int64_t mtime, uint64_t size);
/* Reads the header of a content that can be opened and compares it with its source. */
int pyc_valid(const struct node *pyc, const struct node *source, bool *valid,
	      struct error *err);

#endif
