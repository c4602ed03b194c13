#include "registry/base/stream.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"

/* printf abc | sha256sum */
#define ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

struct buf_sink {
	struct sink base;
	struct buf got;
	bool fails;
};

static int sink_add(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct buf_sink *b = (struct buf_sink *)s;

	if (b->fails)
		return error_set(err, E_FAILED, "the sink is full");
	buf_add(&b->got, data, len);
	return 0;
}

static const struct sink_ops sink_ops = {.write = sink_add};

/* Reads to the end in small bites; -1 and err, or the number of bytes. */
static ssize_t drain(struct source *s, struct error *err)
{
	char bite[2];
	ssize_t n, sum = 0;

	while ((n = source_read(s, bite, sizeof(bite), err)) > 0)
		sum += n;
	return n < 0 ? -1 : sum;
}

static void bytes_and_files_give_what_they_have(void **state)
{
	struct error err = ERROR_INIT;
	struct source *s = source_bytes("hello", 5);
	char buf[16];
	int fds[2];

	(void)state;
	assert_int_equal(source_read_full(s, buf, sizeof(buf), &err), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(source_read(s, buf, 1, &err), 0);
	source_close(s);

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "hello", 5), 5);
	close(fds[1]);
	s = source_fd(fds[0]);
	assert_int_equal(drain(s, &err), 5);
	source_close(s);
	assert_int_equal(close(fds[0]), -1);
}

static void a_file_that_cannot_be_read_says_so(void **state)
{
	struct error err = ERROR_INIT;
	struct source *s = source_fd(open("/", O_RDONLY | O_CLOEXEC));

	(void)state;
	assert_int_equal(drain(s, &err), -1);
	assert_int_equal(err.kind, E_FAILED);
	source_close(s);
}

static void verify_refuses_what_differs(void **state)
{
	static const struct {
		const char *content;
		uint64_t size;
		bool remote;
		enum error_kind kind;
	} cases[] = {
		{"abc", 3, false, E_NONE},     {"abd", 3, false, E_CORRUPT},
		{"abcd", 3, false, E_CORRUPT}, {"ab", 3, false, E_CORRUPT},
		{"ab", 3, true, E_NETWORK},    {"abd", 3, true, E_CORRUPT},
		{"abc", 2, false, E_CORRUPT},  {"abc", 4, false, E_CORRUPT},
		{"", 3, true, E_NETWORK},
	};
	struct digest want;

	(void)state;
	assert_int_equal(digest_parse(&want, ABC, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;
		struct source *s = source_verify(
			source_bytes(cases[i].content, strlen(cases[i].content)), &want,
			cases[i].size, cases[i].remote);

		assert_int_equal(drain(s, &err), cases[i].kind == E_NONE ? 3 : -1);
		assert_int_equal(err.kind, cases[i].kind);
		if (cases[i].kind == E_NONE)
			assert_int_equal(drain(s, &err), 0);
		source_close(s);
	}
}

static void hash_and_tee_see_all_that_passes(void **state)
{
	struct error err = ERROR_INIT;
	struct digest got;
	char text[DIGEST_TEXT];
	struct buf_sink copy = {.base = {&sink_ops}, .got = BUF_INIT};
	struct source *s =
		source_hash(source_tee(source_bytes("abc", 3), &copy.base), &got);

	(void)state;
	assert_int_equal(drain(s, &err), 3);
	assert_string_equal(digest_text(&got, text), ABC);
	assert_string_equal(copy.got.data, "abc");
	source_close(s);
	buf_release(&copy.got);
}

static void a_tee_fails_with_its_sink(void **state)
{
	struct error err = ERROR_INIT;
	struct buf_sink copy = {.base = {&sink_ops}, .got = BUF_INIT, .fails = true};
	struct source *s = source_tee(source_bytes("abc", 3), &copy.base);

	(void)state;
	assert_int_equal(drain(s, &err), -1);
	assert_string_equal(err.msg, "the sink is full");
	source_close(s);
}

static void closing_nothing_is_fine(void **state)
{
	(void)state;
	source_close(NULL);
	sink_abort(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_files_give_what_they_have),
		cmocka_unit_test(a_file_that_cannot_be_read_says_so),
		cmocka_unit_test(verify_refuses_what_differs),
		cmocka_unit_test(hash_and_tee_see_all_that_passes),
		cmocka_unit_test(a_tee_fails_with_its_sink),
		cmocka_unit_test(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
