#include "builder/app.h"
#include "builder/cmd.h"
#include "builder/cmd/local.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/store.h"

static int run_tag(struct app *app, int argc, char **argv, struct error *err)
{
	auto_strv struct strv operands = STRV_INIT;
	auto_reference struct reference ref = REFERENCE_INIT;
	auto_descriptor struct descriptor desc = {0};
	auto_local struct local image = LOCAL_INIT;
	auto_free char *name = NULL, *platform = NULL;
	struct store *st;
	int rc =
		command_options(app, &cmd_tag, NULL, 0, argc, argv, 2, 2, &operands, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (name_parse(&ref, operands.v[1], "tag", err) < 0)
		return -1;
	st = app_store(app, err);
	if (!st || local_open(st, operands.v[0], &image, err) < 0)
		return -1;
	/* what the source names: of an index, the index */
	if (local_find(st, operands.v[0], &desc, err) < 0)
		return -1;
	name = reference_text(&ref);
	if (index_type_known(desc.media_type))
		return store_tag(st, name, &desc, NULL, err);
	platform = local_platform(&image);
	return store_tag(st, name, &image.desc, platform, err);
}

const struct command cmd_tag = {
	"tag",
	"[OPTIONS] SOURCE NAME[:TAG]",
	"Give an image of this machine another name",
	run_tag,
};
