#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/reference.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define A16 "aaaaaaaaaaaaaaaa"
#define A128 A16 A16 A16 A16 A16 A16 A16 A16

/* Expected values follow distribution/reference's grammar and normalisation. */
static void names_are_completed_as_docker_does(void **state)
{
	static const struct {
		const char *text, *full, *familiar;
	} table[] = {
		{"alpine", "docker.io/library/alpine", "alpine"},
		{"alpine:3.19", "docker.io/library/alpine:3.19", "alpine:3.19"},
		{"a/b", "docker.io/a/b", "a/b"},
		{"docker.io/alpine", "docker.io/library/alpine", "alpine"},
		{"index.docker.io/alpine:1", "docker.io/library/alpine:1", "alpine:1"},
		{"docker.io/library/alpine", "docker.io/library/alpine", "alpine"},
		{"library/a/b", "docker.io/library/a/b", "library/a/b"},
		{"docker.io/localhost/x", "docker.io/localhost/x",
		 "docker.io/localhost/x"},
		{"localhost/x", "localhost/x", "localhost/x"},
		{"localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"},
		{"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
		{"foo.bar/x", "foo.bar/x", "foo.bar/x"},
		{"Foo/x", "Foo/x", "Foo/x"},
		{"127.0.0.1:5000/x/y/z:t", "127.0.0.1:5000/x/y/z:t",
		 "127.0.0.1:5000/x/y/z:t"},
		{"[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"},
		{"[2001:db8::1]/x:1", "[2001:db8::1]/x:1", "[2001:db8::1]/x:1"},
		{"public.ecr.aws/lambda/python:3.8", "public.ecr.aws/lambda/python:3.8",
		 "public.ecr.aws/lambda/python:3.8"},
		{"a@sha256:" HEX64, "docker.io/library/a@sha256:" HEX64,
		 "a@sha256:" HEX64},
		{"a:1@sha256:" HEX64, "docker.io/library/a:1@sha256:" HEX64,
		 "a:1@sha256:" HEX64},
		{"a_b/c__d/e-f---g/h.i", "docker.io/a_b/c__d/e-f---g/h.i",
		 "a_b/c__d/e-f---g/h.i"},
		{"x:_t.A-9", "docker.io/library/x:_t.A-9", "x:_t.A-9"},
		{"x:" A128, "docker.io/library/x:" A128, "x:" A128},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_reference struct reference r = REFERENCE_INIT;
		auto_free char *full = NULL, *familiar = NULL;
		struct error err = ERROR_INIT;

		assert_int_equal(reference_parse(&r, table[i].text, &err), 0);
		full = reference_text(&r);
		familiar = reference_familiar(&r);
		assert_string_equal(full, table[i].full);
		assert_string_equal(familiar, table[i].familiar);
	}
}

static void what_docker_prints_is_read_the_same_again(void **state)
{
	static const char *const table[] = {"alpine",
					    "a/b:1",
					    "docker.io/localhost/x",
					    "docker.io/foo.bar/x",
					    "docker.io/library/localhost/x",
					    ("h.x:1/y:2@sha256:" HEX64)};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_reference struct reference a = REFERENCE_INIT, b = REFERENCE_INIT;
		auto_free char *shown = NULL, *one = NULL, *two = NULL;

		assert_int_equal(reference_parse(&a, table[i], NULL), 0);
		shown = reference_familiar(&a);
		assert_int_equal(reference_parse(&b, shown, NULL), 0);
		one = reference_text(&a);
		two = reference_text(&b);
		assert_string_equal(one, two);
	}
}

static void wrong_names_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *why, *hint;
	} table[] = {
		{"", "empty", ""},
		{"Alpine", "upper-case", "lower case"},
		{"foo.bar/Xy", "upper-case", "lower case"},
		{"https://foo.bar/x", "scheme", "https:// is not part of an image name"},
		{"docker://x", "scheme",
		 "docker:// is not part of an image name; write x"},
		{"a b", "white space", ""},
		{" a", "white space", ""},
		{"a\n", "white space", ""},
		{"a:", "tag is empty", ""},
		{":1", "missing", ""},
		{"a:.x", "start with", ""},
		{"a:-x", "start with", ""},
		{"a:b/c", "", ""},
		{"a:b+c", "tag holds", ""},
		{"x:" A128 "a", "128", ""},
		{"a/", "empty", ""},
		{"/a", "empty", ""},
		{"a//b", "empty", ""},
		{"a/../b", "starts and ends", ""},
		{"-a", "starts and ends", ""},
		{"a-", "starts and ends", ""},
		{"a..b", "in a row", ""},
		{"a___b", "in a row", ""},
		{"a.-b", "in a row", ""},
		{"a$b", "character", ""},
		{"caf\xc3\xa9", "character", ""},
		{"foo.bar/", "missing", ""},
		{"foo.bar:0/x", "port", ""},
		{"foo.bar:65536/x", "port", ""},
		{"foo.bar:/x", "port", ""},
		{"foo.bar:+1/x", "port", ""},
		{"foo.bar:8a/x", "port", ""},
		{"-foo.bar/x", "host", ""},
		{"foo..bar/x", "host", ""},
		{"user:pw@foo.bar/x", "digest", "sha256"},
		{"foo_.bar/x", "host", ""},
		{"[::1]", "missing", ""},
		{"[::1/x", "IPv6", ""},
		{"[zz]/x", "IPv6", ""},
		{"[::1]x/x", "host", ""},
		{"a@", "digest", "sha256"},
		{"a@sha256:12", "digest", "sha256"},
		{"a@sha512:" HEX64 HEX64, "digest", "sha256"},
		{"a@sha256:" HEX64 "0", "digest", "sha256"},
		{"a@sha256:" HEX64 "@sha256:" HEX64, "digest", "sha256"},
		{"@sha256:" HEX64, "missing", ""},
		{HEX64, "id", ""},
		{"foo.bar/" A128 A128, "255", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct reference r;
		struct error err = ERROR_INIT;

		if (reference_parse(&r, table[i].text, &err) != -1)
			fail_msg("\"%s\" was taken", table[i].text);
		assert_int_equal(err.kind, E_INPUT);
		if (!strstr(err.msg, table[i].why))
			fail_msg("\"%s\": %s", table[i].text, err.msg);
		if (!strstr(err.hint, table[i].hint))
			fail_msg("\"%s\": hint %s", table[i].text, err.hint);
		assert_null(r.host);
	}
}

/* "foo.bar/" and 247 more are 255. */
static void a_name_of_255_characters_is_taken(void **state)
{
	char text[257] = "foo.bar/";
	struct reference r;

	(void)state;
	memset(text + 8, 'a', 247);
	assert_int_equal(reference_parse(&r, text, NULL), 0);
	reference_release(&r);
	text[255] = 'a';
	assert_int_equal(reference_parse(&r, text, NULL), -1);
}

static void only_loopback_hosts_are_loopback(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} table[] = {
		{"localhost/x", true},
		{"localhost:5000/x", true},
		{"127.0.0.1:1/x", true},
		{"127.255.3.4/x", true},
		{"[::1]:5000/x", true},
		{"[::1]/x", true},
		{"127.example.com/x", false},
		{"127.0.0.1.example.com/x", false},
		{"127.0.0.256/x", false},
		{"127.0.0/x", false},
		{"127.0.0.1.1/x", false},
		{"[::11]/x", false},
		{"localhost.com/x", false},
		{"10.0.0.1/x", false},
		{"x", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_reference struct reference r = REFERENCE_INIT;

		assert_int_equal(reference_parse(&r, table[i].text, NULL), 0);
		assert_int_equal(reference_is_loopback(&r), table[i].loopback);
	}
}

static void latest_is_added_only_where_nothing_is_named(void **state)
{
	static const char *const table[][2] = {
		{"a", "latest"}, {"a:1", "1"}, {"a@sha256:" HEX64, NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_reference struct reference r = REFERENCE_INIT, copy = REFERENCE_INIT;
		auto_free char *repo = NULL;

		assert_int_equal(reference_parse(&r, table[i][0], NULL), 0);
		reference_complete(&r);
		reference_copy(&copy, &r);
		if (table[i][1])
			assert_string_equal(copy.tag, table[i][1]);
		else
			assert_null(copy.tag);
		assert_string_equal(reference_wire_host(&r), "registry-1.docker.io");
		assert_true(reference_same_repository(&r, &copy));
		repo = reference_repository(&r);
		assert_string_equal(repo, "docker.io/library/a");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_completed_as_docker_does),
		cmocka_unit_test(what_docker_prints_is_read_the_same_again),
		cmocka_unit_test(wrong_names_are_refused_with_the_reason),
		cmocka_unit_test(a_name_of_255_characters_is_taken),
		cmocka_unit_test(only_loopback_hosts_are_loopback),
		cmocka_unit_test(latest_is_added_only_where_nothing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
