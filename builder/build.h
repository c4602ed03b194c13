/*
 * build.h - from a Dockerfile and a context to an image in the store
 *
 * build_run walks the plan: for each needed stage its base is resolved, then
 * each instruction changes the image's config or, through the step cache, its
 * file tree.  Nothing of a base is unpacked; its layers are fetched only where
 * their index is missing and a step needs the tree.
 */
#ifndef HOD_BUILD_H
#define HOD_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "builder/sandbox/probe.h"
#include "registry/base/buf.h"
#include "registry/manifest.h"
#include "registry/reference.h"

struct client;
struct error;
struct store;

enum timestamp_mode { TIMESTAMP_BASE, TIMESTAMP_FIXED, TIMESTAMP_NOW, TIMESTAMP_KEEP };

/* What RUN reaches (9.6): BUILD_NETWORK_DEFAULT is the host's network, as HOST is. */
enum build_network { BUILD_NETWORK_DEFAULT, BUILD_NETWORK_NONE, BUILD_NETWORK_HOST };

struct build_request {
	const char *context;    /* a folder */
	const char *dockerfile; /* -f: relative to the working folder; NULL: Dockerfile in
				   the context */
	struct strv build_args; /* "K=V", or "K": from the environment */
	const char *target;     /* --target, or NULL */
	struct platform platform; /* --platform or this host's */
	bool platform_explicit;
	struct strv labels;         /* "K=V", checked */
	struct strv annotations;    /* "K=V", checked, each key once */
	struct strv build_contexts; /* "NAME=oci-layout://DIR[:TAG]" */
	bool no_cache, pull;
	enum timestamp_mode timestamp;
	int64_t time;               /* TIMESTAMP_FIXED: seconds */
	int level;                  /* 0-9 */
	enum isolation isolation;   /* of RUN */
	enum build_network network; /* of RUN without --network */
	bool allow_host_network;    /* RUN --network=host */
	uint64_t processes;         /* that a RUN may have at once; 0: no bound */
};
void build_request_release(struct build_request *r);

#define BUILD_PROCESSES 4096 /* where nothing else is asked for */
/* "default", "none", "host"; -1 for another word. */
int build_network_parse(const char *word);

/* What was built; everything but base layers is in the store. */
struct build_result {
	struct descriptor manifest; /* of the manifest */
	struct manifest parsed;
	struct digest config; /* the image id */
	struct platform platform;
	struct reference *origins; /* registry images that its base layers came from */
	size_t norigins;
	size_t steps, cached; /* file steps, and how many came from the cache */
};
void build_result_release(struct build_result *r);

/* client may be NULL when no registry can be asked for.  Reports progress through log.h.
 */
int build_run(const struct build_request *req, struct store *st, struct client *c,
	      struct build_result *out, struct error *err);

#endif
