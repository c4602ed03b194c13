/*
 * run_command.h - what a RUN runs: arguments, environment, folder, user
 *
 * Made from the instruction and the state of its stage (rules 5.5, 5.6 and 9); nothing of
 * hod's own environment is in it.  What decides the step's key is all here but the
 * proxies.
 */
#ifndef HOD_RUN_COMMAND_H
#define HOD_RUN_COMMAND_H

#include <stdbool.h>

#include "builder/account.h"
#include "registry/base/buf.h"

struct error;
struct hash;
struct instruction;
struct stage_state;

/* A heredoc that begins with #! is a file here, named as the heredoc is. */
#define RUN_SCRIPT_FOLDER "/dev/pipes/"

struct run_command {
	struct strv argv;
	struct strv env;     /* "K=V" */
	struct strv proxies; /* further variables, of no account (6.7) */
	char *cwd;           /* absolute */
	struct account account;
	bool network;
	char *script_name, *script; /* NULL, or what lies in RUN_SCRIPT_FOLDER */
};
void run_command_release(struct run_command *c);

/* E_INPUT for what cannot be run: no words, an unknown user. */
int run_command_make(struct run_command *c, struct stage_state *s,
		     const struct instruction *in, struct error *err);
/* The history entry's text (14.2). */
void run_command_history(const struct run_command *c, const struct stage_state *s,
			 struct buf *out);
/* What is part of the step's key (16.2). */
void run_command_hash(const struct run_command *c, struct hash *h);
/* The same for cache_explain: see cache.h, struct cache_place. */
void run_command_text(const struct run_command *c, struct buf *out);
/* The arguments joined by blanks, quoted, shortened when they are long: for messages. */
void run_command_quote(const struct run_command *c, struct buf *out);

#endif
