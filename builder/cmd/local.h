/*
 * local.h - images of this machine's store, as users name them; options that
 * several commands share
 */
#ifndef HOD_CMD_LOCAL_H
#define HOD_CMD_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "registry/manifest.h"
#include "registry/reference.h"

struct error;
struct store;

/* An image that is in the store; its layers need not be. */
struct local {
	struct descriptor desc; /* of the manifest (of an index: this machine's choice) */
	struct manifest manifest;
	struct image_config config;
};
#define LOCAL_INIT \
	{          \
		0  \
	}
void local_release(struct local *l);
#define auto_local __attribute__((cleanup(local_release)))

/* By name (completed with :latest), name@digest, or id (config or manifest digest, with
 * or without sha256:, or at least four digits of it): 1 and *out, 0 not there, -1 (no
 * such name can be, or an id that fits several). */
int local_find(struct store *st, const char *text, struct descriptor *out,
	       struct error *err);
/* Reads manifest and config; l must be empty and stays so on failure. */
int local_load(struct store *st, const struct descriptor *desc, struct local *l,
	       struct error *err);
/* local_find and local_load; not there: E_MISSING, naming text. */
int local_open(struct store *st, const char *text, struct local *l, struct error *err);
/* "linux/arm/v7" of the config; yours to free. */
char *local_platform(const struct local *l);
/* Bytes of config and layers as they are stored. */
uint64_t local_size(const struct local *l);

/* Parses a name for an image to be made or sent: completed, E_INPUT for one with a
 * digest.  `what` ("-t") goes before the message. */
int name_parse(struct reference *ref, const char *text, const char *what,
	       struct error *err);

/* --platform's values (or $DOCKER_DEFAULT_PLATFORM, or this machine): one platform;
 * several are refused.  *is_explicit: it was asked for. */
struct strv;
int platform_option(const struct strv *given, struct platform *p, bool *is_explicit,
		    struct error *err);

#endif
