/*
 * double.h - unit tests start testdata/double.py with this (from the top folder)
 *
 * All failures end the test program.
 */
#ifndef HOD_TEST_DOUBLE_H
#define HOD_TEST_DOUBLE_H

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/http.h"

extern char **environ;

struct double_server {
	pid_t pid;
	int hold; /* its stdin: it ends with it */
	unsigned port, storage;
	char *base; /* "http://127.0.0.1:PORT" */
};

static inline void test_need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "test set-up failed: %s\n", what);
	exit(99);
}

/* args: further ones for double.py, NULL-terminated; scheme for base. */
static inline void double_start(struct double_server *d, const char *scheme,
				const char *const *args)
{
	char *argv[32] = {(char *)"/usr/bin/python3", (char *)"testdata/double.py"};
	int in[2], out[2], n = 2;
	posix_spawn_file_actions_t fa;
	char line[64] = "";

	for (; args && *args && n < 31; args++)
		argv[n++] = (char *)*args;
	test_need(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipe");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	test_need(posix_spawn(&d->pid, argv[0], &fa, NULL, argv, environ) == 0, argv[0]);
	posix_spawn_file_actions_destroy(&fa);
	close(in[0]);
	close(out[1]);
	for (size_t at = 0; at < sizeof(line) - 1 && !strchr(line, '\n'); at++)
		test_need(read(out[0], line + at, 1) == 1, "double.py did not start");
	close(out[0]);
	test_need(sscanf(line, "%u %u", &d->port, &d->storage) == 2, "double.py's ports");
	d->hold = in[1];
	d->base = xasprintf("%s://127.0.0.1:%u", scheme, d->port);
}

static inline void double_stop(struct double_server *d)
{
	close(d->hold);
	waitpid(d->pid, NULL, 0);
	free(d->base);
}

/* Runs a program to its end; true when it succeeds. */
static inline int test_run(const char *const *argv)
{
	pid_t pid;
	int status;

	return posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) ==
		       0 &&
	       waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* PUT /_/WHAT ("faults", "options") with JSON, and an empty log. */
static inline void double_set(struct double_server *d, struct http *h, const char *what,
			      const char *json)
{
	auto_free char *url = xasprintf("%s/_/%s", d->base, what);
	auto_free char *log = xasprintf("%s/_/log", d->base);
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;

	req.method = "PUT";
	req.url = url;
	req.body = json;
	req.body_len = strlen(json);
	test_need(http_perform(h, &req, &res, NULL) == 0 && res.status == 204,
		  "double_set");
	req = (struct http_request)HTTP_REQUEST_INIT;
	req.method = "DELETE";
	req.url = log;
	test_need(http_perform(h, &req, &res, NULL) == 0 && res.status == 204,
		  "double_set");
	http_response_release(&res);
}

/* The requests since then, a JSON array; cJSON_Delete it. */
static inline cJSON *double_log(struct double_server *d, struct http *h)
{
	auto_free char *url = xasprintf("%s/_/log", d->base);
	struct http_request req = HTTP_REQUEST_INIT;
	struct http_response res = HTTP_RESPONSE_INIT;
	cJSON *log;

	req.url = url;
	req.max_body = 16u << 20;
	test_need(http_perform(h, &req, &res, NULL) == 0 && res.status == 200,
		  "double_log");
	log = cJSON_Parse(res.body.data);
	test_need(log != NULL, "double_log");
	http_response_release(&res);
	return log;
}

static inline const char *log_text(const cJSON *log, int i, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(log, i), key));
}

/* A header of request i, or NULL. */
static inline const char *log_header(const cJSON *log, int i, const char *name)
{
	const cJSON *headers = cJSON_GetObjectItem(cJSON_GetArrayItem(log, i), "headers");

	return cJSON_GetStringValue(cJSON_GetObjectItem(headers, name));
}

#endif
