#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registry/auth.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/job.h"
#include "registry/base/json.h"
#include "registry/base/stream.h"
#include "registry/client.h"
#include "registry/manifest.h"
#include "registry/reference.h"
#include "testdata/double.h"

static struct double_server server;
static struct http *http;
static struct auth *auth;
static struct client *client;
static struct reference repo; /* 127.0.0.1:PORT/shop/web:1 */
static char dir[] = "/tmp/client-test-XXXXXX";

/* A manifest that needs no blobs. */
static const char manifest[] =
	"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"layers\":[]}";
#define HELLO "hello blob"
#define ZERO "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static void parse(struct reference *r, const char *host, unsigned port, const char *rest)
{
	auto_free char *text = xasprintf("%s:%u/%s", host, port, rest);

	assert_int_equal(reference_parse(r, text, NULL), 0);
}

/* A file of credentials for the double; yours to free. */
static char *auth_file(const char *name, const char *user, const char *password)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f,
		"{\"auths\":{\"127.0.0.1:%u\":{\"username\":\"%s\",\"password\":\"%s\"},"
		"\"reg.example\":{\"username\":\"%s\",\"password\":\"%s\"}}}",
		server.port, user, password, user, password);
	fclose(f);
	return path;
}

static int set_up(void **state)
{
	struct http_options o = {.tls_verify = true, .user_agent = "hod/test"};
	auto_free char *file = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	setenv("HOD_RETRY_MS", "1", 1);
	setenv("HOME", "/nowhere", 1);
	unsetenv("DOCKER_CONFIG");
	unsetenv("DOCKER_AUTH_CONFIG");
	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_CONFIG_HOME");
	double_start(&server, "http", NULL);
	http = http_new(&o, NULL);
	file = auth_file("auth.json", "ann", "pw:1");
	auth = auth_new(file);
	parse(&repo, "127.0.0.1", server.port, "shop/web:1");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	reference_release(&repo);
	auth_free(auth);
	http_free(http);
	double_stop(&server);
	assert_true(test_run((const char *[]){"rm", "-r", dir, NULL}));
	return 0;
}

#define QUIET                                                                           \
	"{\"auth\":null,\"bearer\":false,\"redirect\":false,\"location\":\"relative\"," \
	"\"no_mount\":false,\"no_range\":false,\"no_digest\":false}"

static int fresh(void **state)
{
	struct client_options o = {.http = http, .auth = auth};

	(void)state;
	double_set(&server, http, "options", QUIET);
	double_set(&server, http, "faults", "[]");
	client = client_new(&o);
	return 0;
}

static int done(void **state)
{
	(void)state;
	client_free(client);
	return 0;
}

static void put_bytes(const char *text, struct digest *d)
{
	struct error err = ERROR_INIT;

	digest_of(d, text, strlen(text));
	if (client_put_blob(client, &repo, d, -1, text, strlen(text), NULL, NULL, NULL,
			    NULL, &err) < 0)
		fail_msg("%s", err.msg);
}

static void put_manifest(const struct reference *ref, struct digest *d)
{
	struct error err = ERROR_INIT;
	struct buf raw = BUF_INIT;

	buf_adds(&raw, manifest);
	digest_of(d, raw.data, raw.len);
	if (client_put_manifest(client, ref, MT_OCI_MANIFEST, &raw, d, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	buf_release(&raw);
}

/* The whole blob as text, yours to free; NULL and err. */
static char *get_blob(const struct digest *d, uint64_t size, struct error *err)
{
	struct source *s;
	struct buf b = BUF_INIT;
	char part[4096];
	ssize_t n;

	*err = (struct error)ERROR_INIT;
	s = client_get_blob(client, &repo, d, size, NULL, err);
	if (!s)
		return NULL;
	while ((n = source_read(s, part, sizeof(part), err)) > 0)
		buf_add(&b, part, (size_t)n);
	source_close(s);
	if (n < 0)
		buf_release(&b);
	return n < 0 ? NULL : buf_detach(&b);
}

static int get_manifest(const struct reference *ref, struct error *err)
{
	struct buf raw = BUF_INIT;
	char *type = NULL;
	struct digest d;
	int rc;

	*err = (struct error)ERROR_INIT;
	rc = client_get_manifest(client, ref, &raw, &type, &d, NULL, err);
	buf_release(&raw);
	free(type);
	return rc;
}

static void what_is_pushed_is_read_back(void **state)
{
	static const char *const options[] = {
		"{\"location\":\"relative\"}", "{\"location\":\"absolute\"}",
		"{\"location\":\"query\"}",
		"{\"location\":\"storage\",\"redirect\":true}", "{\"no_digest\":true}"};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		auto_free char *text = xasprintf("blob %zu", i), *back = NULL,
			       *type = NULL;
		auto_buf struct buf raw = BUF_INIT;
		struct error err = ERROR_INIT;
		struct digest d, m, got;

		double_set(&server, http, "options", options[i]);
		digest_of(&d, text, strlen(text));
		assert_int_equal(client_has_blob(client, &repo, &d, NULL, &err), 0);
		put_bytes(text, &d);
		assert_int_equal(client_has_blob(client, &repo, &d, NULL, &err), 1);
		back = get_blob(&d, strlen(text), &err);
		assert_string_equal(back, text);
		put_manifest(&repo, &m);
		assert_int_equal(
			client_get_manifest(client, &repo, &raw, &type, &got, NULL, &err),
			0);
		assert_string_equal(raw.data, manifest);
		assert_string_equal(type, MT_OCI_MANIFEST);
		assert_true(digest_equal(&got, &m));
		assert_int_equal(client_has_manifest(client, &repo, &got, NULL, &err), 1);
		assert_int_equal(digest_is_zero(&got), i == 4);
	}
}

static void a_reference_with_a_digest_is_asked_by_digest(void **state)
{
	auto_reference struct reference ref = REFERENCE_INIT;
	struct digest m, got;
	struct error err = ERROR_INIT;

	(void)state;
	put_manifest(&repo, &m);
	parse(&ref, "127.0.0.1", server.port, "shop/web:no-such-tag");
	assert_int_equal(client_has_manifest(client, &ref, &got, NULL, &err), 0);
	ref.has_digest = true;
	ref.digest = m;
	assert_int_equal(get_manifest(&ref, &err), 0);
	free(steal_ptr(&ref.tag));
	put_manifest(&ref, &got);
}

static void add_bytes(void *ctx, uint64_t bytes)
{
	*(uint64_t *)ctx += bytes;
}

static void an_upload_of_a_file_counts_its_progress_once(void **state)
{
	size_t len = 200000;
	auto_free char *body = xcalloc(1, len);
	FILE *file = tmpfile();
	struct error err = ERROR_INIT;
	struct digest d;
	uint64_t sum = 0;
	auto_json cJSON *log = NULL;
	int puts = 0;

	(void)state;
	memset(body, 'x', len);
	fwrite(body, 1, len, file);
	fflush(file);
	digest_of(&d, body, len);
	double_set(&server, http, "faults",
		   "[{\"match\":\"PUT\",\"status\":503,\"times\":1},"
		   "{\"match\":\"PUT\",\"status\":404,\"times\":1}]");
	assert_int_equal(client_put_blob(client, &repo, &d, fileno(file), NULL, len, NULL,
					 add_bytes, &sum, NULL, &err),
			 0);
	assert_int_equal(sum, len);
	/* POST PUT HEAD, POST PUT HEAD, POST PUT: each with a session of its own */
	log = double_log(&server, http);
	assert_int_equal(cJSON_GetArraySize(log), 8);
	for (int i = 0; i < 8; i++) {
		assert_string_equal(log_text(log, i, "method"),
				    ((const char *[]){"POST", "PUT", "HEAD"})[i % 3]);
		puts += i > 1 && i % 3 == 1 &&
			strcmp(log_text(log, i, "path"), log_text(log, i - 3, "path")) !=
				0;
	}
	assert_int_equal(puts, 2);
	assert_string_equal(log_header(log, 1, "content-type"),
			    "application/octet-stream");
	fclose(file);
}

static void an_upload_that_worked_unheard_is_not_repeated(void **state)
{
	struct digest d;
	auto_json cJSON *log = NULL;

	(void)state;
	double_set(&server, http, "faults",
		   "[{\"match\":\"PUT\",\"close\":true,\"times\":1},"
		   "{\"match\":\"HEAD\",\"status\":200}]");
	put_bytes("unheard", &d);
	log = double_log(&server, http);
	assert_int_equal(cJSON_GetArraySize(log), 3);
}

static void a_blob_is_mounted_or_its_session_used(void **state)
{
	auto_reference struct reference other = REFERENCE_INIT;
	struct error err = ERROR_INIT;
	struct digest d;
	char *session;
	auto_json cJSON *log = NULL;

	(void)state;
	put_bytes("to be mounted", &d);
	parse(&other, "127.0.0.1", server.port, "shop/other");
	assert_int_equal(
		client_mount_blob(client, &other, &d, "shop/web", &session, NULL, &err),
		1);
	assert_null(session);
	assert_int_equal(client_has_blob(client, &other, &d, NULL, &err), 1);
	double_set(&server, http, "options",
		   "{\"no_mount\":true,\"location\":\"query\"}");
	assert_int_equal(
		client_mount_blob(client, &other, &d, "shop/web", &session, NULL, &err),
		0);
	assert_non_null(session);
	assert_int_equal(client_put_blob(client, &other, &d, -1, "to be mounted", 13,
					 session, NULL, NULL, NULL, &err),
			 0);
	log = double_log(&server, http);
	assert_int_equal(cJSON_GetArraySize(log), 2);
	assert_non_null(strstr(log_text(log, 1, "path"),
			       "?_state=a%2Fb%3D%3D&x=%7E&digest=sha256:"));
	/* a refused mount is no failure, and a dead session is replaced */
	double_set(&server, http, "faults", "[{\"match\":\"mount=\",\"status\":403}]");
	assert_int_equal(
		client_mount_blob(client, &other, &d, "shop/web", &session, NULL, &err),
		0);
	assert_null(session);
	session = xasprintf("%s/v2/shop/other/blobs/uploads/gone", server.base);
	assert_int_equal(client_put_blob(client, &other, &d, -1, "to be mounted", 13,
					 session, NULL, NULL, NULL, &err),
			 0);
}

/* A client that sends this login, after the double asks for ann's. */
static struct client *login_client(struct auth *a, bool plain_http)
{
	struct client_options o = {.http = http, .auth = a, .plain_http = plain_http};

	return client_new(&o);
}

static void a_password_is_sent_after_the_first_401(void **state)
{
	struct error err;
	struct digest d, m;
	auto_json cJSON *log = NULL;
	auto_free char *back = NULL;

	(void)state;
	put_bytes(HELLO, &d);
	put_manifest(&repo, &m);
	client_free(client);
	client = login_client(auth, false);
	double_set(&server, http, "options", "{\"auth\":\"ann:pw:1\",\"redirect\":true}");
	assert_int_equal(get_manifest(&repo, &err), 0);
	assert_int_equal(get_manifest(&repo, &err), 0);
	back = get_blob(&d, strlen(HELLO), &err);
	assert_string_equal(back, HELLO);
	log = double_log(&server, http);
	assert_int_equal(cJSON_GetArraySize(log), 5);
	assert_null(log_header(log, 0, "authorization"));
	for (int i = 1; i < 4; i++) /* printf ann:pw:1 | base64 */
		assert_string_equal(log_header(log, i, "authorization"),
				    "Basic YW5uOnB3OjE=");
	assert_string_equal(log_text(log, 4, "port"), "storage");
	assert_null(log_header(log, 4, "authorization"));
}

static void an_upload_to_another_origin_gets_no_password(void **state)
{
	struct digest d;
	auto_json cJSON *log = NULL;

	(void)state;
	double_set(&server, http, "options",
		   "{\"auth\":\"ann:pw:1\",\"location\":\"storage\"}");
	put_bytes("elsewhere", &d);
	log = double_log(&server, http);
	assert_int_equal(cJSON_GetArraySize(log), 3);
	assert_non_null(log_header(log, 1, "authorization"));
	assert_string_equal(log_text(log, 2, "port"), "storage");
	assert_string_equal(log_text(log, 2, "method"), "PUT");
	assert_null(log_header(log, 2, "authorization"));
}

static void a_refused_login_names_its_source(void **state)
{
	auto_free char *file = auth_file("wrong.json", "ann", "hunter2");
	struct auth *wrong = auth_new(file), *none;
	struct error err;
	int asked;
	cJSON *log;

	(void)state;
	double_set(&server, http, "options", "{\"auth\":\"ann:pw:1\"}");
	client_free(client);
	client = login_client(wrong, false);
	for (int i = 0; i < 2; i++) {
		double_set(&server, http, "faults", "[]");
		assert_int_equal(get_manifest(&repo, &err), -1);
		assert_int_equal(err.kind, E_AUTH);
		assert_non_null(strstr(err.msg, "wrong.json"));
		assert_non_null(strstr(err.hint, repo.host));
		assert_null(strstr(err.msg, "hunter2"));
		log = double_log(&server, http);
		asked = cJSON_GetArraySize(log);
		cJSON_Delete(log);
		assert_int_equal(asked, i == 0 ? 2 : 1);
	}
	auth_free(wrong);
	client_free(client);
	none = auth_new(NULL);
	client = login_client(none, false);
	assert_int_equal(get_manifest(&repo, &err), -1);
	assert_int_equal(err.kind, E_AUTH);
	assert_non_null(strstr(err.msg, "no credentials"));
	double_set(&server, http, "options", "{\"bearer\":true}");
	assert_int_equal(get_manifest(&repo, &err), -1);
	assert_int_equal(err.kind, E_AUTH);
	assert_non_null(strstr(err.msg, "Bearer"));
	auth_free(none);
}

static void a_password_does_not_travel_without_tls(void **state)
{
	auto_free char *connect = xasprintf("reg.example:80:127.0.0.1:%u", server.port);
	struct http_options ho = {.tls_verify = true, .connect_to = connect};
	struct client_options o = {
		.http = http_new(&ho, NULL), .auth = auth, .plain_http = true};
	auto_reference struct reference ref = REFERENCE_INIT;
	struct error err;
	auto_json cJSON *log = NULL;

	(void)state;
	double_set(&server, http, "options", "{\"auth\":\"ann:pw:1\"}");
	client_free(client);
	client = client_new(&o);
	assert_int_equal(reference_parse(&ref, "reg.example/shop/web:1", NULL), 0);
	assert_int_equal(get_manifest(&ref, &err), -1);
	assert_int_equal(err.kind, E_AUTH);
	assert_non_null(strstr(err.msg, "without TLS"));
	log = double_log(&server, http);
	assert_int_equal(cJSON_GetArraySize(log), 1);
	assert_null(log_header(log, 0, "authorization"));
	client_free(client);
	client = login_client(auth, false);
	http_free(o.http);
}

static void a_status_becomes_an_error_with_the_registrys_words(void **state)
{
	static const struct {
		const char *fault;
		enum error_kind kind;
		const char *words[3];
	} table[] = {
		{"\"status\":403,\"body\":\"{\\\"errors\\\":[{\\\"code\\\":"
		 "\\\"DENIED\\\","
		 "\\\"message\\\":\\\"not you\\\",\\\"detail\\\":null}]}\"",
		 E_AUTH,
		 {"403 DENIED: not you"}},
		{"\"status\":404,\"body\":\"{\\\"errors\\\":[{\\\"code\\\":\\\"MANIFEST_"
		 "UNKNOWN\\\","
		 "\\\"message\\\":\\\"gone\\\",\\\"detail\\\":{\\\"Tag\\\":\\\"1\\\"}}]}"
		 "\"",
		 E_MISSING,
		 {"shop/web:1", "404 MANIFEST_UNKNOWN: gone"}},
		{"\"status\":404", E_MISSING, {"shop/web:1"}},
		{"\"status\":404,\"body\":\"<html>no</"
		 "html>\",\"headers\":{\"Content-Type\":"
		 "\"text/html\"}",
		 E_MISSING,
		 {"404"}},
		{"\"status\":429", E_NETWORK, {"429"}},
		{"\"status\":500,\"body\":\"{\\\"errors\\\":[]}\"", E_NETWORK, {"500"}},
		{"\"status\":501", E_NETWORK, {"501"}},
		{"\"status\":400,\"body\":\"{\\\"errors\\\":[{\\\"code\\\":\\\"X\\\"}]}"
		 "\"",
		 E_FAILED,
		 {"400 X"}},
		{"\"status\":400,\"body\":\"{\\\"errors\\\":[7]}\"", E_FAILED, {"400"}},
		{"\"status\":400,\"body\":\"{\\\"errors\\\":{\\\"code\\\":[]}}\"",
		 E_FAILED,
		 {"400"}},
		{"\"status\":418,\"body\":\"a teapot\\nand "
		 "more\",\"headers\":{\"Content-Type\":"
		 "\"text/plain\"}",
		 E_FAILED,
		 {"418: a teapot"}},
		{"\"status\":401", E_AUTH, {"401"}},
		{"\"status\":204", E_FAILED, {"204"}},
		{"\"status\":302", E_FAILED, {"302"}},
		{"\"close\":true", E_NETWORK, {"/manifests/1"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *fault =
			xasprintf("[{\"match\":\"manifests\",%s}]", table[i].fault);
		struct error err;

		double_set(&server, http, "faults", fault);
		assert_int_equal(get_manifest(&repo, &err), -1);
		if (err.kind != table[i].kind)
			fail_msg("%s: kind %d", err.msg, (int)err.kind);
		for (size_t w = 0; w < 3 && table[i].words[w]; w++)
			if (!strstr(err.msg, table[i].words[w]))
				fail_msg("%s: no %s", err.msg, table[i].words[w]);
		assert_null(strstr(err.msg, "html"));
	}
}

static void a_manifest_must_be_what_was_asked_for(void **state)
{
	static const char *const faults[] = {
		"[{\"match\":\"GET\",\"corrupt\":true}]",
		"[{\"match\":\"GET\",\"truncate\":20}]",
		"[{\"match\":\"GET\",\"header\":{\"Docker-Content-Digest\":\"" ZERO
		"\"}}]",
	};
	auto_reference struct reference ref = REFERENCE_INIT;
	auto_buf struct buf big = BUF_INIT;
	struct error err;

	(void)state;
	reference_copy(&ref, &repo);
	put_manifest(&repo, &ref.digest);
	for (size_t i = 0; i < 3; i++) {
		double_set(&server, http, "faults", faults[i]);
		for (int by_digest = 0; by_digest < 2; by_digest++) {
			ref.has_digest = by_digest;
			assert_int_equal(get_manifest(&ref, &err), -1);
			assert_int_equal(err.kind, E_CORRUPT);
		}
	}
	buf_adds(&big, "[{\"match\":\"manifests\",\"status\":200,\"body\":\"");
	for (size_t i = 0; i < (4u << 20) + 1; i++)
		buf_addc(&big, ' ');
	buf_adds(&big, "\"}]");
	double_set(&server, http, "faults", big.data);
	assert_int_equal(get_manifest(&repo, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
}

static void the_digest_a_registry_answers_to_a_push_is_compared(void **state)
{
	struct error err = ERROR_INIT;
	struct buf raw = BUF_INIT;
	struct digest d;

	(void)state;
	double_set(&server, http, "faults",
		   "[{\"match\":\"PUT\",\"header\":{\"Docker-Content-Digest\":\"" ZERO
		   "\"}}]");
	buf_adds(&raw, manifest);
	digest_of(&d, raw.data, raw.len);
	assert_int_equal(
		client_put_manifest(client, &repo, MT_OCI_MANIFEST, &raw, &d, NULL, &err),
		-1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_int_equal(client_put_blob(client, &repo, &d, -1, raw.data, raw.len, NULL,
					 NULL, NULL, NULL, &err),
			 -1);
	assert_int_equal(err.kind, E_CORRUPT);
	buf_release(&raw);
}

#define LONG 500000

static char *long_text(void)
{
	char *text = xmalloc(LONG + 1);

	for (size_t i = 0; i < LONG; i++)
		text[i] = (char)('a' + (i / 7 * i) % 26);
	text[LONG] = '\0';
	return text;
}

static void a_broken_download_goes_on_where_it_was(void **state)
{
	static const struct {
		const char *faults, *options;
		int requests;
		enum error_kind kind;
	} table[] = {
		{"[]", "{}", 1, E_NONE},
		{"[{\"match\":\"GET\",\"cut\":100000,\"times\":1}]", "{}", 2, E_NONE},
		{"[{\"match\":\"GET\",\"cut\":100000,\"times\":3}]", "{}", 4, E_NONE},
		{"[{\"match\":\"GET\",\"cut\":100000,\"times\":4}]", "{}", 4, E_NETWORK},
		{"[{\"match\":\"GET\",\"cut\":100000,\"times\":1}]",
		 "{\"no_range\":true}", 2, E_NONE},
		/* each time from the registry again, not from the storage */
		{"[{\"match\":\"storage GET\",\"cut\":100000,\"times\":1}]",
		 "{\"redirect\":true}", 4, E_NONE},
		{"[{\"match\":\"GET\",\"cut\":100000,\"times\":1},"
		 "{\"match\":\"GET\",\"header\":{\"Content-Range\":\"bytes "
		 "5-499999/500000\"}}]",
		 "{}", 2, E_CORRUPT},
		{"[{\"match\":\"GET\",\"cut\":100000,\"times\":1},"
		 "{\"match\":\"GET\",\"corrupt\":true}]",
		 "{}", 2, E_CORRUPT},
	};
	auto_free char *text = long_text();
	struct digest d;

	(void)state;
	put_bytes(text, &d);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *got = NULL;
		struct error err;
		cJSON *log;

		double_set(&server, http, "options", QUIET);
		double_set(&server, http, "options", table[i].options);
		double_set(&server, http, "faults", table[i].faults);
		got = get_blob(&d, LONG, &err);
		if (err.kind != table[i].kind)
			fail_msg("row %zu: %s", i, err.msg);
		if (got)
			assert_string_equal(got, text);
		assert_int_equal(!got, table[i].kind != E_NONE);
		log = double_log(&server, http);
		assert_int_equal(cJSON_GetArraySize(log), table[i].requests);
		if (i == 2)
			assert_string_equal(log_header(log, 3, "range"), "bytes=300000-");
		if (i == 5) {
			assert_string_equal(log_text(log, 2, "port"), "registry");
			assert_string_equal(log_header(log, 3, "range"), "bytes=100000-");
		}
		cJSON_Delete(log);
	}
}

static void a_wrong_blob_is_noticed(void **state)
{
	static const struct {
		const char *faults;
		uint64_t size;
		enum error_kind kind;
	} table[] = {
		{"[{\"match\":\"GET\",\"corrupt\":true}]", 10, E_CORRUPT},
		{"[{\"match\":\"GET\",\"truncate\":4}]", 10, E_CORRUPT},
		{"[]", 9, E_CORRUPT},
		{"[]", 11, E_CORRUPT},
		{"[{\"match\":\"GET\",\"status\":404}]", 10, E_MISSING},
		{"[{\"match\":\"GET\",\"status\":206,\"body\":\"" HELLO "\"}]", 10,
		 E_FAILED},
		{"[{\"match\":\"GET\",\"status\":403}]", 10, E_AUTH},
		{"[{\"match\":\"GET\",\"status\":503}]", 10, E_NETWORK},
	};
	struct digest d;

	(void)state;
	put_bytes(HELLO, &d);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct error err;

		double_set(&server, http, "faults", table[i].faults);
		assert_null(get_blob(&d, table[i].size, &err));
		if (err.kind != table[i].kind)
			fail_msg("row %zu: %s", i, err.msg);
	}
}

struct pull {
	struct digest digest;
	const char *text;
};

static int pull_one(struct job *job, void *arg, struct error *err)
{
	struct pull *p = arg;
	auto_free char *got = NULL;

	for (int i = 0; i < 3; i++) {
		free(got);
		if (job_check(job, err) < 0)
			return -1;
		got = get_blob(&p->digest, strlen(p->text), err);
		if (!got)
			return -1;
		if (strcmp(got, p->text) != 0)
			return error_set(err, E_BUG, "other bytes");
	}
	return 0;
}

static void threads_share_a_client(void **state)
{
	auto_free char *text = long_text();
	struct pull pulls[8];
	struct error err = ERROR_INIT;
	struct job job;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		pulls[i].text = text + i * 1000;
		put_bytes(pulls[i].text, &pulls[i].digest);
	}
	client_free(client);
	client = login_client(auth, false);
	double_set(&server, http, "options", "{\"auth\":\"ann:pw:1\",\"redirect\":true}");
	double_set(&server, http, "faults",
		   "[{\"match\":\"storage GET\",\"cut\":300000,\"times\":3},"
		   "{\"match\":\"registry GET\",\"status\":503,\"times\":3}]");
	job_init(&job, NULL);
	for (size_t i = 0; i < 8; i++)
		job_start(&job, pull_one, &pulls[i]);
	if (job_wait(&job, &err) < 0)
		fail_msg("%s", err.msg);
}

static void redirects_end_somewhere(void **state)
{
	static const struct {
		const char *location;
		int requests;
	} table[] = {{"/v2/shop/web/manifests/1", 6},
		     {"ftp://127.0.0.1/x", 1},
		     {"https://", 1},
		     {"http://a:b@127.0.0.1/", 1}};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *fault =
			xasprintf("[{\"match\":\"GET\",\"status\":307,\"headers\":{"
				  "\"Location\":\"%s\"}}]",
				  table[i].location);
		cJSON *log;
		int n;

		double_set(&server, http, "faults", fault);
		assert_int_equal(get_manifest(&repo, &err), -1);
		assert_int_equal(err.kind, E_FAILED);
		log = double_log(&server, http);
		n = cJSON_GetArraySize(log);
		cJSON_Delete(log);
		assert_int_equal(n, table[i].requests);
	}
}

/* TLS with a CA that is not trusted: never http instead. */
static void tls_is_not_given_up(void **state)
{
	auto_free char *ca = xasprintf("%s/certs/ca.crt", dir),
		       *certs = xasprintf("%s/certs", dir);
	auto_free char *cert = xasprintf("%s/certs/server.crt", dir);
	auto_free char *key = xasprintf("%s/certs/server.key", dir), *fault = NULL;
	struct double_server tls;
	struct http_options ho = {.tls_verify = true, .ca_file = ca};
	struct client_options o = {.auth = auth};
	auto_reference struct reference ref = REFERENCE_INIT;
	struct error err;

	(void)state;
	assert_true(
		test_run((const char *[]){"testdata/registry", "certs", certs, NULL}));
	double_start(&tls, "https", (const char *[]){"--tls", cert, key, NULL});
	parse(&ref, "127.0.0.1", tls.port, "shop/web:1");
	assert_int_equal(get_manifest(&ref, &err), -1);
	assert_int_equal(err.kind, E_AUTH);
	assert_non_null(strstr(err.hint, "--ca-file"));

	o.http = http_new(&ho, NULL);
	client_free(client);
	client = client_new(&o);
	assert_int_equal(get_manifest(&ref, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	/* a redirect from https to http is refused */
	fault = xasprintf(
		"[{\"status\":307,\"match\":\"manifests\",\"headers\":{\"Location\":"
		"\"%s/v2/shop/web/manifests/1\"}}]",
		server.base);
	double_set(&tls, o.http, "faults", fault);
	assert_int_equal(get_manifest(&ref, &err), -1);
	assert_int_equal(err.kind, E_FAILED);
	assert_non_null(strstr(err.msg, "without TLS"));
	client_free(client);
	client = login_client(auth, false);
	http_free(o.http);
	double_stop(&tls);
}

/* Only loopback names may be tried without TLS. */
static void other_hosts_are_not_tried_without_tls(void **state)
{
	auto_free char *connect = xasprintf("reg.example:443:127.0.0.1:%u", server.port);
	struct http_options ho = {.tls_verify = true, .connect_to = connect};
	struct client_options o = {.http = http_new(&ho, NULL), .auth = auth};
	auto_reference struct reference ref = REFERENCE_INIT;
	struct error err;

	(void)state;
	client_free(client);
	client = client_new(&o);
	assert_int_equal(reference_parse(&ref, "reg.example/shop/web:1", NULL), 0);
	assert_int_equal(get_manifest(&ref, &err), -1);
	assert_int_equal(err.kind, E_NETWORK);
	assert_non_null(strstr(err.hint, "--plain-http"));
	client_free(client);
	client = login_client(auth, false);
	http_free(o.http);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_pushed_is_read_back),
		TEST(a_reference_with_a_digest_is_asked_by_digest),
		TEST(an_upload_of_a_file_counts_its_progress_once),
		TEST(an_upload_that_worked_unheard_is_not_repeated),
		TEST(a_blob_is_mounted_or_its_session_used),
		TEST(a_password_is_sent_after_the_first_401),
		TEST(an_upload_to_another_origin_gets_no_password),
		TEST(a_refused_login_names_its_source),
		TEST(a_password_does_not_travel_without_tls),
		TEST(a_status_becomes_an_error_with_the_registrys_words),
		TEST(a_manifest_must_be_what_was_asked_for),
		TEST(the_digest_a_registry_answers_to_a_push_is_compared),
		TEST(a_broken_download_goes_on_where_it_was),
		TEST(a_wrong_blob_is_noticed),
		TEST(threads_share_a_client),
		TEST(redirects_end_somewhere),
		TEST(tls_is_not_given_up),
		TEST(other_hosts_are_not_tried_without_tls),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
