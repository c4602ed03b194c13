/*
 * plan.h - what a Dockerfile asks for, before anything is fetched
 *
 * The plan parses the Dockerfile, evaluates what is global (ARGs before the first
 * FROM, FROM's names and platforms), finds the target and what it needs, and
 * refuses by name and line what hod cannot build.  What depends on a base's
 * configuration is expanded later, stage by stage.
 */
#ifndef HOD_PLAN_H
#define HOD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parser/dockerfile.h"
#include "registry/base/buf.h"
#include "registry/manifest.h"
#include "registry/reference.h"

struct build_request;
struct error;

/* --build-context NAME=oci-layout://DIR[:TAG] */
struct named_context {
	char *name; /* lower case where it is compared with stage names */
	char *dir;
	char *tag; /* NULL: the layout's only image */
};

enum from_kind { FROM_SCRATCH, FROM_STAGE, FROM_CONTEXT, FROM_IMAGE };

/* What FROM or COPY --from names. */
struct from {
	enum from_kind kind;
	size_t stage;                        /* FROM_STAGE: index in plan.stages */
	const struct named_context *context; /* FROM_CONTEXT */
	struct reference image;              /* FROM_IMAGE, completed */
};

struct plan_stage {
	const struct stage *source;
	const char *base; /* FROM's image word, expanded */
	struct from from;
	struct platform platform;
	bool platform_explicit;
	bool needed;
	bool replaced; /* by a named context: its instructions do not count */
};

struct plan {
	struct arena arena;
	struct dockerfile *dockerfile;
	char *file;           /* for messages */
	struct strv globals;  /* "K=V": automatic arguments, then global ARGs */
	struct strv declared; /* names that some ARG declares */
	struct named_context *contexts;
	size_t ncontexts;
	struct plan_stage *stages;
	size_t nstages;
	struct from
		*copies; /* COPY --from of needed stages, at the instruction's index */
	size_t target;
};

/* text is the Dockerfile's bytes, file its name for messages; neither is kept.  All
 * parser errors but the last are printed through log_error; the last one is err. */
int plan_make(struct plan *p, const struct build_request *req, const char *file,
	      const char *text, size_t len, struct error *err);
void plan_release(struct plan *p);
/* The instruction's COPY --from, NULL when it has none. */
const struct from *plan_copy_from(const struct plan *p, const struct instruction *in);
/* The stage that a name may have meant, NULL when none is near. */
const char *plan_nearest_stage(struct plan *p, const char *name);
/* "[name 2/5]"-like label's name part: the stage's name or "stage-N". */
char *plan_stage_name(const struct plan *p, size_t stage); /* yours to free */

/* An octal --chmod, 0 to 07777; false for anything else. */
bool plan_octal_mode(const char *text, uint16_t *mode);
/* The value given by --build-arg (with the environment's for a bare name); NULL: none. */
const char *plan_build_arg(const struct build_request *req, const char *name);
/* An expression that is evaluated over a "K=V" list. */
const char *plan_lookup(void *strv, const char *name);

#endif
