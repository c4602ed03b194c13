#include "builder/diags.h"

#include <string.h>

#include "parser/diag.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

/* Fills err from a diagnosis; the place is the Dockerfile's. */
static int from_diag(struct error *err, const char *file, const struct diag *d)
{
	error_set(err, E_INPUT, "%s", d->message);
	if (d->hint)
		error_hint(err, "%s", d->hint);
	return error_at(err, file, d->line, d->column);
}

char *diags_line(const char *text, size_t len, unsigned line)
{
	const char *end = text + len, *at = text;

	while (--line && at) {
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return NULL;
	return xstrndup(at, strcspn(at, "\r\n"));
}

int diags_report(const char *file, const struct diags *d, const char *text, size_t len,
		 struct error *err)
{
	size_t left = d->errors;

	for (size_t i = 0; i < d->n; i++) {
		const struct diag *g = &d->v[i];
		struct error one = ERROR_INIT;
		auto_free char *excerpt = NULL;

		if (g->level == DIAG_WARNING) {
			log_warn("%s:%u: %s", file, g->line, g->message);
			continue;
		}
		from_diag(&one, file, g);
		if (--left == 0) {
			*err = one;
			continue;
		}
		excerpt = diags_line(text, len, g->line);
		log_error(&one, excerpt);
	}
	return d->errors ? -1 : 0;
}
