#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/dockerfile.h"

/* One parse that a test looks at; the arena goes with done(). */
struct parse {
	struct arena arena;
	struct diags diags;
	struct dockerfile *file;
};

static struct parse *parse(const char *text)
{
	static struct parse p;

	p = (struct parse){.arena = ARENA_INIT};
	p.diags.arena = &p.arena;
	p.file = dockerfile_parse(&p.arena, text, strlen(text), &p.diags);
	return &p;
}

static void done(struct parse *p)
{
	arena_release(&p->arena);
}

/* Messages as LINE:COLUMN MESSAGE (HINT), warnings with a w before them. */
static const char *messages(struct parse *p)
{
	struct text t = {.arena = &p->arena};

	for (size_t i = 0; i < p->diags.n; i++) {
		const struct diag *d = &p->diags.v[i];

		text_printf(&t, "%s%u:%u %s", d->level == DIAG_WARNING ? "w" : "",
			    d->line, d->column, d->message);
		text_printf(&t, d->hint ? " (%s)\n" : "%s\n", d->hint ? d->hint : "");
	}
	return text_done(&t);
}

static void mistakes_are_named_with_place_and_hint(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", "1:1 file with no instructions (a Dockerfile begins with FROM)\n"},
		{"# x\n",
		 "1:1 file with no instructions (a Dockerfile begins with FROM)\n"},
		{"RUN x\n",
		 "1:1 no build stage in current context: RUN (put FROM before it; "
		 "only ARG may come first)\n"},
		{"ARG a\n", "1:1 no FROM: there is no stage to build (add FROM IMAGE)\n"},
		{"FORM x\nRUN y\n",
		 "1:1 unknown instruction: FORM (did you mean FROM?)\n"},
		{"FROM x\n  COPPY a b\n",
		 "2:3 unknown instruction: COPPY (did you mean COPY?)\n"},
		{"FROM x\nZZZ\n", "2:1 unknown instruction: ZZZ\n"},
		{"FROM\n",
		 "1:1 FROM requires either one or three arguments (write FROM IMAGE "
		 "or FROM IMAGE AS NAME)\n"},
		{"FROM a b\n",
		 "1:1 FROM requires either one or three arguments (write FROM "
		 "IMAGE or FROM IMAGE AS NAME)\n"},
		{"FROM a of b\n",
		 "1:1 FROM requires either one or three arguments (write FROM "
		 "IMAGE or FROM IMAGE AS NAME)\n"},
		{"FROM a AS 1b\n",
		 "1:11 invalid name for build stage: \"1b\" (a name begins "
		 "with a letter and has letters, digits, - _ .)\n"},
		{"FROM a AS b/c\n",
		 "1:11 invalid name for build stage: \"b/c\" (a name begins "
		 "with a letter and has letters, digits, - _ .)\n"},
		{"FROM a AS b\nFROM c AS B\n",
		 "w2:11 duplicate stage name \"b\", also on line 1\n"},
		{"FROM a AS scratch\n",
		 "w1:11 stage name should not use the reserved name "
		 "\"scratch\"\n"},
		{"FROM --plattform=x a\n", "1:6 unknown flag: --plattform (did you mean "
					   "--platform?)\n"},
		{"FROM x\nUSER --a b\n", "2:6 unknown flag: --a (USER has no flags)\n"},
		{"FROM x\nCOPY --chown a b\n",
		 "2:6 missing a value on flag: --chown (write "
		 "--chown=VALUE)\n"},
		{"FROM x\nCOPY --link= a b\n", "2:6 missing a value on flag: --link\n"},
		{"FROM x\nCOPY --link=yes a b\n",
		 "2:6 expecting boolean value for flag --link, "
		 "not: yes\n"},
		{"FROM x\nCOPY --chmod=1 --chmod=2 a b\n",
		 "2:16 duplicate flag specified: "
		 "--chmod\n"},
		{"FROM x\nCOPY --From=x a b\n", "2:6 unknown flag: --From (did you mean "
						"--from?)\n"},
		{"FROM x\nCOPY --from=$a b c\n",
		 "2:6 variable expansion is not supported for "
		 "--from (define a new stage: FROM $a AS NAME)\n"},
		{"FROM x\nCOPY a\n",
		 "2:1 COPY requires at least two arguments, but only one was "
		 "provided: destination could not be determined (write COPY "
		 "SOURCE... DESTINATION)\n"},
		{"FROM x\nADD\n",
		 "2:1 ADD requires at least two arguments (write ADD SOURCE... "
		 "DESTINATION)\n"},
		{"FROM x\nCOPY a <<EOF\nEOF\n", "2:8 COPY cannot accept a heredoc as a "
						"destination\n"},
		{"FROM x\nRUN <<EOF\nUSER y\n",
		 "2:1 unterminated heredoc: no line EOF (the last "
		 "line is the word alone, without blanks around "
		 "it)\n"},
		{"FROM x\nENV a\n",
		 "2:5 ENV must have two arguments (write ENV a=VALUE)\n"},
		{"FROM x\nENV\n", "2:1 ENV requires at least one argument\n"},
		{"FROM x\nENV a=b c d=e\n",
		 "2:9 syntax error: can't find = in \"c\": must be of "
		 "the form name=value (put quotes around a value with "
		 "blanks)\n"},
		{"FROM x\nLABEL =b\n", "2:7 LABEL names can not be blank\n"},
		{"ARG =b\nFROM x\n", "1:5 ARG names can not be blank\n"},
		{"FROM x\nARG\n", "2:1 ARG requires at least one argument\n"},
		{"FROM x\nCMD [\"a\", 1]\n",
		 "2:11 when using JSON array syntax, arrays must be "
		 "comprised of strings only (put it between double "
		 "quotes)\n"},
		{"FROM x\nSHELL sh -c\n",
		 "2:1 SHELL requires the arguments to be in JSON form "
		 "(write SHELL [\"/bin/sh\", \"-c\"])\n"},
		{"FROM x\nSHELL []\n", "2:1 SHELL requires at least one argument\n"},
		{"FROM x\nWORKDIR\n", "2:1 WORKDIR requires exactly one argument\n"},
		{"FROM x\nEXPOSE\n", "2:1 EXPOSE requires at least one argument\n"},
		{"FROM x\nVOLUME [\" \"]\n",
		 "2:9 VOLUME specified can not be an empty string\n"},
		{"FROM x\nHEALTHCHECK\n",
		 "2:1 HEALTHCHECK requires at least one argument\n"},
		{"FROM x\nHEALTHCHECK curl x\n",
		 "2:13 unknown type \"curl\" in HEALTHCHECK (write "
		 "HEALTHCHECK CMD curl)\n"},
		{"FROM x\nHEALTHCHECK CMD\n",
		 "2:1 missing command after HEALTHCHECK CMD\n"},
		{"FROM x\nHEALTHCHECK NONE x\n",
		 "2:1 HEALTHCHECK NONE takes no arguments\n"},
		{"FROM x\nHEALTHCHECK --interval=5 CMD x\n",
		 "2:13 --interval: not a duration: 5 "
		 "(write it as in 1m30s)\n"},
		{"FROM x\nHEALTHCHECK --timeout=1us CMD x\n",
		 "2:13 --timeout cannot be less than "
		 "1ms\n"},
		{"FROM x\nHEALTHCHECK --retries=-1 CMD x\n",
		 "2:13 --retries cannot be negative "
		 "(-1)\n"},
		{"FROM x\nHEALTHCHECK --retries=1x CMD x\n",
		 "2:13 --retries: not a number: 1x\n"},
		{"FROM x\nONBUILD\n", "2:1 ONBUILD requires at least one argument\n"},
		{"FROM x\nONBUILD ONBUILD RUN x\n",
		 "2:9 chaining ONBUILD via ONBUILD ONBUILD "
		 "isn't allowed\n"},
		{"FROM x\nONBUILD from y\n",
		 "2:9 FROM isn't allowed as an ONBUILD trigger\n"},
		{"FROM x\nONBUILD COPY y\n",
		 "w2:9 COPY requires at least two arguments, but only "
		 "one was provided: destination could not be "
		 "determined (write COPY SOURCE... DESTINATION)\n"},
		{"FROM x\nRUN a \\\n b \\\n\n c\nCOPY \\\n --bad=1 \\\n a b\n",
		 "w4:1 empty line inside a continued instruction\n"
		 "7:2 unknown flag: --bad\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct parse *p = parse(cases[i].text);

		if (strcmp(messages(p), cases[i].want) != 0)
			fail_msg("%s gives\n%s, not\n%s", cases[i].text, messages(p),
				 cases[i].want);
		done(p);
	}
}

static void several_errors_come_in_one_run(void **state)
{
	struct parse *p = parse("FROM a\nCOPY x\nRUM y\nWORKDIR\nUSER u\nENV a\n");

	(void)state;
	assert_int_equal(p->diags.errors, 4);
	assert_int_equal(p->diags.v[3].line, 6);
	assert_int_equal(p->file->ninstructions, 6);
	done(p);
}

static void what_is_right_gives_no_message(void **state)
{
	static const char *const texts[] = {
		"FROM --platform= a\n",
		"from a as b_1.c-d\ncopy --from=x a b",
		"FROM x\nHEALTHCHECK --foo NONE\nSTOPSIGNAL --bar 9\nARG --baz q\n",
		"FROM x\nHEALTHCHECK --interval=0 --timeout=1h2m3.5s --start-period=1ms "
		"--start-interval=10s --retries=3 cmd x\n",
		"FROM x\nCOPY --link --parents=TRUE --exclude=a --exclude=b --chown= a "
		"b\n",
		"FROM x\nADD --keep-git-dir=false --checksum=sha256:0 --unpack a b\n",
		"FROM x\nRUN --mount=type=a --mount=type=b --network=none --security=x "
		"y\n",
		"FROM x\nCMD []\nENTRYPOINT []\nRUN\nCMD\n",
		"FROM x\nCOPY --from='a$' b c\n",
		"FROM x\nVOLUME a b\nEXPOSE 1 2\nMAINTAINER me and you\nLABEL a=b\n",
		"FROM x\nENV a b\nENV b=",
		"ARG a\nARG b=c\nFROM x\n",
		"FROM x\nONBUILD RUN x\nONBUILD COPY --from=y a b\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct parse *p;

		p = parse(texts[i]);
		if (p->diags.n)
			fail_msg("%s gives %s", texts[i], messages(p));
		done(p);
	}
}

static void stages_hold_their_instructions(void **state)
{
	struct parse *p =
		parse("ARG V=1\nARG W\nFROM --platform=$P a:$V AS First\nRUN x\n"
		      "USER y\nFROM first\nFROM scratch as three\nCMD z\n");
	const struct dockerfile *f = p->file;

	(void)state;
	assert_int_equal(p->diags.n, 0);
	assert_int_equal(f->nglobal, 2);
	assert_int_equal(f->nstages, 3);
	assert_string_equal(f->stages[0].base, "a:$V");
	assert_string_equal(f->stages[0].platform, "$P");
	assert_string_equal(f->stages[0].name, "first");
	assert_int_equal(f->stages[0].line, 3);
	assert_int_equal(f->stages[0].first, 3);
	assert_int_equal(f->stages[0].count, 2);
	assert_null(f->stages[1].name);
	assert_null(f->stages[1].platform);
	assert_int_equal(f->stages[1].count, 0);
	assert_string_equal(f->stages[2].name, "three");
	assert_int_equal(f->stages[2].first, 7);
	assert_int_equal(f->instructions[f->stages[2].first].kw, KW_CMD);
	done(p);
}

static void pairs_keep_quotes_and_their_form(void **state)
{
	struct parse *p =
		parse("ARG a=b c d=\nFROM x\nENV a=\"b c\" d=e=f\nLABEL k  v w=x  \n");
	const struct instruction *in = p->file->instructions;

	(void)state;
	assert_int_equal(p->diags.n, 0);
	assert_int_equal(in[0].npairs, 3);
	assert_string_equal(in[0].pairs[0].value, "b");
	assert_true(in[0].pairs[0].has_value);
	assert_string_equal(in[0].pairs[1].key, "c");
	assert_false(in[0].pairs[1].has_value);
	assert_true(in[0].pairs[2].has_value);
	assert_string_equal(in[0].pairs[2].value, "");
	assert_string_equal(in[2].pairs[0].value, "\"b c\"");
	assert_string_equal(in[2].pairs[1].key, "d");
	assert_string_equal(in[2].pairs[1].value, "e=f");
	assert_int_equal(in[2].pairs[1].column, 13);
	assert_false(in[2].pairs[1].legacy);
	assert_int_equal(in[3].npairs, 1);
	assert_string_equal(in[3].pairs[0].key, "k");
	assert_string_equal(in[3].pairs[0].value, "v w=x");
	assert_true(in[3].pairs[0].legacy);
	done(p);
}

static void heredocs_belong_to_their_sources(void **state)
{
	struct parse *p =
		parse("FROM x\nCOPY <<a file <<-'b' <<a /d/\n1\na\n\t2\n\tb\n3\na\n"
		      "COPY [\"<<a\", \"/x\"]\nRUN cat <<E\n$x\nE\nUSER y\n");
	const struct instruction *in = &p->file->instructions[1];

	(void)state;
	assert_int_equal(p->diags.n, 0);
	assert_int_equal(in->nargs, 5);
	assert_int_equal(in->nheredocs, 3);
	assert_int_equal(in->line, 2);
	assert_int_equal(in->end_line, 8);
	assert_true(in->heredocs[0].expand);
	assert_false(in->heredocs[1].expand);
	assert_true(in->heredocs[1].strip_tabs);
	assert_string_equal(in->heredocs[1].body, "\t2\n");
	assert_int_equal(in->heredocs[1].line, 5);
	/* Of two with one name the last counts. */
	assert_ptr_equal(in->args[0].heredoc, &in->heredocs[2]);
	assert_null(in->args[1].heredoc);
	assert_ptr_equal(in->args[2].heredoc, &in->heredocs[1]);
	assert_null(in->args[4].heredoc);
	assert_true(in[1].json);
	assert_null(in[1].args[0].heredoc);
	assert_string_equal(in[2].args[0].text, "cat <<E");
	assert_string_equal(in[2].heredocs[0].body, "$x\n");
	assert_int_equal(in[3].kw, KW_USER);
	done(p);
}

/* 5.8 */
static void onbuild_stores_its_text_and_bodies(void **state)
{
	struct parse *p = parse("FROM x\nonbuild  copy <<A <<-B \\\n /d\n1\nA\n\t2\n\tB\n"
				"ONBUILD RUN echo  'a'  \nONBUILD ENV a=b\n");
	const struct instruction *in = &p->file->instructions[1];

	(void)state;
	assert_int_equal(p->diags.n, 0);
	assert_string_equal(in->trigger_text, "copy <<A <<-B  /d\n1\nA\n\t2\nB");
	assert_int_equal(in->trigger->kw, KW_COPY);
	assert_int_equal(in->trigger->nheredocs, 2);
	assert_string_equal(in->trigger->args[0].heredoc->body, "1\n");
	assert_int_equal(in->trigger->line, 2);
	assert_int_equal(in->trigger->column, 10);
	assert_string_equal(in[1].trigger_text, "RUN echo  'a'  ");
	assert_string_equal(in[1].trigger->args[0].text, "echo  'a'");
	assert_string_equal(in[2].trigger->pairs[0].key, "a");
	done(p);
}

static void a_trigger_is_one_instruction(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{"RUN x", true},
		{"COPY <<A /d\n1\nA", true},
		{"", false},
		{"RUN x\nRUN y", false},
		{"FROM x", false},
		{"ONBUILD RUN x", false},
		{"MAINTAINER x", false},
		{"COPY x", false},
		{"COPY <<A /d\n1\n", false},
		{"NONSENSE", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena a = ARENA_INIT;
		struct diags d = {.arena = &a};
		struct instruction *in =
			instruction_parse(&a, cases[i].text, '\\', 7, &d);

		assert_int_equal(in != NULL, cases[i].good);
		assert_int_equal(d.errors == 0, cases[i].good);
		if (in)
			assert_int_equal(in->line, 7);
		arena_release(&a);
	}
}

static void a_nul_byte_is_one_error_and_no_end(void **state)
{
	static const char text[] = "FROM x\nRUN a\0b\0c\nUSER y\n";
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};
	struct dockerfile *f = dockerfile_parse(&a, text, sizeof(text) - 1, &d);

	(void)state;
	assert_int_equal(d.errors, 1);
	assert_int_equal(d.v[0].line, 2);
	assert_int_equal(d.v[0].column, 6);
	assert_int_equal(f->ninstructions, 3);
	assert_int_equal(f->instructions[2].kw, KW_USER);
	arena_release(&a);
}

static void the_type_of_a_healthcheck_is_in_upper_case(void **state)
{
	struct parse *p =
		parse("FROM x\nHEALTHCHECK cmd [\"a\", \"b\"]\nHEALTHCHECK None\n");
	const struct instruction *in = &p->file->instructions[1];

	(void)state;
	assert_int_equal(p->diags.n, 0);
	assert_true(in->json);
	assert_int_equal(in->nargs, 3);
	assert_string_equal(in->args[0].text, "CMD");
	assert_string_equal(in->health_type, "cmd");
	assert_string_equal(in->args[2].text, "b");
	assert_string_equal(in[1].args[0].text, "NONE");
	assert_false(in[1].json);
	done(p);
}

static void flags_are_found_by_name(void **state)
{
	struct parse *p = parse("FROM x\nCOPY --link --parents=False --from=y a b\n");
	const struct instruction *in = &p->file->instructions[1];

	(void)state;
	assert_string_equal(instruction_flag(in, "from")->value, "y");
	assert_null(instruction_flag(in, "link")->value);
	assert_null(instruction_flag(in, "chown"));
	assert_true(instruction_flag_on(in, "link"));
	assert_false(instruction_flag_on(in, "parents"));
	assert_false(instruction_flag_on(in, "chmod"));
	done(p);
}

static void keywords_are_found_in_any_case(void **state)
{
	(void)state;
	for (enum keyword kw = 0; kw < KW_COUNT; kw++)
		assert_int_equal(keyword_find(keyword_name(kw), strlen(keyword_name(kw))),
				 kw);
	assert_int_equal(keyword_find("HealthCheck", 11), KW_HEALTHCHECK);
	assert_int_equal(keyword_find("RUNS", 4), KW_COUNT);
	assert_int_equal(keyword_find("RUNS", 3), KW_RUN);
	assert_int_equal(keyword_find("", 0), KW_COUNT);
}

static void durations_are_those_of_go(void **state)
{
	static const struct {
		const char *text;
		bool good;
		long long ns;
	} cases[] = {
		{"0", true, 0},
		{"5s", true, 5000000000},
		{"1h2m3.5s", true, 3723500000000},
		{"1.5h", true, 5400000000000},
		{"100ms", true, 100000000},
		{"1us2ns", true, 1002},
		{"1\xc2\xb5s", true, 1000},
		{".5s", true, 500000000},
		{"5.s", true, 5000000000},
		{"-1m", true, -60000000000},
		{"+1m", true, 60000000000},
		{"", false, 0},
		{"5", false, 0},
		{"s", false, 0},
		{".s", false, 0},
		{"1d", false, 0},
		{"1 s", false, 0},
		{"1s ", false, 0},
		{"99999999999999999999s", false, 0},
		{"9999999999h", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		long long ns = 0;

		if (duration_parse(cases[i].text, &ns) != cases[i].good ||
		    ns != cases[i].ns)
			fail_msg("%s gives %lld", cases[i].text, ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_named_with_place_and_hint),
		cmocka_unit_test(several_errors_come_in_one_run),
		cmocka_unit_test(what_is_right_gives_no_message),
		cmocka_unit_test(stages_hold_their_instructions),
		cmocka_unit_test(pairs_keep_quotes_and_their_form),
		cmocka_unit_test(heredocs_belong_to_their_sources),
		cmocka_unit_test(onbuild_stores_its_text_and_bodies),
		cmocka_unit_test(a_trigger_is_one_instruction),
		cmocka_unit_test(a_nul_byte_is_one_error_and_no_end),
		cmocka_unit_test(the_type_of_a_healthcheck_is_in_upper_case),
		cmocka_unit_test(flags_are_found_by_name),
		cmocka_unit_test(keywords_are_found_in_any_case),
		cmocka_unit_test(durations_are_those_of_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
