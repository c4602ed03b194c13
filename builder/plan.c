#include "builder/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "builder/build.h"
#include "builder/diags.h"
#include "builder/plan_private.h"
#include "parser/expand.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

const char *plan_lookup(void *vars, const char *name)
{
	return strv_get(vars, name);
}

const char *plan_build_arg(const struct build_request *req, const char *name)
{
	size_t len = strlen(name);

	/* docker: of several the last one counts */
	for (size_t i = req->build_args.n; i--;) {
		const char *arg = req->build_args.v[i];

		if (strncmp(arg, name, len))
			continue;
		if (arg[len] == '=')
			return arg + len + 1;
		if (!arg[len])
			return getenv(name);
	}
	return NULL;
}

/* NAME=oci-layout://DIR[:TAG] */
static int parse_context(struct named_context *c, const char *text, struct error *err)
{
	static const char scheme[] = "oci-layout://";
	const char *eq = strchr(text, '='), *colon;

	if (!eq || eq == text)
		return error_set(err, E_USAGE, "--build-context %s: no NAME=", text);
	if (strncmp(eq + 1, scheme, strlen(scheme))) {
		error_set(err, E_USAGE,
			  "--build-context %s: only %sDIR[:TAG] is supported yet", text,
			  scheme);
		return -1;
	}
	c->name = xstrndup(text, (size_t)(eq - text));
	if (!strcasecmp(c->name, "scratch") || !strcasecmp(c->name, "context"))
		return error_set(err, E_USAGE, "--build-context: %s cannot be replaced",
				 c->name);
	eq += 1 + strlen(scheme);
	colon = strrchr(eq, ':');
	if (colon && strchr(colon, '/'))
		colon = NULL;
	c->dir = xstrndup(eq, colon ? (size_t)(colon - eq) : strlen(eq));
	c->tag = colon ? xstrdup(colon + 1) : NULL;
	return 0;
}

static int parse_contexts(struct plan *p, const struct build_request *req,
			  struct error *err)
{
	p->contexts = xcalloc(req->build_contexts.n, sizeof(*p->contexts));
	for (size_t i = 0; i < req->build_contexts.n; i++) {
		p->ncontexts++;
		if (parse_context(&p->contexts[i], req->build_contexts.v[i], err) < 0)
			return -1;
	}
	return 0;
}

static const struct named_context *find_context(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->ncontexts; i++)
		if (!strcasecmp(p->contexts[i].name, name))
			return &p->contexts[i];
	return NULL;
}

/* 7.2 (d): a context named like the image, without default registry and tag. */
static const struct named_context *context_for_image(const struct plan *p,
						     const struct reference *ref)
{
	auto_free char *name = reference_familiar(ref);
	size_t len = strlen(name);

	if (len > 7 && !strcmp(name + len - 7, ":latest"))
		name[len - 7] = '\0';
	return find_context(p, name);
}

/* 6.5: BUILD* describe this host, TARGET* what is built. */
static void automatic_args(struct plan *p, const struct build_request *req)
{
	const char *target = req->target;
	struct platform host;
	const struct {
		const char *prefix;
		const struct platform *p;
	} sides[] = {{"BUILD", &host}, {"TARGET", &req->platform}};

	platform_host(&host);
	for (size_t i = 0; i < 2; i++) {
		const struct platform *pl = sides[i].p;
		auto_free char *text = platform_text(pl);

		strv_addf(&p->globals, "%sPLATFORM=%s", sides[i].prefix, text);
		strv_addf(&p->globals, "%sOS=%s", sides[i].prefix, pl->os);
		strv_addf(&p->globals, "%sOSVERSION=", sides[i].prefix);
		strv_addf(&p->globals, "%sARCH=%s", sides[i].prefix, pl->arch);
		strv_addf(&p->globals, "%sVARIANT=%s", sides[i].prefix,
			  pl->variant ? pl->variant : "");
	}
	platform_release(&host);
	if (!target && p->dockerfile->nstages)
		target = p->dockerfile->stages[p->dockerfile->nstages - 1].name;
	strv_addf(&p->globals, "TARGETSTAGE=%s", target ? target : "default");
	for (size_t i = 0; i < p->globals.n; i++) {
		auto_free char *name =
			xstrndup(p->globals.v[i], strcspn(p->globals.v[i], "="));
		const char *given = plan_build_arg(req, name);

		if (given)
			strv_set(&p->globals, name, given);
	}
}

/* 6.3: defaults expand with earlier globals, --build-arg is taken as it is. */
static int global_args(struct plan *p, const struct build_request *req, struct error *err)
{
	const struct dockerfile *df = p->dockerfile;

	for (size_t i = 0; i < df->nglobal; i++) {
		const struct instruction *in = &df->instructions[i];

		for (size_t k = 0; in->kw == KW_ARG && k < in->npairs; k++) {
			const struct pair *arg = &in->pairs[k];
			const char *value = plan_build_arg(req, arg->key), *why = NULL;

			if (!value && arg->has_value) {
				value = expand_word(&p->arena, arg->value, df->escape,
						    plan_lookup, &p->globals, &why);
				if (!value)
					return plan_refuse_at(err, p, in->line,
							      "ARG %s: %s", arg->key,
							      why);
			}
			if (value)
				strv_set(&p->globals, arg->key, value);
		}
	}
	return 0;
}

/* The latest stage before `before` whose name is exactly this (7.2 b, 7.3). */
static bool stage_before(const struct plan *p, const char *name, size_t before,
			 size_t *out)
{
	for (size_t i = before; i--;) {
		const char *have = p->dockerfile->stages[i].name;

		if (have && !strcmp(have, name)) {
			*out = i;
			return true;
		}
	}
	return false;
}

static int image_from(struct plan *p, struct from *from, const char *name, unsigned line,
		      const char *what, struct error *err)
{
	if (reference_parse(&from->image, name, err) < 0) {
		error_wrap(err, "%s %s", what, name);
		return error_at(err, p->file, line, 0);
	}
	reference_complete(&from->image);
	from->kind = FROM_IMAGE;
	from->context = context_for_image(p, &from->image);
	if (from->context)
		from->kind = FROM_CONTEXT;
	return 0;
}

static int stage_platform(struct plan *p, const struct build_request *req,
			  struct plan_stage *ps, struct error *err)
{
	const char *text, *why = NULL;

	if (!ps->source->platform) {
		platform_copy(&ps->platform, &req->platform);
		ps->platform_explicit = req->platform_explicit;
		return 0;
	}
	text = expand_word(&p->arena, ps->source->platform, p->dockerfile->escape,
			   plan_lookup, &p->globals, &why);
	if (!text)
		return plan_refuse_at(err, p, ps->source->line, "FROM --platform: %s",
				      why);
	if (platform_parse(&ps->platform, text, err) < 0) {
		error_wrap(err, "FROM --platform");
		return error_at(err, p->file, ps->source->line, 0);
	}
	ps->platform_explicit = true;
	return 0;
}

/* 7.2: what FROM means. */
static int stage_base(struct plan *p, const struct build_request *req, size_t i,
		      struct error *err)
{
	struct plan_stage *ps = &p->stages[i];
	const struct stage *s = ps->source;
	const char *why = NULL;

	if (stage_platform(p, req, ps, err) < 0)
		return -1;
	ps->from.context = s->name ? find_context(p, s->name) : NULL;
	if (ps->from.context) {
		ps->from.kind = FROM_CONTEXT;
		ps->replaced = true;
		ps->base = s->base;
		return 0;
	}
	ps->base = expand_word(&p->arena, s->base, p->dockerfile->escape, plan_lookup,
			       &p->globals, &why);
	if (!ps->base)
		return plan_refuse_at(err, p, s->line, "FROM %s: %s", s->base, why);
	if (!*ps->base) {
		plan_refuse_at(err, p, s->line, "FROM %s: the image's name is empty",
			       s->base);
		return error_hint(
			err,
			"give the ARG a default before the first FROM, or --build-arg");
	}
	if (stage_before(p, ps->base, i, &ps->from.stage)) {
		ps->from.kind = FROM_STAGE;
		return 0;
	}
	if (!strcmp(ps->base, "scratch")) {
		ps->from.kind = FROM_SCRATCH;
		return 0;
	}
	return image_from(p, &ps->from, ps->base, s->line, "FROM", err);
}

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

/* 7.4: a number, a stage's name, a named context, an image. */
static int copy_from(struct plan *p, size_t stage, const struct instruction *in,
		     struct from *from, struct error *err)
{
	const char *value = instruction_flag(in, "from")->value;
	size_t n = p->nstages;
	bool found = false;

	if (strchr(value, '$')) {
		plan_refuse_at(err, p, in->line,
			       "COPY --from=%s: variables are not expanded here", value);
		return error_hint(err,
				  "name a stage with FROM %s AS NAME and copy from NAME",
				  value);
	}
	if (is_number(value)) {
		n = strtoul(value, NULL, 10);
		found = true;
	}
	for (size_t i = p->nstages; !found && i--;) {
		if (p->dockerfile->stages[i].name &&
		    !strcasecmp(p->dockerfile->stages[i].name, value)) {
			n = i;
			found = true;
		}
	}
	if (found && n >= stage) {
		plan_refuse_at(err, p, in->line, "COPY --from=%s: %s", value,
			       n == stage       ? "a stage cannot copy from itself"
			       : n < p->nstages ? "the stage comes later in the file"
						: "there is no stage of that number");
		return -1;
	}
	if (found) {
		from->kind = FROM_STAGE;
		from->stage = n;
		return 0;
	}
	from->context = find_context(p, value);
	if (from->context) {
		from->kind = FROM_CONTEXT;
		return 0;
	}
	if (!strcmp(value, "scratch")) {
		from->kind = FROM_SCRATCH;
		return 0;
	}
	return image_from(p, from, value, in->line, "COPY --from", err);
}

static void need(struct plan *p, const struct from *from)
{
	if (from->kind == FROM_STAGE)
		p->stages[from->stage].needed = true;
}

const struct instruction *plan_instructions(const struct plan *p, size_t stage, size_t *n)
{
	const struct plan_stage *ps = &p->stages[stage];

	*n = ps->needed && !ps->replaced ? ps->source->count : 0;
	return p->dockerfile->instructions + ps->source->first;
}

/* Marks what the target needs.  Stages only refer backwards, so one pass from the
 * last to the first is enough. */
static int mark_needed(struct plan *p, struct error *err)
{
	p->stages[p->target].needed = true;
	for (size_t i = p->target + 1; i--;) {
		size_t n;
		const struct instruction *in = plan_instructions(p, i, &n);

		if (p->stages[i].needed)
			need(p, &p->stages[i].from);
		for (size_t k = 0; k < n; k++, in++) {
			struct from *from = &p->copies[in - p->dockerfile->instructions];

			if (in->kw != KW_COPY || !instruction_flag(in, "from"))
				continue;
			if (copy_from(p, i, in, from, err) < 0)
				return -1;
			need(p, from);
		}
	}
	return 0;
}

/* What is accepted but has no effect in this version. */
static void warn_ignored(const struct plan *p)
{
	const struct dockerfile *df = p->dockerfile;

	if (df->check)
		log_warn("%s: the directive check=%s has no effect yet: Dockerfiles are "
			 "not "
			 "linted",
			 p->file, df->check);
	for (size_t i = 0; i < df->ninstructions; i++) {
		const struct instruction *in = &df->instructions[i];

		/* a list with single quotes, say, runs a shell in Lambda, which fails
		 * there */
		if ((in->kw == KW_CMD || in->kw == KW_ENTRYPOINT) && !in->json &&
		    in->nargs && in->args[0].text[0] == '[')
			log_warn("%s:%u: %s looks like a JSON list but is none (strings "
				 "need "
				 "double quotes): it is taken as a shell command",
				 p->file, in->line, keyword_name(in->kw));
	}
}

const char *plan_nearest_stage(struct plan *p, const char *name)
{
	const char **names = arena_array(&p->arena, p->nstages, sizeof(*names));

	for (size_t i = 0; i < p->nstages; i++)
		names[i] = p->dockerfile->stages[i].name;
	return diag_nearest(name, names, p->nstages);
}

static int find_target(struct plan *p, const char *name, struct error *err)
{
	const char *near;

	p->target = p->nstages - 1;
	if (!name || !*name)
		return 0;
	for (size_t i = p->nstages; i--;) {
		const char *have = p->dockerfile->stages[i].name;

		if (have && !strcasecmp(have, name)) {
			p->target = i;
			return 0;
		}
	}
	error_set(err, E_INPUT, "--target %s: there is no such stage", name);
	near = plan_nearest_stage(p, name);
	if (near)
		error_hint(err, "did you mean %s?", near);
	return error_at(err, p->file, 0, 0);
}

int plan_make(struct plan *p, const struct build_request *req, const char *file,
	      const char *text, size_t len, struct error *err)
{
	struct diags diags = {0};
	struct dockerfile *df;

	memset(p, 0, sizeof(*p));
	diags.arena = &p->arena;
	p->file = xstrdup(file);
	df = p->dockerfile = dockerfile_parse(&p->arena, text, len, &diags);
	if (diags_report(p->file, &diags, text, len, err) < 0 ||
	    parse_contexts(p, req, err) < 0)
		return -1;
	automatic_args(p, req);
	if (global_args(p, req, err) < 0)
		return -1;
	p->nstages = df->nstages;
	p->stages = xcalloc(p->nstages, sizeof(*p->stages));
	p->copies = xcalloc(df->ninstructions, sizeof(*p->copies));
	if (find_target(p, req->target, err) < 0)
		return -1;
	for (size_t i = 0; i < p->nstages; i++) {
		p->stages[i].source = &df->stages[i];
		if (stage_base(p, req, i, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < df->ninstructions; i++)
		for (size_t k = 0; k < df->instructions[i].npairs; k++)
			if (df->instructions[i].kw == KW_ARG)
				strv_add(&p->declared, df->instructions[i].pairs[k].key);
	warn_ignored(p);
	return mark_needed(p, err) < 0 ? -1 : plan_refuse(p, req, text, len, err);
}

void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->nstages; i++) {
		reference_release(&p->stages[i].from.image);
		platform_release(&p->stages[i].platform);
	}
	for (size_t i = 0; p->copies && i < p->dockerfile->ninstructions; i++)
		reference_release(&p->copies[i].image);
	for (size_t i = 0; i < p->ncontexts; i++) {
		free(p->contexts[i].name);
		free(p->contexts[i].dir);
		free(p->contexts[i].tag);
	}
	free(p->contexts);
	free(p->stages);
	free(p->copies);
	free(p->file);
	strv_release(&p->globals);
	strv_release(&p->declared);
	arena_release(&p->arena);
}

const struct from *plan_copy_from(const struct plan *p, const struct instruction *in)
{
	if (!instruction_flag(in, "from"))
		return NULL;
	return &p->copies[in - p->dockerfile->instructions];
}

char *plan_stage_name(const struct plan *p, size_t stage)
{
	const char *name = p->dockerfile->stages[stage].name;

	return name ? xstrdup(name) : xasprintf("stage-%zu", stage);
}
