#include "builder/cmd.h"

#include <stdio.h>
#include <string.h>

#include "builder/app.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

static void print_help(struct app *app, const struct command *cmd,
		       const struct option_table *own)
{
	auto_buf struct buf text = BUF_INIT;
	struct option_table global = app_options(app);

	buf_addf(&text, "Usage:  hod %s %s\n\n%s\n", cmd->name, cmd->operands,
		 cmd->summary);
	if (own->n) {
		buf_adds(&text, "\nOptions:\n");
		options_usage(own, &text);
	}
	buf_adds(&text, "\nGlobal options:\n");
	options_usage(&global, &text);
	fputs(text.data, stdout);
}

static int set_up_log(const struct app *app, struct error *err)
{
	if (app->log_format && strcmp(app->log_format, "text") != 0 &&
	    strcmp(app->log_format, "json") != 0)
		return error_set(err, E_USAGE, "--log-format is text or json, not \"%s\"",
				 app->log_format);
	log_setup(PROGRESS_AUTO, app->debug, app_logs_json(app));
	return 0;
}

int command_options(struct app *app, const struct command *cmd, const struct option *v,
		    size_t n, int argc, char **argv, int min, int max,
		    struct strv *operands, struct error *err)
{
	struct option_table tables[] = {{v, n}, app_options(app)};

	if (options_parse(tables, 2, argc, argv, operands, err) < 0)
		return -1;
	if (app->help) {
		print_help(app, cmd, &tables[0]);
		return 1;
	}
	if (set_up_log(app, err) < 0)
		return -1;
	if (operands->n < (size_t)min) {
		error_set(err, E_USAGE, "hod %s needs more operands", cmd->name);
		return error_hint(err, "write hod %s %s", cmd->name, cmd->operands);
	}
	if (max >= 0 && operands->n > (size_t)max) {
		error_set(err, E_USAGE, "one operand too many: %s", operands->v[max]);
		return error_hint(err, "write hod %s %s", cmd->name, cmd->operands);
	}
	return 0;
}
