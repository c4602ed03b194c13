/* Any bytes as a Dockerfile, as words to expand, as patterns, as .dockerignore. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parser/dockerfile.h"
#include "parser/dump.h"
#include "parser/expand.h"
#include "parser/heredoc.h"
#include "parser/ignore.h"
#include "parser/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *ctx, const char *name)
{
	(void)ctx;
	switch (*name & 3) {
	case 0:
		return NULL;
	case 1:
		return "";
	case 2:
		return "some value/with $x 'quotes' and\nlines";
	default:
		return "aaaa\xc3\xa9\xff";
	}
}

static void expand_all(struct arena *a, const struct instruction *in, char escape)
{
	struct expand_unset unset = {0};
	const char *why;
	char **words;

	for (size_t i = 0; i < in->nargs; i++) {
		expand_word_noting(a, in->args[i].text, escape, lookup, NULL, &unset,
				   &why);
		expand_words(a, in->args[i].text, escape, lookup, NULL, &words, &why);
		pattern_match_component(in->args[i].text, "some.name");
	}
	for (size_t i = 0; i < in->npairs; i++) {
		expand_word(a, in->pairs[i].key, escape, lookup, NULL, &why);
		expand_word(a, in->pairs[i].value, escape, lookup, NULL, &why);
	}
	for (size_t i = 0; i < in->nheredocs; i++) {
		size_t len = in->heredocs[i].body_len;

		expand_heredoc(a, in->heredocs[i].body, len, lookup, NULL, NULL, &why);
		heredoc_strip_tabs(a, in->heredocs[i].body, &len);
	}
	if (in->trigger)
		instruction_parse(a, in->trigger_text, escape, 1,
				  &(struct diags){.arena = a});
}

static void ask_ignore(struct arena *a, const char *text, size_t size)
{
	static const char *const paths[] = {"a", "a/b/c", "some.name", "",
					    "dir/\xc3\xa9/x"};
	const char *why;
	unsigned line;
	struct ignore *ig = ignore_parse(a, text, size, &why, &line);

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		/* A path that is ignored and can't come back has no child that is not. */
		if (ignore_matches(ig, paths[i]) && !ignore_may_reinclude(ig, paths[i]) &&
		    !ignore_matches(ig, arena_printf(a, "%s/child", paths[i])))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly that size, so that reading past its end is seen. */
	char *text = malloc(size ? size : 1);
	struct arena a = ARENA_INIT;
	struct diags d = {.arena = &a};
	struct dockerfile *df;

	if (size)
		memcpy(text, data, size);
	df = dockerfile_parse(&a, text, size, &d);
	dockerfile_dump_sexp(&a, df);
	dockerfile_dump_json(&a, df);
	for (size_t i = 0; i < df->ninstructions; i++)
		expand_all(&a, &df->instructions[i], df->escape);
	ask_ignore(&a, text, size);
	arena_release(&a);
	free(text);
	return 0;
}
