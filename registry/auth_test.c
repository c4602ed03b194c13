#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/auth.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/reference.h"

static char home[] = "/tmp/auth-test-XXXXXX";

static void put(const char *name, const char *text)
{
	auto_free char *path = xasprintf("%s/%s", home, name);
	FILE *f;

	for (char *p = path + strlen(home) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(home));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (const char *const *p =
		     (const char *const[]){".docker/config.json", ".docker",
					   "d/config.json", "d", "r.json", "f.json",
					   "run/containers/auth.json", "run/containers",
					   "run", ".config/containers/auth.json",
					   ".config/containers", ".config", NULL};
	     *p; p++) {
		auto_free char *path = xasprintf("%s/%s", home, *p);

		remove(path);
	}
	return rmdir(home);
}

/* Every variable that is looked at, for each test anew. */
static int clean_environment(void **state)
{
	(void)state;
	setenv("HOME", "/nowhere", 1);
	unsetenv("DOCKER_CONFIG");
	unsetenv("DOCKER_AUTH_CONFIG");
	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_CONFIG_HOME");
	return 0;
}

/* What is sent to the registry of an image name; "" for nothing, the error's message
 * else. */
static char *login(const char *authfile, const char *name, struct error *err)
{
	struct auth *a = auth_new(authfile);
	auto_reference struct reference r = REFERENCE_INIT;
	char *ret = NULL, *text;
	const char *source = NULL;

	memset(err, 0, sizeof(*err));
	assert_int_equal(reference_parse(&r, name, NULL), 0);
	if (auth_basic(a, &r, &ret, &source, err) < 0) {
		assert_null(ret);
		text = xstrdup(err->msg);
	} else {
		assert_int_equal(!ret, !source);
		text = xstrdup(ret ? ret : "");
	}
	auth_wipe(ret);
	auth_free(a);
	return text;
}

/* The expected values are those of base64(1). */
#define A_B "Basic YTpi"          /* a:b */
#define USER "Basic dXNlcjpwOnc=" /* user:p:w */

static void entries_match_from_the_path_up_to_the_host(void **state)
{
	static const struct {
		const char *auths, *name, *want;
	} table[] = {
		{"{\"h.x\":{\"auth\":\"YTpi\"}}", "h.x/r", A_B},
		{"{\"https://h.x\":{\"auth\":\"YTpi\"}}", "h.x/r", A_B},
		{"{\"http://h.x\":{\"auth\":\"YTpi\"}}", "h.x/r", A_B},
		{"{\"https://h.x/v1/\":{\"auth\":\"YTpi\"}}", "h.x/r", A_B},
		{"{\"h.x/\":{\"auth\":\"YTpi\"}}", "h.x/r", ""},
		{"{\"h.x/v2/\":{\"auth\":\"YTpi\"}}", "h.x/r", ""},
		{"{\"h.x\":{\"auth\":\"YTpi\"}}", "h.x:5000/r", ""},
		{"{\"h.x:5000\":{\"auth\":\"YTpi\"}}", "h.x:5000/r", A_B},
		{"{\"h.x:5000\":{\"auth\":\"YTpi\"}}", "h.x/r", ""},
		{"{\"h.x\":{\"auth\":\"YTpi\"}}", "sub.h.x/r", ""},
		{"{\"h.x/a/b\":{\"auth\":\"dXNlcjpwOnc=\"},\"h.x\":{\"auth\":\"YTpi\"}}",
		 "h.x/a/b/c", USER},
		{"{\"h.x/a/b\":{\"auth\":\"dXNlcjpwOnc=\"},\"h.x\":{\"auth\":\"YTpi\"}}",
		 "h.x/a/bc", A_B},
		{"{\"h.x/a\":{\"auth\":\"YTpi\"}}", "h.x/b", ""},
		{"{\"h.x\":{\"username\":\"user\",\"password\":\"p:w\"}}", "h.x/r", USER},
		{"{\"h.x\":{\"auth\":\"\",\"username\":\"a\",\"password\":\"b\"}}",
		 "h.x/r", A_B},
		{"{\"h.x\":{\"auth\":\"dXNlcjpwOnc\"}}", "h.x/r", USER},
		{"{\"https://index.docker.io/v1/\":{\"auth\":\"YTpi\"}}", "alpine", A_B},
		{"{\"docker.io\":{\"auth\":\"YTpi\"}}", "alpine", A_B},
		{"{\"https://index.docker.io/v1/\":{\"auth\":\"YTpi\"}}", "h.x/r", ""},
		{"{\"h.x\":{}}", "h.x/r", ""},
		{"{\"h.x\":7}", "h.x/r", ""},
		{"7", "h.x/r", ""},
	};
	auto_free char *file = xasprintf("%s/f.json", home);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *text = xasprintf("{\"auths\":%s}", table[i].auths),
			       *got = NULL;
		struct error err;

		put("f.json", text);
		got = login(file, table[i].name, &err);
		assert_string_equal(got, table[i].want);
	}
}

static void set_dir(const char *variable, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", home, name);

	setenv(variable, path, 1);
}

static char *of_user(const char *password)
{
	return xasprintf("{\"auths\":{\"h.x\":{\"username\":\"u\",\"password\":\"%s\"}}}",
			 password);
}

/* Each file knows the same host; the first that is there wins. */
static void files_are_asked_in_order(void **state)
{
	static const struct {
		const char *name, *want;
	} table[] = {
		{"f.json", "Basic dTox"},                   /* --authfile, u:1 */
		{NULL, "Basic dToy"},                       /* DOCKER_AUTH_CONFIG, u:2 */
		{"d/config.json", "Basic dToz"},            /* DOCKER_CONFIG, u:3 */
		{"r.json", "Basic dTo0"},                   /* REGISTRY_AUTH_FILE, u:4 */
		{".docker/config.json", "Basic dTo1"},      /* u:5 */
		{"run/containers/auth.json", "Basic dTo2"}, /* u:6 */
		{".config/containers/auth.json", "Basic dTo3"}, /* u:7 */
	};
	auto_free char *file = xasprintf("%s/f.json", home);

	(void)state;
	setenv("HOME", home, 1);
	set_dir("XDG_RUNTIME_DIR", "run");
	for (size_t i = sizeof(table) / sizeof(table[0]); i-- > 0;) {
		char number[2] = {(char)('1' + i), 0};
		auto_free char *text = of_user(number), *got = NULL;
		struct error err;

		if (table[i].name)
			put(table[i].name, text);
		if (i == 3)
			set_dir("REGISTRY_AUTH_FILE", "r.json");
		if (i == 2)
			set_dir("DOCKER_CONFIG", "d");
		if (i == 1)
			setenv("DOCKER_AUTH_CONFIG", text, 1);
		/* REGISTRY_AUTH_FILE comes before ~/.docker */
		got = login(i == 0 ? file : NULL, "h.x/r", &err);
		assert_string_equal(got, table[i].want);
	}
	/* a variable replaces the default that it stands for */
	clean_environment(NULL);
	setenv("HOME", home, 1);
	put("d/config.json", "{}");
	put("r.json", "{}");
	set_dir("DOCKER_CONFIG", "d");
	set_dir("REGISTRY_AUTH_FILE", "r.json");
	{
		struct error err;
		auto_free char *got = login(NULL, "h.x/r", &err);

		assert_string_equal(got, "");
	}
}

static void what_cannot_be_read_is_named_without_its_content(void **state)
{
	static const struct {
		const char *text, *want;
		enum error_kind kind;
	} table[] = {
		{"{\"auths\":{\"h.x\":{\"auth\":\"hunter2", "f.json", E_INPUT},
		{"[\"hunter2\"]", "f.json", E_INPUT},
		{"{\"auths\":{\"h.x\":{\"auth\":\"hunter2!\"}}}", "h.x", E_INPUT},
		{"{\"auths\":{\"h.x\":{\"auth\":\"hunter2hunter2==\"}}}", "h.x", E_INPUT},
		{"{\"auths\":{\"h.x\":{\"auth\":\"aHVudGVyMg==\"}}}", "h.x", E_INPUT},
		{"{\"credHelpers\":{\"h.x\":\"ecr-login\"}}", "helper ecr-login", E_AUTH},
		{"{\"auths\":{\"h.x\":{}},\"credsStore\":\"desktop\"}", "helper desktop",
		 E_AUTH},
	};
	auto_free char *file = xasprintf("%s/f.json", home);
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *got = NULL;

		put("f.json", table[i].text);
		got = login(file, "h.x/r", &err);
		assert_int_equal(err.kind, table[i].kind);
		assert_non_null(strstr(got, table[i].want));
		assert_null(strstr(got, "hunter2"));
	}
	{
		auto_free char *got = login("/nowhere/auth.json", "h.x/r", &err);

		assert_non_null(strstr(got, "/nowhere/auth.json"));
		assert_int_equal(err.kind, E_INPUT);
	}
}

static void a_helper_does_not_matter_where_an_entry_has_a_password(void **state)
{
	static const char *const table[][2] = {
		{"{\"credHelpers\":{\"h.x\":\"e\"},\"auths\":{\"h.x\":{\"auth\":\"YTpi\"}"
		 "}}",
		 A_B},
		{"{\"credHelpers\":{\"other\":\"e\"}}", ""},
		{"{\"credsStore\":\"desktop\"}", ""},
	};
	auto_free char *file = xasprintf("%s/f.json", home);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		auto_free char *got = NULL;
		struct error err;

		put("f.json", table[i][0]);
		got = login(file, "h.x/r", &err);
		assert_string_equal(got, table[i][1]);
	}
}

static void the_first_known_challenge_counts(void **state)
{
	static const struct {
		const char *header;
		enum challenge_scheme want;
	} table[] = {
		{"Basic realm=\"x\"", CHALLENGE_BASIC},
		{"basic", CHALLENGE_BASIC},
		{"BASIC realm=x, charset=\"UTF-8\"", CHALLENGE_BASIC},
		{"Bearer "
		 "realm=\"https://a/t\",service=\"s\",scope=\"repository:a:pull,push\"",
		 CHALLENGE_BEARER},
		{"Negotiate, Basic realm=\"x\"", CHALLENGE_BASIC},
		{"Negotiate YII/+==, bearer realm=x", CHALLENGE_BEARER},
		{"Digest realm=\"Basic \\\" , Bearer x\", nonce=\"y\", Basic realm=\"z\"",
		 CHALLENGE_BASIC},
		{"Digest realm=\"Basic realm=x\"", CHALLENGE_NONE},
		{"Digest basic=\"x\"", CHALLENGE_NONE},
		{"Digest a = \"1\" , Basic", CHALLENGE_BASIC},
		{"Bearer realm=\"x\", Basic realm=\"y\"", CHALLENGE_BEARER},
		{",,, Basic realm=\"x\"", CHALLENGE_BASIC},
		{"BasicX realm=\"x\"", CHALLENGE_NONE},
		{"Digest realm=\"unfinished Basic", CHALLENGE_NONE},
		{"Digest realm=\"\\", CHALLENGE_NONE},
		{"", CHALLENGE_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(challenge_parse(table[i].header), table[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries_match_from_the_path_up_to_the_host,
				       clean_environment),
		cmocka_unit_test_setup(files_are_asked_in_order, clean_environment),
		cmocka_unit_test_setup(what_cannot_be_read_is_named_without_its_content,
				       clean_environment),
		cmocka_unit_test_setup(
			a_helper_does_not_matter_where_an_entry_has_a_password,
			clean_environment),
		cmocka_unit_test(the_first_known_challenge_counts),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
