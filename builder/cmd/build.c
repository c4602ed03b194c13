#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "builder/app.h"
#include "builder/build.h"
#include "builder/cmd.h"
#include "builder/cmd/local.h"
#include "builder/cmd/output.h"
#include "builder/cmd/send.h"
#include "builder/rootfs/layer.h"
#include "builder/timestamp.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"
#include "registry/store.h"

/* -o oci:DIR[:TAG] */
struct layout {
	char *dir, *tag;
};

struct build_command {
	/* as given */
	const char *timestamp, *level, *iidfile, *metadata_file, *progress;
	const char *isolation, *network;
	struct strv tags, outputs, platforms, labels, annotations, allow, ulimits;
	bool push, quiet;
	/* as understood */
	struct build_request req;
	struct reference *names;
	size_t nnames, names_cap;
	struct layout *layouts;
	size_t nlayouts, layouts_cap;
};

static void command_release(struct build_command *c)
{
	strv_release(&c->tags);
	strv_release(&c->outputs);
	strv_release(&c->platforms);
	strv_release(&c->labels);
	strv_release(&c->annotations);
	strv_release(&c->allow);
	strv_release(&c->ulimits);
	build_request_release(&c->req);
	for (size_t i = 0; i < c->nnames; i++)
		reference_release(&c->names[i]);
	free(c->names);
	for (size_t i = 0; i < c->nlayouts; i++) {
		free(c->layouts[i].dir);
		free(c->layouts[i].tag);
	}
	free(c->layouts);
}
#define auto_command __attribute__((cleanup(command_release)))

static int not_yet(struct error *err, const char *what, const char *instead)
{
	error_set(err, E_USAGE, "%s is not supported yet", what);
	return error_hint(err, "%s", instead);
}

static int take_names(struct build_command *c, struct error *err)
{
	auto_strv struct strv seen = STRV_INIT;

	for (size_t i = 0; i < c->tags.n; i++) {
		struct reference ref = REFERENCE_INIT;
		auto_free char *text = NULL;

		if (name_parse(&ref, c->tags.v[i], "-t", err) < 0) {
			reference_release(&ref);
			return -1;
		}
		text = reference_text(&ref);
		if (strv_find(&seen, text) >= 0) {
			reference_release(&ref);
			continue;
		}
		strv_add(&seen, text);
		GROW(c->names, c->nnames, c->names_cap);
		c->names[c->nnames++] = ref;
	}
	if (c->push && !c->nnames) {
		error_set(err, E_USAGE, "--push without a name");
		return error_hint(err, "give -t HOST/NAME:TAG");
	}
	return 0;
}

/* The tag is latest where none is given, so that a second build replaces the first: a
 * layout of two images without names is of no use to readers. */
static int take_outputs(struct build_command *c, struct error *err)
{
	static const char scheme[] = "oci:";

	for (size_t i = 0; i < c->outputs.n; i++) {
		const char *text = c->outputs.v[i], *dir = text + strlen(scheme);
		size_t len;

		if (strncmp(text, scheme, strlen(scheme)) != 0) {
			auto_free char *what = xasprintf("-o %s", text);

			return not_yet(err, what, "write -o oci:DIR[:TAG]");
		}
		len = strcspn(dir, ":");
		if (!len || (dir[len] && !dir[len + 1])) {
			error_set(err, E_USAGE, "-o %s: no %s", text,
				  len ? "tag behind the colon" : "folder");
			return error_hint(err, "write -o oci:DIR[:TAG]");
		}
		GROW(c->layouts, c->nlayouts, c->layouts_cap);
		c->layouts[c->nlayouts++] = (struct layout){
			.dir = xstrndup(dir, len),
			.tag = xstrdup(dir[len] ? dir + len + 1 : "latest"),
		};
	}
	return 0;
}

static int take_timestamp(struct build_command *c, struct error *err)
{
	const char *text = c->timestamp, *source = "--timestamp";
	const char *epoch = getenv("SOURCE_DATE_EPOCH");

	c->req.timestamp = TIMESTAMP_BASE;
	if (!text && epoch && *epoch) {
		text = epoch;
		source = "SOURCE_DATE_EPOCH";
	}
	if (!text)
		return 0;
	c->req.timestamp = TIMESTAMP_FIXED;
	if (timestamp_parse_seconds(text, &c->req.time))
		return 0;
	if (c->timestamp && !strcmp(text, "keep"))
		c->req.timestamp = TIMESTAMP_KEEP;
	else if (c->timestamp && !strcmp(text, "now"))
		c->req.timestamp = TIMESTAMP_NOW;
	else {
		error_set(err, E_USAGE, "%s \"%s\" is no time", source, text);
		return error_hint(err, "write seconds since 1970%s",
				  c->timestamp ? ", keep or now" : "");
	}
	return 0;
}

/* KEY=VALUE; as for docker a label without = has an empty value. */
static int take_labels(struct build_command *c, struct error *err)
{
	for (size_t i = 0; i < c->labels.n; i++) {
		const char *text = c->labels.v[i];

		if (!*text || *text == '=')
			return error_set(err, E_USAGE, "--label \"%s\" has no key", text);
		if (strchr(text, '='))
			strv_add(&c->req.labels, text);
		else
			strv_addf(&c->req.labels, "%s=", text);
	}
	return 0;
}

/* buildx's TYPE: prefixes: what hod makes is one manifest. */
static int take_annotations(struct build_command *c, struct error *err)
{
	static const char *const other[] = {"index:", "index[", "manifest[",
					    "manifest-descriptor", "index-descriptor"};
	static const char manifest[] = "manifest:";

	for (size_t i = 0; i < c->annotations.n; i++) {
		const char *text = c->annotations.v[i];

		for (size_t k = 0; k < sizeof(other) / sizeof(*other); k++)
			if (!strncmp(text, other[k], strlen(other[k])))
				return not_yet(err, text, "write --annotation KEY=VALUE");
		if (!strncmp(text, manifest, strlen(manifest)))
			text += strlen(manifest);
		if (!strchr(text, '=') || *text == '=') {
			error_set(err, E_USAGE, "--annotation \"%s\" is no KEY=VALUE",
				  text);
			return -1;
		}
		strv_add(&c->req.annotations, text);
	}
	return 0;
}

static int take_arguments(const struct build_command *c, struct error *err)
{
	for (size_t i = 0; i < c->req.build_args.n; i++) {
		const char *text = c->req.build_args.v[i];

		if (!*text || *text == '=')
			return error_set(err, E_USAGE, "--build-arg \"%s\" has no name",
					 text);
	}
	return 0;
}

static int take_level(struct build_command *c, struct error *err)
{
	const char *s = c->level;

	c->req.level = LAYER_LEVEL_DEFAULT;
	if (!s)
		return 0;
	if (s[0] < '0' || s[0] > '9' || s[1])
		return error_set(err, E_USAGE,
				 "--compression-level is 0 to 9, not \"%s\"", s);
	c->req.level = s[0] - '0';
	return 0;
}

static int take_isolation(struct build_command *c, struct error *err)
{
	const char *variable = getenv("HOD_ISOLATION");
	const char *word = c->isolation            ? c->isolation
			   : variable && *variable ? variable
						   : "auto";
	int mode = isolation_parse(word);

	if (mode < 0) {
		error_set(err, E_USAGE, "%s \"%s\" is unknown",
			  c->isolation ? "--isolation" : "HOD_ISOLATION", word);
		return error_hint(err, "it is auto, root, userns or none");
	}
	c->req.isolation = (enum isolation)mode;
	return 0;
}

/* As for buildx, who asks for the host's network here allows it. */
static int take_network(struct build_command *c, struct error *err)
{
	int mode = build_network_parse(c->network ? c->network : "default");

	if (mode < 0) {
		error_set(err, E_USAGE, "--network \"%s\" is unknown", c->network);
		return error_hint(err, "it is default, none or host");
	}
	c->req.network = (enum build_network)mode;
	c->req.allow_host_network = mode == BUILD_NETWORK_HOST;
	for (size_t i = 0; i < c->allow.n; i++) {
		if (strcmp(c->allow.v[i], "network.host") != 0) {
			error_set(err, E_USAGE, "--allow %s: hod cannot allow that",
				  c->allow.v[i]);
			return error_hint(err, "it can allow network.host");
		}
		c->req.allow_host_network = true;
	}
	return 0;
}

/* A bound on processes: a number above 0, or -1 for none. */
static bool parse_bound(const char *text, size_t len, uint64_t *out)
{
	char digits[20];

	*out = 0;
	if (len == 2 && !strncmp(text, "-1", 2))
		return true;
	if (!len || len >= sizeof(digits) || strspn(text, "0123456789") < len)
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	*out = strtoull(digits, NULL, 10);
	return *out > 0;
}

/* docker's NAME=SOFT[:HARD], of which the hard one counts: a RUN can raise the other. */
static int take_ulimits(struct build_command *c, struct error *err)
{
	static const char nproc[] = "nproc=";

	c->req.processes = BUILD_PROCESSES;
	for (size_t i = 0; i < c->ulimits.n; i++) {
		const char *text = c->ulimits.v[i], *soft = text + strlen(nproc), *hard;
		size_t len;
		uint64_t ignored;

		if (strncmp(text, nproc, strlen(nproc)) != 0) {
			auto_free char *what = xasprintf("--ulimit %s", text);

			return not_yet(err, what, "only nproc=N is");
		}
		len = strcspn(soft, ":");
		hard = soft[len] ? soft + len + 1 : soft;
		if (!parse_bound(soft, len, &ignored) ||
		    !parse_bound(hard, soft[len] ? strlen(hard) : len,
				 &c->req.processes)) {
			error_set(err, E_USAGE, "--ulimit %s is no bound on processes",
				  text);
			return error_hint(err, "write nproc=N, or nproc=-1 for no bound");
		}
	}
	return 0;
}

static int take_progress(const struct build_command *c, const struct app *app,
			 struct error *err)
{
	const char *variable = getenv("BUILDKIT_PROGRESS");
	const char *word = c->progress             ? c->progress
			   : variable && *variable ? variable
						   : "auto";
	int mode = c->quiet ? PROGRESS_QUIET : progress_mode_parse(word);

	if (mode < 0) {
		error_set(err, E_USAGE, "%s \"%s\" is unknown",
			  c->progress ? "--progress" : "BUILDKIT_PROGRESS", word);
		return error_hint(err, "it is auto, plain, json or quiet");
	}
	log_setup((enum progress_mode)mode, app->debug, app_logs_json(app));
	return 0;
}

static bool is_url(const char *text)
{
	static const char *const starts[] = {"http://", "https://", "git://",
					     "ssh://",  "git@",     "github.com/"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		if (!strncmp(text, starts[i], strlen(starts[i])))
			return true;
	return false;
}

static int take_context(struct build_command *c, const struct strv *operands,
			struct error *err)
{
	const char *text = operands->n ? operands->v[0] : "";
	struct stat st;

	if (!*text) {
		error_set(err, E_USAGE, "the folder to build from is missing");
		return error_hint(err, "give a folder, for example .");
	}
	if (!strcmp(text, "-"))
		return not_yet(err, "a context on standard input", "give a folder");
	if (is_url(text))
		return not_yet(err, "a URL as context", "fetch it and give the folder");
	if (stat(text, &st) == 0 && S_ISREG(st.st_mode))
		return not_yet(err, "a file as context", "unpack it and give the folder");
	if (c->req.dockerfile && !strcmp(c->req.dockerfile, "-"))
		return not_yet(err, "a Dockerfile on standard input", "give a file");
	if (c->req.dockerfile && !*c->req.dockerfile)
		return error_set(err, E_USAGE, "-f: an empty file name");
	c->req.context = text;
	return 0;
}

static int understand(struct build_command *c, struct app *app,
		      const struct strv *operands, struct error *err)
{
	if (take_progress(c, app, err) < 0 || take_context(c, operands, err) < 0 ||
	    take_names(c, err) < 0 || take_outputs(c, err) < 0 ||
	    take_timestamp(c, err) < 0 || take_labels(c, err) < 0 ||
	    take_annotations(c, err) < 0 || take_arguments(c, err) < 0 ||
	    take_level(c, err) < 0 || take_isolation(c, err) < 0 ||
	    take_network(c, err) < 0 || take_ulimits(c, err) < 0)
		return -1;
	if (platform_option(&c->platforms, &c->req.platform, &c->req.platform_explicit,
			    err) < 0)
		return -1;
	if (result_file_prepare(c->iidfile, err) < 0)
		return error_wrap(err, "--iidfile");
	if (result_file_prepare(c->metadata_file, err) < 0)
		return error_wrap(err, "--metadata-file");
	return 0;
}

/* Names in the store come first: when a later step fails, the image is there. */
static int keep(const struct build_command *c, struct store *st,
		const struct build_result *r, struct error *err)
{
	auto_free char *platform = platform_text(&r->platform);

	for (size_t i = 0; i < c->nnames; i++) {
		auto_free char *name = reference_text(&c->names[i]);

		if (store_tag(st, name, &r->manifest, platform, err) < 0)
			return error_wrap(err, "tag %s", name);
	}
	if (c->nnames || c->nlayouts)
		return 0;
	return store_tag(st, NULL, &r->manifest, platform, err);
}

static int send(const struct build_command *c, struct app *app,
		const struct build_result *r, struct error *err)
{
	for (size_t i = 0; i < c->nlayouts; i++)
		if (send_to_layout(app, c->layouts[i].dir, c->layouts[i].tag,
				   &r->manifest, r->origins, r->norigins, err) < 0)
			return -1;
	for (size_t i = 0; c->push && i < c->nnames; i++)
		if (send_image(app, &c->names[i], &r->parsed, &r->manifest, r->origins,
			       r->norigins, err) < 0)
			return -1;
	return 0;
}

static void add_number(struct buf *b, const char *key, uint64_t value)
{
	json_key(b, key);
	json_int(b, (int64_t)value);
}

static void add_digest(struct buf *b, const char *key, const struct digest *d)
{
	char text[DIGEST_TEXT];

	json_key(b, key);
	json_string(b, digest_text(d, text));
}

/* buildx's keys, and hod's own. */
static void metadata(const struct build_command *c, const struct build_result *r,
		     struct buf *b)
{
	auto_buf struct buf names = BUF_INIT;
	uint64_t received, sent;

	json_open(b, '{');
	add_digest(b, "containerimage.config.digest", &r->config);
	json_key(b, "containerimage.descriptor");
	json_open(b, '{');
	json_key(b, "mediaType");
	json_string(b, r->manifest.media_type);
	add_digest(b, "digest", &r->manifest.digest);
	add_number(b, "size", r->manifest.size);
	json_close(b, '}');
	add_digest(b, "containerimage.digest", &r->manifest.digest);
	log_get_traffic(&received, &sent);
	add_number(b, "hod.bytesReceived", received);
	add_number(b, "hod.bytesSent", sent);
	add_number(b, "hod.steps", r->steps);
	add_number(b, "hod.stepsCached", r->cached);
	for (size_t i = 0; i < c->nnames; i++) {
		auto_free char *name = reference_text(&c->names[i]);

		buf_addf(&names, "%s%s", i ? "," : "", name);
	}
	if (names.len) {
		json_key(b, "image.name");
		json_string(b, names.data);
	}
	json_close(b, '}');
	buf_addc(b, '\n');
}

static int show(const struct build_command *c, const struct build_result *r,
		struct error *err)
{
	auto_buf struct buf json = BUF_INIT;
	char id[DIGEST_TEXT];

	metadata(c, r, &json);
	digest_text(&r->config, id);
	/* no line break in it: as docker writes it */
	if (result_file_write(c->iidfile, id, strlen(id), err) < 0 ||
	    result_file_write(c->metadata_file, json.data, json.len, err) < 0)
		return -1;
	if (!c->push || c->quiet) {
		puts(id);
		return 0;
	}
	for (size_t i = 0; i < c->nnames; i++)
		send_print(&c->names[i], &r->manifest);
	return 0;
}

static int build(struct build_command *c, struct app *app, struct error *err)
{
	struct store *st = app_store(app, err);
	struct client *client = st ? app_client(app, err) : NULL;
	struct build_result r = {0};
	unsigned before;
	int rc;

	if (!client)
		return -1;
	do {
		before = store_dropped(st);
		build_result_release(&r);
		rc = build_run(&c->req, st, client, &r, err);
		if (!rc)
			rc = keep(c, st, &r, err);
		if (!rc)
			rc = send(c, app, &r, err);
		/* a damaged layer of the cache is gone now: make it again */
	} while (rc < 0 && err->kind == E_CORRUPT && store_dropped(st) != before);
	if (!rc)
		rc = show(c, &r, err);
	build_result_release(&r);
	return rc;
}

static int run_build(struct app *app, int argc, char **argv, struct error *err)
{
	auto_command struct build_command c = {0};
	auto_strv struct strv operands = STRV_INIT;
	const struct option options[] = {
		{"allow", 0, OPTION_LIST, &c.allow, "network.host",
		 "let RUN --network=host be"},
		{"annotation", 0, OPTION_LIST, &c.annotations, "KEY=VALUE",
		 "add an annotation to the manifest"},
		{"build-arg", 0, OPTION_LIST, &c.req.build_args, "NAME[=VALUE]",
		 "set a build argument"},
		{"build-context", 0, OPTION_LIST, &c.req.build_contexts,
		 "NAME=oci-layout://DIR[:TAG]", "take NAME from an OCI layout"},
		{"compression-level", 0, OPTION_STRING, &c.level, "N",
		 "compress layers by level 0 to 9 (default 1)"},
		{"file", 'f', OPTION_STRING, &c.req.dockerfile, "FILE",
		 "name of the Dockerfile (default CONTEXT/Dockerfile)"},
		{"iidfile", 0, OPTION_STRING, &c.iidfile, "FILE",
		 "write the image id to this file"},
		{"isolation", 0, OPTION_STRING, &c.isolation, "MODE",
		 "isolate RUN by auto, root, userns or none"},
		{"label", 0, OPTION_LIST, &c.labels, "KEY=VALUE",
		 "add a label to the image"},
		{"metadata-file", 0, OPTION_STRING, &c.metadata_file, "FILE",
		 "write digests and counts to this file as JSON"},
		{"network", 0, OPTION_STRING, &c.network, "MODE",
		 "let RUN have the network default, none or host"},
		{"no-cache", 0, OPTION_BOOL, &c.req.no_cache, NULL,
		 "do every step again"},
		{"output", 'o', OPTION_LIST, &c.outputs, "oci:DIR[:TAG]",
		 "write the image to an OCI layout"},
		{"platform", 0, OPTION_LIST, &c.platforms, "OS/ARCH[/VARIANT]",
		 "build for this platform (default: this machine's)"},
		{"progress", 0, OPTION_STRING, &c.progress, "MODE",
		 "show progress as auto, plain, json or quiet"},
		{"pull", 0, OPTION_BOOL, &c.req.pull, NULL,
		 "ask the registry for bases that are already here"},
		{"push", 0, OPTION_BOOL, &c.push, NULL,
		 "send the image to the registry of each name"},
		{"quiet", 'q', OPTION_BOOL, &c.quiet, NULL, "print only the image id"},
		{"tag", 't', OPTION_LIST, &c.tags, "NAME[:TAG]", "name the image"},
		{"target", 0, OPTION_STRING, &c.req.target, "STAGE",
		 "build this stage (default: the last)"},
		{"timestamp", 0, OPTION_STRING, &c.timestamp, "SECONDS|keep|now",
		 "time of the image and its files (default: the base's)"},
		{"ulimit", 0, OPTION_LIST, &c.ulimits, "nproc=N",
		 "bound the processes of a RUN (default 4096)"},
	};
	int rc = command_options(app, &cmd_build, options,
				 sizeof(options) / sizeof(*options), argc, argv, 0, 1,
				 &operands, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (understand(&c, app, &operands, err) < 0)
		return -1;
	return build(&c, app, err);
}

const struct command cmd_build = {
	"build",
	"[OPTIONS] CONTEXT",
	"Build an image from a Dockerfile",
	run_build,
};
