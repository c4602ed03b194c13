#include "registry/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"

static FILE *caught;
static int saved;

/* From here on the standard error goes to a file. */
static void catch_stderr(void)
{
	caught = tmpfile();
	assert_non_null(caught);
	fflush(stderr);
	saved = dup(STDERR_FILENO);
	assert_return_code(dup2(fileno(caught), STDERR_FILENO), 0);
}

static void caught_stderr(struct buf *out)
{
	struct error err = ERROR_INIT;

	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	lseek(fileno(caught), 0, SEEK_SET);
	assert_int_equal(file_read_fd(fileno(caught), 1 << 20, out, &err), 0);
	fclose(caught);
}

static void matches(const char *pattern, const char *text)
{
	auto_free char *whole = xasprintf("^(%s)$", pattern);
	regex_t re;
	int rc;

	assert_int_equal(regcomp(&re, whole, REG_EXTENDED | REG_NOSUB), 0);
	rc = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	if (rc)
		fail_msg("%s\n-- does not match --\n%s", text, pattern);
}

/* A step that writes, in one mode. */
static void run_step(enum progress_mode mode, bool json, const char *output,
		     enum progress_result end, struct buf *out)
{
	struct progress_step *s;

	catch_stderr();
	log_setup(mode, false, json);
	s = progress_start("[2/3] RUN x");
	progress_output(s, output, strlen(output));
	progress_end(s, end);
	log_setup(PROGRESS_AUTO, false, false);
	caught_stderr(out);
}

#define TIME "[0-9]+\\.[0-9]{3}"

static void each_mode_shows_a_commands_output_in_its_own_way(void **state)
{
	static const struct {
		enum progress_mode mode;
		bool json;
		enum progress_result end;
		const char *output, *want;
	} v[] = {
		{PROGRESS_PLAIN, false, PROGRESS_DONE, "one\ntwo",
		 "#[0-9]+ \\[2/3\\] RUN x\n#[0-9]+ " TIME " one\n#[0-9]+ " TIME
		 " two\n#[0-9]+ DONE [0-9.]+s\n"},
		{PROGRESS_PLAIN, false, PROGRESS_FAILED, "one\n",
		 "#[0-9]+ \\[2/3\\] RUN x\n#[0-9]+ " TIME
		 " one\n#[0-9]+ FAILED [0-9.]+s\n"
		 "------\n > \\[2/3\\] RUN x:\n" TIME " one\n------\n"},
		{PROGRESS_PLAIN, false, PROGRESS_FAILED, "",
		 "#[0-9]+ \\[2/3\\] RUN x\n#[0-9]+ FAILED [0-9.]+s\n"},
		{PROGRESS_QUIET, false, PROGRESS_DONE, "one\n", ""},
		{PROGRESS_QUIET, false, PROGRESS_FAILED, "one\ntwo\n",
		 "------\n > \\[2/3\\] RUN x:\n" TIME " one\n" TIME " two\n------\n"},
		{PROGRESS_JSON, false, PROGRESS_FAILED, "a \"b\"\n",
		 "\\{\"step\":[0-9]+,\"start\":\"\\[2/3\\] RUN x\"\\}\n"
		 "\\{\"step\":[0-9]+,\"output\":\"a \\\\\"b\\\\\"\"\\}\n"
		 "\\{\"step\":[0-9]+,\"end\":\"FAILED\",\"milliseconds\":[0-9]+\\}\n"},
		{PROGRESS_PLAIN, true, PROGRESS_DONE, "x",
		 "\\{\"step\":[0-9]+,\"start\":\"\\[2/3\\] RUN x\"\\}\n"
		 "\\{\"step\":[0-9]+,\"output\":\"x\"\\}\n"
		 "\\{\"step\":[0-9]+,\"end\":\"DONE\",\"milliseconds\":[0-9]+\\}\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_buf struct buf got = BUF_INIT;

		run_step(v[i].mode, v[i].json, v[i].output, v[i].end, &got);
		matches(v[i].want, got.data);
	}
}

/* What a command writes must not steer the terminal. */
static void control_bytes_of_output_are_not_drawn(void **state)
{
	auto_buf struct buf got = BUF_INIT;

	(void)state;
	run_step(PROGRESS_PLAIN, false,
		 "a\033[2Jb\a\x08 c\xc2\x9b"
		 "d\n",
		 PROGRESS_FAILED, &got);
	for (size_t i = 0; i < got.len; i++)
		assert_true(got.data[i] == '\n' || (unsigned char)got.data[i] >= 0x20);
	assert_non_null(strstr(got.data, "ab   c  d\n"));
}

static void a_failing_step_repeats_its_last_twenty_lines(void **state)
{
	auto_buf struct buf text = BUF_INIT, got = BUF_INIT;
	const char *at;

	(void)state;
	for (int i = 1; i <= 500; i++)
		buf_addf(&text, "line %d\n", i);
	run_step(PROGRESS_QUIET, false, text.data, PROGRESS_FAILED, &got);
	at = got.data;
	assert_ptr_equal(strstr(at, "------\n > [2/3] RUN x:\n"), at);
	at = strchr(strchr(at, '\n') + 1, '\n') + 1;
	for (int i = 481; i <= 500; i++) {
		auto_free char *want = xasprintf(" line %d\n", i);
		const char *end = strchr(at, '\n') + 1;

		assert_ptr_equal(strstr(at, want) + strlen(want), end);
		at = end;
	}
	assert_string_equal(at, "------\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mode_shows_a_commands_output_in_its_own_way),
		cmocka_unit_test(control_bytes_of_output_are_not_drawn),
		cmocka_unit_test(a_failing_step_repeats_its_last_twenty_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
