/*
 * textmap.h - JSON objects that map text to text, kept as "key=value" lists
 *
 * Labels and annotations; and sets (ExposedPorts, Volumes), which JSON writes
 * as objects of empty objects.
 */
#ifndef HOD_TEXTMAP_H
#define HOD_TEXTMAP_H

#include "registry/base/buf.h"

struct cJSON;
struct error;

/* obj[field] as "key=value" in the object's order, of equal keys the last.
 * Missing or null: empty; a null value is "".  A key that contains `=` cannot be
 * kept: it is dropped with a warning.  E_CORRUPT for other types. */
int textmap_parse(const struct cJSON *obj, const char *field, struct strv *out,
		  struct error *err);
/* Writes field and the map sorted bytewise by key, of equal keys the last; nothing when
 * it is empty. */
void textmap_write(struct buf *b, const char *field, const struct strv *map);

/* The same for {"key":{}}. */
int textset_parse(const struct cJSON *obj, const char *field, struct strv *out,
		  struct error *err);
void textset_write(struct buf *b, const char *field, const struct strv *set);

#endif
