/*
 * cmd.h - the commands of hod
 *
 * One file for each in builder/cmd/.  To add one: write cmd/NAME.c with its
 * option table and `const struct command cmd_NAME` at the bottom, declare it here, and
 * add it to the table in hod.c; then man/hod.1 (or a page of its own): a test
 * compares the pages with `hod NAME --help`.
 *
 * Commands write results to stdout with stdio and leave the flushing to main, which
 * fails when the bytes could not be written.
 */
#ifndef HOD_CMD_H
#define HOD_CMD_H

#include <stdbool.h>

#include "builder/options.h"

struct app;
struct error;

struct command {
	const char *name;
	const char *operands; /* for the usage line: "[OPTIONS] CONTEXT" */
	const char *summary;  /* "Build an image from a Dockerfile" */
	/* argv[0] is the command's name.  Returns 0, or -1 and err. */
	int (*run)(struct app *app, int argc, char **argv, struct error *err);
};

extern const struct command cmd_build;
extern const struct command cmd_doctor;
extern const struct command cmd_images;
extern const struct command cmd_inspect;
extern const struct command cmd_parse;
extern const struct command cmd_pull;
extern const struct command cmd_push;
extern const struct command cmd_tag;
extern const struct command cmd_version;

/* Parses a command's options together with the global ones, sets the log up by them,
 * and prints the help for --help / -h.  1: the help was printed, return 0 at once;
 * 0: go on; -1 and err (E_USAGE).  min/max: number of operands allowed (max -1: any). */
int command_options(struct app *app, const struct command *cmd, const struct option *v,
		    size_t n, int argc, char **argv, int min, int max,
		    struct strv *operands, struct error *err);

#endif
