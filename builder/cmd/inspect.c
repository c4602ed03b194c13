#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder/app.h"
#include "builder/cmd.h"
#include "builder/cmd/local.h"
#include "builder/cmd/output.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/store.h"
#include "registry/textmap.h"

static void add_text(struct buf *b, const char *key, const char *value)
{
	json_key(b, key);
	json_string(b, value ? value : "");
}

static void add_list(struct buf *b, const char *key, const struct strv *list, bool is_set)
{
	json_key(b, key);
	if (!list->n && !is_set) {
		buf_adds(b, "null");
		return;
	}
	json_open(b, '[');
	for (size_t i = 0; i < list->n; i++)
		json_string(b, list->v[i]);
	json_close(b, ']');
}

static void add_healthcheck(struct buf *b, const struct healthcheck *h)
{
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = {
		{"Interval", h->interval},        {"Timeout", h->timeout},
		{"StartPeriod", h->start_period}, {"StartInterval", h->start_interval},
		{"Retries", h->retries},
	};

	json_key(b, "Healthcheck");
	json_open(b, '{');
	add_list(b, "Test", &h->test, true);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (!numbers[i].value)
			continue;
		json_key(b, numbers[i].key);
		json_int(b, numbers[i].value);
	}
	json_close(b, '}');
}

/* docker's container.Config: its order, and which fields go when they are empty. */
static void add_config(struct buf *b, const struct image_config *c)
{
	json_key(b, "Config");
	json_open(b, '{');
	add_text(b, "User", c->user);
	textset_write(b, "ExposedPorts", &c->exposed_ports);
	add_list(b, "Env", &c->env, false);
	add_list(b, "Cmd", &c->cmd, c->has_cmd);
	if (c->has_healthcheck)
		add_healthcheck(b, &c->healthcheck);
	if (c->args_escaped) {
		json_key(b, "ArgsEscaped");
		json_bool(b, true);
	}
	if (c->volumes.n)
		textset_write(b, "Volumes", &c->volumes);
	else
		add_list(b, "Volumes", &c->volumes, false);
	add_text(b, "WorkingDir", c->working_dir);
	add_list(b, "Entrypoint", &c->entrypoint, c->has_entrypoint);
	add_list(b, "OnBuild", &c->on_build, false);
	if (c->labels.n)
		textmap_write(b, "Labels", &c->labels);
	else
		add_list(b, "Labels", &c->labels, false);
	if (c->stop_signal)
		add_text(b, "StopSignal", c->stop_signal);
	if (c->shell.n)
		add_list(b, "Shell", &c->shell, false);
	json_close(b, '}');
}

/* What Go prints for a field that is empty, and so null or not there at all. */
static const char *absent(const char *field)
{
	static const struct {
		const char *field, *text;
	} zero[] = {
		{"ArgsEscaped", "false"},  {"Cmd", "[]"},
		{"Entrypoint", "[]"},      {"Env", "[]"},
		{"ExposedPorts", "map[]"}, {"Healthcheck", "<nil>"},
		{"Labels", "map[]"},       {"OnBuild", "[]"},
		{"Shell", "[]"},           {"StopSignal", ""},
		{"Variant", ""},           {"Volumes", "map[]"},
	};

	for (size_t i = 0; i < sizeof(zero) / sizeof(*zero); i++)
		if (!strcmp(zero[i].field, field))
			return zero[i].text;
	return NULL;
}

/* The names that the manifest has in the store, as docker shows them. */
static int collect_names(struct store *st, const struct local *l, struct strv *tags,
			 struct strv *digests, struct error *err)
{
	struct store_image *v = NULL;
	size_t n = 0;

	if (store_images(st, &v, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		auto_reference struct reference ref = REFERENCE_INIT;
		auto_free char *with_digest = NULL;

		if (!v[i].name || !digest_equal(&v[i].manifest.digest, &l->desc.digest) ||
		    reference_parse(&ref, v[i].name, NULL) < 0)
			continue;
		if (ref.tag && !ref.has_digest)
			strv_take(tags, reference_familiar(&ref));
		free(ref.tag);
		ref.tag = NULL;
		ref.has_digest = true;
		ref.digest = l->desc.digest;
		with_digest = reference_familiar(&ref);
		if (strv_find(digests, with_digest) < 0)
			strv_add(digests, with_digest);
	}
	store_images_free(v, n);
	strv_sort(tags);
	strv_sort(digests);
	return 0;
}

static int add_image(struct store *st, const struct local *l, struct buf *b,
		     struct error *err)
{
	auto_strv struct strv tags = STRV_INIT, digests = STRV_INIT;
	const struct image_config *c = &l->config;
	char text[DIGEST_TEXT];

	if (collect_names(st, l, &tags, &digests, err) < 0)
		return -1;
	json_open(b, '{');
	add_text(b, "Id", digest_text(&l->manifest.config.digest, text));
	add_list(b, "RepoTags", &tags, true);
	add_list(b, "RepoDigests", &digests, true);
	add_text(b, "Created", c->created);
	add_text(b, "Author", c->author);
	add_config(b, c);
	add_text(b, "Architecture", c->architecture);
	if (c->variant)
		add_text(b, "Variant", c->variant);
	add_text(b, "Os", c->os);
	json_key(b, "Size");
	json_int(b, (int64_t)local_size(l));
	json_key(b, "RootFS");
	json_open(b, '{');
	add_text(b, "Type", "layers");
	json_key(b, "Layers");
	json_open(b, '[');
	for (size_t i = 0; i < c->ndiff_ids; i++)
		json_string(b, digest_text(&c->diff_ids[i], text));
	json_close(b, ']');
	json_close(b, '}');
	json_close(b, '}');
	return 0;
}

static int print_formatted(const struct buf *array, const char *format, struct error *err)
{
	auto_json cJSON *all = json_parse(array->data, array->len, "images", err);
	const cJSON *obj;

	if (!all)
		return -1;
	cJSON_ArrayForEach(obj, all)
	{
		auto_buf struct buf line = BUF_INIT;

		if (format_write(format, obj, absent, &line, err) < 0)
			return -1;
		puts(line.data);
	}
	return 0;
}

static int print_array(const struct buf *array, const char *format, struct error *err)
{
	auto_buf struct buf text = BUF_INIT;

	if (format && strcmp(format, "json") != 0)
		return print_formatted(array, format, err);
	if (format)
		buf_add(&text, array->data, array->len);
	else
		json_indent(array->data, array->len, &text);
	puts(text.data);
	return 0;
}

/* What is not there does not keep the rest from being shown: the names go to missing. */
static int inspect(struct store *st, const struct strv *names, struct buf *array,
		   struct buf *missing, struct error *err)
{
	json_open(array, '[');
	for (size_t i = 0; i < names->n; i++) {
		auto_local struct local l = LOCAL_INIT;
		struct error one = ERROR_INIT;

		if (local_open(st, names->v[i], &l, &one) == 0) {
			if (add_image(st, &l, array, err) < 0)
				return -1;
		} else if (one.kind == E_MISSING) {
			buf_addf(missing, "%s%s", missing->len ? ", " : "", names->v[i]);
		} else {
			*err = one;
			return -1;
		}
	}
	json_close(array, ']');
	return 0;
}

static int run_inspect(struct app *app, int argc, char **argv, struct error *err)
{
	const char *format = NULL;
	const struct option options[] = {
		{"format", 'f', OPTION_STRING, &format, "FORMAT",
		 "json, or text with fields such as {{.Config.User}}"},
	};
	auto_strv struct strv operands = STRV_INIT;
	auto_buf struct buf array = BUF_INIT, missing = BUF_INIT;
	struct store *st;
	int rc = command_options(app, &cmd_inspect, options, 1, argc, argv, 1, -1,
				 &operands, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (format && format_check(format, err) < 0)
		return -1;
	st = app_store(app, err);
	if (!st || inspect(st, &operands, &array, &missing, err) < 0 ||
	    print_array(&array, format, err) < 0)
		return -1;
	if (!missing.len)
		return 0;
	/* status 1, as for docker: the answer to a question, not a failure to find */
	error_set(err, E_FAILED, "no such image on this machine: %s", missing.data);
	return error_hint(err, "hod images lists what is there");
}

const struct command cmd_inspect = {
	"inspect",
	"[OPTIONS] NAME|ID...",
	"Show what is known about images as JSON",
	run_inspect,
};
