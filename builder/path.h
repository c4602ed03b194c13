/*
 * path.h - paths as text: cleaning and joining, no file system involved
 */
#ifndef HOD_PATH_H
#define HOD_PATH_H

#include <stdbool.h>

/* Go's path.Clean("/" + path) without the leading slash: no empty or `.` parts,
 * `..` takes one part away and stops at the root.  "" is the root.  Yours to free. */
char *path_clean(const char *path);
/* "/" + path_clean(base/path), or of path alone when it is absolute.  Yours to free. */
char *path_join(const char *base, const char *path);
/* The part behind the last slash. */
const char *path_base(const char *path);
/* Whether `..` parts lead above where the path starts. */
bool path_climbs(const char *path);

#endif
