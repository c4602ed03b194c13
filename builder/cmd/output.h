/*
 * output.h - how commands show results: files, tables, JSON, --format
 */
#ifndef HOD_CMD_OUTPUT_H
#define HOD_CMD_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/json.h"

struct error;

/* A file that the user named for a result (--iidfile).  _prepare fails early (E_USAGE)
 * when its folder is not there, and takes an old result away so that a failure leaves
 * none; _write replaces it as a whole.  What is no regular file (/dev/stdout, a fifo) is
 * never removed, only written to.  path NULL: nothing to do. */
int result_file_prepare(const char *path, struct error *err);
int result_file_write(const char *path, const void *data, size_t len, struct error *err);

/* Rows of cells below a heading, as docker aligns them: columns at least ten wide, three
 * blanks between them. */
struct table {
	size_t columns;
	struct strv cells; /* columns * rows, the heading first */
};
void table_write(const struct table *t, struct buf *out);

/* Compact JSON with line breaks and four blanks a level, as docker inspect prints it. */
void json_indent(const char *json, size_t len, struct buf *out);

/*
 * --format: text with {{.Field.Field}} in it; \t and \n stand for tab and line break.
 * Everything else that Go's templates know is refused (E_USAGE).
 */
int format_check(const char *format, struct error *err);
/* Appends the text for one object.  Values look as Go prints them: [a b], map[k:v].
 * absent (may be NULL) gives the text for a field that is missing or null, by its name;
 * where it gives NULL the field is unknown: E_USAGE. */
int format_write(const char *format, const cJSON *obj,
		 const char *(*absent)(const char *field), struct buf *out,
		 struct error *err);

/* "187MB", "1.05GB": three digits, as docker shows sizes.  Yours to free. */
char *human_size(uint64_t bytes);
/* "3 weeks ago", as docker shows ages; yours to free. */
char *human_age(int64_t seconds);

#endif
