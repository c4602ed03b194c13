#include "builder/run_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/build.h"
#include "builder/build_test.h"
#include "builder/cache.h"
#include "builder/meta.h"
#include "builder/run_failure.h"
#include "builder/run_worker.h"
#include "builder/stage.h"

#define PASSWD "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
#define PATH_LINE "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
#define STEADY "PYTHONHASHSEED=0\nPIP_DISABLE_PIP_VERSION_CHECK=1\nPIP_NO_CACHE_DIR=1\n"

/* The last RUN of a Dockerfile from scratch, WORKDIR and file steps left out. */
struct case_run {
	struct build_request req;
	struct build build;
	struct stage_state *stage;
	struct run_command command;
	struct error err;
	int rc;
};

static void request(struct case_run *c, const char *const *args)
{
	*c = (struct case_run){.rc = -1};
	c->build = (struct build){.request = &c->req, .bytecode = true};
	platform_set(&c->req.platform, "linux", "amd64", NULL);
	for (; args && *args; args++)
		strv_add(&c->req.build_args, *args);
}

static void workdir(struct stage_state *s, const char *path)
{
	free(s->config.working_dir);
	s->config.working_dir = xstrdup(path);
}

static void make(struct case_run *c, const char *dockerfile)
{
	const struct instruction *in;
	struct plan *p = &c->build.plan;

	fine(plan_make(p, &c->req, "Dockerfile", dockerfile, strlen(dockerfile), &c->err),
	     &c->err);
	c->stage = stage_from_image(&c->build, "s", NULL, &c->req.platform, &c->err);
	c->stage->tree = account_tree(PASSWD, "root:x:0:\nextra:x:9:app\n");
	for (size_t i = 1; i < p->dockerfile->ninstructions; i++) {
		in = &p->dockerfile->instructions[i];
		if (in->kw == KW_WORKDIR) {
			workdir(c->stage, in->args[0].text);
		} else if (meta_is(in)) {
			fine(meta_apply(c->stage, in, &c->err), &c->err);
		} else if (in->kw == KW_RUN) {
			run_command_release(&c->command);
			c->rc = run_command_make(&c->command, c->stage, in, &c->err);
		}
	}
}

static void release(struct case_run *c)
{
	run_command_release(&c->command);
	stage_free(c->stage);
	plan_release(&c->build.plan);
	build_request_release(&c->req);
}

static void lines(const struct strv *v, struct buf *out)
{
	for (size_t i = 0; i < v->n; i++)
		buf_addf(out, "%s\n", v->v[i]);
}

static void shell_exec_and_heredoc_forms_become_arguments(void **state)
{
	static const struct {
		const char *rule, *dockerfile, *argv, *script;
	} v[] = {
		{"9.1 shell form", "RUN  a \"$b\"  c\n", "/bin/sh\n-c\na \"$b\"  c\n",
		 NULL},
		{"9.1 glued lines", "RUN a \\\n  && b\n", "/bin/sh\n-c\na   && b\n",
		 NULL},
		{"9.1 no arguments", "RUN\n", "/bin/sh\n-c\n\n", NULL},
		{"9.1 exec form", "RUN [\"a\", \"$b\", \"\"]\n", "a\n$b\n\n", NULL},
		{"3.1 no JSON is shell form", "RUN [a]\n", "/bin/sh\n-c\n[a]\n", NULL},
		{"13.4 SHELL", "SHELL [\"bash\", \"-ec\"]\nRUN x\n", "bash\n-ec\nx\n",
		 NULL},
		{"13.4 not for the exec form", "SHELL [\"bash\"]\nRUN [\"x\"]\n", "x\n",
		 NULL},
		{"5.5 one heredoc is the script", "RUN <<EOF\na\n b $c\nEOF\n",
		 "/bin/sh\n-c\na\n b $c\n\n", NULL},
		{"5.5 quoted or not", "RUN <<'EOF'\na $b\nEOF\n", "/bin/sh\n-c\na $b\n\n",
		 NULL},
		{"5.5 <<- loses tabs", "RUN <<-EOF\n\t\ta\n\tb\n\tEOF\n",
		 "/bin/sh\n-c\na\nb\n\n", NULL},
		{"5.5 with SHELL", "SHELL [\"python3\", \"-c\"]\nRUN <<E\nprint()\nE\n",
		 "python3\n-c\nprint()\n\n", NULL},
		{"5.5 #! makes it a file", "RUN <<EOF\n#!/usr/bin/python3\nx\nEOF\n",
		 "/bin/sh\n-c\n/dev/pipes/EOF\n", "EOF=#!/usr/bin/python3\nx\n"},
		{"5.5 #! behind tabs", "RUN <<-A\n\t#!/bin/sh\n\tx\nA\n",
		 "/bin/sh\n-c\n/dev/pipes/A\n", "A=#!/bin/sh\nx\n"},
		{"5.6 the shell reads it", "RUN cat <<EOF >x\na\nEOF\n",
		 "/bin/sh\n-c\ncat <<EOF >x\na\nEOF\n", NULL},
		{"5.6 with a program", "RUN <<EOF python3\nx\nEOF\n",
		 "/bin/sh\n-c\n<<EOF python3\nx\nEOF\n", NULL},
		{"5.6 several", "RUN cat <<A <<B\na\nA\nb\nB\n",
		 "/bin/sh\n-c\ncat <<A <<B\na\nA\nb\nB\n", NULL},
		{"5.6 tabs stay", "RUN cat <<-A\n\ta\n\tA\n",
		 "/bin/sh\n-c\ncat <<-A\n\ta\nA\n", NULL},
		{"5.6 quotes stay for the shell", "RUN cat <<'A'\n$x\nA\n",
		 "/bin/sh\n-c\ncat <<'A'\n$x\nA\n", NULL},
		{"5.6 #! does not matter there", "RUN cat <<A\n#!x\nA\n",
		 "/bin/sh\n-c\ncat <<A\n#!x\nA\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *text = xasprintf("FROM scratch\n%s", v[i].dockerfile);
		auto_buf struct buf got = BUF_INIT;
		auto_free char *script = NULL;
		struct case_run c;

		request(&c, NULL);
		make(&c, text);
		fine(c.rc, &c.err);
		lines(&c.command.argv, &got);
		if (c.command.script)
			script = xasprintf("%s=%s", c.command.script_name,
					   c.command.script);
		if (strcmp(got.data, v[i].argv) || !script != !v[i].script ||
		    (script && strcmp(script, v[i].script)))
			fail_msg("%s:\n%s(%s)", v[i].rule, got.data,
				 script ? script : "");
		release(&c);
	}
}

static void the_environment_is_the_images_and_the_args(void **state)
{
	static const struct {
		const char *rule, *dockerfile, *env;
		const char *args[4];
		bool now;
	} v[] = {
		{"9.2 nothing else", "RUN x\n", PATH_LINE "HOME=/root\n" STEADY, {0}, 0},
		{"9.2 ENV in order, then ARGs",
		 "ARG z=1\nENV b=2 a=3\nARG y=4\nRUN x\n",
		 PATH_LINE "b=2\na=3\nz=1\ny=4\nHOME=/root\n" STEADY,
		 {0},
		 0},
		{"6.1 an ARG without a value is none",
		 "ARG a\nENV b=1\nARG b\nRUN x\n",
		 PATH_LINE "b=1\nHOME=/root\n" STEADY,
		 {0},
		 0},
		{"6.9 the last writer wins",
		 "ENV a=env b=env\nARG a=arg\nARG c=arg\nENV c=env\nRUN x\n",
		 PATH_LINE "a=arg\nb=env\nc=env\nHOME=/root\n" STEADY,
		 {0},
		 0},
		{"6.4 undeclared has no effect",
		 "RUN x\n",
		 PATH_LINE "HOME=/root\n" STEADY,
		 {"a=1", NULL},
		 0},
		{"9.2 HOME is the user's",
		 "USER app\nRUN x\n",
		 PATH_LINE "HOME=/home/app\n" STEADY,
		 {0},
		 0},
		{"9.2 HOME by number",
		 "USER 1000:5\nRUN x\n",
		 PATH_LINE "HOME=/home/app\n" STEADY,
		 {0},
		 0},
		{"9.2 HOME unknown",
		 "USER 77\nRUN x\n",
		 PATH_LINE "HOME=/\n" STEADY,
		 {0},
		 0},
		{"9.2 unless ENV sets it",
		 "ENV HOME=/h\nUSER app\nRUN x\n",
		 PATH_LINE "HOME=/h\n" STEADY,
		 {0},
		 0},
		{"the Dockerfile's word on Python counts",
		 "ENV PYTHONHASHSEED=random\nARG PIP_NO_CACHE_DIR=0\nRUN x\n",
		 PATH_LINE "PYTHONHASHSEED=random\nPIP_NO_CACHE_DIR=0\nHOME=/root\n"
			   "PIP_DISABLE_PIP_VERSION_CHECK=1\n",
		 {0},
		 0},
		{"--timestamp now and keep add nothing",
		 "RUN x\n",
		 PATH_LINE "HOME=/root\n",
		 {0},
		 true},
		{"6.7 a declared proxy is an ARG",
		 "ARG http_proxy\nRUN x\n",
		 PATH_LINE "http_proxy=p\nHOME=/root\n" STEADY,
		 {"http_proxy=p", NULL},
		 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *text = xasprintf("FROM scratch\n%s", v[i].dockerfile);
		auto_buf struct buf got = BUF_INIT;
		struct case_run c;

		request(&c, v[i].args);
		c.build.bytecode = !v[i].now;
		make(&c, text);
		fine(c.rc, &c.err);
		lines(&c.command.env, &got);
		if (strcmp(got.data, v[i].env))
			fail_msg("%s:\n%s", v[i].rule, got.data);
		release(&c);
	}
}

/* 6.7 */
static void proxies_are_passed_in_both_cases_and_kept_apart(void **state)
{
	static const char *const args[] = {"Http_Proxy=h", "NO_PROXY=a,b",
					   "ftp_proxy=", "other_proxy=x", NULL};
	auto_buf struct buf got = BUF_INIT;
	struct case_run c;

	(void)state;
	request(&c, args);
	make(&c, "FROM scratch\nENV http_proxy=mine\nRUN x\n");
	fine(c.rc, &c.err);
	lines(&c.command.proxies, &got);
	assert_string_equal(got.data, "HTTP_PROXY=h\nNO_PROXY=a,b\nno_proxy=a,b\n");
	assert_null(strv_get(&c.command.env, "NO_PROXY"));
	release(&c);
}

static void folder_user_and_network_are_the_stages(void **state)
{
	static const struct {
		const char *dockerfile, *want;
		enum build_network network;
	} v[] = {
		{"RUN x\n", "/ 0:0 0 net", BUILD_NETWORK_DEFAULT},
		{"WORKDIR /w\nUSER app\nRUN x\n", "/w 1000:1001 1 net", 0},
		{"RUN --network=none x\n", "/ 0:0 0 none", 0},
		{"RUN --network=none x\n", "/ 0:0 0 none", BUILD_NETWORK_HOST},
		{"RUN --network=default x\n", "/ 0:0 0 net", 0},
		{"RUN --network=default x\n", "/ 0:0 0 none", BUILD_NETWORK_NONE},
		{"RUN x\n", "/ 0:0 0 none", BUILD_NETWORK_NONE},
		{"RUN --network=host x\n", "/ 0:0 0 net", BUILD_NETWORK_NONE},
		{"RUN --security=sandbox x\n", "/ 0:0 0 net", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *text = xasprintf("FROM scratch\n%s", v[i].dockerfile);
		auto_free char *got = NULL;
		struct case_run c;

		request(&c, NULL);
		c.req.network = v[i].network;
		c.req.allow_host_network = true;
		make(&c, text);
		fine(c.rc, &c.err);
		got = xasprintf("%s %u:%u %zu %s", c.command.cwd, c.command.account.uid,
				c.command.account.gid, c.command.account.ngroups,
				c.command.network ? "net" : "none");
		if (strcmp(got, v[i].want))
			fail_msg("%s: %s", v[i].dockerfile, got);
		release(&c);
	}
}

static void what_cannot_be_run_is_refused(void **state)
{
	static const struct {
		const char *dockerfile, *why;
	} v[] = {
		{"RUN []\n", "no command"},
		{"USER nobody\nRUN x\n", "USER nobody: the user nobody is not in"},
		{"RUN <<\"a/b\"\n#!/bin/sh\na/b\n", "no name for the file"},
		{"RUN <<..\n#!/bin/sh\n..\n", "no name for the file"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *text = xasprintf("FROM scratch\n%s", v[i].dockerfile);
		struct case_run c;

		request(&c, NULL);
		make(&c, text);
		if (c.rc != -1 || c.err.kind != E_INPUT || !strstr(c.err.msg, v[i].why))
			fail_msg("%s: %d %s", v[i].dockerfile, c.rc, c.err.msg);
		release(&c);
	}
}

/* 14.2, 14.3 */
static void the_history_has_the_args_and_the_arguments(void **state)
{
	static const struct {
		const char *dockerfile, *want;
		const char *args[3];
	} v[] = {
		{"RUN a  b\n", "RUN /bin/sh -c a  b # buildkit", {0}},
		{"RUN [\"a\", \"b c\"]\n", "RUN a b c # buildkit", {0}},
		{"ENV e=1\nRUN a\n", "RUN /bin/sh -c a # buildkit", {0}},
		{"ARG z=1\nARG y=\"2 3\"\nRUN a\n",
		 "RUN |2 z=1 y=2 3 /bin/sh -c a # buildkit",
		 {0}},
		{"ARG z=1\nARG y\nARG z=2\nRUN a\n",
		 "RUN |2 z=2 y= /bin/sh -c a # buildkit",
		 {0}},
		{"ARG z=1\nENV z=env\nRUN a\n",
		 "RUN |1 z=env /bin/sh -c a # buildkit",
		 {0}},
		{"ARG z=1\nRUN a\n",
		 "RUN |1 z=given /bin/sh -c a # buildkit",
		 {"z=given", NULL}},
		{"RUN <<EOF\na\nEOF\n", "RUN /bin/sh -c a\n # buildkit", {0}},
		{"RUN a\n", "RUN /bin/sh -c a # buildkit", {"HTTP_PROXY=secret", NULL}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *text = xasprintf("FROM scratch\n%s", v[i].dockerfile);
		auto_buf struct buf got = BUF_INIT;
		struct case_run c;

		request(&c, v[i].args);
		make(&c, text);
		fine(c.rc, &c.err);
		run_command_history(&c.command, c.stage, &got);
		assert_string_equal(got.data, v[i].want);
		release(&c);
	}
}

static void key_and_text(const char *dockerfile, const char *const *args,
			 struct digest *key, struct buf *text)
{
	auto_free char *whole = xasprintf("FROM scratch\n%s", dockerfile);
	struct case_run c;
	struct hash h;

	request(&c, args);
	make(&c, whole);
	fine(c.rc, &c.err);
	hash_init(&h);
	run_command_hash(&c.command, &h);
	hash_end(&h, key);
	run_command_text(&c.command, text);
	release(&c);
}

/* 16.2, 16.3: whether a second Dockerfile has the same key, and what the user is told. */
static void a_key_changes_with_what_the_command_can_see(void **state)
{
	static const struct {
		const char *rule, *first, *second;
		const char *why; /* NULL: the same key */
		const char *args[3];
	} v[] = {
		{"16.4 comments and blanks", "RUN a\n", "# x\nrun   a\n", NULL, {0}},
		{"16.2 arguments",
		 "RUN a\n",
		 "RUN b\n",
		 "the instruction changed: it was RUN /bin/sh -c a",
		 {0}},
		{"16.2 words are not joined",
		 "RUN [\"a b\"]\n",
		 "RUN [\"a\", \"b\"]\n",
		 "the command changed",
		 {0}},
		{"16.2 an ARG that is not used",
		 "ARG v=1\nRUN a\n",
		 "ARG v=2\nRUN a\n",
		 "the variable v changed",
		 {0}},
		{"16.2 given outside",
		 "ARG v=1\nRUN a\n",
		 "ARG v=1\nRUN a\n",
		 "the variable v changed",
		 {"v=9", NULL}},
		{"16.3 declared behind it",
		 "RUN a\nARG v=1\n",
		 "RUN a\nARG v=2\n",
		 NULL,
		 {0}},
		{"16.3 without a value", "RUN a\n", "ARG v\nRUN a\n", NULL, {0}},
		{"16.2 a new variable",
		 "RUN a\n",
		 "ENV v=1\nRUN a\n",
		 "the variable v is new",
		 {0}},
		{"16.2 one less",
		 "ENV v=1\nRUN a\n",
		 "RUN a\n",
		 "the variable v is gone",
		 {0}},
		{"16.2 their order",
		 "ENV v=1\nENV w=1\nRUN a\n",
		 "ENV w=1\nENV v=1\nRUN a\n",
		 "the order of its environment changed",
		 {0}},
		{"16.3 what is no part of it",
		 "RUN a\n",
		 "LABEL l=1\nEXPOSE 1\nCMD x\nVOLUME /v\nRUN a\n",
		 NULL,
		 {0}},
		{"16.2 the user",
		 "RUN a\n",
		 "USER 0:5\nRUN a\n",
		 "the user changed",
		 {0}},
		{"12.2 by name or number",
		 "USER app\nRUN a\n",
		 "USER 1000\nRUN a\n",
		 NULL,
		 {0}},
		{"16.2 the folder",
		 "RUN a\n",
		 "WORKDIR /w\nRUN a\n",
		 "the folder (WORKDIR) changed",
		 {0}},
		{"16.3 the shell",
		 "RUN a\n",
		 "SHELL [\"/bin/ash\", \"-c\"]\nRUN a\n",
		 "the instruction changed: it was RUN /bin/sh -c a",
		 {0}},
		{"16.2 the network",
		 "RUN a\n",
		 "RUN --network=none a\n",
		 "the instruction changed: it was RUN /bin/sh -c a",
		 {0}},
		{"16.2 not the word for the same",
		 "RUN a\n",
		 "RUN --network=default a\n",
		 NULL,
		 {0}},
		{"16.2 a script",
		 "RUN <<A\n#!/bin/a\nA\n",
		 "RUN <<A\n#!/bin/b\nA\n",
		 "the script changed",
		 {0}},
		{"16.2 not proxies", "RUN a\n", "RUN a\n", NULL, {"HTTP_PROXY=x", NULL}},
	};
	struct store *store = open_store();

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_buf struct buf first = BUF_INIT, second = BUF_INIT;
		struct cache_place place = {0};
		struct digest a, b, prefix = {0};
		auto_free char *why = NULL;
		bool same;

		digest_of(&place.id, v[i].rule, strlen(v[i].rule));
		key_and_text(v[i].first, NULL, &a, &first);
		key_and_text(v[i].second, v[i].args, &b, &second);
		same = digest_equal(&a, &b);
		if (same != !v[i].why)
			fail_msg("%s: %s", v[i].rule, same ? "same key" : "other key");
		if (!v[i].why) {
			assert_string_equal(first.data, second.data);
			continue;
		}
		place.text = first.data;
		cache_set_place(store, &place);
		place.text = second.data;
		why = cache_explain(store, &place, &prefix, NULL);
		if (strcmp(why, v[i].why))
			fail_msg("%s: %s", v[i].rule, why);
	}
	store_close(store);
}

/* What stands in the store must not give values away. */
static void a_value_is_not_in_the_explanation(void **state)
{
	auto_buf struct buf text = BUF_INIT;
	struct digest key;

	(void)state;
	key_and_text("ENV token=hunter2\nRUN a\n", NULL, &key, &text);
	assert_null(strstr(text.data, "hunter2"));
	assert_non_null(strstr(text.data, " the variable token\n"));
}

/* 9.4 */
static void a_failure_says_how_the_process_ended(void **state)
{
	static const struct {
		struct run_result r;
		enum sandbox_mode mode;
		const char *want, *hint;
	} v[] = {
		{{.status = 1}, SANDBOX_ROOT, "exit code: 1", ""},
		{{.status = 137, .signal = 9},
		 SANDBOX_ROOT,
		 "killed by SIGKILL (137)",
		 ""},
		{{.status = 137, .signal = 9, .memory_killed = true},
		 SANDBOX_ROOT,
		 "killed by SIGKILL (137)",
		 "memory"},
		{{.status = 137}, SANDBOX_ROOT, "exit code: 137", ""},
		{{.status = 162, .signal = 34},
		 SANDBOX_ROOT,
		 "killed by signal 34 (162)",
		 ""},
		{{.status = 127}, SANDBOX_ROOT, "exit code: 127", "not found"},
		{{.status = 126}, SANDBOX_ROOT, "exit code: 126", "executable"},
		{{.status = 1, .processes_met = true},
		 SANDBOX_ONE,
		 "exit code: 1",
		 "more than 44 processes at once: build with --ulimit nproc=N"},
		{{.status = 1}, SANDBOX_ONE, "exit code: 1", "one user id"},
		{{.status = 1}, SANDBOX_RANGE, "exit code: 1", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct error err = ERROR_INIT;
		auto_free char *want = xasprintf("process \"/bin/sh -c a \\\"b\\\"\" did "
						 "not complete successfully: %s",
						 v[i].want);
		struct case_run c;

		request(&c, NULL);
		make(&c, "FROM scratch\nRUN a \"b\"\n");
		c.build.mode = v[i].mode;
		c.req.processes = 44;
		assert_int_equal(run_failure(&c.command, &v[i].r, &c.build, &err), -1);
		assert_string_equal(err.msg, want);
		assert_int_equal(error_status(&err), 1);
		if (*v[i].hint ? !strstr(err.hint, v[i].hint) : *err.hint)
			fail_msg("%zu: %s", i, err.hint);
		release(&c);
	}
}

static void a_long_command_is_shortened_in_messages(void **state)
{
	auto_buf struct buf text = BUF_INIT, got = BUF_INIT;
	struct case_run c;

	(void)state;
	buf_adds(&text, "FROM scratch\nRUN ");
	for (int i = 0; i < 300; i++)
		buf_adds(&text, "\xc3\xa4");
	buf_addc(&text, '\n');
	request(&c, NULL);
	make(&c, text.data);
	run_command_quote(&c.command, &got);
	assert_in_range(got.len, 200, 206);
	assert_string_equal(got.data + got.len - 6, "\xc3\xa4...\"");
	release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shell_exec_and_heredoc_forms_become_arguments),
		cmocka_unit_test(the_environment_is_the_images_and_the_args),
		cmocka_unit_test(proxies_are_passed_in_both_cases_and_kept_apart),
		cmocka_unit_test(folder_user_and_network_are_the_stages),
		cmocka_unit_test(what_cannot_be_run_is_refused),
		cmocka_unit_test(the_history_has_the_args_and_the_arguments),
		cmocka_unit_test(a_key_changes_with_what_the_command_can_see),
		cmocka_unit_test(a_value_is_not_in_the_explanation),
		cmocka_unit_test(a_failure_says_how_the_process_ended),
		cmocka_unit_test(a_long_command_is_shortened_in_messages),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
