#include "builder/app.h"

#include <stdlib.h>
#include <string.h>

#include "registry/auth.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/http.h"
#include "registry/client.h"
#include "registry/store.h"

void app_init(struct app *app)
{
	const struct option options[APP_OPTIONS] = {
		{"root", 0, OPTION_STRING, &app->root, "DIR",
		 "where images and caches are kept"},
		{"authfile", 0, OPTION_STRING, &app->authfile, "FILE",
		 "read registry passwords from this file"},
		{"ca-file", 0, OPTION_STRING, &app->ca_file, "FILE",
		 "trust the certificate authorities in this file"},
		{"tls-verify", 0, OPTION_BOOL, &app->tls_verify, NULL,
		 "check certificates (default true)"},
		{"plain-http", 0, OPTION_BOOL, &app->plain_http, NULL,
		 "speak to registries without TLS"},
		{"debug", 0, OPTION_BOOL, &app->debug, NULL,
		 "show details on standard error"},
		{"log-format", 0, OPTION_STRING, &app->log_format, "FORMAT",
		 "form of messages: text or json"},
		{"help", 'h', OPTION_BOOL, &app->help, NULL, "show this text"},
	};

	memset(app, 0, sizeof(*app));
	app->tls_verify = true;
	memcpy(app->options, options, sizeof(options));
}

void app_release(struct app *app)
{
	client_free(app->client);
	auth_free(app->auth);
	http_free(app->http);
	store_close(app->store);
	app->client = NULL;
	app->auth = NULL;
	app->http = NULL;
	app->store = NULL;
}

struct option_table app_options(struct app *app)
{
	return (struct option_table){app->options, APP_OPTIONS};
}

bool app_logs_json(const struct app *app)
{
	return app->log_format && !strcmp(app->log_format, "json");
}

/* An empty variable counts as one that is not set. */
static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Yours to free; NULL and err. */
static char *root_path(const struct app *app, struct error *err)
{
	const char *path = app->root ? app->root : environment("HOD_ROOT");
	const char *data = environment("XDG_DATA_HOME"), *home = environment("HOME");

	if (path && *path)
		return xstrdup(path);
	if (path) {
		error_set(err, E_USAGE, "--root is empty");
		return NULL;
	}
	if (data && *data == '/') /* XDG: a relative one is to be ignored */
		return xasprintf("%s/hod", data);
	if (home)
		return xasprintf("%s/.local/share/hod", home);
	error_set(err, E_USAGE, "no place for images: HOME is not set");
	error_hint(err, "give --root DIR or set HOD_ROOT");
	return NULL;
}

struct store *app_store(struct app *app, struct error *err)
{
	auto_free char *path = NULL;

	if (app->store)
		return app->store;
	path = root_path(app, err);
	if (!path)
		return NULL;
	app->store = store_open(path, err);
	return app->store;
}

struct client *app_client(struct app *app, struct error *err)
{
	const struct http_options http = {
		.ca_file = app->ca_file,
		.tls_verify = app->tls_verify,
		.connect_to = environment("HOD_CONNECT_TO"),
		.user_agent = "hod/" HOD_VERSION,
	};
	struct client_options options = {.plain_http = app->plain_http};

	if (app->client)
		return app->client;
	if (!app->http)
		app->http = http_new(&http, err);
	if (!app->http)
		return NULL;
	if (!app->auth)
		app->auth = auth_new(app->authfile);
	options.http = app->http;
	options.auth = app->auth;
	app->client = client_new(&options);
	return app->client;
}
