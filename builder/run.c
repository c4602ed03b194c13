#include "builder/run.h"

#include <stdlib.h>
#include <string.h>

#include "builder/build.h"
#include "builder/cache.h"
#include "builder/rootfs/layer.h"
#include "builder/roots.h"
#include "builder/run_command.h"
#include "builder/run_failure.h"
#include "builder/run_worker.h"
#include "builder/sandbox/idmap.h"
#include "builder/stage.h"
#include "builder/step_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"
#include "registry/platform.h"
#include "registry/store.h"

/* An overlay takes at most 500 lower folders (fs/overlayfs): of more layers the lowest
 * are flattened with the base. */
#define UPPERS_MAX 400

struct run_step {
	struct step step;
	struct run_command command;
	struct digest full_key; /* where all owners can be played */
};

static void on_output(void *ctx, const char *data, size_t len)
{
	progress_output(ctx, data, len);
}

static void on_message(void *ctx, enum run_message_kind kind, const char *text)
{
	if (kind == RUN_NOTE)
		progress_note(ctx, "%s", text);
	else if (kind == RUN_WARNING)
		log_warn("%s", text);
	else
		log_debug("%s", text);
}

static int call(struct progress_step *ui, const struct run_spec *spec,
		struct run_result *r, struct error *err)
{
	const struct run_listener l = {on_output, on_message, ui};

	return run_worker_call(spec, &l, r, err);
}

/* The worker may have another working folder. */
static char *store_folder(const struct build *b, struct error *err)
{
	char *path = realpath(store_path(b->store), NULL);

	if (!path)
		error_errno(err, "cannot find %s", store_path(b->store));
	return path;
}

/* Which mode this host allows, tried once a build. */
static int choose_mode(struct build *b, struct progress_step *ui, struct error *err)
{
	struct run_spec spec = {.probe = true, .isolation = b->request->isolation};
	struct run_result r = {0};
	int rc;

	if (b->mode_known)
		return 0;
	spec.store = store_folder(b, err);
	rc = spec.store ? call(ui, &spec, &r, err) : -1;
	run_spec_release(&spec);
	if (rc < 0)
		return -1;
	b->mode = r.mode;
	b->mode_known = true;
	progress_note(ui, "isolation: %s", sandbox_mode_name(r.mode));
	return 0;
}

/* The key, and what explains a miss. */
static void make_key(struct run_step *rs)
{
	static const struct digest no_inputs;
	struct step *st = &rs->step;
	struct hash h;

	run_command_text(&rs->command, &st->text);
	hash_init(&h);
	hash_add(&h, st->stage->key.bytes, DIGEST_BYTES);
	run_command_hash(&rs->command, &h);
	hash_end(&h, &st->prefix);
	step_place(st);
	st->listed = true; /* it reads no files that could have changed */
	cache_key(&st->prefix, &no_inputs, &st->key);
	rs->full_key = st->key;
}

/* A mode that cannot play all owners may come to another result: its steps have keys of
 * their own (hod-store(5)). */
static void mark_key(struct run_step *rs)
{
	struct digest mark;

	digest_of(&mark, "one id", strlen("one id"));
	cache_key(&rs->full_key, &mark, &rs->step.key);
}

/* This host's own machine, or one that its processor runs as well. */
static int check_platform(const struct stage_state *s, struct error *err)
{
	auto_platform struct platform host;
	const char *os = s->config.os ? s->config.os : "";
	const char *arch = s->config.architecture ? s->config.architecture : "";

	platform_host(&host);
	if (!strcmp(host.os, os) &&
	    (!strcmp(host.arch, arch) ||
	     (!strcmp(host.arch, "amd64") && !strcmp(arch, "386"))))
		return 0;
	error_set(err, E_SANDBOX,
		  "the image is for %s/%s, whose programs this %s/%s host does not run",
		  os, arch, host.os, host.arch);
	return error_hint(err, "build it on such a host, or choose another --platform");
}

static size_t count_base_layers(const struct stage_state *s)
{
	size_t n = 0;

	while (n < s->nlayers && s->layers[n].base)
		n++;
	return n;
}

static int make_spec(const struct run_step *rs, struct run_spec *spec, struct error *err)
{
	const struct stage_state *s = rs->step.stage;
	const struct run_command *c = &rs->command;
	const struct build *b = s->build;

	*spec = (struct run_spec){.isolation = b->request->isolation,
				  .mode = b->mode,
				  .time = b->time,
				  .keep_mtime = b->keep_mtime,
				  .bytecode = b->bytecode,
				  .level = b->request->level,
				  .check = b->request->no_cache,
				  .nlayers = s->nlayers,
				  .nbase = count_base_layers(s),
				  .uid = c->account.uid,
				  .gid = c->account.gid,
				  .ngroups = c->account.ngroups,
				  .network = c->network,
				  .processes = b->request->processes};
	if (s->nlayers - spec->nbase > UPPERS_MAX)
		spec->nbase = s->nlayers - UPPERS_MAX;
	spec->layers = xcalloc(s->nlayers, sizeof(*spec->layers));
	for (size_t i = 0; i < s->nlayers; i++)
		spec->layers[i] = (struct root_layer){.blob = s->layers[i].desc.digest,
						      .size = s->layers[i].desc.size,
						      .diff_id = s->layers[i].diff_id};
	strv_copy(&spec->argv, &c->argv);
	strv_copy(&spec->env, &c->env);
	for (size_t i = 0; i < c->proxies.n; i++)
		strv_add(&spec->env, c->proxies.v[i]);
	spec->cwd = xstrdup(c->cwd);
	spec->groups = xcalloc(c->account.ngroups, sizeof(*spec->groups));
	for (size_t i = 0; i < c->account.ngroups; i++)
		spec->groups[i] = c->account.groups[i];
	if (c->script) {
		spec->script_name = xstrdup(c->script_name);
		spec->script = xstrdup(c->script);
	}
	spec->store = store_folder(b, err);
	return spec->store ? 0 : -1;
}

/* A mode that lacks some ids lacks the groups too; in one id there are none. */
static void drop_groups(struct run_spec *spec, const struct idmap *ids)
{
	size_t n = 0;

	for (size_t i = 0; i < spec->ngroups; i++)
		if (ids->mode != SANDBOX_ONE && idmap_has(ids, 0, spec->groups[i]))
			spec->groups[n++] = spec->groups[i];
	if (n < spec->ngroups)
		log_debug("RUN: %zu of the user's groups do not exist with isolation %s",
			  spec->ngroups - n, sandbox_mode_name(ids->mode));
	spec->ngroups = n;
}

/* The base's layers come into the store, unless they are unpacked already; *here says
 * that they were looked after. */
static int fetch_base(struct stage_state *s, const struct run_spec *spec,
		      const struct idmap *ids, bool *here, struct error *err)
{
	struct build *b = s->build;
	struct image *base = s->nlayers ? s->layers[0].base : NULL;

	*here = !base || !roots_has(b->store, ids, spec->layers, spec->nbase);
	return base && *here ? image_complete(base, b->store, b->client, err) : 0;
}

static int run_in(struct run_step *rs, struct run_spec *spec, const struct idmap *ids,
		  struct run_result *r, struct error *err)
{
	struct stage_state *s = rs->step.stage;
	struct build *b = s->build;
	struct error why = ERROR_INIT;
	bool here;

	drop_groups(spec, ids);
	if (fetch_base(s, spec, ids, &here, err) < 0)
		return -1;
	if (call(rs->step.ui, spec, r, &why) == 0)
		return 0;
	if (why.kind != E_MISSING || here) {
		if (err)
			*err = why;
		return -1;
	}
	/* what was unpacked has turned out to be damaged */
	if (image_complete(s->layers[0].base, b->store, b->client, err) < 0)
		return -1;
	return call(rs->step.ui, spec, r, err);
}

static int run(struct run_step *rs, struct run_result *r, struct error *err)
{
	struct stage_state *s = rs->step.stage;
	struct run_spec spec = {0};
	struct idmap ids = {0};
	int rc = -1;

	/* the worker reads the tree from the indexes that this leaves in the store */
	if (stage_tree(s, err) && make_spec(rs, &spec, err) == 0 &&
	    idmap_find(&ids, s->build->mode, err) == 0)
		rc = run_in(rs, &spec, &ids, r, err);
	idmap_release(&ids);
	run_spec_release(&spec);
	return rc;
}

static void report(const struct run_result *r, const struct build_request *req)
{
	if (r->addresses_random)
		log_debug("RUN: this host refuses ADDR_NO_RANDOMIZE: addresses differ "
			  "from run to run");
	if (!r->processes_unbound || !req->processes)
		return;
	if (req->processes == BUILD_PROCESSES)
		log_debug("RUN: this host sets no bound on processes");
	else
		log_warn("RUN: this host sets no bound on processes: --ulimit nproc has "
			 "no effect");
}

/* What came out becomes the stage's next layer, as if it had been in the cache. */
static int finish(struct run_step *rs, const struct run_result *r, bool *empty,
		  struct error *err)
{
	struct stage_state *s = rs->step.stage;
	const struct layer layer = {
		.digest = r->digest, .diff_id = r->diff_id, .size = r->size};

	*empty = r->empty;
	if (!r->empty &&
	    step_add_layer(s, &r->digest, r->size, &r->diff_id, false, err) < 0)
		return -1;
	step_record_layer(&rs->step, r->empty ? NULL : &layer);
	return 0;
}

/* Looks the step up: 1 found, 0, -1.  What all modes agree on is asked for first, so that
 * nothing is tried on this host as long as everything is found. */
static int look_up(struct run_step *rs, bool *empty, struct error *err)
{
	struct step *st = &rs->step;
	int rc = step_use_cached(st, empty, err);

	if (rc)
		return rc;
	if (check_platform(st->stage, err) < 0 ||
	    choose_mode(st->stage->build, st->ui, err) < 0)
		return -1;
	if (st->stage->build->mode != SANDBOX_ONE)
		return 0;
	mark_key(rs);
	return step_use_cached(st, empty, err);
}

static int do_run(struct run_step *rs, const struct instruction *in, bool *cached,
		  bool *empty, struct error *err)
{
	struct build *b = rs->step.stage->build;
	struct run_result r = {0};
	int rc;

	if (run_command_make(&rs->command, rs->step.stage, in, err) < 0)
		return -1;
	make_key(rs);
	rc = look_up(rs, empty, err);
	*cached = rc > 0;
	if (rc)
		return rc < 0 ? -1 : 0;
	step_explain(&rs->step);
	if (run(rs, &r, err) < 0)
		return -1;
	report(&r, b->request);
	if (r.status)
		return run_failure(&rs->command, &r, b, err);
	return finish(rs, &r, empty, err);
}

int step_run(struct stage_state *s, const struct instruction *in,
	     struct progress_step *ui, bool *cached, struct error *err)
{
	struct run_step rs = {0};
	auto_buf struct buf history = BUF_INIT;
	bool empty = false;
	int rc;

	*cached = false;
	step_init(&rs.step, s, ui);
	rc = do_run(&rs, in, cached, &empty, err);
	if (!rc) {
		run_command_history(&rs.command, s, &history);
		stage_history(s, history.data, empty);
	}
	run_command_release(&rs.command);
	step_release(&rs.step);
	return rc;
}
