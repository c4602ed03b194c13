/*
 * app.h - what all commands share: global options, the store, the registry client
 *
 * Store and client are opened when they are first asked for.
 */
#ifndef HOD_APP_H
#define HOD_APP_H

#include <stdbool.h>

#include "builder/options.h"

struct auth;
struct client;
struct error;
struct http;
struct store;

#define APP_OPTIONS 8

struct app {
	/* global options, before or after the verb; NULL when not given */
	const char *root, *authfile, *ca_file, *log_format;
	bool tls_verify, plain_http, debug, help;
	struct option options[APP_OPTIONS]; /* their table: points into this very app */
	/* opened on demand */
	struct store *store;
	struct http *http;
	struct auth *auth;
	struct client *client;
};

void app_init(struct app *app);
void app_release(struct app *app);
/* The global table; it points into app, which must not move. */
struct option_table app_options(struct app *app);
/* --log-format json was given. */
bool app_logs_json(const struct app *app);
/* --root, $HOD_ROOT, $XDG_DATA_HOME/hod, ~/.local/share/hod, opened.  Borrowed from app;
 * NULL and err (E_USAGE when none of them is known). */
struct store *app_store(struct app *app, struct error *err);
/* The same for registries; $HOD_CONNECT_TO is read here. */
struct client *app_client(struct app *app, struct error *err);

#endif
