/*
 * run_worker.h - the child process that does a RUN
 *
 * hod starts itself again under another name, so that what must be done inside the user
 * namespace (unpacking, the sandbox, reading what a command left, removing it) happens in
 * a process that has nothing else: no network, no logins, no threads at the start.
 * It is told what to do by one message (struct run_spec, encoded) in a file, and answers
 * with messages; it ends when hod ends, and cleans up.
 */
#ifndef HOD_RUN_WORKER_H
#define HOD_RUN_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/roots.h"
#include "builder/sandbox/probe.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

struct run_spec {
	char *store; /* path, absolute */
	bool probe;  /* only choose a mode, by `isolation` */
	enum isolation isolation;
	enum sandbox_mode mode; /* what follows: for a step */
	int64_t time;
	bool keep_mtime, bytecode;
	bool check;                /* look at all of the kept folders (roots.h) */
	int level;                 /* of compression */
	struct root_layer *layers; /* the stage's, from the lowest */
	size_t nlayers, nbase;     /* the first nbase are flattened into one folder */
	struct strv argv, env;     /* of the command */
	char *cwd;
	uint32_t uid, gid, *groups;
	size_t ngroups;
	bool network;
	uint64_t processes;
	char *script_name, *script; /* a file that the command finds as /dev/pipes/NAME,
				       0755 and read-only; NULL: none */
};
void run_spec_release(struct run_spec *s);
void run_spec_write(const struct run_spec *s, struct buf *out);
/* E_BUG when it is not what run_spec_write wrote. */
int run_spec_read(struct run_spec *s, const void *data, size_t len, struct error *err);

/* What a step came to. */
struct run_result {
	enum sandbox_mode mode; /* that was chosen (probe) */
	int status, signal;     /* of the command; the rest only when status is 0 */
	bool processes_met, memory_killed, addresses_random, processes_unbound;
	bool empty; /* nothing changed: no layer */
	struct digest digest, diff_id;
	uint64_t size; /* of the gzip */
};

enum run_message_kind { RUN_NOTE, RUN_WARNING, RUN_DEBUG, RUN_ERROR, RUN_RESULT };
struct run_message {
	enum run_message_kind kind;
	union {
		char text[1024];
		struct error error;       /* the last message */
		struct run_result result; /* the last message */
	};
};

/* Starts the worker, passes its messages and the command's output on, and waits for its
 * end.  output is called with what the command wrote, in pieces as they come; note with
 * texts.  An interrupt is handed on; then E_INTERRUPTED when the worker is gone.  Other
 * threads may run meanwhile. */
struct run_listener {
	void (*output)(void *ctx, const char *data, size_t len);
	void (*message)(void *ctx, enum run_message_kind kind, const char *text);
	void *ctx;
};
int run_worker_call(const struct run_spec *spec, const struct run_listener *l,
		    struct run_result *out, struct error *err);

/* What hod's main hands over to when it was started under this name. */
#define RUN_WORKER_NAME "hod-run"
int run_worker_main(void);

#endif
