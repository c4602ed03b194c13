#include "registry/image_config.h"

#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/json.h"
#include "registry/manifest.h"
#include "registry/textmap.h"

static void history_release(struct history *h)
{
	free(h->created);
	free(h->created_by);
	free(h->author);
	free(h->comment);
}

void image_config_release(struct image_config *c)
{
	char *texts[] = {c->created, c->author,      c->architecture,
			 c->os,      c->os_version,  c->variant,
			 c->user,    c->working_dir, c->stop_signal};
	struct strv *lists[] = {&c->os_features, &c->env,
				&c->labels,      &c->exposed_ports,
				&c->volumes,     &c->entrypoint,
				&c->cmd,         &c->shell,
				&c->on_build,    &c->healthcheck.test};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		strv_release(lists[i]);
	for (size_t i = 0; i < c->nhistory; i++)
		history_release(&c->history[i]);
	free(c->history);
	free(c->diff_ids);
	*c = (struct image_config)IMAGE_CONFIG_INIT;
}

static char *copy_text(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static struct strv copy_list(const struct strv *from)
{
	struct strv to = STRV_INIT;

	strv_copy(&to, from);
	return to;
}

void image_config_copy(struct image_config *to, const struct image_config *from)
{
	struct image_config c = *from;

	c.created = copy_text(from->created);
	c.author = copy_text(from->author);
	c.architecture = copy_text(from->architecture);
	c.os = copy_text(from->os);
	c.os_version = copy_text(from->os_version);
	c.variant = copy_text(from->variant);
	c.os_features = copy_list(&from->os_features);
	c.user = copy_text(from->user);
	c.working_dir = copy_text(from->working_dir);
	c.stop_signal = copy_text(from->stop_signal);
	c.env = copy_list(&from->env);
	c.labels = copy_list(&from->labels);
	c.exposed_ports = copy_list(&from->exposed_ports);
	c.volumes = copy_list(&from->volumes);
	c.entrypoint = copy_list(&from->entrypoint);
	c.cmd = copy_list(&from->cmd);
	c.shell = copy_list(&from->shell);
	c.on_build = copy_list(&from->on_build);
	c.healthcheck.test = copy_list(&from->healthcheck.test);
	c.diff_ids = xcalloc(from->ndiff_ids, sizeof(*c.diff_ids));
	for (size_t i = 0; i < from->ndiff_ids; i++)
		c.diff_ids[i] = from->diff_ids[i];
	c.history = xcalloc(from->nhistory, sizeof(*c.history));
	for (size_t i = 0; i < from->nhistory; i++) {
		const struct history *h = &from->history[i];

		c.history[i] = (struct history){
			copy_text(h->created), copy_text(h->created_by),
			copy_text(h->author), copy_text(h->comment), h->empty_layer};
	}
	image_config_release(to);
	*to = c;
}

void image_config_clear_history(struct image_config *c)
{
	for (size_t i = 0; i < c->nhistory; i++)
		history_release(&c->history[i]);
	free(c->history);
	c->history = NULL;
	c->nhistory = 0;
}

void image_config_add_history(struct image_config *c, const char *created,
			      const char *created_by, bool empty_layer)
{
	c->history = xreallocarray(c->history, c->nhistory + 1, sizeof(*c->history));
	c->history[c->nhistory++] = (struct history){.created = copy_text(created),
						     .created_by = copy_text(created_by),
						     .empty_layer = empty_layer};
}

void image_config_add_diff_id(struct image_config *c, const struct digest *d)
{
	c->diff_ids = xreallocarray(c->diff_ids, c->ndiff_ids + 1, sizeof(*c->diff_ids));
	c->diff_ids[c->ndiff_ids++] = *d;
}

/* A text of its own, NULL for absent, null and "". */
static int get_text(const cJSON *obj, const char *key, char **out, struct error *err)
{
	const char *text = NULL;

	if (json_get_string(obj, key, false, &text, err) < 0)
		return -1;
	*out = text && *text ? xstrdup(text) : NULL;
	return 0;
}

/* A list of texts; a null among them is "", as Go reads it.  *set (may be NULL)
 * tells an empty list from none. */
static int get_list(const cJSON *obj, const char *key, struct strv *out, bool *set,
		    struct error *err)
{
	const cJSON *list = NULL, *item;

	if (json_get_array(obj, key, false, &list, err) < 0)
		return -1;
	if (set)
		*set = list != NULL;
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsString(item) && !cJSON_IsNull(item))
			return error_set(err, E_CORRUPT,
					 "field %s holds what is no string", key);
		strv_add(out, cJSON_IsString(item) ? item->valuestring : "");
	}
	return 0;
}

static int parse_healthcheck(struct image_config *c, const cJSON *config,
			     struct error *err)
{
	struct healthcheck *h = &c->healthcheck;
	const cJSON *obj = NULL;

	if (json_get_object(config, "Healthcheck", false, &obj, err) < 0)
		return -1;
	if (!obj)
		return 0;
	c->has_healthcheck = true;
	if (get_list(obj, "Test", &h->test, NULL, err) < 0 ||
	    json_get_int(obj, "Interval", &h->interval, err) < 0 ||
	    json_get_int(obj, "Timeout", &h->timeout, err) < 0 ||
	    json_get_int(obj, "StartPeriod", &h->start_period, err) < 0 ||
	    json_get_int(obj, "StartInterval", &h->start_interval, err) < 0 ||
	    json_get_int(obj, "Retries", &h->retries, err) < 0)
		return error_wrap(err, "Healthcheck");
	return 0;
}

static int parse_runtime(struct image_config *c, const cJSON *doc, struct error *err)
{
	const cJSON *o = NULL;

	if (json_get_object(doc, "config", false, &o, err) < 0)
		return -1;
	if (!o)
		return 0;
	if (get_text(o, "User", &c->user, err) < 0 ||
	    textset_parse(o, "ExposedPorts", &c->exposed_ports, err) < 0 ||
	    get_list(o, "Env", &c->env, NULL, err) < 0 ||
	    get_list(o, "Entrypoint", &c->entrypoint, &c->has_entrypoint, err) < 0 ||
	    get_list(o, "Cmd", &c->cmd, &c->has_cmd, err) < 0 ||
	    textset_parse(o, "Volumes", &c->volumes, err) < 0 ||
	    get_text(o, "WorkingDir", &c->working_dir, err) < 0 ||
	    textmap_parse(o, "Labels", &c->labels, err) < 0 ||
	    get_text(o, "StopSignal", &c->stop_signal, err) < 0 ||
	    parse_healthcheck(c, o, err) < 0 ||
	    get_list(o, "Shell", &c->shell, NULL, err) < 0 ||
	    get_list(o, "OnBuild", &c->on_build, NULL, err) < 0 ||
	    json_get_bool(o, "ArgsEscaped", &c->args_escaped, err) < 0)
		return error_wrap(err, "config");
	return 0;
}

static int parse_rootfs(struct image_config *c, const cJSON *doc, struct error *err)
{
	const cJSON *rootfs = NULL, *list = NULL, *item;
	const char *type = NULL;
	size_t n;

	if (json_get_object(doc, "rootfs", false, &rootfs, err) < 0)
		return -1;
	if (!rootfs)
		return 0;
	if (json_get_string(rootfs, "type", false, &type, err) < 0 ||
	    json_get_array(rootfs, "diff_ids", false, &list, err) < 0)
		return error_wrap(err, "rootfs");
	if (type && *type && strcmp(type, "layers") != 0)
		return error_set(err, E_CORRUPT, "rootfs: type %.60s is not layers",
				 type);
	n = list ? (size_t)cJSON_GetArraySize(list) : 0;
	if (n > MANIFEST_MAX_LAYERS)
		return error_set(err, E_CORRUPT, "rootfs: %zu diff_ids, more than %d", n,
				 MANIFEST_MAX_LAYERS);
	c->diff_ids = xcalloc(n, sizeof(*c->diff_ids));
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsString(item) ||
		    digest_parse(&c->diff_ids[c->ndiff_ids], item->valuestring, NULL) < 0)
			return error_set(err, E_CORRUPT,
					 "rootfs: diff_id %zu is no sha256 digest",
					 c->ndiff_ids);
		c->ndiff_ids++;
	}
	return 0;
}

static int parse_history_entry(struct history *h, const cJSON *item, struct error *err)
{
	if (cJSON_IsNull(item))
		return 0;
	if (!cJSON_IsObject(item))
		return error_set(err, E_CORRUPT, "is no object");
	if (get_text(item, "created", &h->created, err) < 0 ||
	    get_text(item, "created_by", &h->created_by, err) < 0 ||
	    get_text(item, "author", &h->author, err) < 0 ||
	    get_text(item, "comment", &h->comment, err) < 0)
		return -1;
	return json_get_bool(item, "empty_layer", &h->empty_layer, err);
}

static int parse_history(struct image_config *c, const cJSON *doc, struct error *err)
{
	const cJSON *list = NULL, *item;

	if (json_get_array(doc, "history", false, &list, err) < 0)
		return -1;
	c->history =
		xcalloc(list ? (size_t)cJSON_GetArraySize(list) : 0, sizeof(*c->history));
	cJSON_ArrayForEach(item, list)
	{
		size_t i = c->nhistory++;

		if (parse_history_entry(&c->history[i], item, err) < 0)
			return error_wrap(err, "history %zu", i);
	}
	return 0;
}

static int parse_all(struct image_config *c, const cJSON *doc, struct error *err)
{
	if (!cJSON_IsObject(doc))
		return error_set(err, E_CORRUPT, "is no JSON object");
	/* unreadable is as good as absent: it is a date at most */
	(void)get_text(doc, "created", &c->created, NULL);
	if (get_text(doc, "author", &c->author, err) < 0 ||
	    get_text(doc, "architecture", &c->architecture, err) < 0 ||
	    get_text(doc, "os", &c->os, err) < 0 ||
	    get_text(doc, "os.version", &c->os_version, err) < 0 ||
	    get_list(doc, "os.features", &c->os_features, NULL, err) < 0 ||
	    get_text(doc, "variant", &c->variant, err) < 0)
		return -1;
	if (parse_runtime(c, doc, err) < 0 || parse_rootfs(c, doc, err) < 0)
		return -1;
	return parse_history(c, doc, err);
}

int image_config_parse(struct image_config *c, const char *raw, size_t len,
		       struct error *err)
{
	auto_json cJSON *doc = NULL;

	if (len > CONFIG_MAX_BYTES)
		return error_set(err, E_CORRUPT, "image config is larger than %u bytes",
				 CONFIG_MAX_BYTES);
	doc = json_parse(raw, len, "image config", err);
	if (!doc)
		return -1;
	if (parse_all(c, doc, err) < 0) {
		image_config_release(c);
		return error_wrap(err, "image config");
	}
	return 0;
}

static void put_text(struct buf *b, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	json_key(b, key);
	json_string(b, text);
}

static void put_list(struct buf *b, const char *key, const struct strv *list,
		     bool even_empty)
{
	if (!list->n && !even_empty)
		return;
	json_key(b, key);
	json_open(b, '[');
	for (size_t i = 0; i < list->n; i++)
		json_string(b, list->v[i]);
	json_close(b, ']');
}

static void put_number(struct buf *b, const char *key, int64_t value)
{
	if (!value)
		return;
	json_key(b, key);
	json_int(b, value);
}

static void put_true(struct buf *b, const char *key, bool value)
{
	if (!value)
		return;
	json_key(b, key);
	json_bool(b, true);
}

static void write_healthcheck(const struct healthcheck *h, struct buf *b)
{
	json_key(b, "Healthcheck");
	json_open(b, '{');
	put_list(b, "Test", &h->test, false);
	put_number(b, "Interval", h->interval);
	put_number(b, "Timeout", h->timeout);
	put_number(b, "StartPeriod", h->start_period);
	put_number(b, "StartInterval", h->start_interval);
	put_number(b, "Retries", h->retries);
	json_close(b, '}');
}

static void write_runtime(const struct image_config *c, struct buf *out)
{
	auto_buf struct buf b = BUF_INIT;

	json_open(&b, '{');
	put_text(&b, "User", c->user);
	textset_write(&b, "ExposedPorts", &c->exposed_ports);
	put_list(&b, "Env", &c->env, false);
	put_list(&b, "Entrypoint", &c->entrypoint, false);
	put_list(&b, "Cmd", &c->cmd, c->has_cmd);
	textset_write(&b, "Volumes", &c->volumes);
	put_text(&b, "WorkingDir", c->working_dir);
	textmap_write(&b, "Labels", &c->labels);
	put_text(&b, "StopSignal", c->stop_signal);
	if (c->has_healthcheck)
		write_healthcheck(&c->healthcheck, &b);
	put_list(&b, "Shell", &c->shell, false);
	put_list(&b, "OnBuild", &c->on_build, false);
	put_true(&b, "ArgsEscaped", c->args_escaped);
	json_close(&b, '}');
	if (b.len == strlen("{}"))
		return;
	json_key(out, "config");
	buf_add(out, b.data, b.len);
}

static void write_rootfs(const struct image_config *c, struct buf *b)
{
	char text[DIGEST_TEXT];

	/* both fields are required by image-spec config.md */
	json_key(b, "rootfs");
	json_open(b, '{');
	json_key(b, "type");
	json_string(b, "layers");
	json_key(b, "diff_ids");
	json_open(b, '[');
	for (size_t i = 0; i < c->ndiff_ids; i++)
		json_string(b, digest_text(&c->diff_ids[i], text));
	json_close(b, ']');
	json_close(b, '}');
}

static void write_history(const struct image_config *c, struct buf *b)
{
	if (!c->nhistory)
		return;
	json_key(b, "history");
	json_open(b, '[');
	for (size_t i = 0; i < c->nhistory; i++) {
		const struct history *h = &c->history[i];

		json_open(b, '{');
		put_text(b, "created", h->created);
		put_text(b, "created_by", h->created_by);
		put_text(b, "author", h->author);
		put_text(b, "comment", h->comment);
		put_true(b, "empty_layer", h->empty_layer);
		json_close(b, '}');
	}
	json_close(b, ']');
}

void image_config_write(const struct image_config *c, struct buf *out)
{
	json_open(out, '{');
	put_text(out, "created", c->created);
	put_text(out, "author", c->author);
	put_text(out, "architecture", c->architecture);
	put_text(out, "os", c->os);
	put_text(out, "os.version", c->os_version);
	put_list(out, "os.features", &c->os_features, false);
	put_text(out, "variant", c->variant);
	write_runtime(c, out);
	write_rootfs(c, out);
	write_history(c, out);
	json_close(out, '}');
}
