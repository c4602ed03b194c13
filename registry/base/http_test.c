#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/job.h"
#include "registry/base/json.h"
#include "registry/base/stream.h"
#include "testdata/double.h"

static struct double_server server;
static struct http *http;

static const struct http_options plain = {.tls_verify = true, .user_agent = "hod/test"};

static int set_up(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	setenv("HOD_RETRY_MS", "1", 1);
	double_start(&server, "http", NULL);
	http = http_new(&plain, &err);
	assert_non_null(http);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_free(http);
	double_stop(&server);
	return 0;
}

/* GET of PATH under these faults. */
static int get(const char *faults, const char *path, struct http_request *req,
	       struct http_response *res, struct error *err)
{
	auto_free char *url = xasprintf("%s%s", server.base, path);

	double_set(&server, http, "faults", faults);
	req->url = url;
	return http_perform(http, req, res, err);
}

static int requests(void)
{
	auto_json cJSON *log = double_log(&server, http);

	return cJSON_GetArraySize(log);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void any_status_is_an_answer_with_its_headers(void **state)
{
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(get("[{\"status\":418,\"body\":\"short\",\"headers\":"
			     "{\"X-Odd\":\"  a b \",\"X-Empty\":\"\"}}]",
			     "/x", &req, &res, &err),
			 0);
	assert_int_equal(res.status, 418);
	assert_string_equal(res.body.data, "short");
	assert_int_equal(res.content_length, 5);
	assert_string_equal(http_header(&res, "x-odd"), "a b");
	assert_string_equal(http_header(&res, "x-empty"), "");
	assert_null(http_header(&res, "x-od"));
	assert_int_equal(requests(), 1);
	http_response_release(&res);
}

static void retries_follow_the_status(void **state)
{
	static const struct {
		const char *faults;
		int status, requests;
		bool no_retry;
	} table[] = {
		{"[{\"status\":503,\"times\":2},{\"status\":200}]", 200, 3, false},
		{"[{\"status\":500}]", 500, 4, false},
		{"[{\"status\":429}]", 429, 4, false},
		{"[{\"status\":408,\"times\":1},{\"status\":200}]", 200, 2, false},
		{"[{\"status\":522,\"times\":3},{\"status\":204}]", 204, 4, false},
		{"[{\"status\":501}]", 501, 1, false},
		{"[{\"status\":404}]", 404, 1, false},
		{"[{\"status\":302,\"headers\":{\"Location\":\"/y\"}}]", 302, 1, false},
		{"[{\"status\":500}]", 500, 1, true},
		{"[{\"close\":true,\"times\":3},{\"status\":200}]", 200, 4, false},
		{"[{\"close\":\"reset\",\"times\":1},{\"status\":200}]", 200, 2, false},
		{"[{\"status\":200,\"body\":\"12345678\",\"cut\":3,\"times\":1},{"
		 "\"status\":201}]",
		 201, 2, false},
		/* of an error the headers are enough */
		{"[{\"status\":404,\"body\":\"12345678\",\"cut\":3}]", 404, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct http_request req = HTTP_REQUEST_INIT;
		struct http_response res = HTTP_RESPONSE_INIT;
		struct error err = ERROR_INIT;

		req.no_retry = table[i].no_retry;
		assert_int_equal(get(table[i].faults, "/x", &req, &res, &err), 0);
		assert_int_equal(res.status, table[i].status);
		http_response_release(&res);
		assert_int_equal(requests(), table[i].requests);
	}
}

static void a_server_that_never_answers_is_a_network_error(void **state)
{
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(get("[{\"close\":true}]", "/x?secret=1", &req, &res, &err), -1);
	assert_int_equal(err.kind, E_NETWORK);
	assert_null(strstr(err.msg, "secret"));
	assert_non_null(strstr(err.msg, "/x"));
	/* curl itself tries again where a kept connection turns out dead */
	assert_in_range(requests(), 4, 8);
	req.url = "http://127.0.0.1:1/";
	assert_int_equal(http_perform(http, &req, &res, &err), -1);
	assert_int_equal(err.kind, E_NETWORK);
}

static void retry_after_is_waited_for(void **state)
{
	char date[64], *faults;
	time_t later = time(NULL) + 2;
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	double start = seconds();

	(void)state;
	assert_int_equal(
		get("[{\"status\":429,\"headers\":{\"Retry-After\":\"1\"},\"times\":1},"
		    "{\"status\":200}]",
		    "/x", &req, &res, &err),
		0);
	assert_int_equal(res.status, 200);
	assert_true(seconds() - start >= 1.0);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&later));
	faults = xasprintf(
		"[{\"status\":503,\"headers\":{\"Retry-After\":\"%s\"},\"times\":1},"
		"{\"status\":200}]",
		date);
	assert_int_equal(get(faults, "/x", &req, &res, &err), 0);
	free(faults);
	assert_true(time(NULL) >= later - 1);
	http_response_release(&res);
}

static void a_body_over_its_bound_is_refused(void **state)
{
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	req.max_body = 8;
	assert_int_equal(
		get("[{\"status\":200,\"body\":\"12345678\"}]", "/x", &req, &res, &err),
		0);
	assert_int_equal(res.body.len, 8);
	assert_int_equal(
		get("[{\"status\":200,\"body\":\"123456789\"}]", "/x", &req, &res, &err),
		-1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_int_equal(requests(), 1);
	assert_int_equal(
		get("[{\"status\":400,\"body\":\"123456789\"}]", "/x", &req, &res, &err),
		0);
	assert_string_equal(res.body.data, "12345678");
	http_response_release(&res);
}

#define BIG (6u << 20)

/* A fault that answers BIG bytes, and their digest. */
static char *big_fault(const char *more, struct digest *d)
{
	auto_free char *body = xmalloc(BIG + 1);

	for (size_t i = 0; i < BIG; i++)
		body[i] = (char)('a' + (i * i / 7 + i) % 26);
	body[BIG] = '\0';
	digest_of(d, body, BIG);
	return xasprintf("[{\"status\":200,\"body\":\"%s\"%s}]", body, more);
}

static int drain(struct source *s, unsigned pause_us, struct digest *d, struct error *err)
{
	char *buf = xmalloc(100000);
	struct hash h;
	ssize_t n;

	hash_init(&h);
	while ((n = source_read(s, buf, 100000, err)) > 0) {
		hash_add(&h, buf, (size_t)n);
		usleep(pause_us);
	}
	hash_end(&h, d);
	free(buf);
	return n < 0 ? -1 : 0;
}

static void a_stream_is_whole_however_slowly_it_is_read(void **state)
{
	struct digest want, got;
	auto_free char *fault = big_fault("", &want);

	(void)state;
	for (unsigned pause = 0; pause <= 5000; pause += 5000) {
		struct http_request req = HTTP_REQUEST_INIT;
		struct http_response res = HTTP_RESPONSE_INIT;
		struct error err = ERROR_INIT;

		req.stream = true;
		assert_int_equal(get(fault, "/x", &req, &res, &err), 0);
		assert_int_equal(res.content_length, BIG);
		assert_non_null(res.stream);
		assert_int_equal(drain(res.stream, pause, &got, &err), 0);
		assert_true(digest_equal(&got, &want));
		http_response_release(&res);
	}
}

static void a_stream_may_be_closed_at_any_point(void **state)
{
	struct digest want;
	auto_free char *fault = big_fault("", &want);
	char buf[1000];

	(void)state;
	for (int reads = 0; reads < 4; reads++) {
		struct http_request req = HTTP_REQUEST_INIT;
		struct http_response res = HTTP_RESPONSE_INIT;
		struct error err = ERROR_INIT;

		req.stream = true;
		assert_int_equal(get(fault, "/x", &req, &res, &err), 0);
		for (int i = 0; i < reads; i++)
			assert_true(source_read(res.stream, buf, sizeof(buf), &err) > 0);
		usleep(reads == 3 ? 100000 : 0);
		http_response_release(&res);
	}
}

static void a_cut_stream_fails_when_it_is_read(void **state)
{
	struct digest want, got;
	auto_free char *fault = big_fault(",\"cut\":3000000", &want);
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	req.stream = true;
	assert_int_equal(get(fault, "/x", &req, &res, &err), 0);
	assert_int_equal(drain(res.stream, 0, &got, &err), -1);
	assert_int_equal(err.kind, E_NETWORK);
	http_response_release(&res);
	/* what is no success is no stream */
	assert_int_equal(
		get("[{\"status\":404,\"body\":\"no\"}]", "/x", &req, &res, &err), 0);
	assert_null(res.stream);
	assert_string_equal(res.body.data, "no");
	http_response_release(&res);
}

static int stalled_get(struct job *job, void *arg, struct error *err)
{
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	auto_free char *url = xasprintf("%s/stall", server.base);
	char buf[65536];
	ssize_t n = 0;
	int rc;

	req.url = url;
	req.job = job;
	req.stream = *(bool *)arg;
	rc = http_perform(http, &req, &res, err);
	while (rc == 0 && (n = source_read(res.stream, buf, sizeof(buf), err)) > 0)
		;
	http_response_release(&res);
	return rc < 0 || n < 0 ? -1 : 0;
}

/* Before the answer, and in the middle of a stream. */
static void a_cancelled_job_ends_its_requests(void **state)
{
	static const char *const faults[] = {
		"[{\"match\":\"stall\",\"status\":200,\"wait\":20}]",
		"[{\"match\":\"stall\",\"status\":200,\"header\":{\"Content-Length\":"
		"\"100\"},"
		"\"body\":\"abc\"}]"};
	struct error stop = ERROR_INIT, err = ERROR_INIT;

	(void)state;
	error_set(&stop, E_FAILED, "enough");
	for (size_t i = 0; i < 2; i++) {
		bool stream = i == 1;
		struct job job;
		double start = seconds();

		double_set(&server, http, "faults", faults[i]);
		job_init(&job, NULL);
		job_start(&job, stalled_get, &stream);
		usleep(300000);
		job_fail(&job, &stop);
		assert_int_equal(job_wait(&job, &err), -1);
		assert_string_equal(err.msg, "enough");
		assert_true(seconds() - start < 5);
	}
}

struct progress {
	uint64_t sum;
};

static void count(void *ctx, uint64_t bytes)
{
	assert_true(bytes > 0 && bytes <= 300000);
	((struct progress *)ctx)->sum += bytes;
}

/* The first two tries fail after the body was sent. */
static void an_upload_is_sent_again_from_its_start(void **state)
{
	size_t len = 300000;
	auto_free char *body = xmalloc(len);
	FILE *file = tmpfile();
	char want[DIGEST_HEX];
	struct digest d;

	(void)state;
	for (size_t i = 0; i < len; i++)
		body[i] = (char)(i * 31 % 251);
	assert_int_equal(fwrite(body, 1, len, file), len);
	fflush(file);
	digest_of(&d, body, len);
	digest_hex(&d, want);
	for (int from_file = 0; from_file < 2; from_file++) {
		struct http_request req = HTTP_REQUEST_INIT;
		struct http_response res = HTTP_RESPONSE_INIT;
		struct error err = ERROR_INIT;
		struct progress p = {0};
		cJSON *log;

		req.method = "PUT";
		req.body = from_file ? NULL : body;
		req.body_fd = from_file ? fileno(file) : -1;
		req.body_len = len;
		req.sent = count;
		req.sent_ctx = &p;
		assert_int_equal(get("[{\"status\":503,\"times\":1},"
				     "{\"close\":true,\"times\":1},{\"status\":201}]",
				     "/x", &req, &res, &err),
				 0);
		assert_int_equal(res.status, 201);
		assert_int_equal(p.sum, len);
		log = double_log(&server, http);
		assert_int_equal(cJSON_GetArraySize(log), 3);
		for (int i = 0; i < 3; i++) {
			assert_string_equal(log_text(log, i, "sha256"), want);
			assert_string_equal(log_header(log, i, "content-length"),
					    "300000");
			assert_null(log_header(log, i, "expect"));
			assert_null(log_header(log, i, "transfer-encoding"));
			assert_null(log_header(log, i, "accept-encoding"));
		}
		cJSON_Delete(log);
		http_response_release(&res);
	}
	fclose(file);
}

static void an_empty_body_has_its_length(void **state)
{
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	cJSON *log;

	(void)state;
	req.method = "POST";
	req.has_body = true;
	assert_int_equal(get("[{\"status\":202}]", "/x/../y//z?a=%2f", &req, &res, &err),
			 0);
	log = double_log(&server, http);
	assert_string_equal(log_header(log, 0, "content-length"), "0");
	assert_string_equal(log_text(log, 0, "method"), "POST");
	assert_string_equal(log_text(log, 0, "path"), "/x/../y//z?a=%2f");
	assert_string_equal(log_header(log, 0, "user-agent"), "hod/test");
	cJSON_Delete(log);
	http_response_release(&res);
}

static void a_connection_is_kept(void **state)
{
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	auto_json cJSON *log = NULL;
	double peer[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		auto_free char *url = xasprintf("%s/v2/", server.base);

		if (i == 0)
			double_set(&server, http, "faults", "[]");
		req.url = url;
		req.method = i == 1 ? "HEAD" : "GET";
		req.stream = i == 2;
		assert_int_equal(http_perform(http, &req, &res, &err), 0);
		http_response_release(&res);
	}
	log = double_log(&server, http);
	for (int i = 0; i < 3; i++)
		peer[i] = cJSON_GetNumberValue(
			cJSON_GetObjectItem(cJSON_GetArrayItem(log, i), "peer"));
	assert_true(peer[0] > 0 && peer[0] == peer[1] && peer[0] == peer[2]);
}

static void get_tls(const struct http_options *o, const char *url, int rc,
		    struct http_response *res, struct error *err)
{
	struct http *h = http_new(o, err);
	struct http_request req = HTTP_REQUEST_INIT;

	assert_non_null(h);
	req.url = url;
	assert_int_equal(http_perform(h, &req, res, err), rc);
	http_free(h);
}

static void a_certificate_is_checked(void **state)
{
	char dir[] = "/tmp/http-test-XXXXXX";
	auto_free char *ca = NULL, *cert = NULL, *key = NULL, *url = NULL, *named = NULL;
	auto_free char *connect = NULL;
	struct double_server tls;
	struct http_options o = plain;
	struct http_response res = HTTP_RESPONSE_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_true(test_run((const char *[]){"testdata/registry", "certs", dir, NULL}));
	ca = xasprintf("%s/ca.crt", dir);
	cert = xasprintf("%s/server.crt", dir);
	key = xasprintf("%s/server.key", dir);
	double_start(&tls, "https", (const char *[]){"--tls", cert, key, NULL});
	url = xasprintf("%s/v2/", tls.base);

	get_tls(&o, url, -1, &res, &err);
	assert_int_equal(err.kind, E_AUTH);
	assert_non_null(strstr(err.hint, "--ca-file"));
	assert_false(res.not_tls);
	o.ca_file = ca;
	get_tls(&o, url, 0, &res, &err);
	assert_int_equal(res.status, 200);
	setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt", 1);
	get_tls(&o, url, 0, &res, &err);
	o.ca_file = NULL;
	setenv("SSL_CERT_FILE", ca, 1);
	get_tls(&o, url, 0, &res, &err);
	unsetenv("SSL_CERT_FILE");
	/* another address, the same name to check */
	o.ca_file = ca;
	connect = xasprintf(
		"other.example:443:127.0.0.1:%u,public.ecr.aws:443:127.0.0.1:%u",
		tls.port, tls.port);
	o.connect_to = connect;
	get_tls(&o, "https://public.ecr.aws/v2/", 0, &res, &err);
	get_tls(&o, "https://other.example/v2/", -1, &res, &err);
	assert_int_equal(err.kind, E_AUTH);
	o.tls_verify = false;
	get_tls(&o, "https://other.example/v2/", 0, &res, &err);
	/* what does not speak TLS is told apart */
	o = plain;
	named = xasprintf("https://127.0.0.1:%u/", server.port);
	get_tls(&o, named, -1, &res, &err);
	assert_int_equal(err.kind, E_NETWORK);
	assert_true(res.not_tls);
	http_response_release(&res);
	double_stop(&tls);
	assert_true(test_run((const char *[]){"rm", "-r", dir, NULL}));
}

static void wrong_options_are_refused(void **state)
{
	struct http_options o = plain;
	struct error err = ERROR_INIT;

	(void)state;
	o.connect_to = "a:1:b";
	assert_null(http_new(&o, &err));
	assert_int_equal(err.kind, E_USAGE);
	o.connect_to = NULL;
	o.ca_file = "/nowhere.crt";
	assert_null(http_new(&o, &err));
	assert_int_equal(err.kind, E_INPUT);
	o.ca_file = "/dev/null";
	assert_null(http_new(&o, &err));
	assert_int_equal(err.kind, E_INPUT);
}

static void locations_resolve_against_their_request(void **state)
{
	static const struct {
		const char *base, *location, *want;
	} table[] = {
		{"https://a.b/v2/x?y=1", "/v2/z?_state=a%2Fb%3D",
		 "https://a.b/v2/z?_state=a%2Fb%3D"},
		{"https://a.b:5000/v2/x", "/v2/z", "https://a.b:5000/v2/z"},
		{"https://[::1]:5000/v2/x", "/z", "https://[::1]:5000/z"},
		{"https://a.b/v2/x/y", "z", "https://a.b/v2/x/z"},
		{"https://a.b/v2/x/y?q", "?r=1", "https://a.b/v2/x/y?r=1"},
		{"https://a.b/v2/", "//c.d/e", "https://c.d/e"},
		{"https://a.b/v2/", "http://C.d:80/e/../f?g=%7e",
		 "http://C.d:80/e/../f?g=%7e"},
		{"https://a.b/v2/", "/a:b", "https://a.b/a:b"},
		{"https://a.b/v2/", "ftp://c.d/e", NULL},
		{"https://a.b/v2/", "file:///etc/passwd", NULL},
		{"https://a.b/v2/", "javascript:x", NULL},
		{"https://a.b/v2/", "https://", NULL},
		{"https://a.b/v2/", "https://user:pw@c.d/", NULL},
		{"https://a.b/v2/", "https://c.d/a b", NULL},
		{"https://a.b/v2/", "https://c.d/a\x01", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *got = http_resolve_url(table[i].base, table[i].location);

		if (!table[i].want)
			assert_null(got);
		else
			assert_string_equal(got ? got : "(none)", table[i].want);
	}
}

static void origins_are_scheme_host_and_port(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} table[] = {
		{"https://a.b/x", "https://a.b:443/y?z", true},
		{"https://A.b/x", "https://a.B/y", true},
		{"http://a.b:80/", "http://a.b/", true},
		{"http://a.b/", "https://a.b/", false},
		{"https://a.b/", "https://a.b:444/", false},
		{"https://a.b/", "https://a.b.c/", false},
		{"https://a.b/", "https://a.b@c.d/", false},
		{"https://a.b/", "nothing", false},
		{"nothing", "nothing", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(http_same_origin(table[i].a, table[i].b), table[i].same);
}

static void a_displayed_url_holds_no_secrets(void **state)
{
	static const char *const table[][2] = {
		{"https://u:p@a.b:5000/v2/x?token=s#f", "https://a.b:5000/v2/x"},
		{"http://a.b/", "http://a.b/"},
		{"ftp://u:p@a.b/", "(not a URL)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *got = http_display_url(table[i][0]);

		assert_string_equal(got, table[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_status_is_an_answer_with_its_headers),
		cmocka_unit_test(retries_follow_the_status),
		cmocka_unit_test(a_server_that_never_answers_is_a_network_error),
		cmocka_unit_test(retry_after_is_waited_for),
		cmocka_unit_test(a_body_over_its_bound_is_refused),
		cmocka_unit_test(a_stream_is_whole_however_slowly_it_is_read),
		cmocka_unit_test(a_stream_may_be_closed_at_any_point),
		cmocka_unit_test(a_cut_stream_fails_when_it_is_read),
		cmocka_unit_test(a_cancelled_job_ends_its_requests),
		cmocka_unit_test(an_upload_is_sent_again_from_its_start),
		cmocka_unit_test(an_empty_body_has_its_length),
		cmocka_unit_test(a_connection_is_kept),
		cmocka_unit_test(a_certificate_is_checked),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(locations_resolve_against_their_request),
		cmocka_unit_test(origins_are_scheme_host_and_port),
		cmocka_unit_test(a_displayed_url_holds_no_secrets),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
