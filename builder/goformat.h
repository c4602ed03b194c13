/*
 * goformat.h - values as Go's fmt prints them
 *
 * History entries (`created_by`) are what BuildKit writes there, and it writes
 * them with Go's %q and %v.
 */
#ifndef HOD_GOFORMAT_H
#define HOD_GOFORMAT_H

#include <stdint.h>

#include "registry/base/buf.h"

/* %q of a string. */
void go_quote(struct buf *out, const char *s);
/* %q of a list: ["a" "b"]. */
void go_quote_list(struct buf *out, const struct strv *list);
/* %v of a list: [a b]. */
void go_list(struct buf *out, const struct strv *list);
/* %v of a duration in ns: 1h2m3.5s, 100ms, 0s. */
void go_duration(struct buf *out, int64_t ns);

#endif
