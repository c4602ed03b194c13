#include "builder/app.h"
#include "builder/cmd.h"
#include "builder/cmd/local.h"
#include "builder/cmd/send.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

static int run_push(struct app *app, int argc, char **argv, struct error *err)
{
	bool quiet = false;
	auto_strv struct strv operands = STRV_INIT;
	auto_reference struct reference ref = REFERENCE_INIT;
	auto_local struct local image = LOCAL_INIT;
	auto_free char *name = NULL;
	const struct option options[] = {
		{"quiet", 'q', OPTION_BOOL, &quiet, NULL, "show no progress"},
	};
	struct store *st;
	int rc = command_options(app, &cmd_push, options, 1, argc, argv, 1, 1, &operands,
				 err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (quiet)
		log_setup(PROGRESS_QUIET, app->debug, app_logs_json(app));
	if (name_parse(&ref, operands.v[0], "push", err) < 0)
		return -1;
	name = reference_text(&ref);
	st = app_store(app, err);
	if (!st || local_open(st, name, &image, err) < 0)
		return -1;
	if (send_image(app, &ref, &image.manifest, &image.desc, NULL, 0, err) < 0)
		return -1;
	send_print(&ref, &image.desc);
	return 0;
}

const struct command cmd_push = {
	"push",
	"[OPTIONS] NAME[:TAG]",
	"Send an image to a registry",
	run_push,
};
