#include "registry/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/base/interrupt.h"
#include "registry/base/log.h"

/* Room for a message before it is made to fit. */
#define DRAFT 4096

static const struct {
	const char *name;
	int status;
} kinds[E_KINDS] = {
	[E_NONE] = {"none", 0},
	[E_FAILED] = {"failed", 1},
	[E_USAGE] = {"usage", 2},
	[E_INPUT] = {"input", 2},
	[E_AUTH] = {"auth", 3},
	[E_MISSING] = {"missing", 4},
	[E_NETWORK] = {"network", 5},
	[E_CORRUPT] = {"corrupt", 6},
	[E_SANDBOX] = {"sandbox", 7},
	[E_BUG] = {"bug", 70},
	[E_INTERRUPTED] = {"interrupted", 130},
};

/* Copies text into out; when it does not fit the middle of its first `head`
 * bytes (the context) gives way, never the end (the cause). */
static void fit(char *out, size_t cap, const char *text, size_t head)
{
	size_t len = strlen(text), tail = len - head, keep, front;

	if (len < cap) {
		memcpy(out, text, len + 1);
		return;
	}
	if (tail + 16 > cap) { /* the cause alone is too long: its end counts */
		snprintf(out, cap, "...%s", text + len - (cap - 4));
		return;
	}
	keep = cap - 1 - tail - 3;
	front = keep / 2;
	snprintf(out, cap, "%.*s...%s", (int)front, text, text + head - (keep - front));
}

__attribute__((format(printf, 3, 0))) static void draft(char *out, size_t cap,
							const char *fmt, va_list ap)
{
	char raw[DRAFT];

	if (vsnprintf(raw, sizeof(raw), fmt, ap) >= (int)sizeof(raw))
		memcpy(raw + sizeof(raw) - 4, "...", 4);
	log_printable(raw, out, cap);
}

int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	char text[DRAFT];
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	draft(text, sizeof(text), fmt, ap);
	va_end(ap);
	memset(err, 0, sizeof(*err));
	err->kind = kind;
	fit(err->msg, sizeof(err->msg), text, strlen(text));
	return -1;
}

static enum error_kind kind_of_errno(int e)
{
	switch (e) {
	case EACCES:
	case EPERM:
	case EROFS:
		return E_AUTH;
	case ENOENT:
	case ENOTDIR:
		return E_MISSING;
	case EINTR:
		return E_INTERRUPTED;
	case ENOMEM:
		return E_BUG;
	case ECONNREFUSED:
	case ECONNRESET:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return E_NETWORK;
	default:
		return E_FAILED;
	}
}

int error_errno(struct error *err, const char *fmt, ...)
{
	int saved = errno;
	char text[DRAFT], all[DRAFT + 256];
	va_list ap;
	int head;

	if (!err)
		return -1;
	va_start(ap, fmt);
	draft(text, sizeof(text), fmt, ap);
	va_end(ap);
	memset(err, 0, sizeof(*err));
	err->kind = kind_of_errno(saved);
	err->sys_errno = saved;
	head = (int)strlen(text);
	snprintf(all, sizeof(all), "%s: %s", text, strerrordesc_np(saved));
	fit(err->msg, sizeof(err->msg), all, (size_t)head);
	errno = saved;
	return -1;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	char text[DRAFT], all[DRAFT + ERROR_MSG + 4];
	va_list ap;
	size_t head;

	if (!err)
		return -1;
	va_start(ap, fmt);
	draft(text, sizeof(text), fmt, ap);
	va_end(ap);
	head = strlen(text);
	snprintf(all, sizeof(all), "%s: %s", text, err->msg);
	fit(err->msg, sizeof(err->msg), all, head);
	return -1;
}

int error_hint(struct error *err, const char *fmt, ...)
{
	char text[DRAFT];
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	draft(text, sizeof(text), fmt, ap);
	va_end(ap);
	fit(err->hint, sizeof(err->hint), text, strlen(text));
	return -1;
}

int error_at(struct error *err, const char *file, unsigned line, unsigned column)
{
	char text[DRAFT];

	if (!err || err->file[0])
		return -1;
	log_printable(file, text, sizeof(text));
	fit(err->file, sizeof(err->file), text, strlen(text));
	err->line = line;
	err->column = column;
	return -1;
}

int error_status(const struct error *err)
{
	if (err->kind == E_INTERRUPTED && interrupt_signal())
		return 128 + interrupt_signal();
	return kinds[err->kind].status;
}

const char *error_kind_name(enum error_kind kind)
{
	return kinds[kind].name;
}
