/*
 * log.h - what hod tells people while it works: one place draws it
 *
 * stderr carries progress, warnings and errors; stdout only results, which
 * commands print themselves.  Library code reports through log_* and
 * progress_*; the mode decides what appears: PROGRESS_AUTO is a live display
 * on a terminal and plain lines elsewhere.  Any thread may call anything here.
 * Text from outside is made printable before it is drawn.
 */
#ifndef HOD_LOG_H
#define HOD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum progress_mode { PROGRESS_AUTO, PROGRESS_PLAIN, PROGRESS_JSON, PROGRESS_QUIET };

/* Both may be called again (options are parsed in two places). */
void log_setup(enum progress_mode mode, bool debug, bool json);
/* Parses "auto", "plain", "json", "quiet", "tty", "rawjson"; -1 otherwise. */
int progress_mode_parse(const char *word);
void log_finish(void); /* puts the terminal right; at exit */

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints a failure as hod(1), DIAGNOSTICS, shows: message, excerpt of the source
 * line when the place is known (excerpt may be NULL), hint. */
void log_error(const struct error *err, const char *excerpt);

/* A step of the build: "[stage 2/5] COPY . ." */
struct progress_step;
struct progress_step *progress_start(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/* A line of detail below the step (why a cache missed, a warning). */
void progress_note(struct progress_step *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* What the step's command wrote, in pieces as they came: shown line by line (lines.h),
 * with the seconds since the step began.  The last lines of a step that fails are shown
 * once more, in quiet mode too. */
void progress_output(struct progress_step *s, const char *data, size_t len);
enum progress_result { PROGRESS_DONE, PROGRESS_CACHED, PROGRESS_FAILED };
void progress_end(struct progress_step *s, enum progress_result r); /* frees s */

/* A transfer within or outside steps: "pull sha256:1234 12.3 MB". */
struct progress_transfer;
struct progress_transfer *progress_transfer_start(const char *what, uint64_t total);
void progress_transfer_add(struct progress_transfer *t,
			   uint64_t bytes);                       /* cheap; any thread */
void progress_transfer_end(struct progress_transfer *t, bool ok); /* frees t */

/* Bytes moved by all transfers so far, for the summary. */
void log_add_traffic(uint64_t received, uint64_t sent);
void log_get_traffic(uint64_t *received, uint64_t *sent);

/* Copies text with control and invalid bytes replaced; at most cap-1 bytes. */
char *log_printable(const char *text, char *out, unsigned long cap);

#endif
