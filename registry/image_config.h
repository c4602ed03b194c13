/*
 * image_config.h - the image configuration, with docker's fields
 *
 * image-spec config.md and, in `config`, docker's Healthcheck, Shell, OnBuild and
 * ArgsEscaped.  Unknown fields are dropped.  A field that is null or an empty
 * text counts as absent.  Lists are empty when absent, except where a has_ flag says
 * that an empty one was set; of these only Cmd is written when it is empty.
 */
#ifndef HOD_IMAGE_CONFIG_H
#define HOD_IMAGE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/digest.h"

struct error;

#define CONFIG_MAX_BYTES (8u << 20)

struct history {
	char *created, *created_by, *author, *comment; /* NULL = absent */
	bool empty_layer;
};

struct healthcheck {
	struct strv test;
	int64_t interval, timeout, start_period, start_interval; /* ns; 0 = unset */
	int64_t retries;
};

struct image_config {
	char *created, *author, *architecture, *os, *os_version, *variant;
	struct strv os_features;
	char *user, *working_dir, *stop_signal;
	struct strv env;           /* "K=V" in order */
	struct strv labels;        /* "K=V", written sorted by key */
	struct strv exposed_ports; /* written sorted, as a map */
	struct strv volumes;       /* likewise */
	struct strv entrypoint, cmd, shell, on_build;
	bool has_entrypoint,
		has_cmd; /* set, if only to an empty list; written as "Cmd":[] */
	bool has_healthcheck;
	struct healthcheck healthcheck;
	bool args_escaped;
	struct digest *diff_ids;
	size_t ndiff_ids;
	struct history *history;
	size_t nhistory;
};
#define IMAGE_CONFIG_INIT \
	{                 \
		0         \
	}

/* Reads one; c must be empty and stays so on failure.  E_CORRUPT for malformed JSON, a
 * wrong type, a bad digest, more than MANIFEST_MAX_LAYERS diff_ids.  History
 * that is null or does not fit the layers is no failure: whoever builds on it
 * mends it.  A label whose key contains `=` is dropped with a warning. */
int image_config_parse(struct image_config *c, const char *raw, size_t len,
		       struct error *err);
void image_config_release(struct image_config *c);
void image_config_copy(struct image_config *to, const struct image_config *from);
void image_config_add_history(struct image_config *c, const char *created,
			      const char *created_by, bool empty_layer);
/* Drops all history entries. */
void image_config_clear_history(struct image_config *c);
void image_config_add_diff_id(struct image_config *c, const struct digest *d);
/* hod-layers(5), JSON: exact order and escapes.  Appends to out. */
void image_config_write(const struct image_config *c, struct buf *out);

#define auto_image_config __attribute__((cleanup(image_config_release)))

#endif
