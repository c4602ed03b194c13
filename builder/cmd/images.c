#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "builder/app.h"
#include "builder/cmd.h"
#include "builder/cmd/local.h"
#include "builder/cmd/output.h"
#include "builder/timestamp.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"
#include "registry/store.h"

#define NONE "<none>"

/* One line of the table. */
struct row {
	char *repository, *tag; /* NONE for an image without a name */
	struct digest id, manifest;
	char *since, *at; /* of its creation; "N/A" */
	char *size;
};

struct images_options {
	bool quiet, no_trunc, digests;
	const char *format;
	struct strv filters; /* patterns of names, any of which may match */
};

static void rows_free(struct row *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].repository);
		free(v[i].tag);
		free(v[i].since);
		free(v[i].at);
		free(v[i].size);
	}
	free(v);
}

/* docker: * does not cross a slash; the pattern is for NAME or NAME:TAG as shown. */
static bool is_wanted(const struct images_options *o, const struct row *row)
{
	auto_free char *full = xasprintf("%s:%s", row->repository, row->tag);

	for (size_t i = 0; i < o->filters.n; i++)
		if (!fnmatch(o->filters.v[i], full, FNM_PATHNAME) ||
		    !fnmatch(o->filters.v[i], row->repository, FNM_PATHNAME))
			return true;
	return !o->filters.n;
}

static void set_name(struct row *row, const char *name)
{
	auto_reference struct reference ref = REFERENCE_INIT;
	auto_reference struct reference bare = REFERENCE_INIT;

	if (!name || reference_parse(&ref, name, NULL) < 0) {
		row->repository = xstrdup(NONE);
		row->tag = xstrdup(NONE);
		return;
	}
	row->tag = xstrdup(ref.tag ? ref.tag : NONE);
	reference_copy(&bare, &ref);
	free(bare.tag);
	bare.tag = NULL;
	bare.has_digest = false;
	row->repository = reference_familiar(&bare);
}

static void set_created(struct row *row, const char *created)
{
	char text[TIMESTAMP_TEXT];
	int64_t t;

	if (!created || !timestamp_parse(created, &t)) {
		row->since = xstrdup("N/A");
		row->at = xstrdup("N/A");
		return;
	}
	row->since = human_age((int64_t)time(NULL) - t);
	timestamp_text(t, text);
	row->at = xasprintf("%.10s %.8s +0000 UTC", text, text + 11);
}

/* An image that cannot be read is named on stderr and left out. */
static bool fill_row(struct store *st, const struct store_image *image, struct row *row)
{
	auto_local struct local l = LOCAL_INIT;
	struct error err = ERROR_INIT;
	char text[DIGEST_TEXT];

	if (local_load(st, &image->manifest, &l, &err) < 0) {
		log_warn("%s: %s",
			 image->name ? image->name
				     : digest_text(&image->manifest.digest, text),
			 err.msg);
		return false;
	}
	row->id = l.manifest.config.digest;
	row->manifest = image->manifest.digest;
	row->size = human_size(local_size(&l));
	set_created(row, l.config.created);
	set_name(row, image->name);
	return true;
}

/* By name, images without one last; equal names by id. */
static int by_name(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	int a_none = !strcmp(a->repository, NONE), b_none = !strcmp(b->repository, NONE);
	int order = a_none - b_none;

	if (!order)
		order = strcmp(a->repository, b->repository);
	if (!order)
		order = strcmp(a->tag, b->tag);
	if (!order)
		order = memcmp(&a->id, &b->id, sizeof(a->id));
	return order ? order : memcmp(&a->manifest, &b->manifest, sizeof(a->manifest));
}

static int collect(struct store *st, const struct images_options *o, struct row **out,
		   size_t *n, struct error *err)
{
	struct store_image *images = NULL;
	size_t nimages = 0, cap = 0;

	if (store_images(st, &images, &nimages, err) < 0)
		return -1;
	for (size_t i = 0; i < nimages; i++) {
		struct row row = {0};

		if (!fill_row(st, &images[i], &row))
			continue;
		GROW(*out, *n, cap);
		(*out)[(*n)++] = row;
		if (!is_wanted(o, &row)) {
			(*n)--;
			free(row.repository);
			free(row.tag);
			free(row.since);
			free(row.at);
			free(row.size);
		}
	}
	store_images_free(images, nimages);
	if (*n)
		qsort(*out, *n, sizeof(**out), by_name);
	return 0;
}

static char *id_text(const struct row *row, bool whole)
{
	char text[DIGEST_TEXT];

	digest_text(&row->id, text);
	return whole ? xstrdup(text) : xstrndup(text + strlen("sha256:"), 12);
}

static void print_table(const struct row *v, size_t n, const struct images_options *o)
{
	auto_buf struct buf out = BUF_INIT;
	struct table t = {.columns = o->digests ? 6 : 5};
	char text[DIGEST_TEXT];

	strv_add(&t.cells, "REPOSITORY");
	strv_add(&t.cells, "TAG");
	if (o->digests)
		strv_add(&t.cells, "DIGEST");
	strv_add(&t.cells, "IMAGE ID");
	strv_add(&t.cells, "CREATED");
	strv_add(&t.cells, "SIZE");
	for (size_t i = 0; i < n; i++) {
		strv_add(&t.cells, v[i].repository);
		strv_add(&t.cells, v[i].tag);
		if (o->digests)
			strv_add(&t.cells, digest_text(&v[i].manifest, text));
		strv_take(&t.cells, id_text(&v[i], o->no_trunc));
		strv_add(&t.cells, v[i].since);
		strv_add(&t.cells, v[i].size);
	}
	table_write(&t, &out);
	fputs(out.data, stdout);
	strv_release(&t.cells);
}

static void row_json(const struct row *row, bool whole, struct buf *b)
{
	auto_free char *id = id_text(row, whole);
	char digest[DIGEST_TEXT];
	const struct {
		const char *key, *value;
	} fields[] = {
		{"CreatedAt", row->at},
		{"CreatedSince", row->since},
		{"Digest", digest_text(&row->manifest, digest)},
		{"ID", id},
		{"Repository", row->repository},
		{"Size", row->size},
		{"Tag", row->tag},
	};

	json_open(b, '{');
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		json_key(b, fields[i].key);
		json_string(b, fields[i].value);
	}
	json_close(b, '}');
}

static int print_formatted(const struct row *v, size_t n, const struct images_options *o,
			   struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		auto_buf struct buf json = BUF_INIT, line = BUF_INIT;
		auto_json cJSON *obj = NULL;

		row_json(&v[i], o->no_trunc, &json);
		if (!strcmp(o->format, "json")) {
			puts(json.data);
			continue;
		}
		obj = json_parse(json.data, json.len, "image", err);
		if (!obj || format_write(o->format, obj, NULL, &line, err) < 0)
			return -1;
		puts(line.data);
	}
	return 0;
}

static int print_rows(const struct row *v, size_t n, const struct images_options *o,
		      struct error *err)
{
	if (o->quiet) {
		for (size_t i = 0; i < n; i++) {
			auto_free char *id = id_text(&v[i], o->no_trunc);

			puts(id);
		}
		return 0;
	}
	if (o->format)
		return print_formatted(v, n, o, err);
	print_table(v, n, o);
	return 0;
}

/* reference=PATTERN; the rest of docker's filters is refused. */
static int take_filters(struct strv *given, struct images_options *o, struct error *err)
{
	static const char prefix[] = "reference=";

	for (size_t i = 0; i < given->n; i++) {
		if (strncmp(given->v[i], prefix, strlen(prefix)) != 0) {
			error_set(err, E_USAGE, "--filter %s is not supported",
				  given->v[i]);
			return error_hint(err, "write --filter reference=PATTERN");
		}
		strv_add(&o->filters, given->v[i] + strlen(prefix));
	}
	return 0;
}

static int list(struct app *app, const struct images_options *o, struct error *err)
{
	struct store *st = app_store(app, err);
	struct row *rows = NULL;
	size_t n = 0;
	int rc;

	if (!st)
		return -1;
	rc = collect(st, o, &rows, &n, err);
	if (!rc)
		rc = print_rows(rows, n, o, err);
	rows_free(rows, n);
	return rc;
}

static int run_images(struct app *app, int argc, char **argv, struct error *err)
{
	struct images_options o = {0};
	auto_strv struct strv operands = STRV_INIT, filters = STRV_INIT;
	const struct option options[] = {
		{"digests", 0, OPTION_BOOL, &o.digests, NULL, "show manifest digests"},
		{"filter", 'f', OPTION_LIST, &filters, "reference=PATTERN",
		 "show only images whose name matches"},
		{"format", 0, OPTION_STRING, &o.format, "FORMAT",
		 "json, or text with fields such as {{.Repository}}"},
		{"no-trunc", 0, OPTION_BOOL, &o.no_trunc, NULL, "show whole ids"},
		{"quiet", 'q', OPTION_BOOL, &o.quiet, NULL, "show only ids"},
	};
	int rc = command_options(app, &cmd_images, options, 5, argc, argv, 0, 1,
				 &operands, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (o.format && format_check(o.format, err) < 0)
		return -1;
	rc = take_filters(&filters, &o, err);
	if (!rc && operands.n)
		strv_add(&o.filters, operands.v[0]);
	if (!rc)
		rc = list(app, &o, err);
	strv_release(&o.filters);
	return rc;
}

const struct command cmd_images = {
	"images",
	"[OPTIONS] [NAME[:TAG]]",
	"List the images on this machine",
	run_images,
};
