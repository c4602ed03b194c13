#include "registry/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/json.h"
#include "registry/base/lines.h"

#define REDRAW_NS 100000000LL
/* Lines of a failed step's output that are shown once more. */
#define TAIL 20

struct progress_step {
	unsigned number;
	char *title;
	long long start; /* ns, monotonic */
	struct lines lines;
	struct buf out;   /* lines to be written */
	char *tail[TAIL]; /* the last lines, each with its time: a ring */
	size_t nlines;    /* of all; the next one goes to tail[nlines % TAIL] */
};

struct progress_transfer {
	char *what;
	uint64_t total;
	atomic_ullong done;
	long long start;
};

static struct {
	pthread_mutex_t lock;
	enum progress_mode mode;
	bool debug, json, live, colour;
	bool drawn; /* a status line stands on the terminal */
	long long last_draw;
	unsigned steps;
	atomic_ullong received, sent;
} ui = {.lock = PTHREAD_MUTEX_INITIALIZER, .mode = PROGRESS_AUTO};

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

void log_setup(enum progress_mode mode, bool debug, bool json)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	pthread_mutex_lock(&ui.lock);
	ui.mode = mode;
	ui.debug = debug;
	ui.json = json || mode == PROGRESS_JSON;
	ui.live = mode == PROGRESS_AUTO && !ui.json && isatty(STDERR_FILENO) && term &&
		  strcmp(term, "dumb");
	ui.colour = ui.live && !(no_color && *no_color);
	pthread_mutex_unlock(&ui.lock);
}

int progress_mode_parse(const char *word)
{
	static const struct {
		const char *word;
		enum progress_mode mode;
	} words[] = {{"auto", PROGRESS_AUTO},    {"tty", PROGRESS_AUTO},
		     {"plain", PROGRESS_PLAIN},  {"json", PROGRESS_JSON},
		     {"rawjson", PROGRESS_JSON}, {"quiet", PROGRESS_QUIET}};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i].word))
			return (int)words[i].mode;
	return -1;
}

char *log_printable(const char *text, char *out, unsigned long cap)
{
	unsigned long n = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p && n + 1 < cap; p++)
		out[n++] = *p < 0x20 || *p == 0x7f ? ' ' : (char)*p;
	/* never half a UTF-8 sequence, nor C1 controls (0xc2 0x80-0x9f) */
	for (unsigned long i = 0; i + 1 < n; i++)
		if ((unsigned char)out[i] == 0xc2 && (unsigned char)out[i + 1] < 0xa0)
			out[i] = out[i + 1] = ' ';
	if (n + 1 == cap)
		while (n && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
			n--;
	if (n && (unsigned char)out[n - 1] >= 0xc0)
		n--;
	out[n] = '\0';
	return out;
}

/* Takes the status line away; the lock is held. */
static void erase(void)
{
	if (ui.drawn)
		fputs("\r\033[K", stderr);
	ui.drawn = false;
}

/* A status line that is replaced by whatever comes next; the lock is held. */
static void draw_status(const char *text)
{
	struct winsize ws = {0};
	char shown[512];
	unsigned width = 80;

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) && ws.ws_col > 8)
		width = ws.ws_col;
	log_printable(text, shown, width < sizeof(shown) ? width : sizeof(shown));
	erase();
	fputs(shown, stderr);
	fflush(stderr);
	ui.drawn = true;
}

/* One JSON line; the lock is held. */
static void json_line(const char *level, const char *key, const char *text,
		      const struct error *err)
{
	auto_buf struct buf b = BUF_INIT;

	json_open(&b, '{');
	json_key(&b, "level");
	json_string(&b, level);
	json_key(&b, key);
	json_string(&b, text);
	if (err) {
		json_key(&b, "kind");
		json_string(&b, error_kind_name(err->kind));
		if (err->file[0]) {
			json_key(&b, "file");
			json_string(&b, err->file);
			json_key(&b, "line");
			json_int(&b, err->line);
		}
		if (err->hint[0]) {
			json_key(&b, "hint");
			json_string(&b, err->hint);
		}
	}
	json_close(&b, '}');
	fprintf(stderr, "%s\n", b.data);
}

__attribute__((format(printf, 3, 0))) static void
line(const char *level, const char *prefix, const char *fmt, va_list ap)
{
	char text[4096], shown[4096];

	vsnprintf(text, sizeof(text), fmt, ap);
	log_printable(text, shown, sizeof(shown));
	pthread_mutex_lock(&ui.lock);
	erase();
	if (ui.json)
		json_line(level, "message", shown, NULL);
	else
		fprintf(stderr, "%s%s\n", prefix, shown);
	pthread_mutex_unlock(&ui.lock);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!ui.debug)
		return;
	va_start(ap, fmt);
	line("debug", "hod: debug: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (ui.mode == PROGRESS_QUIET)
		return;
	va_start(ap, fmt);
	line("info", "", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("warning", "hod: warning: ", fmt, ap);
	va_end(ap);
}

void log_error(const struct error *err, const char *excerpt)
{
	char place[ERROR_FILE + 32] = "", shown[1024];

	pthread_mutex_lock(&ui.lock);
	erase();
	if (ui.json) {
		json_line("error", "message", err->msg, err);
		pthread_mutex_unlock(&ui.lock);
		return;
	}
	if (err->file[0] && err->line)
		snprintf(place, sizeof(place), "%s:%u: ", err->file, err->line);
	else if (err->file[0])
		snprintf(place, sizeof(place), "%s: ", err->file);
	fprintf(stderr, "hod: %s%s\n", place, err->msg);
	if (excerpt && err->line)
		fprintf(stderr, "  %u | %s\n", err->line,
			log_printable(excerpt, shown, sizeof(shown)));
	if (err->hint[0])
		fprintf(stderr, "  hint: %s\n", err->hint);
	pthread_mutex_unlock(&ui.lock);
}

void log_finish(void)
{
	pthread_mutex_lock(&ui.lock);
	erase();
	fflush(stderr);
	pthread_mutex_unlock(&ui.lock);
}

/* {"step":N,KEY:TEXT[,"seconds":S]}; the lock is held. */
static void json_step(const struct progress_step *s, const char *key, const char *text,
		      bool timed)
{
	auto_buf struct buf b = BUF_INIT;

	json_open(&b, '{');
	json_key(&b, "step");
	json_int(&b, s->number);
	json_key(&b, key);
	json_string(&b, text);
	if (timed) {
		json_key(&b, "milliseconds");
		json_int(&b, (now_ns() - s->start) / 1000000);
	}
	json_close(&b, '}');
	fprintf(stderr, "%s\n", b.data);
}

struct progress_step *progress_start(const char *fmt, ...)
{
	struct progress_step *s = xcalloc(1, sizeof(*s));
	char text[4096];
	va_list ap;

	s->out = (struct buf)BUF_INIT;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->title = xmalloc(sizeof(text));
	log_printable(text, s->title, sizeof(text));
	s->start = now_ns();
	pthread_mutex_lock(&ui.lock);
	s->number = ++ui.steps;
	if (ui.mode == PROGRESS_QUIET)
		;
	else if (ui.json)
		json_step(s, "start", s->title, false);
	else if (ui.live)
		draw_status(s->title);
	else
		fprintf(stderr, "#%u %s\n", s->number, s->title);
	pthread_mutex_unlock(&ui.lock);
	return s;
}

void progress_note(struct progress_step *s, const char *fmt, ...)
{
	char text[4096], shown[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_printable(text, shown, sizeof(shown));
	pthread_mutex_lock(&ui.lock);
	if (ui.mode == PROGRESS_QUIET || ui.live)
		;
	else if (ui.json)
		json_step(s, "note", shown, false);
	else
		fprintf(stderr, "#%u %s\n", s->number, shown);
	pthread_mutex_unlock(&ui.lock);
}

/* A line of a step's output on the status line, behind the step's label; the lock is
 * held. */
static void draw_output(const struct progress_step *s, const char *text)
{
	size_t label = s->title[0] == '[' ? strcspn(s->title, "]") : 0;
	long long now = now_ns();
	auto_free char *status = NULL;

	if (!*text || now - ui.last_draw < REDRAW_NS)
		return;
	ui.last_draw = now;
	status = xasprintf("%.*s%s%s", (int)label + (s->title[label] == ']'), s->title,
			   label ? " " : "", text);
	draw_status(status);
}

/* lines_put; the lock is held. */
static void output_line(void *ctx, const char *text)
{
	struct progress_step *s = ctx;
	char shown[LINES_MAX + 1], **kept = &s->tail[s->nlines++ % TAIL];
	double seconds = (double)(now_ns() - s->start) / 1e9;

	log_printable(text, shown, sizeof(shown));
	free(*kept);
	*kept = xasprintf("%.3f %s", seconds, shown);
	if (ui.mode == PROGRESS_QUIET)
		return;
	if (ui.json)
		json_step(s, "output", shown, false);
	else if (ui.live)
		draw_output(s, shown);
	else
		buf_addf(&s->out, "#%u %s\n", s->number, *kept);
}

/* A flood of short lines is written in pieces as it came, not line by line; the lock is
 * held. */
static void write_output(struct progress_step *s)
{
	fwrite(s->out.data, 1, s->out.len, stderr);
	buf_reset(&s->out);
}

void progress_output(struct progress_step *s, const char *data, size_t len)
{
	pthread_mutex_lock(&ui.lock);
	lines_add(&s->lines, data, len, output_line, s);
	write_output(s);
	pthread_mutex_unlock(&ui.lock);
}

/* What a failed step wrote last, framed as docker does; the lock is held. */
static void show_tail(const struct progress_step *s)
{
	size_t first = s->nlines > TAIL ? s->nlines - TAIL : 0;

	if (!s->nlines || ui.json)
		return;
	fprintf(stderr, "------\n > %s:\n", s->title);
	for (size_t i = first; i < s->nlines; i++)
		fprintf(stderr, "%s\n", s->tail[i % TAIL]);
	fputs("------\n", stderr);
}

static void step_free(struct progress_step *s)
{
	for (size_t i = 0; i < TAIL; i++)
		free(s->tail[i]);
	buf_release(&s->out);
	free(s->title);
	free(s);
}

void progress_end(struct progress_step *s, enum progress_result r)
{
	static const char *const words[] = {"DONE", "CACHED", "FAILED"};
	static const char *const colours[] = {"\033[32m", "\033[36m", "\033[31m"};
	double seconds;

	if (!s)
		return;
	seconds = (double)(now_ns() - s->start) / 1e9;
	pthread_mutex_lock(&ui.lock);
	lines_end(&s->lines, output_line, s);
	write_output(s);
	erase();
	if (ui.mode == PROGRESS_QUIET)
		;
	else if (ui.json)
		json_step(s, "end", words[r], true);
	else if (ui.live)
		fprintf(stderr, "%s%-6s%s %s  %.1fs\n", ui.colour ? colours[r] : "",
			words[r], ui.colour ? "\033[0m" : "", s->title, seconds);
	else if (r == PROGRESS_CACHED)
		fprintf(stderr, "#%u CACHED\n", s->number);
	else
		fprintf(stderr, "#%u %s %.1fs\n", s->number, words[r], seconds);
	if (r == PROGRESS_FAILED)
		show_tail(s);
	pthread_mutex_unlock(&ui.lock);
	step_free(s);
}

struct progress_transfer *progress_transfer_start(const char *what, uint64_t total)
{
	struct progress_transfer *t = xcalloc(1, sizeof(*t));

	t->what = xstrdup(what);
	t->total = total;
	t->start = now_ns();
	return t;
}

static char *human(uint64_t bytes, char out[static 32])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1000 && u + 1 < sizeof(units) / sizeof(*units)) {
		v /= 1000;
		u++;
	}
	snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return out;
}

void progress_transfer_add(struct progress_transfer *t, uint64_t bytes)
{
	uint64_t done = atomic_fetch_add(&t->done, bytes) + bytes;
	char text[512], a[32], b[32];
	long long now;

	if (!ui.live || pthread_mutex_trylock(&ui.lock))
		return;
	now = now_ns();
	if (now - ui.last_draw >= REDRAW_NS) {
		ui.last_draw = now;
		snprintf(text, sizeof(text), "%s  %s / %s", t->what, human(done, a),
			 human(t->total, b));
		draw_status(text);
	}
	pthread_mutex_unlock(&ui.lock);
}

void progress_transfer_end(struct progress_transfer *t, bool ok)
{
	char size[32];
	double seconds;

	if (!t)
		return;
	seconds = (double)(now_ns() - t->start) / 1e9;
	if (ok)
		log_info("%s  %s  %.1fs", t->what, human(t->done, size), seconds);
	free(t->what);
	free(t);
}

void log_add_traffic(uint64_t received, uint64_t sent)
{
	atomic_fetch_add(&ui.received, received);
	atomic_fetch_add(&ui.sent, sent);
}

void log_get_traffic(uint64_t *received, uint64_t *sent)
{
	*received = ui.received;
	*sent = ui.sent;
}
