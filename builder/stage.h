/*
 * stage.h - a build in progress and the state of its stages
 *
 * A stage begins as its base (an image, a layout's image, another stage, nothing)
 * and changes with each instruction: its config, its layers, and its tree.  The
 * tree is made only when something asks for it; layers whose index is missing
 * are then fetched or read.
 */
#ifndef HOD_STAGE_H
#define HOD_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/plan.h"
#include "builder/sandbox/idmap.h"
#include "builder/timestamp.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/image_config.h"
#include "registry/manifest.h"
#include "registry/transfer.h"

struct build_request;
struct client;
struct context;
struct error;
struct source;
struct store;
struct tree;

struct stage_layer {
	struct descriptor desc;
	struct digest diff_id;
	struct image *base; /* the image that it is layer `index` of; NULL: hod's own, in
			       the store */
	size_t index;
};

struct stage_state {
	struct build *build;
	char *name; /* for messages */
	struct image_config config;
	enum family family;
	struct stage_layer *layers;
	size_t nlayers, cap;
	struct tree *tree;   /* NULL until stage_tree */
	struct digest key;   /* of the last file step, or of the base */
	struct strv vars;    /* "K=V": ENV and ARGs in effect, the last writer's value
				(4.2, 6.9) */
	struct strv args;    /* names that its ARGs declared, each once, in order */
	bool cmd_set;        /* CMD was seen in this stage (13.2) */
	unsigned file_steps; /* so far, for names of cache hints */
};

/* An image that some FROM or COPY --from names, resolved once (base.h). */
struct base_image;

struct build {
	const struct build_request *request;
	struct store *store;
	struct client *client; /* NULL: no registry */
	struct plan plan;
	struct context *context;
	char *context_id; /* names this context and Dockerfile in cache hints */
	struct stage_state **stages; /* by index in the plan; NULL: not built */
	struct base_image **images;
	size_t nimages, cap_images;
	struct store *
		*layouts; /* opened --build-context folders, by index in plan.contexts */
	int64_t time;     /* T */
	char time_text[TIMESTAMP_TEXT];
	bool keep_mtime;      /* --timestamp keep */
	bool bytecode;        /* the rule for .pyc files is on: neither keep nor now */
	size_t steps, cached; /* file steps */
	bool mode_known;      /* how RUN is isolated was tried already */
	enum sandbox_mode mode;
};

/* A stage that stands on an image, on nothing (image NULL), or on another stage. */
struct stage_state *stage_from_image(struct build *b, const char *name,
				     struct image *image, const struct platform *platform,
				     struct error *err);
struct stage_state *stage_from_stage(struct build *b, const char *name,
				     const struct stage_state *base);
/* Says what the image is for, over what its base says. */
void stage_set_platform(struct stage_state *s, const struct platform *p);
void stage_free(struct stage_state *s); /* NULL is fine */

/* The stage's tree as it is now; borrowed.  NULL and err. */
struct tree *stage_tree(struct stage_state *s, struct error *err);
/* Adds a layer that hod made.  in_tree: the tree, if there is one, shows it already. */
int stage_add_layer(struct stage_state *s, const struct descriptor *desc,
		    const struct digest *diff_id, bool in_tree, struct error *err);
/* A history entry of this build. */
void stage_history(struct stage_state *s, const char *created_by, bool empty_layer);

/* Layer i, which hod made, as a tar stream from the store; verified as it is read. */
struct source *stage_own_layer(const struct stage_state *s, size_t i, struct error *err);

#endif
