#include "builder/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/build.h"
#include "builder/build_test.h"

static void request_begin(struct build_request *r, const char *target,
			  const char *const *args, const char *const *contexts)
{
	*r = (struct build_request){.target = target};
	platform_set(&r->platform, "linux", "arm64", NULL);
	for (; args && *args; args++)
		strv_add(&r->build_args, *args);
	for (; contexts && *contexts; contexts++)
		strv_add(&r->build_contexts, *contexts);
}

/* "scratch", "stage 0", "context n", or the image's whole name. */
static void from_text(const struct from *f, struct buf *out)
{
	auto_free char *name = NULL;

	switch (f->kind) {
	case FROM_SCRATCH:
		buf_adds(out, "scratch");
		break;
	case FROM_STAGE:
		buf_addf(out, "stage %zu", f->stage);
		break;
	case FROM_CONTEXT:
		buf_addf(out, "context %s", f->context->name);
		break;
	case FROM_IMAGE:
		name = reference_text(&f->image);
		buf_adds(out, name);
		break;
	}
}

/* One line for each stage: needed or not, its base, its copies' sources. */
static void plan_text(const struct plan *p, struct buf *out)
{
	for (size_t i = 0; i < p->nstages; i++) {
		const struct stage *s = p->stages[i].source;

		buf_addf(out, "%s", p->stages[i].needed ? "" : "(");
		from_text(&p->stages[i].from, out);
		for (size_t k = 0; p->stages[i].needed && k < s->count; k++) {
			const struct instruction *in =
				&p->dockerfile->instructions[s->first + k];
			const struct from *f =
				in->kw == KW_COPY ? plan_copy_from(p, in) : NULL;

			if (!f || p->stages[i].replaced)
				continue;
			buf_adds(out, " + ");
			from_text(f, out);
		}
		buf_addf(out, "%s\n", p->stages[i].needed ? "" : ")");
	}
}

struct plan_case {
	const char *rule, *dockerfile, *want;
	const char *target;
	const char *args[3], *contexts[3];
};

static const struct plan_case cases[] = {
	{"7.2 e: a registry's image",
	 "FROM alpine\n",
	 "docker.io/library/alpine:latest\n",
	 NULL,
	 {0},
	 {0}},
	{"7.2 e: with host, tag and digest",
	 "FROM h.example:5000/a/b:1@sha256:"
	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
	 "h.example:5000/a/b:1@sha256:"
	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
	 NULL,
	 {0},
	 {0}},
	{"7.2 c: scratch", "FROM scratch\n", "scratch\n", NULL, {0}, {0}},
	{"7.2 b: an earlier stage",
	 "FROM scratch AS base\nFROM base\n",
	 "scratch\nstage 0\n",
	 NULL,
	 {0},
	 {0}},
	{"7.2 b: names are lower-cased, FROM is not",
	 "FROM scratch AS Base\nFROM base\n",
	 "scratch\nstage 0\n",
	 NULL,
	 {0},
	 {0}},
	{"7.2 b: a stage named scratch goes before",
	 "FROM a AS scratch\nFROM scratch\n",
	 "docker.io/library/a:latest\nstage 0\n",
	 NULL,
	 {0},
	 {0}},
	{"7.2 b: only earlier ones",
	 "FROM later\nFROM scratch AS later\nFROM scratch\nCOPY --from=0 a b\n",
	 "docker.io/library/later:latest\n(scratch)\nscratch + stage 0\n",
	 NULL,
	 {0},
	 {0}},
	{"7.2: FROM knows no numbers",
	 "FROM scratch\nFROM 0\n",
	 "(scratch)\ndocker.io/library/0:latest\n",
	 NULL,
	 {0},
	 {0}},
	{"7.2 a: a context replaces the stage",
	 "FROM alpine AS base\nADD x y\nFROM base\n",
	 "context base\nstage 0\n",
	 NULL,
	 {0},
	 {"base=oci-layout:///x"}},
	{"7.2 d: a context named as the image",
	 "FROM docker.io/library/alpine:latest\n",
	 "context alpine\n",
	 NULL,
	 {0},
	 {"alpine=oci-layout:///x"}},
	{"7.2 d: with its tag",
	 "FROM alpine:3\nFROM h.example/a:1\nCOPY --from=0 a b\n",
	 "context alpine:3\ncontext h.example/a:1 + stage 0\n",
	 NULL,
	 {0},
	 {"alpine:3=oci-layout:///x", "h.example/a:1=oci-layout:///y:t"}},
	{"7.2 d: another tag is another image",
	 "FROM alpine:4\n",
	 "docker.io/library/alpine:4\n",
	 NULL,
	 {0},
	 {"alpine:3=oci-layout:///x"}},
	{"7.3 FROM takes the latest before it",
	 "FROM scratch AS a\nFROM b AS a\nFROM a\n",
	 "(scratch)\ndocker.io/library/b:latest\nstage 1\n",
	 NULL,
	 {0},
	 {0}},
	{"7.3 COPY takes the last in the file",
	 "FROM scratch AS a\nFROM b AS a\nFROM scratch\nCOPY --from=a x y\n",
	 "(scratch)\ndocker.io/library/b:latest\nscratch + stage 1\n",
	 NULL,
	 {0},
	 {0}},
	{"7.4 a number, a name of any case, a context, an image, nothing",
	 "FROM scratch AS a\nFROM scratch\nCOPY --from=0 x y\nCOPY --from=A x y\nCOPY "
	 "--from=ctx x y\n"
	 "COPY --from=img:1 x y\nCOPY --from=scratch x y\nCOPY x y\n",
	 "scratch\nscratch + stage 0 + stage 0 + context ctx + docker.io/library/img:1 + "
	 "scratch\n",
	 NULL,
	 {0},
	 {"ctx=oci-layout:///x"}},
	{"7.5 only what the target needs",
	 "FROM a AS a\nFROM b AS b\nFROM c AS c\nCOPY --from=a x y\nFROM d AS d\n",
	 "docker.io/library/a:latest\n(docker.io/library/b:latest)\ndocker.io/library/"
	 "c:latest + stage 0\n"
	 "(docker.io/library/d:latest)\n",
	 "C",
	 {0},
	 {0}},
	{"7.5 what is not built is not refused",
	 "FROM a AS a\nADD x y\nFROM scratch AS b\n",
	 "(docker.io/library/a:latest)\nscratch\n",
	 NULL,
	 {0},
	 {0}},
	{"6.1 FROM sees global ARGs",
	 "ARG V=3\nARG I=alpine:$V\nFROM ${I}-x\n",
	 "docker.io/library/alpine:3-x\n",
	 NULL,
	 {0},
	 {0}},
	{"6.3 --build-arg wins, what follows sees it",
	 "ARG V=3\nARG I=alpine:$V\nFROM $I\n",
	 "docker.io/library/alpine:9\n",
	 NULL,
	 {"V=9"},
	 {0}},
	{"6.3 a default that is not used is not evaluated",
	 "ARG V=${x:?no}\nFROM a:$V\n",
	 "docker.io/library/a:1\n",
	 NULL,
	 {"V=1"},
	 {0}},
	{"6.3 --build-arg is taken as it is",
	 "ARG V=3\nARG W=4\nFROM a:${W}\n",
	 "docker.io/library/a:4\n",
	 NULL,
	 {"V=$W"},
	 {0}},
	{"6.5 automatic ones are global",
	 "FROM a:$TARGETARCH-${TARGETOS}${TARGETVARIANT}\n",
	 "docker.io/library/a:arm64-linux\n",
	 NULL,
	 {0},
	 {0}},
	{"6.5 and can be given",
	 "FROM a:$TARGETARCH\n",
	 "docker.io/library/a:mine\n",
	 NULL,
	 {"TARGETARCH=mine"},
	 {0}},
	{"6.5 TARGETSTAGE",
	 "FROM a:$TARGETSTAGE AS one\nFROM b AS two\n",
	 "(docker.io/library/a:two)\ndocker.io/library/b:latest\n",
	 NULL,
	 {0},
	 {0}},
	{"6.5 TARGETSTAGE without a name",
	 "FROM a:$TARGETSTAGE\n",
	 "docker.io/library/a:default\n",
	 NULL,
	 {0},
	 {0}},
	{"4.1 FROM stage-${ARG}",
	 "ARG K=dev\nFROM scratch AS s-dev\nFROM b AS s-prod\nFROM s-${K}\n",
	 "scratch\n(docker.io/library/b:latest)\nstage 0\n",
	 NULL,
	 {0},
	 {0}},
};

static int make(struct plan *p, const struct build_request *r, const char *dockerfile,
		struct error *err)
{
	return plan_make(p, r, "Dockerfile", dockerfile, strlen(dockerfile), err);
}

static void from_and_copy_mean_what_the_rules_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct plan_case *c = &cases[i];
		auto_buf struct buf got = BUF_INIT;
		struct error err = ERROR_INIT;
		struct build_request r;
		struct plan p;

		request_begin(&r, c->target, c->args, c->contexts);
		if (make(&p, &r, c->dockerfile, &err) < 0)
			fail_msg("%s: %s", c->rule, err.msg);
		plan_text(&p, &got);
		if (strcmp(got.data, c->want))
			fail_msg("%s:\n%s-- but it is --\n%s", c->rule, c->want,
				 got.data);
		plan_release(&p);
		build_request_release(&r);
	}
}

static void what_cannot_be_built_is_refused_by_name_and_line(void **state)
{
	static const struct {
		const char *dockerfile;
		unsigned line;
		const char *error, *hint;
		const char *target, *context;
	} v[] = {
		{"FROM a\n\nRUN --mount=type=tmpfs,target=/t x\n", 3,
		 "RUN --mount is not supported yet", "", NULL, NULL},
		{"FROM a\nRUN --device=x x\n", 2, "RUN --device is not supported yet", "",
		 NULL, NULL},
		{"FROM a\nRUN --security=insecure x\n", 2, "RUN --security=insecure",
		 "leave", NULL, NULL},
		{"FROM a\nRUN --security=x x\n", 2, "RUN --security=x: there is no",
		 "sandbox", NULL, NULL},
		{"FROM a\nRUN --network=x x\n", 2, "RUN --network=x: there is no",
		 "default, none or host", NULL, NULL},
		{"FROM a\nRUN --network=host x\n", 2, "RUN --network=host is not allowed",
		 "--allow network.host", NULL, NULL},
		{"FROM a\nADD x y\n", 2, "ADD is not supported", "COPY", NULL, NULL},
		{"FROM a\nONBUILD COPY x y\n", 2, "ONBUILD is not supported", "", NULL,
		 NULL},
		{"FROM a\nCOPY --link x y\n", 2, "COPY --link is not supported", "", NULL,
		 NULL},
		{"FROM a\nCOPY --parents x y\n", 2, "COPY --parents is not supported", "",
		 NULL, NULL},
		{"FROM a\nCOPY --exclude=z x y\n", 2, "COPY --exclude is not supported",
		 "", NULL, NULL},
		{"FROM a\nCOPY --chmod=u+x x y\n", 2, "--chmod=u+x: only octal",
		 "--chmod=755", NULL, NULL},
		{"FROM a\nCOPY --chmod=10000 x y\n", 2, "--chmod=10000", "", NULL, NULL},
		{"FROM a\nCOPY --chmod=9 x y\n", 2, "--chmod=9", "", NULL, NULL},
		{"FROM a\nCOPY <<EOF y\nb\nEOF\n", 2, "<<EOF", "", NULL, NULL},
		{"FROM a AS b\nADD x y\nFROM b\n", 2, "ADD is not supported", "", NULL,
		 NULL},
		{"FROM a AS b\nADD x y\nFROM scratch\nCOPY --from=b x y\n", 2,
		 "ADD is not supported", "", NULL, NULL},
		{"FROM a\nCOPY --from=0 x y\n", 2, "cannot copy from itself", "", NULL,
		 NULL},
		{"FROM a AS me\nCOPY --from=ME x y\n", 2, "cannot copy from itself", "",
		 NULL, NULL},
		{"FROM a AS b\nCOPY --from=1 x y\nFROM c\nCOPY --from=0 x y\n", 2,
		 "comes later", "", NULL, NULL},
		{"FROM a AS b\nCOPY --from=c x y\nFROM c AS c\nCOPY --from=b x y\n", 2,
		 "comes later", "", NULL, NULL},
		{"FROM a AS x\nFROM b\nCOPY --from=x p q\nFROM c AS x\nCOPY --from=1 p "
		 "q\n",
		 3, "comes later", "", NULL, NULL},
		{"FROM a\nCOPY --from=7 x y\n", 2, "no stage of that number", "", NULL,
		 NULL},
		{"FROM a\nCOPY --from=99999999999999999999999 x y\n", 2,
		 "no stage of that number", "", NULL, NULL},
		{"ARG s=a\nFROM a AS a\nFROM b\nCOPY --from=$s x y\n", 4, "variable",
		 "FROM $s AS NAME", NULL, NULL},
		{"FROM a\nCOPY --from=Upper x y\n", 2, "COPY --from Upper", "lower", NULL,
		 NULL},
		{"FROM $nope\n", 1, "name is empty", "--build-arg", NULL, NULL},
		{"ARG V\nFROM $V\n", 2, "name is empty", "", NULL, NULL},
		{"ARG V=${x:?no}\nFROM a:$V\n", 1, "ARG V", "", NULL, NULL},
		{"FROM Alpine\n", 1, "FROM Alpine", "lower", NULL, NULL},
		{"FROM --platform=a/b/c/d x\n", 1, "--platform", "", NULL, NULL},
		{"FROM scratch AS Base\nFROM Base\n", 2, "FROM Base", "lower", NULL,
		 NULL},
		{"FROM a AS one\nFROM b AS two\n", 0, "--target twoo",
		 "did you mean two?", "twoo", NULL},
		{"FROM a AS one\n", 0, "--target 0", "", "0", NULL},
		{"FROM a\nCOPPY x y\n", 2, "unknown instruction", "COPY", NULL, NULL},
		{"ARG x=1\n", 1, "no FROM", "", NULL, NULL},
		{"", 0, "", "", NULL, NULL},
		{"COPY a b\n", 1, "", "", NULL, NULL},
		{"FROM a\n", 0, "no NAME=", "", NULL, "oci-layout:///x"},
		{"FROM a\n", 0, "only oci-layout", "", NULL, "a=docker-image://b"},
		{"FROM a\n", 0, "scratch cannot be replaced", "", NULL,
		 "scratch=oci-layout:///x"},
		{"FROM a\n", 0, "Context cannot be replaced", "", NULL,
		 "Context=oci-layout:///x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		const char *const contexts[] = {v[i].context, NULL};
		struct error err = ERROR_INIT;
		struct build_request r;
		struct plan p;

		request_begin(&r, v[i].target, NULL, contexts);
		if (make(&p, &r, v[i].dockerfile, &err) != -1)
			fail_msg("%s", v[i].dockerfile);
		if (error_status(&err) != 2 || (v[i].line && err.line != v[i].line) ||
		    !strstr(err.msg, v[i].error) || !strstr(err.hint, v[i].hint))
			fail_msg("%s: %d %u: %s (%s)", v[i].dockerfile, (int)err.kind,
				 err.line, err.msg, err.hint);
		plan_release(&p);
		build_request_release(&r);
	}
}

/* 9.6: what the command line allows */
static void run_is_built_as_the_command_line_allows(void **state)
{
	static const struct {
		const char *run;
		bool allow;
		enum isolation isolation;
		int status;
	} v[] = {
		{"RUN x", false, ISOLATION_AUTO, 0},
		{"RUN [\"x\"]", false, ISOLATION_ROOT, 0},
		{"RUN <<EOF\nx\nEOF", false, ISOLATION_USERNS, 0},
		{"RUN --network=none --security=sandbox x", false, ISOLATION_AUTO, 0},
		{"RUN --network=default x", false, ISOLATION_AUTO, 0},
		{"RUN --network=host x", true, ISOLATION_AUTO, 0},
		{"RUN --network=host x", false, ISOLATION_AUTO, 2},
		{"RUN x", false, ISOLATION_NONE, 7},
		{"COPY a b", false, ISOLATION_NONE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *text = xasprintf("FROM a\n\n%s\n", v[i].run);
		struct error err = ERROR_INIT;
		struct build_request r;
		struct plan p;

		request_begin(&r, NULL, NULL, NULL);
		r.allow_host_network = v[i].allow;
		r.isolation = v[i].isolation;
		(void)make(&p, &r, text, &err);
		if (error_status(&err) != v[i].status)
			fail_msg("%s: %d: %s", v[i].run, error_status(&err), err.msg);
		assert_int_equal(err.line, v[i].status ? 3 : 0);
		plan_release(&p);
		build_request_release(&r);
	}
}

static void flags_that_are_switched_off_are_fine(void **state)
{
	struct error err = ERROR_INIT;
	struct build_request r;
	struct plan p;

	(void)state;
	request_begin(&r, NULL, NULL, NULL);
	fine(make(&p, &r,
		  "FROM a\nCOPY --link=false --chmod=0755 --chown=$u x y\nCOPY "
		  "--chmod=$m x y\n",
		  &err),
	     &err);
	plan_release(&p);
	build_request_release(&r);
}

static void a_platform_is_the_stages_own_or_the_builds(void **state)
{
	struct error err = ERROR_INIT;
	struct build_request r;
	struct plan p;
	static const char *const want[] = {"linux/arm64", "linux/amd64", "linux/arm64",
					   "linux/arm/v7"};

	(void)state;
	request_begin(&r, NULL, NULL, NULL);
	fine(make(&p, &r,
		  "ARG P=linux/arm/v7\nFROM a\nFROM --platform=linux/amd64 b\n"
		  "FROM --platform=$TARGETPLATFORM c\nFROM --platform=${P} d\n",
		  &err),
	     &err);
	for (size_t i = 0; i < 4; i++) {
		auto_free char *text = platform_text(&p.stages[i].platform);

		assert_string_equal(text, want[i]);
		assert_int_equal(p.stages[i].platform_explicit, i > 0);
	}
	plan_release(&p);
	build_request_release(&r);
}

static void a_context_is_a_folder_and_perhaps_a_tag(void **state)
{
	static const char *const contexts[] = {"a=oci-layout:///x/y",
					       "b=oci-layout://rel:1.2",
					       "c=oci-layout:///p:q/z", NULL};
	struct error err = ERROR_INIT;
	struct build_request r;
	struct plan p;

	(void)state;
	request_begin(&r, NULL, NULL, contexts);
	fine(make(&p, &r, "FROM scratch\n", &err), &err);
	assert_string_equal(p.contexts[0].dir, "/x/y");
	assert_null(p.contexts[0].tag);
	assert_string_equal(p.contexts[1].dir, "rel");
	assert_string_equal(p.contexts[1].tag, "1.2");
	assert_string_equal(p.contexts[2].dir, "/p:q/z");
	assert_null(p.contexts[2].tag);
	plan_release(&p);
	build_request_release(&r);
}

/* A chain of stages is as deep as a file is long. */
static void very_many_stages_are_fine(void **state)
{
	auto_buf struct buf text = BUF_INIT;
	struct error err = ERROR_INIT;
	struct build_request r;
	struct plan p;
	size_t n = 0;
	enum { N = 20000 };

	(void)state;
	buf_adds(&text, "FROM scratch AS s0\n");
	for (int i = 1; i < N; i++)
		buf_addf(&text, "FROM s%d AS s%d\n", i - 1, i);
	request_begin(&r, NULL, NULL, NULL);
	fine(make(&p, &r, text.data, &err), &err);
	for (size_t i = 0; i < p.nstages; i++)
		n += p.stages[i].needed;
	assert_int_equal(n, N);
	plan_release(&p);
	build_request_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_and_copy_mean_what_the_rules_say),
		cmocka_unit_test(what_cannot_be_built_is_refused_by_name_and_line),
		cmocka_unit_test(run_is_built_as_the_command_line_allows),
		cmocka_unit_test(flags_that_are_switched_off_are_fine),
		cmocka_unit_test(a_platform_is_the_stages_own_or_the_builds),
		cmocka_unit_test(a_context_is_a_folder_and_perhaps_a_tag),
		cmocka_unit_test(very_many_stages_are_fine),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
