#include "builder/build.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "builder/base.h"
#include "builder/context.h"
#include "builder/meta.h"
#include "builder/path.h"
#include "builder/run.h"
#include "builder/stage.h"
#include "builder/step.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/base/log.h"
#include "registry/store.h"

#define DOCKERFILE_MAX (16u << 20)

void build_request_release(struct build_request *r)
{
	strv_release(&r->build_args);
	platform_release(&r->platform);
	strv_release(&r->labels);
	strv_release(&r->annotations);
	strv_release(&r->build_contexts);
}

int build_network_parse(const char *word)
{
	static const char *const words[] = {"default", "none", "host"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i]))
			return (int)i;
	return -1;
}

void build_result_release(struct build_result *r)
{
	descriptor_release(&r->manifest);
	manifest_release(&r->parsed);
	platform_release(&r->platform);
	references_free(r->origins, r->norigins);
	memset(r, 0, sizeof(*r));
}

/* What -f names, relative to the working folder. */
static int read_given(const char *path, struct buf *text, struct error *err)
{
	if (!file_read(AT_FDCWD, path, DOCKERFILE_MAX, text, err))
		return 0;
	if (err->kind != E_MISSING)
		return -1;
	error_set(err, E_INPUT, "there is no Dockerfile at %s", path);
	return error_hint(err,
			  "-f is relative to the working folder, not to the context");
}

static int no_context(const char *context, struct error *err)
{
	error_errno(err, "cannot open context %s", context);
	if (err->kind != E_MISSING)
		return -1;
	err->kind = E_INPUT;
	return error_hint(err,
			  "give the folder that has the files to copy, for example .");
}

/* Dockerfile or dockerfile in the context (15.1).  A context may be anybody's: a link in
 * it does not lead out, where its target would be quoted in messages. */
static int read_default(const char *context, char **name, struct buf *text,
			struct error *err)
{
	static const char *const names[] = {"Dockerfile", "dockerfile"};
	auto_fd int dir = open(context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool here = !strcmp(context, ".") || !strcmp(context, "./");
	size_t n = strlen(context);

	if (dir < 0)
		return no_context(context, err);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct error why = ERROR_INIT;
		auto_fd int fd = file_open_in(dir, names[i], O_RDONLY | O_NONBLOCK, &why);

		free(*name);
		*name = xasprintf("%s%s%s", here ? "" : context,
				  here || context[n - 1] == '/' ? "" : "/", names[i]);
		if (fd >= 0)
			return file_read_fd(fd, DOCKERFILE_MAX, text, err) < 0
				       ? error_wrap(err, "%s", *name)
				       : 0;
		if (why.kind != E_MISSING) {
			*err = why;
			return error_wrap(err, "context %s", context);
		}
	}
	error_set(err, E_INPUT, "there is no Dockerfile in %s", context);
	return error_hint(err, "name it with -f FILE");
}

/* Reads the Dockerfile; *name is what messages call it, yours to free. */
static int read_dockerfile(const struct build_request *req, char **name, struct buf *text,
			   struct error *err)
{
	if (!req->dockerfile)
		return read_default(req->context, name, text, err);
	*name = xstrdup(req->dockerfile);
	return read_given(req->dockerfile, text, err);
}

/* T: what was asked for (an argument SOURCE_DATE_EPOCH counts too, as BuildKit has
 * it), else the base's `created`, else 1980 (hod-layers(5), TIME). */
static int set_time(struct build *b, const struct image *base, struct error *err)
{
	const char *epoch = plan_build_arg(b->request, "SOURCE_DATE_EPOCH");
	int64_t t;

	b->time = TIMESTAMP_FLOOR;
	if (b->request->timestamp == TIMESTAMP_FIXED) {
		b->time = b->request->time;
	} else if (b->request->timestamp == TIMESTAMP_NOW) {
		b->time = (int64_t)time(NULL);
	} else if (epoch) {
		if (!timestamp_parse_seconds(epoch, &b->time))
			return error_set(
				err, E_USAGE,
				"--build-arg SOURCE_DATE_EPOCH=%s: no count of seconds",
				epoch);
	} else if (base && base->config.created &&
		   timestamp_parse(base->config.created, &t) && t >= TIMESTAMP_FLOOR) {
		b->time = t;
	}
	timestamp_text(b->time, b->time_text);
	b->keep_mtime = b->request->timestamp == TIMESTAMP_KEEP;
	b->bytecode = !b->keep_mtime && b->request->timestamp != TIMESTAMP_NOW;
	return 0;
}

static int at_line(const struct build *b, unsigned line, struct error *err)
{
	return error_at(err, b->plan.file, line, 0);
}

static struct base_image *stage_image(struct build *b, size_t i, struct error *err)
{
	struct plan_stage *ps = &b->plan.stages[i];
	struct base_image *base =
		base_resolve(b, &ps->from, &ps->platform, ps->platform_explicit, err);
	const char *near;

	if (base)
		return base;
	error_wrap(err, "FROM %s", ps->base);
	near = ps->from.kind == FROM_IMAGE ? plan_nearest_stage(&b->plan, ps->base)
					   : NULL;
	if (near && b->plan.dockerfile->stages[i].name != near)
		error_hint(err, "did you mean the stage %s?", near);
	at_line(b, ps->source->line, err);
	return NULL;
}

/* The external base at the root of the target's chain decides T. */
static int find_time(struct build *b, struct error *err)
{
	size_t i = b->plan.target;
	struct base_image *base;

	while (b->plan.stages[i].from.kind == FROM_STAGE)
		i = b->plan.stages[i].from.stage;
	if (b->plan.stages[i].from.kind == FROM_SCRATCH) {
		return set_time(b, NULL, err);
	}
	base = stage_image(b, i, err);
	if (!base)
		return -1;
	return set_time(b, &base->image, err);
}

static struct stage_state *begin_stage(struct build *b, size_t i, struct error *err)
{
	struct plan_stage *ps = &b->plan.stages[i];
	auto_free char *name = plan_stage_name(&b->plan, i);
	struct base_image *base = NULL;
	struct stage_state *s;

	if (ps->from.kind == FROM_STAGE)
		return stage_from_stage(b, name, b->stages[ps->from.stage]);
	if (ps->from.kind != FROM_SCRATCH) {
		base = stage_image(b, i, err);
		if (!base)
			return NULL;
	}
	s = stage_from_image(b, name, base ? &base->image : NULL, &ps->platform, err);
	if (!s) {
		error_wrap(err, "FROM %s", ps->base);
		at_line(b, ps->source->line, err);
	}
	return s;
}

/* "[2/5]", or "[name 2/5]" where there are several stages. */
static char *label(const struct build *b, size_t stage, size_t number)
{
	const struct plan_stage *ps = &b->plan.stages[stage];
	size_t total = 1 + (ps->replaced ? 0 : ps->source->count);
	auto_free char *name = NULL;

	if (b->plan.nstages == 1)
		return xasprintf("[%zu/%zu]", number, total);
	name = plan_stage_name(&b->plan, stage);
	return xasprintf("[%s %zu/%zu]", name, number, total);
}

static int run_instruction(struct build *b, size_t stage, size_t k, struct error *err)
{
	const struct plan_stage *ps = &b->plan.stages[stage];
	const struct instruction *in =
		&b->plan.dockerfile->instructions[ps->source->first + k];
	struct stage_state *s = b->stages[stage];
	auto_free char *name = label(b, stage, k + 2);
	struct progress_step *ui = progress_start("%s %s", name, in->source);
	bool cached = false;
	int rc;

	if (in->kw == KW_COPY)
		rc = step_copy(s, in, ui, &cached, err);
	else if (in->kw == KW_WORKDIR)
		rc = step_workdir(s, in, ui, &cached, err);
	else if (in->kw == KW_RUN)
		rc = step_run(s, in, ui, &cached, err);
	else
		rc = meta_apply(s, in, err);
	progress_end(ui, rc < 0   ? PROGRESS_FAILED
			 : cached ? PROGRESS_CACHED
				  : PROGRESS_DONE);
	if (rc < 0) {
		if (err->kind == E_INPUT || err->kind == E_FAILED ||
		    err->kind == E_AUTH || err->kind == E_SANDBOX)
			error_wrap(err, "%s", in->source);
		at_line(b, in->line, err);
	}
	return rc;
}

static int run_stage(struct build *b, size_t i, struct error *err)
{
	const struct plan_stage *ps = &b->plan.stages[i];
	auto_free char *name = label(b, i, 1);
	struct progress_step *ui = progress_start("%s FROM %s", name, ps->base);

	b->stages[i] = begin_stage(b, i, err);
	progress_end(ui, b->stages[i] ? PROGRESS_DONE : PROGRESS_FAILED);
	if (!b->stages[i])
		return -1;
	for (size_t k = 0; !ps->replaced && k < ps->source->count; k++)
		if (interrupt_check(err) < 0 || run_instruction(b, i, k, err) < 0)
			return -1;
	return 0;
}

/* 6.4: a --build-arg that nothing declares has no effect; say so. */
static void warn_unused_args(const struct build *b)
{
	static const char *const proxies[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY",
					      "NO_PROXY", "ALL_PROXY"};

	for (size_t i = 0; i < b->request->build_args.n; i++) {
		const char *arg = b->request->build_args.v[i];
		auto_free char *name = xstrndup(arg, strcspn(arg, "="));
		bool known = strv_find(&b->plan.declared, name) >= 0 ||
			     strv_get(&b->plan.globals, name) ||
			     !strncmp(name, "BUILDKIT_", 9) ||
			     !strcmp(name, "SOURCE_DATE_EPOCH");

		for (size_t k = 0; k < sizeof(proxies) / sizeof(*proxies); k++)
			known |= !strcasecmp(name, proxies[k]);
		if (!known)
			log_warn("--build-arg %s: no ARG of that name", name);
	}
}

/* --label goes over the Dockerfile's (11.4), --platform over the base's (7.8). */
static void finish_config(struct build *b, struct stage_state *s)
{
	for (size_t i = 0; i < b->request->labels.n; i++) {
		auto_free char *pair = xstrdup(b->request->labels.v[i]);
		char *eq = strchr(pair, '=');

		*eq = '\0';
		strv_set(&s->config.labels, pair, eq + 1);
	}
	if (b->request->platform_explicit)
		stage_set_platform(s, &b->request->platform);
}

/* Registry images whose layers are in the target: where missing blobs can be had. */
static void find_origins(const struct build *b, struct build_result *out)
{
	out->origins = xcalloc(b->nimages, sizeof(*out->origins));
	for (size_t i = 0; i < b->nimages; i++)
		if (b->images[i]->image.ref.host)
			reference_copy(&out->origins[out->norigins++],
				       &b->images[i]->image.ref);
}

/* Layers of a --build-context layout are only there: bring them into the store. */
static int keep_layout_layers(struct build *b, struct stage_state *s, struct error *err)
{
	struct image *base = s->nlayers ? s->layers[0].base : NULL;

	return base && base->layout ? image_complete(base, b->store, b->client, err) : 0;
}

/* Config and manifest of the finished target, into the store. */
static int commit_image(struct build *b, struct build_result *out, struct error *err)
{
	struct stage_state *s = b->stages[b->plan.target];
	auto_buf struct buf config = BUF_INIT, manifest = BUF_INIT;
	struct manifest *m = &out->parsed;

	finish_config(b, s);
	strv_copy(&m->annotations, &b->request->annotations);
	if (keep_layout_layers(b, s, err) < 0)
		return -1;
	image_config_write(&s->config, &config);
	if (store_put_bytes(b->store, config.data, config.len, &out->config, err) < 0)
		return -1;
	m->family = s->family;
	m->config.media_type = xstrdup(family_config_type(s->family));
	m->config.digest = out->config;
	m->config.size = config.len;
	m->layers = xcalloc(s->nlayers, sizeof(*m->layers));
	m->nlayers = s->nlayers;
	for (size_t i = 0; i < s->nlayers; i++)
		descriptor_copy(&m->layers[i], &s->layers[i].desc);
	manifest_write(m, &manifest);
	out->manifest.media_type = xstrdup(family_manifest_type(s->family));
	out->manifest.size = manifest.len;
	out->platform =
		(struct platform){xstrdup(s->config.os), xstrdup(s->config.architecture),
				  s->config.variant ? xstrdup(s->config.variant) : NULL};
	find_origins(b, out);
	out->steps = b->steps;
	out->cached = b->cached;
	return store_put_bytes(b->store, manifest.data, manifest.len,
			       &out->manifest.digest, err);
}

static void build_release(struct build *b)
{
	for (size_t i = 0; b->stages && i < b->plan.nstages; i++)
		stage_free(b->stages[i]);
	free(b->stages);
	base_release(b);
	context_close(b->context);
	free(b->context_id);
	plan_release(&b->plan);
}

static int run_plan(struct build *b, struct build_result *out, struct error *err)
{
	b->stages = xcalloc(b->plan.nstages, sizeof(*b->stages));
	b->layouts = xcalloc(b->plan.ncontexts, sizeof(*b->layouts));
	warn_unused_args(b);
	if (find_time(b, err) < 0)
		return -1;
	for (size_t i = 0; i < b->plan.nstages; i++)
		if (b->plan.stages[i].needed && run_stage(b, i, err) < 0)
			return -1;
	return commit_image(b, out, err);
}

int build_run(const struct build_request *req, struct store *st, struct client *c,
	      struct build_result *out, struct error *err)
{
	struct build b = {.request = req, .store = st, .client = c};
	auto_free char *name = NULL, *context = NULL;
	auto_buf struct buf text = BUF_INIT;
	int rc;

	memset(out, 0, sizeof(*out));
	if (read_dockerfile(req, &name, &text, err) < 0)
		return -1;
	if (plan_make(&b.plan, req, name, text.data, text.len, err) < 0) {
		plan_release(&b.plan);
		return -1;
	}
	context = realpath(req->context, NULL);
	b.context_id = xasprintf("%s\n%s", context ? context : req->context, name);
	b.context = context_open(req->context, name, st, err);
	rc = b.context ? run_plan(&b, out, err) : -1;
	build_release(&b);
	if (rc < 0)
		build_result_release(out);
	return rc;
}
