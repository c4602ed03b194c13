/*
 * meta.h - instructions that only change the image's configuration
 *
 * ARG, CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, MAINTAINER, SHELL,
 * STOPSIGNAL, USER, VOLUME; and the expansion of words for all instructions.
 */
#ifndef HOD_META_H
#define HOD_META_H

#include <stdbool.h>

struct error;
struct instruction;
struct stage_state;
struct strv;

/* True for the instructions of this module. */
bool meta_is(const struct instruction *in);
/* Applies one, its history entry included.  E_INPUT without a place: the caller adds it.
 */
int meta_apply(struct stage_state *s, const struct instruction *in, struct error *err);

/* Adds SHELL's words, /bin/sh -c by default (13.4). */
void meta_shell(const struct stage_state *s, struct strv *out);

/* A word with the stage's variables, unquoted; lives in the plan's arena.  Unset
 * variables are empty and warned about. */
const char *meta_expand(struct stage_state *s, const struct instruction *in,
			const char *word, struct error *err);

#endif
