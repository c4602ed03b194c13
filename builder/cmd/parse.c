#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/app.h"
#include "builder/cmd.h"
#include "parser/dockerfile.h"
#include "parser/dump.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/log.h"

/* Far more than a Dockerfile has; it is read whole. */
#define FILE_MAX ((size_t)16 << 20)

static int read_input(const char *name, struct buf *out, struct error *err)
{
	if (!strcmp(name, "-"))
		return file_read_fd(STDIN_FILENO, FILE_MAX, out, err) < 0
			       ? error_wrap(err, "standard input")
			       : 0;
	if (file_read(AT_FDCWD, name, FILE_MAX, out, err) == 0)
		return 0;
	if (err->kind == E_MISSING) /* a missing Dockerfile is wrong input */
		err->kind = E_INPUT;
	return -1;
}

/* FILE:LINE:COL: message, and the hint below it; as JSON lines where those are wanted. */
static void report(const struct app *app, const char *file, const struct diag *d)
{
	bool warning = d->level == DIAG_WARNING;
	char place[512], text[2048];
	struct error err = ERROR_INIT;

	if (app_logs_json(app) && !warning) {
		error_set(&err, E_INPUT, "%s", d->message);
		if (d->hint)
			error_hint(&err, "%s", d->hint);
		error_at(&err, file, d->line, d->column);
		log_error(&err, NULL);
		return;
	}
	if (app_logs_json(app)) {
		log_warn("%s:%u:%u: %s", file, d->line, d->column, d->message);
		return;
	}
	fprintf(stderr, "%s:%u:%u: %s%s\n", log_printable(file, place, sizeof(place)),
		d->line, d->column, warning ? "warning: " : "",
		log_printable(d->message, text, sizeof(text)));
	if (d->hint)
		fprintf(stderr, "hint: %s\n", log_printable(d->hint, text, sizeof(text)));
}

/* A tree with errors is not shown, as BuildKit shows none. */
static int parse_file(const struct app *app, const char *name, bool json, struct arena *a,
		      struct error *err)
{
	auto_buf struct buf text = BUF_INIT;
	struct diags diags = {.arena = a};
	struct dockerfile *df;

	if (read_input(name, &text, err) < 0)
		return -1;
	df = dockerfile_parse(a, text.data, text.len, &diags);
	for (size_t i = 0; i < diags.n; i++)
		report(app, name, &diags.v[i]);
	if (diags.errors) {
		error_set(err, E_INPUT, "%s: %zu error%s", name, diags.errors,
			  diags.errors == 1 ? "" : "s");
		return -1;
	}
	fputs(json ? dockerfile_dump_json(a, df) : dockerfile_dump_sexp(a, df), stdout);
	return 0;
}

static int run_parse(struct app *app, int argc, char **argv, struct error *err)
{
	const char *dump = "sexp";
	const struct option options[] = {
		{"dump", 0, OPTION_STRING, &dump, "FORMAT",
		 "sexp (BuildKit's test format) or json"},
	};
	auto_strv struct strv operands = STRV_INIT;
	struct arena a = ARENA_INIT;
	int rc = command_options(app, &cmd_parse, options, 1, argc, argv, 1, 1, &operands,
				 err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (strcmp(dump, "sexp") != 0 && strcmp(dump, "json") != 0)
		return error_set(err, E_USAGE, "--dump is sexp or json, not \"%s\"",
				 dump);
	rc = parse_file(app, operands.v[0], !strcmp(dump, "json"), &a, err);
	arena_release(&a);
	return rc;
}

const struct command cmd_parse = {
	"parse",
	"[OPTIONS] FILE|-",
	"Show the syntax tree of a Dockerfile",
	run_parse,
};
