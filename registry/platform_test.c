#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/platform.h"

static void texts_are_read_into_one_normal_form(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} t[] = {
		{"linux/amd64", "linux/amd64"},
		{"Linux/AMD64", "linux/amd64"},
		{"amd64", "linux/amd64"},
		{"x86_64", "linux/amd64"},
		{"linux/x86-64", "linux/amd64"},
		{"linux/amd64/v1", "linux/amd64"},
		{"linux/amd64/v3", "linux/amd64/v3"},
		{"aarch64", "linux/arm64"},
		{"linux/arm64/v8", "linux/arm64"},
		{"linux/arm64/8", "linux/arm64"},
		{"linux/arm64/v9", "linux/arm64/v9"},
		{"arm64/v8", "linux/arm64"},
		{"arm", "linux/arm/v7"},
		{"armhf", "linux/arm/v7"},
		{"armel", "linux/arm/v6"},
		{"linux/arm/v6", "linux/arm/v6"},
		{"linux/arm/7", "linux/arm/v7"},
		{"arm/v5", "linux/arm/v5"},
		{"i386", "linux/386"},
		{"linux/s390x", "linux/s390x"},
		{"windows/amd64", "windows/amd64"},
		{"linux/newarch", "linux/newarch"},
		{"", NULL},
		{"/", NULL},
		{"linux/", NULL},
		{"/amd64", NULL},
		{"linux//v7", NULL},
		{"linux/arm/v7/x", NULL},
		{"newarch", NULL},
		{"new/arch", NULL},
		{"linux/am d64", NULL},
		{"linux/amd64\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		auto_platform struct platform p = PLATFORM_INIT;
		auto_free char *got = NULL;
		struct error err = ERROR_INIT;
		int rc = platform_parse(&p, t[i].text, &err);

		if (!t[i].want) {
			assert_int_equal(rc, -1);
			assert_int_equal(err.kind, E_INPUT);
			assert_true(*err.hint);
			continue;
		}
		assert_int_equal(rc, 0);
		got = platform_text(&p);
		assert_string_equal(got, t[i].want);
	}
}

static void linux_alone_means_this_machine(void **state)
{
	auto_platform struct platform host = PLATFORM_INIT, p = PLATFORM_INIT;

	(void)state;
	platform_host(&host);
	assert_int_equal(platform_parse(&p, "linux", NULL), 0);
	assert_true(platform_equal(&host, &p));
	assert_true(*host.arch);
}

static void a_machine_runs_its_own_variant_and_older_ones(void **state)
{
	static const struct {
		const char *want, *have;
		int rank; /* -1 no, 0 the same, 1 an older one */
	} t[] = {
		{"linux/amd64", "linux/amd64", 0},
		{"linux/amd64", "linux/amd64/v1", 0},
		{"linux/amd64/v3", "linux/amd64", 1},
		{"linux/amd64", "linux/amd64/v2", -1},
		{"linux/arm64", "linux/arm64/v8", 0},
		{"linux/arm64", "linux/arm64/v9", -1},
		{"linux/arm64/v9", "linux/arm64", 1},
		{"linux/arm/v7", "linux/arm", 0},
		{"linux/arm/v7", "linux/arm/v6", 1},
		{"linux/arm/v7", "linux/arm/v5", 1},
		{"linux/arm/v6", "linux/arm/v7", -1},
		{"linux/arm64", "linux/arm", -1},
		{"linux/amd64", "windows/amd64", -1},
		{"linux/amd64", "linux/arm64", -1},
		{"linux/mips64/x", "linux/mips64", -1},
		{"linux/mips64/x", "linux/mips64/x", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		auto_platform struct platform want = PLATFORM_INIT, have = PLATFORM_INIT;
		int rank;

		assert_int_equal(platform_parse(&want, t[i].want, NULL), 0);
		assert_int_equal(platform_parse(&have, t[i].have, NULL), 0);
		rank = platform_rank(&want, &have);
		assert_int_equal(rank > 0 ? 1 : rank, t[i].rank);
	}
}

static void a_copy_is_equal_and_its_own(void **state)
{
	auto_platform struct platform a = PLATFORM_INIT, b = PLATFORM_INIT;

	(void)state;
	assert_int_equal(platform_parse(&a, "linux/arm/v6", NULL), 0);
	platform_copy(&b, &a);
	assert_true(platform_equal(&a, &b));
	assert_ptr_not_equal(a.arch, b.arch);
	platform_copy(&b, &b);
	assert_true(platform_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read_into_one_normal_form),
		cmocka_unit_test(linux_alone_means_this_machine),
		cmocka_unit_test(a_machine_runs_its_own_variant_and_older_ones),
		cmocka_unit_test(a_copy_is_equal_and_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
