#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parser/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 16, 100, 16384, 16385, 1000000, 3};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		unsigned char *p = arena_alloc(&a, sizes[i]);

		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(p[j], 0);
		memset(p, 0xff, sizes[i]);
	}
	arena_release(&a);
}

static void pieces_do_not_overlap(void **state)
{
	struct arena a = ARENA_INIT;
	char *v[2000];

	(void)state;
	for (size_t i = 0; i < 2000; i++)
		v[i] = arena_printf(&a, "%zu %*s", i, (int)(i % 97), "x");
	for (size_t i = 0; i < 2000; i++)
		assert_int_equal(strtoul(v[i], NULL, 10), i);
	arena_release(&a);
}

static void an_arena_is_usable_after_its_release(void **state)
{
	struct arena a = ARENA_INIT;

	(void)state;
	arena_strdup(&a, "first");
	arena_release(&a);
	assert_string_equal(arena_strdup(&a, "second"), "second");
	arena_release(&a);
	arena_release(&a);
}

static void a_copy_keeps_bytes_behind_a_nul(void **state)
{
	struct arena a = ARENA_INIT;

	(void)state;
	assert_memory_equal(arena_strndup(&a, "a\0b", 3), "a\0b", 4);
	arena_release(&a);
}

static void an_array_grows_and_keeps_its_elements(void **state)
{
	struct arena a = ARENA_INIT;
	size_t cap = 0, n = 0, *v = NULL;

	(void)state;
	for (; n < 1000; n++) {
		v = arena_grow(&a, v, n, &cap, sizeof(*v));
		v[n] = n * 3;
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(v[i], i * 3);
	arena_release(&a);
}

static void a_text_collects_pieces(void **state)
{
	struct arena a = ARENA_INIT;
	struct text t = {.arena = &a}, empty = {.arena = &a};

	(void)state;
	text_str(&t, "ab");
	text_char(&t, 'c');
	text_add(&t, "def", 2);
	text_printf(&t, "%d", 7);
	assert_string_equal(text_done(&t), "abcde7");
	assert_int_equal(t.len, 6);
	assert_string_equal(text_done(&empty), "");
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(pieces_do_not_overlap),
		cmocka_unit_test(an_arena_is_usable_after_its_release),
		cmocka_unit_test(a_copy_keeps_bytes_behind_a_nul),
		cmocka_unit_test(an_array_grows_and_keeps_its_elements),
		cmocka_unit_test(a_text_collects_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
