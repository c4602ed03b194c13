/* hod - builds container images without Docker: the command table, and the end of every
 * run */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/app.h"
#include "builder/cmd.h"
#include "builder/run_worker.h"
#include "parser/diag.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/interrupt.h"
#include "registry/base/log.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define EXCERPT_MAX 200

static const struct command *const commands[] = {
	&cmd_build, &cmd_doctor, &cmd_images, &cmd_inspect, &cmd_parse,
	&cmd_pull,  &cmd_push,   &cmd_tag,    &cmd_version,
};

/* docker's second names: hod image ls is hod images. */
static const struct {
	const char *name;
	const struct command *command;
} image_commands[] = {
	{"build", &cmd_build}, {"inspect", &cmd_inspect}, {"ls", &cmd_images},
	{"pull", &cmd_pull},   {"push", &cmd_push},       {"tag", &cmd_tag},
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static const struct command *find_image_command(const char *name)
{
	for (size_t i = 0; i < COUNT(image_commands); i++)
		if (!strcmp(image_commands[i].name, name))
			return image_commands[i].command;
	return NULL;
}

static int unknown_command(const char *name, struct error *err)
{
	const char *names[COUNT(commands) + 2];
	const char *near;

	for (size_t i = 0; i < COUNT(commands); i++)
		names[i] = commands[i]->name;
	names[COUNT(commands)] = "image";
	names[COUNT(commands) + 1] = "help";
	near = diag_nearest(name, names, COUNT(names));
	error_set(err, E_USAGE, "unknown command %s", name);
	return near ? error_hint(err, "did you mean %s?", near)
		    : error_hint(err, "see hod --help");
}

/* --version stands alone: only hod itself knows it. */
static const struct option version_option = {"version", 0,    OPTION_BOOL,
					     NULL,      NULL, "show the version"};

static int print_help(struct app *app)
{
	auto_buf struct buf text = BUF_INIT;
	struct option options[APP_OPTIONS + 1];

	memcpy(options, app->options, sizeof(app->options));
	options[APP_OPTIONS] = version_option;
	buf_adds(&text, "Usage:  hod [OPTIONS] COMMAND\n\n"
			"Build container images without Docker\n\n"
			"Commands:\n");
	for (size_t i = 0; i < COUNT(commands); i++)
		buf_addf(&text, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	buf_addf(&text, "  %-10s %s\n", "image", "The same commands as docker image has");
	buf_adds(&text, "\nGlobal options:\n");
	options_usage(&(struct option_table){options, APP_OPTIONS + 1}, &text);
	buf_adds(&text, "\n'hod COMMAND --help' tells more about a command.\n");
	fputs(text.data, stdout);
	return 0;
}

static int print_image_help(void)
{
	puts("Usage:  hod image COMMAND\n\nImages, by docker's second "
	     "names\n\nCommands:");
	for (size_t i = 0; i < COUNT(image_commands); i++) {
		const struct command *cmd = find_image_command(image_commands[i].name);

		printf("  %-10s %s\n", image_commands[i].name, cmd ? cmd->summary : "");
	}
	puts("\n'hod image COMMAND --help' tells more about a command.");
	return 0;
}

/* hod image ls ...: argv[0] is "image". */
static int run_image(struct app *app, int argc, char **argv, struct error *err)
{
	const struct command *cmd = argc > 1 ? find_image_command(argv[1]) : NULL;

	if (cmd)
		return cmd->run(app, argc - 1, argv + 1, err);
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return print_image_help();
	error_set(err, E_USAGE, "unknown command image %s", argv[1]);
	return error_hint(err, "see hod image --help");
}

/* hod help [COMMAND] */
static int run_help(struct app *app, int argc, char **argv, struct error *err)
{
	const struct command *cmd;
	char *help[] = {NULL, NULL};

	if (argc < 2 || argv[1][0] == '-')
		return print_help(app);
	if (!strcmp(argv[1], "image"))
		return print_image_help();
	cmd = find_command(argv[1]);
	if (!cmd)
		return unknown_command(argv[1], err);
	app->help = true;
	help[0] = argv[1];
	return cmd->run(app, 1, help, err);
}

/* Runs what argv asks for; *verb gets the command, for hints. */
static int run(struct app *app, int argc, char **argv, const struct command **verb,
	       struct error *err)
{
	bool version = false;
	struct option own = version_option;
	const struct option_table tables[] = {{&own, 1}, app_options(app)};
	int at;

	own.value = &version;
	if (options_parse_leading(tables, 2, argc, argv, &at, err) < 0)
		return -1;
	argc -= at;
	argv += at;
	if (version) {
		char *words[] = {(char[]){"version"}, NULL};

		return cmd_version.run(app, 1, words, err);
	}
	if (!argc)
		return print_help(app);
	if (!strcmp(argv[0], "help"))
		return run_help(app, argc, argv, err);
	if (!strcmp(argv[0], "image"))
		return run_image(app, argc, argv, err);
	*verb = find_command(argv[0]);
	if (!*verb)
		return unknown_command(argv[0], err);
	return (*verb)->run(app, argc, argv, err);
}

/* The line of the file that err names, yours to free; NULL when it cannot be shown. */
static char *excerpt(const struct error *err)
{
	auto_fd int fd = -1;
	auto_buf struct buf out = BUF_INIT;
	struct stat st;
	unsigned line = 1;
	FILE *f;
	int c;

	if (!err->file[0] || !err->line)
		return NULL;
	fd = open(err->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	f = fdopen(fd, "r");
	if (!f)
		return NULL;
	(void)steal_fd(&fd);
	while ((c = getc(f)) != EOF && line <= err->line) {
		if (c == '\n')
			line++;
		else if (line == err->line && out.len < EXCERPT_MAX)
			buf_addc(&out, c ? (char)c : ' ');
		else if (line == err->line)
			break;
	}
	fclose(f);
	if (out.len == EXCERPT_MAX)
		buf_adds(&out, "...");
	return out.len ? buf_detach(&out) : NULL;
}

static void report(struct error *err, const struct command *verb)
{
	auto_free char *line = NULL;

	if (err->kind == E_NONE)
		error_set(err, E_BUG, "failed without saying why");
	if (err->kind == E_USAGE && !err->hint[0])
		error_hint(err, "see hod %s%s--help", verb ? verb->name : "",
			   verb ? " " : "");
	line = excerpt(err);
	log_error(err, line);
}

/* A result that was not written is a failure: a full disk, a closed pipe. */
static int flush_results(struct error *err)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	return error_set(err, E_FAILED, "cannot write to standard output: %s",
			 strerrordesc_np(errno));
}

/* A file that got number 1 or 2 would be written to: takes the numbers that are free.
 * Opened for reading, so that writing to a closed stdout fails as it should. */
static void occupy_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null",
			  O_RDONLY); /* not O_CLOEXEC: as a shell leaves them */
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT, late = ERROR_INIT;
	const struct command *verb = NULL;
	struct app app;
	int rc;

	if (argc == 1 && !strcmp(argv[0], RUN_WORKER_NAME))
		return run_worker_main();
	occupy_standard_fds();
	interrupt_install();
	app_init(&app);
	rc = run(&app, argc, argv, &verb, &err);
	if (flush_results(&late) < 0 && !rc) {
		err = late;
		rc = -1;
	}
	app_release(&app);
	if (rc < 0)
		report(&err, verb);
	log_finish();
	return rc < 0 ? error_status(&err) : 0;
}
