#include "builder/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/build.h"
#include "builder/build_test.h"
#include "builder/stage.h"

/* A stage on nothing, or on a base whose config is given, with a Dockerfile's
 * instructions applied. */
struct fixture {
	struct build_request req;
	struct build b;
	struct stage_state *s;
};

static void begin(struct fixture *f, const char *dockerfile, const char *base,
		  const char *const *args)
{
	struct error err = ERROR_INIT;
	auto_free char *text = xasprintf("FROM scratch\n%s", dockerfile);

	*f = (struct fixture){
		.b = {.time = 1000000000, .time_text = "2001-09-09T01:46:40Z"}};
	for (; args && *args; args++)
		strv_add(&f->req.build_args, *args);
	platform_set(&f->req.platform, "linux", "amd64", NULL);
	f->b.request = &f->req;
	fine(plan_make(&f->b.plan, &f->req, "Dockerfile", text, strlen(text), &err),
	     &err);
	f->s = stage_from_image(&f->b, "x", NULL, &f->req.platform, &err);
	assert_non_null(f->s);
	if (base) {
		image_config_release(&f->s->config);
		fine(image_config_parse(&f->s->config, base, strlen(base), &err), &err);
		strv_copy(&f->s->vars, &f->s->config.env);
	}
}

static int apply(struct fixture *f, struct error *err)
{
	struct dockerfile *df = f->b.plan.dockerfile;

	for (size_t i = 1; i < df->ninstructions; i++) {
		assert_true(meta_is(&df->instructions[i]));
		if (meta_apply(f->s, &df->instructions[i], err) < 0)
			return -1;
	}
	return 0;
}

static void end(struct fixture *f)
{
	stage_free(f->s);
	plan_release(&f->b.plan);
	build_request_release(&f->req);
}

/* The config object's text, or the whole document's member. */
static char *config_text(struct fixture *f)
{
	struct buf out = BUF_INIT;

	image_config_write(&f->s->config, &out);
	return buf_detach(&out);
}

struct meta_case {
	const char *rule, *dockerfile;
	const char *config;  /* a part of the JSON document */
	const char *history; /* created_by of the last entry */
	const char *args[3];
	const char *base; /* config document of the base */
};

#define ENV_PATH "\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\""
#define BASE(fields)                                                       \
	"{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{" fields \
	"},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}"

static const struct meta_case cases[] = {
	{"11.2 ENV",
	 "ENV a=1 b=\"x y\" c=z\\ w",
	 "\"Env\":[" ENV_PATH ",\"a=1\",\"b=x y\",\"c=z w\"]",
	 "ENV a=1 b=x y c=z w",
	 {0},
	 NULL},
	{"11.1 ENV's old form",
	 "ENV a  one   two  ",
	 "\"a=one   two\"]",
	 "ENV a=one   two",
	 {0},
	 NULL},
	{"11.2 an empty value", "ENV a= b=", "\"a=\",\"b=\"]", "ENV a= b=", {0}, NULL},
	{"11.3 ENV replaces in place",
	 "ENV a=1 b=2\nENV a=3",
	 "\"a=3\",\"b=2\"]",
	 "ENV a=3",
	 {0},
	 NULL},
	{"11.3 keys are expanded",
	 "ENV k=name\nENV ${k}_x=1",
	 "\"name_x=1\"]",
	 "ENV name_x=1",
	 {0},
	 NULL},
	{"4.2 the map is frozen",
	 "ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc",
	 "\"abc=bye\",\"def=hello\",\"ghi=bye\"]",
	 "ENV ghi=bye",
	 {0},
	 NULL},
	{"4.2 but ARG goes on one by one",
	 "ARG a=1 b=$a\nENV c=$b",
	 "\"c=1\"]",
	 "ENV c=1",
	 {0},
	 NULL},
	{"4.3 quotes",
	 "ENV a='$PATH' b=\"\\$x\" c=\"\\y\"",
	 "\"a=$PATH\",\"b=$x\",\"c=\\\\y\"]",
	 "ENV a=$PATH b=$x c=\\y",
	 {0},
	 NULL},
	{"4.5 modifiers",
	 "ENV e=\nENV a=${e:-d} b=${e-d} c=${e:+d}c d=${e+d} f=${u:-${e:-n}}",
	 "\"a=d\",\"b=\",\"c=c\",\"d=d\",\"f=n\"]",
	 "ENV a=d b= c=c d=d f=n",
	 {0},
	 NULL},
	{"4.6 patterns",
	 "ENV f=a.tar.gz\nENV a=${f%.*} b=${f%%.*} c=${f#*.} d=${f/a/b}",
	 "\"a=a.tar\",\"b=a\",\"c=tar.gz\",\"d=b.tar.gz\"]",
	 NULL,
	 {0},
	 NULL},
	{"4.7 unset is empty", "ENV a=x${nope}y", "\"a=xy\"]", "ENV a=xy", {0}, NULL},
	{"11.3 LABEL",
	 "LABEL \"a.b\"=\"c d\" z=1\nLABEL z=2",
	 "\"Labels\":{\"a.b\":\"c d\",\"z\":\"2\"}",
	 "LABEL z=2",
	 {0},
	 NULL},
	{"11.1 LABEL's old form",
	 "LABEL some text here",
	 "\"Labels\":{\"some\":\"text here\"}",
	 "LABEL some=text here",
	 {0},
	 NULL},
	{"6.1 ARG is in no config",
	 "ARG a=1",
	 "\"config\":{\"Env\":[" ENV_PATH "],\"WorkingDir\":\"/\"}",
	 "ARG a=1",
	 {0},
	 NULL},
	{"14.2 ARG without a value", "ARG a b=2", NULL, "ARG a b=2", {0}, NULL},
	{"6.3 --build-arg wins and is literal",
	 "ARG a=1\nENV b=$a",
	 "\"b=$PATH\\\"'\"]",
	 "ENV b=$PATH\"'",
	 {"a=$PATH\"'"},
	 NULL},
	{"6.4 an empty --build-arg is set",
	 "ARG a=1\nENV b=x${a-unset}",
	 "\"b=x\"]",
	 NULL,
	 {"a="},
	 NULL},
	{"6.4 of two the last counts",
	 "ARG a\nENV b=$a",
	 "\"b=2\"]",
	 NULL,
	 {"a=1", "a=2"},
	 NULL},
	{"6.4 without ARG it has no effect",
	 "ENV b=x$a",
	 "\"b=x\"]",
	 NULL,
	 {"a=1"},
	 NULL},
	{"6.5 automatic ones need a bare ARG",
	 "ENV a=x$TARGETARCH",
	 "\"a=x\"]",
	 NULL,
	 {0},
	 NULL},
	{"6.5 and are there with one",
	 "ARG TARGETARCH\nARG TARGETPLATFORM\nENV a=$TARGETARCH,$TARGETPLATFORM",
	 "\"a=amd64,linux/amd64\"]",
	 NULL,
	 {0},
	 NULL},
	{"6.6 a default hides the automatic value",
	 "ARG TARGETARCH=m68k\nENV a=$TARGETARCH",
	 "\"a=m68k\"]",
	 NULL,
	 {0},
	 NULL},
	{"6.9 ENV after ARG wins",
	 "ARG a=1\nENV a=2\nENV b=$a",
	 "\"a=2\",\"b=2\"]",
	 NULL,
	 {0},
	 NULL},
	{"6.9 ARG after ENV wins, not in the image",
	 "ENV a=2\nARG a=1\nENV b=$a",
	 "\"a=2\",\"b=1\"]",
	 NULL,
	 {0},
	 NULL},
	{"6.9 a bare ARG without value leaves ENV",
	 "ENV a=2\nARG a\nENV b=$a",
	 "\"b=2\"]",
	 NULL,
	 {0},
	 NULL},
	{"13.1 CMD's shell form",
	 "CMD echo $HOME \"x\"",
	 "\"Cmd\":[\"/bin/sh\",\"-c\",\"echo $HOME \\\"x\\\"\"]",
	 "CMD [\"/bin/sh\" \"-c\" \"echo $HOME \\\"x\\\"\"]",
	 {0},
	 NULL},
	{"13.1 CMD's exec form",
	 "CMD [\"a\", \"b c\"]",
	 "\"Cmd\":[\"a\",\"b c\"]",
	 "CMD [\"a\" \"b c\"]",
	 {0},
	 NULL},
	{"13.1 CMD []", "CMD []", "\"Cmd\":[]", "CMD []", {0}, NULL},
	{"13.1 ArgsEscaped", "CMD [\"a\"]", "\"ArgsEscaped\":true", NULL, {0}, NULL},
	{"13.2 ENTRYPOINT clears an inherited Cmd",
	 "ENTRYPOINT [\"e\"]",
	 "\"config\":{\"Env\":[\"PATH=/bin\"],\"Entrypoint\":[\"e\"]}",
	 "ENTRYPOINT [\"e\"]",
	 {0},
	 BASE("\"Env\":[\"PATH=/bin\"],\"Cmd\":[\"c\"]")},
	{"13.2 not one of this stage",
	 "CMD [\"c\"]\nENTRYPOINT [\"e\"]",
	 "\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"]",
	 NULL,
	 {0},
	 BASE("\"Cmd\":[\"old\"]")},
	{"13.2 CMD leaves ENTRYPOINT",
	 "CMD [\"c\"]",
	 "\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"]",
	 NULL,
	 {0},
	 BASE("\"Entrypoint\":[\"e\"]")},
	{"13.2 ENTRYPOINT []",
	 "ENTRYPOINT []",
	 "\"config\":{\"User\":\"u\"}",
	 "ENTRYPOINT []",
	 {0},
	 BASE("\"User\":\"u\",\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"]")},
	{"13.2 ENTRYPOINT's shell form",
	 "ENTRYPOINT run it",
	 "\"Entrypoint\":[\"/bin/sh\",\"-c\",\"run it\"]",
	 "ENTRYPOINT [\"/bin/sh\" \"-c\" \"run it\"]",
	 {0},
	 NULL},
	{"13.4 SHELL",
	 "SHELL [\"/bin/bash\", \"-euo\", \"pipefail\", \"-c\"]\nCMD x",
	 "\"Cmd\":[\"/bin/bash\",\"-euo\",\"pipefail\",\"-c\",\"x\"]",
	 "CMD [\"/bin/bash\" \"-euo\" \"pipefail\" \"-c\" \"x\"]",
	 {0},
	 NULL},
	{"13.4 SHELL is kept",
	 "SHELL [\"/bin/bash\", \"-c\"]",
	 "\"Shell\":[\"/bin/bash\",\"-c\"]",
	 "SHELL [/bin/bash -c]",
	 {0},
	 NULL},
	{"13.4 the base's SHELL counts",
	 "ENTRYPOINT x",
	 "\"Entrypoint\":[\"/bin/ash\",\"-x\",\"x\"]",
	 NULL,
	 {0},
	 BASE("\"Shell\":[\"/bin/ash\",\"-x\"]")},
	{"3.1 what is no JSON is shell form",
	 "CMD ['a']",
	 "\"Cmd\":[\"/bin/sh\",\"-c\",\"['a']\"]",
	 NULL,
	 {0},
	 NULL},
	{"13.4 HEALTHCHECK in shell form is without SHELL",
	 "SHELL [\"/bin/bash\", \"-c\"]\nHEALTHCHECK --interval=1m30s --timeout=500ms "
	 "--retries=3 CMD curl x",
	 "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl x\"],\"Interval\":90000000000,"
	 "\"Timeout\":500000000,\"Retries\":3}",
	 "HEALTHCHECK {Test:[CMD-SHELL curl x] Interval:1m30s Timeout:500ms "
	 "StartPeriod:0s "
	 "StartInterval:0s Retries:3}",
	 {0},
	 NULL},
	{"13.5 HEALTHCHECK's exec form",
	 "HEALTHCHECK --start-period=2s --start-interval=1s cmd [\"a\", \"b\"]",
	 "\"Healthcheck\":{\"Test\":[\"CMD\",\"a\",\"b\"],\"StartPeriod\":2000000000,"
	 "\"StartInterval\":1000000000}",
	 "HEALTHCHECK {Test:[CMD a b] Interval:0s Timeout:0s StartPeriod:2s "
	 "StartInterval:1s Retries:0}",
	 {0},
	 NULL},
	{"13.5 HEALTHCHECK NONE replaces all of it",
	 "HEALTHCHECK none",
	 "\"Healthcheck\":{\"Test\":[\"NONE\"]}",
	 "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s "
	 "StartInterval:0s Retries:0}",
	 {0},
	 BASE("\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],\"Interval\":1000000000,"
	      "\"Retries\":2}")},
	{"13.6 STOPSIGNAL is stored as written",
	 "STOPSIGNAL sigquit",
	 "\"StopSignal\":\"sigquit\"",
	 "STOPSIGNAL sigquit",
	 {0},
	 NULL},
	{"13.6 without SIG, or a number",
	 "STOPSIGNAL 9\nSTOPSIGNAL RTMIN+3\nSTOPSIGNAL TERM",
	 "\"StopSignal\":\"TERM\"",
	 "STOPSIGNAL TERM",
	 {0},
	 NULL},
	{"4.1 STOPSIGNAL is expanded",
	 "ENV s=KILL\nSTOPSIGNAL SIG$s",
	 "\"StopSignal\":\"SIGKILL\"",
	 NULL,
	 {0},
	 NULL},
	{"13.7 EXPOSE",
	 "EXPOSE 80 443/TCP 53/udp",
	 "\"ExposedPorts\":{\"443/tcp\":{},\"53/udp\":{},\"80/tcp\":{}}",
	 "EXPOSE [443/tcp 53/udp 80/tcp]",
	 {0},
	 NULL},
	{"13.7 ranges",
	 "EXPOSE 8080-8082/sctp",
	 "\"ExposedPorts\":{\"8080/sctp\":{},\"8081/sctp\":{},\"8082/sctp\":{}}",
	 "EXPOSE [8080/sctp 8081/sctp 8082/sctp]",
	 {0},
	 NULL},
	{"13.7 the container's port of the long form",
	 "EXPOSE 127.0.0.1:80:8080",
	 "\"ExposedPorts\":{\"8080/tcp\":{}}",
	 "EXPOSE [8080/tcp]",
	 {0},
	 NULL},
	{"4.8 EXPOSE gets several words of one",
	 "ENV p=\"3000 4000/udp\"\nEXPOSE $p",
	 "\"ExposedPorts\":{\"3000/tcp\":{},\"4000/udp\":{}}",
	 "EXPOSE [3000/tcp 4000/udp]",
	 {0},
	 NULL},
	{"13.7 ports are a set, the base's stay",
	 "EXPOSE 80 80/tcp 0 65535",
	 "\"ExposedPorts\":{\"0/tcp\":{},\"1/udp\":{},\"65535/tcp\":{},\"80/tcp\":{}}",
	 NULL,
	 {0},
	 BASE("\"ExposedPorts\":{\"80/tcp\":{},\"1/udp\":{}}")},
	{"13.8 VOLUME is kept as written",
	 "VOLUME /b/../a /c/\nVOLUME [\"/x y\"]",
	 "\"Volumes\":{\"/b/../a\":{},\"/c/\":{},\"/x y\":{}}",
	 "VOLUME [/x y]",
	 {0},
	 NULL},
	{"14.2 VOLUME", "VOLUME /a /b", NULL, "VOLUME [/a /b]", {0}, NULL},
	{"12.1 USER is stored as written",
	 "ENV u=app\nUSER ${u}:staff",
	 "\"User\":\"app:staff\"",
	 "USER app:staff",
	 {0},
	 NULL},
	{"13.9 MAINTAINER",
	 "MAINTAINER A B <a@b.c> $x",
	 "\"author\":\"A B <a@b.c> $x\"",
	 "MAINTAINER A B <a@b.c> $x",
	 {0},
	 NULL},
	{"7.7 what the base has stays",
	 "LABEL n=1",
	 "\"config\":{\"User\":\"u\",\"Env\":[\"A=b\"],\"Entrypoint\":[\"e\"],\"Cmd\":["
	 "\"c\"],"
	 "\"WorkingDir\":\"/"
	 "w\",\"Labels\":{\"l\":\"v\",\"n\":\"1\"},\"StopSignal\":\"HUP\"}",
	 NULL,
	 {0},
	 BASE("\"User\":\"u\",\"Env\":[\"A=b\"],\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"],"
	      "\"WorkingDir\":\"/w\","
	      "\"Labels\":{\"l\":\"v\"},\"StopSignal\":\"HUP\"")},
};

static void check_case(const struct meta_case *c)
{
	struct fixture f;
	struct error err = ERROR_INIT;
	auto_free char *text = NULL;
	const struct history *h;

	begin(&f, c->dockerfile, c->base, c->args);
	if (apply(&f, &err) < 0)
		fail_msg("%s: %s", c->rule, err.msg);
	text = config_text(&f);
	if (c->config && !strstr(text, c->config))
		fail_msg("%s: %s", c->rule, text);
	h = &f.s->config.history[f.s->config.nhistory - 1];
	if (c->history && strcmp(h->created_by, c->history))
		fail_msg("%s: %s", c->rule, h->created_by);
	/* 14.1: one entry each, empty, with the build's time and no comment */
	assert_true(h->empty_layer);
	assert_string_equal(h->created, "2001-09-09T01:46:40Z");
	assert_null(h->comment);
	assert_int_equal(f.s->config.nhistory, f.b.plan.dockerfile->ninstructions - 1);
	end(&f);
}

static void each_instruction_makes_its_config_and_history(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_case(&cases[i]);
}

static void what_an_instruction_cannot_mean_is_refused(void **state)
{
	static const struct {
		const char *dockerfile, *error;
	} v[] = {
		{"ENV a=\"${x:?is needed}\"", "is needed"},
		{"ENV a=${x", "x"},
		{"ENV a=${x:=y}", "x"},
		{"ENV $x=1", "name is empty"},
		{"LABEL a=\"open", "open"},
		{"ARG a=${x?}", "not allowed to be"},
		{"STOPSIGNAL SIGNOPE", "SIGNOPE"},
		{"STOPSIGNAL 0", "0"},
		{"STOPSIGNAL -1", "-1"},
		{"STOPSIGNAL $x", "no such signal"},
		{"EXPOSE 65536", "65536"},
		{"EXPOSE 80/icmp", "80/icmp"},
		{"EXPOSE 90-80", "90-80"},
		{"EXPOSE -1", "-1"},
		{"EXPOSE 80-", "80-"},
		{"EXPOSE 99999999999999999999", "99999999999999999999"},
		{"EXPOSE http", "http"},
		{"VOLUME $x", "path is empty"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct fixture f;
		struct error err = ERROR_INIT;

		begin(&f, v[i].dockerfile, NULL, NULL);
		if (!apply(&f, &err) || err.kind != E_INPUT ||
		    !strstr(err.msg, v[i].error))
			fail_msg("%s: %s", v[i].dockerfile, err.msg);
		end(&f);
	}
}

static void a_bare_build_arg_is_the_environments(void **state)
{
	static const char *const args[] = {"HOD_TEST_ARG", "HOD_TEST_UNSET", NULL};
	struct fixture f;
	struct error err = ERROR_INIT;
	auto_free char *text = NULL;

	(void)state;
	setenv("HOD_TEST_ARG", "from outside", 1);
	unsetenv("HOD_TEST_UNSET");
	begin(&f,
	      "ARG HOD_TEST_ARG=x\nARG HOD_TEST_UNSET=y\nENV a=$HOD_TEST_ARG "
	      "b=$HOD_TEST_UNSET",
	      NULL, args);
	fine(apply(&f, &err), &err);
	text = config_text(&f);
	assert_non_null(strstr(text, "\"a=from outside\",\"b=y\""));
	end(&f);
}

/* Linear, or this takes minutes. */
static void all_ports_can_be_exposed_at_once(void **state)
{
	struct fixture f;
	struct error err = ERROR_INIT;

	(void)state;
	begin(&f, "EXPOSE 0-65535/tcp 0-65535/udp\nEXPOSE 0-65535", NULL, NULL);
	fine(apply(&f, &err), &err);
	assert_int_equal(f.s->config.exposed_ports.n, 2 * 65536);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_instruction_makes_its_config_and_history),
		cmocka_unit_test(what_an_instruction_cannot_mean_is_refused),
		cmocka_unit_test(a_bare_build_arg_is_the_environments),
		cmocka_unit_test(all_ports_can_be_exposed_at_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
