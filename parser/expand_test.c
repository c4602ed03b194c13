#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/expand.h"

static const char *lookup(void *ctx, const char *name)
{
	static const char *const vars[][2] = {
		{"set", "val"},
		{"empty", ""},
		{"two", "a b"},
		{"ports", "3000  4000/udp"},
		{"path", "/usr/local/bin/x.tar.gz"},
		{"star", "*"},
		{"\xc3\xa9t\xc3\xa9", "summer"},
		{"dollar", "$0-$0"},
		{"lines", "ab\ncab"},
		{"accents", "\xc3\xa9\xc3\xa0"},
		{"quote", "'\""},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(vars) / sizeof(*vars); i++)
		if (!strcmp(vars[i][0], name))
			return vars[i][1];
	return NULL;
}

struct table {
	const char *word, *want;
};

static void check_words(const struct table *cases, size_t n)
{
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < n; i++) {
		const char *why = NULL;
		char *got = expand_word(&a, cases[i].word, '\\', lookup, NULL, &why);

		if (!got)
			fail_msg("%s: %s", cases[i].word, why);
		else if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s gives %s, not %s", cases[i].word, got,
				 cases[i].want);
	}
	arena_release(&a);
}

#define CHECK_WORDS(cases) check_words(cases, sizeof(cases) / sizeof(*(cases)))

/* 4.3 */
static void quotes_and_escapes_are_resolved(void **state)
{
	static const struct table cases[] = {
		{"", ""},
		{"abc", "abc"},
		{"a b  c", "a b  c"},
		{"'a $set \\'b", "a $set \\b"},
		{"\"a $set b\"", "a val b"},
		{"a'b'\"c\"d", "abcd"},
		{"\\$set", "$set"},
		{"\\a\\\\", "a\\"},
		{"a\\", "a"},
		{"\"\\\"\\$\\\\\\a\"", "\"$\\\\a"},
		{"'\"'\"'\"", "\"'"},
		{"\"\"", ""},
		{"\\\xc3\xa9", "\xc3\xa9"},
		{"\xff$set\xff", "\xffval\xff"},
		{"$quote", "'\""},
	};

	(void)state;
	CHECK_WORDS(cases);
}

/* 4.4, 4.7 */
static void names_end_where_they_must(void **state)
{
	static const struct table cases[] = {
		{"$set", "val"},
		{"$set.x", "val.x"},
		{"$set-$set", "val-val"},
		{"$setx", ""},
		{"${set}x", "valx"},
		{"x$unset-y", "x-y"},
		{"$", "$"},
		{"a$", "a$"},
		{"$/x", "$/x"},
		{"$ x", "$ x"},
		{"$12a", "a"},
		{"$@$*$#$?$-$$$!$0x", "x"},
		{"\"$\"", "$"},
		{"$\xc3\xa9t\xc3\xa9", "summer"},
		{"$set\xe2\x82\xac", "val\xe2\x82\xac"},
		{"${set}${two}", "vala b"},
	};

	(void)state;
	CHECK_WORDS(cases);
}

/* 4.5 */
static void defaults_and_alternatives_depend_on_the_value(void **state)
{
	static const struct table cases[] = {
		{"${set:-w}", "val"},
		{"${empty:-w}", "w"},
		{"${unset:-w}", "w"},
		{"${set-w}", "val"},
		{"${empty-w}", ""},
		{"${unset-w}", "w"},
		{"${set:+w}", "w"},
		{"${empty:+w}", ""},
		{"${unset:+w}", ""},
		{"${set+w}", "w"},
		{"${empty+w}", "w"},
		{"${unset+w}", ""},
		{"${set:?w}", "val"},
		{"${set?w}", "val"},
		{"${empty?w}", ""},
		{"${unset:-}", ""},
		{"${unset:-$set}", "val"},
		{"${unset:-${empty:-${set}}}x", "valx"},
		{"${unset:-'a}b'}", "a}b"},
		{"${unset:-a\\}b}", "a}b"},
		{"${unset:-\"$two\"}", "a b"},
		{"${unset:-a b}c", "a bc"},
	};

	(void)state;
	CHECK_WORDS(cases);
}

/* 4.6; a POSIX shell agrees on # and %. */
static void prefixes_and_suffixes_are_removed(void **state)
{
	static const struct table cases[] = {
		{"${path#*/}", "usr/local/bin/x.tar.gz"},
		{"${path##*/}", "x.tar.gz"},
		{"${path%.*}", "/usr/local/bin/x.tar"},
		{"${path%%.*}", "/usr/local/bin/x"},
		{"${path#x}", "/usr/local/bin/x.tar.gz"},
		{"${path#/usr}", "/local/bin/x.tar.gz"},
		{"${path%gz}", "/usr/local/bin/x.tar."},
		{"${path#/?"
		 "?"
		 "?/}",
		 "local/bin/x.tar.gz"},
		{"${path##*}", ""},
		{"${path#*}", "/usr/local/bin/x.tar.gz"},
		{"${set#$star}", "val"},
		{"${set##$star}", ""},
		{"${set#\\*}", "val"},
		{"${star#\\*}", ""},
		{"${accents#?}", "\xc3\xa0"},
		{"${accents%?}", "\xc3\xa9"},
		{"${unset#a}", ""},
		{"${set#}", "val"},
		{"${lines##*b}", "\ncab"},
		{"${path%/*/*}", "/usr/local"},
		{"${path%%/*/*}", ""},
	};

	(void)state;
	CHECK_WORDS(cases);
}

/* 4.6 */
static void patterns_are_replaced(void **state)
{
	static const struct table cases[] = {
		{"${path/local/x}", "/usr/x/bin/x.tar.gz"},
		{"${path/\\//x}", "xusr/local/bin/x.tar.gz"},
		{"${path//\\//_}", "_usr_local_bin_x.tar.gz"},
		{"${path/b*./-}", "/usr/local/-gz"},
		{"${path/a/}", "/usr/locl/bin/x.tar.gz"},
		{"${path//a/}", "/usr/locl/bin/x.tr.gz"},
		{"${path//[a]/x}", "/usr/local/bin/x.tar.gz"},
		{"${two/ /$set}", "avalb"},
		{"${path/nothing/x}", "/usr/local/bin/x.tar.gz"},
		{"${set/?/x}", "xal"},
		{"${set//?/x}", "xxx"},
		{"${set/l/\\}}", "va\\}"},
		{"${set/*/$dollar}", "$0-$0"},
		{"${set//*/$dollar}", "val-val"},
		{"${set///-}", "-v-a-l-"},
		{"${lines//a*/x}", "x\ncx"},
		{"${unset/a/b}", ""},
	};

	(void)state;
	CHECK_WORDS(cases);
}

static void a_wrong_word_says_what_and_where(void **state)
{
	static const struct table cases[] = {
		{"'abc", "failed to process \"'abc\": unexpected end of statement while "
			 "looking for matching single-quote"},
		{"a\"b", "failed to process \"a\"b\": unexpected end of statement while "
			 "looking for matching double-quote"},
		{"${", "failed to process \"${\": missing '}'"},
		{"${set", "failed to process \"${set\": missing '}'"},
		{"${set:", "failed to process \"${set:\": missing '}'"},
		{"${set:-x", "failed to process \"${set:-x\": missing '}'"},
		{"${}", "failed to process \"${}\": bad substitution"},
		{"${:-x}", "failed to process \"${:-x}\": bad substitution"},
		{"${{x}}", "failed to process \"${{x}}\": bad substitution"},
		{"${unset:?}",
		 "failed to process \"${unset:?}\": unset: is not allowed to "
		 "be unset"},
		{"${empty:?}",
		 "failed to process \"${empty:?}\": empty: is not allowed to "
		 "be empty"},
		{"${unset?no $set}",
		 "failed to process \"${unset?no $set}\": unset: no val"},
		{"${set:=x}",
		 "failed to process \"${set:=x}\": set: modifier not supported "
		 "in substitution: :="},
		{"${set:#x}",
		 "failed to process \"${set:#x}\": set: modifier not supported "
		 "in substitution: :#"},
		{"${set=x}",
		 "failed to process \"${set=x}\": set: modifier not supported in "
		 "substitution: ="},
		{"${set^}",
		 "failed to process \"${set^}\": set: modifier not supported in "
		 "substitution: ^"},
		{"${set/a}", "failed to process \"${set/a}\": missing '/' in ${}"},
		{"${set/a/b", "failed to process \"${set/a/b\": missing '}'"},
		{"${set#\\a}", "failed to process \"${set#\\a}\": set: invalid escape in "
			       "pattern \\a"},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why = "";

		assert_null(expand_word(&a, cases[i].word, '\\', lookup, NULL, &why));
		assert_string_equal(why, cases[i].want);
	}
	arena_release(&a);
}

/* 4.9 */
static void the_escape_directive_counts(void **state)
{
	struct arena a = ARENA_INIT;
	const char *why;

	(void)state;
	assert_string_equal(expand_word(&a, "c:\\$set`$x`\"", '`', lookup, NULL, &why),
			    "c:\\val$x\"");
	arena_release(&a);
}

/* 4.8 */
static void expose_gets_several_words(void **state)
{
	static const struct {
		const char *word, *want;
	} cases[] = {
		{"$ports", "[3000][4000/udp]"},
		{"80", "[80]"},
		{"a$ports", "[a3000][4000/udp]"},
		{"\"$ports\"", "[3000  4000/udp]"},
		{"'a b'", "[a b]"},
		{"a\\ b", "[a b]"},
		{"$unset", ""},
		{"", ""},
		{"${unset:-1 2}", "[1][2]"},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct text t = {.arena = &a};
		const char *why;
		char **words = NULL;
		size_t n =
			expand_words(&a, cases[i].word, '\\', lookup, NULL, &words, &why);

		for (size_t j = 0; j < n; j++)
			text_printf(&t, "[%s]", words[j]);
		assert_string_equal(text_done(&t), cases[i].want);
	}
	assert_true(expand_words(&a, "${", '\\', lookup, NULL, &(char **){NULL},
				 &(const char *){NULL}) == (size_t)-1);
	arena_release(&a);
}

/* 5.7 */
static void a_heredoc_keeps_its_quotes(void **state)
{
	static const struct table cases[] = {
		{"a 'b' \"c\"\n", "a 'b' \"c\"\n"},
		{"it's $set\n", "it's val\n"},
		{"\\$set \\\\ \\n\\\nx", "$set \\ n\nx"},
		{"${unset:-'$set'}", "'val'"},
		{"'$set'", "'val'"},
		{"", ""},
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why = NULL;
		size_t len;
		char *got = expand_heredoc(&a, cases[i].word, strlen(cases[i].word),
					   lookup, NULL, &len, &why);

		assert_string_equal(got, cases[i].want);
		assert_int_equal(len, strlen(cases[i].want));
	}
	arena_release(&a);
}

static void unset_names_are_noted_once(void **state)
{
	struct expand_unset unset = {0};
	struct arena a = ARENA_INIT;
	const char *why;

	(void)state;
	expand_word_noting(&a, "$a ${b} ${c:-x} ${d+y} $a \"$e\" '$f' $set ${g#x}", '\\',
			   lookup, NULL, &unset, &why);
	assert_int_equal(unset.n, 4);
	assert_string_equal(unset.v[0], "a");
	assert_string_equal(unset.v[1], "b");
	assert_string_equal(unset.v[2], "e");
	assert_string_equal(unset.v[3], "g");
	arena_release(&a);
}

static const char *long_value(void *ctx, const char *name)
{
	(void)name;
	return ctx;
}

static void depth_and_length_are_bounded(void **state)
{
	static char value[1 << 20], word[100000];
	struct arena a = ARENA_INIT;
	const char *why = "";

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	for (size_t i = 0; i < 40; i++)
		memcpy(word + 2 * i, "$v", 2);
	assert_null(expand_word(&a, word, '\\', long_value, value, &why));
	assert_non_null(strstr(why, "longer than 16 MiB"));
	for (size_t i = 0; i + 4 < sizeof(word); i += 4)
		memcpy(word + i, "${a-", 4);
	assert_null(expand_word(&a, word, '\\', lookup, NULL, &why));
	assert_non_null(strstr(why, "nested too deeply"));
	arena_release(&a);
}

/* Both would take ages if a star were tried at every place. */
static void many_stars_take_no_time(void **state)
{
	static char value[20001];
	struct arena a = ARENA_INIT;
	const char *why;

	(void)state;
	memset(value, 'a', sizeof(value) - 1);
	assert_string_equal(expand_word(&a, "${v##*a*a*a*a*a*a*a*a*a*a*b}", '\\',
					long_value, value, &why),
			    value);
	assert_string_equal(expand_word(&a, "${v//a*a*a*a*a*a*a*a*a*b/x}", '\\',
					long_value, value, &why),
			    value);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_and_escapes_are_resolved),
		cmocka_unit_test(names_end_where_they_must),
		cmocka_unit_test(defaults_and_alternatives_depend_on_the_value),
		cmocka_unit_test(prefixes_and_suffixes_are_removed),
		cmocka_unit_test(patterns_are_replaced),
		cmocka_unit_test(a_wrong_word_says_what_and_where),
		cmocka_unit_test(the_escape_directive_counts),
		cmocka_unit_test(expose_gets_several_words),
		cmocka_unit_test(a_heredoc_keeps_its_quotes),
		cmocka_unit_test(unset_names_are_noted_once),
		cmocka_unit_test(depth_and_length_are_bounded),
		cmocka_unit_test(many_stars_take_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
