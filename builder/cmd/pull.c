#include <stdio.h>

#include "builder/app.h"
#include "builder/cmd.h"
#include "builder/cmd/local.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"
#include "registry/transfer.h"

static int pull(struct app *app, const struct reference *ref, const struct platform *want,
		bool is_explicit, struct error *err)
{
	struct store *st = app_store(app, err);
	struct client *client = st ? app_client(app, err) : NULL;
	auto_free char *name = reference_text(ref);
	char text[DIGEST_TEXT];
	struct image im = IMAGE_INIT;
	int rc = -1;

	if (!client)
		return -1;
	if (image_resolve(&im, st, client, ref, want, is_explicit, PULL_ALWAYS, err) ==
		    0 &&
	    image_complete(&im, st, client, err) == 0) {
		log_info("Digest: %s", digest_text(&im.desc.digest, text));
		puts(name);
		rc = 0;
	}
	image_release(&im);
	return rc;
}

static int run_pull(struct app *app, int argc, char **argv, struct error *err)
{
	bool quiet = false, is_explicit;
	auto_strv struct strv operands = STRV_INIT, platforms = STRV_INIT;
	auto_reference struct reference ref = REFERENCE_INIT;
	auto_platform struct platform platform = PLATFORM_INIT;
	const struct option options[] = {
		{"platform", 0, OPTION_LIST, &platforms, "OS/ARCH[/VARIANT]",
		 "pull the image for this platform"},
		{"quiet", 'q', OPTION_BOOL, &quiet, NULL, "show no progress"},
	};
	int rc = command_options(app, &cmd_pull, options, 2, argc, argv, 1, 1, &operands,
				 err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (quiet)
		log_setup(PROGRESS_QUIET, app->debug, app_logs_json(app));
	if (reference_parse(&ref, operands.v[0], err) < 0)
		return -1;
	reference_complete(&ref);
	if (platform_option(&platforms, &platform, &is_explicit, err) < 0)
		return -1;
	return pull(app, &ref, &platform, is_explicit, err);
}

const struct command cmd_pull = {
	"pull",
	"[OPTIONS] NAME[:TAG|@DIGEST]",
	"Fetch an image from a registry",
	run_pull,
};
