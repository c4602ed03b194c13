#include <stdlib.h>
#include <string.h>

#include "builder/cache.h"
#include "builder/copy.h"
#include "builder/meta.h"
#include "builder/owner.h"
#include "builder/path.h"
#include "builder/rootfs/layer.h"
#include "builder/rootfs/tree.h"
#include "builder/stage.h"
#include "builder/step.h"
#include "builder/step_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

/* Makes what is missing of the folder; *made says whether anything was. */
static int make_workdir(struct stage_state *s, const char *path, uint32_t uid,
			uint32_t gid, bool *made, struct error *err)
{
	struct tree *t = stage_tree(s, err);
	auto_free char *rest = NULL;
	struct node *n = NULL;
	int rc;

	if (!t)
		return -1;
	tree_begin_step(t);
	rc = tree_resolve(t, path, TREE_FOLLOW_LAST, &n, &rest, err);
	if (rc < 0)
		return -1;
	*made = !rc;
	if (rc && n->type != NODE_DIR)
		return error_set(err, E_INPUT, "%s is no folder in the image", path);
	if (rc)
		return 0;
	return copy_make_folders(t, n, rest, 0755, uid, gid, s->build->time, err) ? 0
										  : -1;
}

static int run_workdir(struct step *st, const char *path, bool *cached, bool *empty,
		       struct error *err)
{
	struct stage_state *s = st->stage;
	static const struct digest no_inputs;
	uint32_t uid = 0, gid = 0;
	struct layer layer = {0};
	bool made;
	int rc;

	if (s->config.user && owner_resolve(s, s->config.user, &uid, &gid, err) < 0)
		return error_wrap(err, "USER %s", s->config.user);
	buf_addf(&st->text, "WORKDIR %s %u:%u", path, uid, gid);
	step_prefix(st, path);
	cache_key(&st->prefix, &no_inputs, &st->key);
	rc = step_use_cached(st, empty, err);
	*cached = rc > 0;
	if (rc)
		return rc < 0 ? -1 : 0;
	step_explain(st);
	if (make_workdir(s, path, uid, gid, &made, err) < 0)
		return -1;
	*empty = !made;
	if (made && step_write_layer(s, &layer, err) < 0)
		return -1;
	step_record_layer(st, made ? &layer : NULL);
	return 0;
}

int step_workdir(struct stage_state *s, const struct instruction *in,
		 struct progress_step *ui, bool *cached, struct error *err)
{
	const char *text = meta_expand(s, in, in->nargs ? in->args[0].text : "", err);
	auto_free char *path = NULL, *by = NULL;
	bool empty = true;

	*cached = false;
	if (!text)
		return -1;
	path = path_join(s->config.working_dir, text);
	if (strcmp(path, "/")) {
		struct step st;
		int rc;

		step_init(&st, s, ui);
		rc = run_workdir(&st, path, cached, &empty, err);
		step_release(&st);
		if (rc < 0)
			return -1;
	}
	free(s->config.working_dir);
	s->config.working_dir = xstrdup(path);
	by = xasprintf("WORKDIR %s", path);
	stage_history(s, by, empty);
	return 0;
}
