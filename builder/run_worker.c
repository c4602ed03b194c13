/* The child process of a RUN (run_worker.h). */
#include "builder/run_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/rootfs/diff.h"
#include "builder/rootfs/index.h"
#include "builder/rootfs/layer.h"
#include "builder/rootfs/tree.h"
#include "builder/rootfs/treeload.h"
#include "builder/run_private.h"
#include "builder/run_stubs.h"
#include "builder/sandbox/sandbox.h"
#include "registry/base/alloc.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/store.h"

#define SPEC_MAX ((size_t)256 << 20)

/* A step on its way. */
struct work {
	const struct run_spec *spec;
	struct idmap ids;
	struct store *store;
	struct tree *tree;
	int tmp;     /* the store's temporary folder of this process (borrowed) */
	int *lowers; /* folders of layers, the topmost first */
	size_t nlowers;
	struct run_stubs stubs;
	bool has_stubs;
	int upper, work, place;
};

static void send_message(const struct run_message *m)
{
	while (send(RUN_CONTROL_FD, m, sizeof(*m), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void note(const char *text)
{
	struct run_message m = {.kind = RUN_NOTE};

	snprintf(m.text, sizeof(m.text), "%s", text);
	send_message(&m);
}

static int load_tree(struct work *w, struct error *err)
{
	w->tree = tree_new();
	for (size_t i = 0; i < w->spec->nlayers; i++) {
		struct index *ix =
			treeload_open(w->store, &w->spec->layers[i].diff_id, err);
		int rc = ix ? tree_push_index(w->tree, ix, err) : -1;

		index_unref(ix);
		if (rc < 0)
			return error_wrap(err, "layer %zu", i + 1);
	}
	return 0;
}

static int add_lower(struct work *w, int fd)
{
	if (fd < 0)
		return -1;
	w->lowers[w->nlowers++] = fd;
	return 0;
}

/* The layers as folders, made where they are missing; w->lowers goes from the top down.
 */
static int open_lowers(struct work *w, struct error *err)
{
	const struct run_spec *s = w->spec;

	w->lowers = xcalloc(s->nlayers - s->nbase + 1, sizeof(*w->lowers));
	for (size_t i = s->nlayers; i-- > s->nbase;)
		if (add_lower(w, uppers_open(w->store, &w->ids, &s->layers[i], s->check,
					     err)) < 0)
			return error_wrap(err, "layer %zu", i + 1);
	if (!s->nbase)
		return 0;
	if (!roots_has(w->store, &w->ids, s->layers, s->nbase))
		note("unpacking the base");
	return add_lower(
		w, roots_open(w->store, &w->ids, s->layers, s->nbase, s->check, err));
}

static int make_folder(struct work *w, const char *name, struct error *err)
{
	int fd;

	if (mkdirat(w->tmp, name, 0700) < 0)
		return error_errno(err, "cannot make a folder for RUN");
	fd = openat(w->tmp, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "cannot open a folder for RUN") : fd;
}

static bool has_owner(void *ids, uint32_t uid, uint32_t gid)
{
	return idmap_has(ids, uid, gid);
}

static int make_folders(struct work *w, struct error *err)
{
	w->has_stubs = true;
	if (run_stubs_make(&w->stubs, w->tree, w->tmp, &w->ids, err) < 0 ||
	    (w->work = make_folder(w, "work", err)) < 0 ||
	    (w->place = make_folder(w, "place", err)) < 0 ||
	    (w->upper = make_folder(w, RUN_UPPER, err)) < 0)
		return -1;
	/* the folder that the command sees as / */
	return run_stubs_attributes(w->upper, tree_root(w->tree), &w->ids, err);
}

static int run_command(struct work *w, struct sandbox_result *out, struct error *err)
{
	const struct run_spec *s = w->spec;
	auto_free int *lowers = xcalloc(w->nlowers + 2, sizeof(*lowers));
	size_t n = 0;
	struct sandbox_spec spec = {.mode = w->ids.mode,
				    .lowers = lowers,
				    .upper = w->upper,
				    .work = w->work,
				    .place = w->place,
				    .files = w->stubs.files,
				    .nfiles = w->stubs.nfiles,
				    .argv = s->argv.v,
				    .envp = s->env.v,
				    .cwd = s->cwd,
				    .uid = s->uid,
				    .gid = s->gid,
				    .groups = s->groups,
				    .ngroups = s->ngroups,
				    .network = s->network,
				    .processes = s->processes,
				    .output = RUN_OUTPUT_FD};
	char *const no_environment[] = {NULL};
	const struct sandbox_file script = {s->script_name, s->script,
					    s->script ? strlen(s->script) : 0};

	if (s->script)
		spec.script = &script;
	if (!spec.envp)
		spec.envp = no_environment;
	if (w->stubs.top >= 0)
		lowers[n++] = w->stubs.top;
	for (size_t i = 0; i < w->nlowers; i++)
		lowers[n++] = w->lowers[i];
	lowers[n++] = w->stubs.bottom;
	spec.nlowers = n;
	return sandbox_run(&spec, out, err);
}

/* What the command changed, as a layer of the store and a lower folder of the next step.
 */
static int keep_changes(struct work *w, struct run_result *out, struct error *err)
{
	const struct run_spec *s = w->spec;
	struct disk_root root = {.fd = w->upper, .name = "RUN"};
	const char *covered[RUN_STUB_FILES];
	struct diff_options o = {.upper = &root,
				 .lowers = w->lowers,
				 .nlowers = w->nlowers,
				 .user_namespace = w->ids.mode != SANDBOX_ROOT,
				 .has_owner = has_owner,
				 .ctx = &w->ids,
				 .covered = covered,
				 .ncovered = w->stubs.nfiles,
				 .time = s->time,
				 .keep_mtime = s->keep_mtime,
				 .bytecode = s->bytecode};
	struct layer_options lo = {.store = w->store,
				   .level = s->level,
				   .mtime = s->time,
				   .keep_mtime = s->keep_mtime};
	struct layer layer = {0};

	for (size_t i = 0; i < w->stubs.nfiles; i++)
		covered[i] = w->stubs.paths[i];
	tree_begin_step(w->tree);
	if (diff_upper(w->tree, &o, err) < 0)
		return -1;
	out->empty = tree_step_empty(w->tree);
	if (out->empty)
		return 0;
	if (layer_write(w->tree, &lo, &layer, err) < 0)
		return -1;
	out->digest = layer.digest;
	out->diff_id = layer.diff_id;
	out->size = layer.size;
	return uppers_keep(w->store, &w->ids, &layer.diff_id, w->tmp, RUN_UPPER, err);
}

static void work_release(struct work *w)
{
	for (size_t i = 0; i < w->nlowers; i++)
		close(w->lowers[i]);
	free(w->lowers);
	if (w->has_stubs)
		run_stubs_release(&w->stubs);
	if (w->upper >= 0)
		close(w->upper);
	if (w->work >= 0)
		close(w->work);
	if (w->place >= 0)
		close(w->place);
	tree_free(w->tree);
	store_close(w->store);
	idmap_release(&w->ids);
}

/* Entering a user namespace makes the kernel forget whom to tell. */
static int follow_parent(struct error *err)
{
	struct pollfd control = {.fd = RUN_CONTROL_FD};

	/* caught, so that what was begun is cleared away */
	prctl(PR_SET_PDEATHSIG, SIGHUP);
	if (poll(&control, 1, 0) > 0 && control.revents & (POLLHUP | POLLERR | POLLNVAL))
		return error_set(err, E_FAILED, "hod ended");
	return 0;
}

static int do_step(const struct run_spec *s, struct run_result *out, struct error *err)
{
	struct work w = {.spec = s, .upper = -1, .work = -1, .place = -1};
	struct sandbox_result r = {0};
	int rc = -1;

	if (!idmap_find(&w.ids, s->mode, err) && !idmap_enter(&w.ids, err) &&
	    !follow_parent(err))
		w.store = store_open(s->store, err);
	if (w.store && store_tmpdir(w.store)) {
		w.tmp = tmpdir_fd(store_tmpdir(w.store));
		sandbox_sweep();
		if (!load_tree(&w, err) && !open_lowers(&w, err) &&
		    !make_folders(&w, err))
			rc = run_command(&w, &r, err);
	}
	out->mode = s->mode;
	out->status = r.status;
	out->signal = r.signal;
	out->processes_met = r.processes_met;
	out->processes_unbound = !r.processes_bound;
	out->memory_killed = r.memory_killed;
	out->addresses_random = r.addresses_random;
	if (!rc && !r.status)
		rc = keep_changes(&w, out, err);
	work_release(&w);
	return rc;
}

static int do_probe(const struct run_spec *s, struct run_result *out, struct error *err)
{
	struct probe tried[SANDBOX_MODES];
	size_t n = 0;
	auto_fd int dirfd = open(s->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return error_errno(err, "cannot open %s", s->store);
	return probe_choose(s->isolation, dirfd, &out->mode, tried, &n, err);
}

static int read_spec(struct run_spec *s, struct error *err)
{
	auto_buf struct buf text = BUF_INIT;

	if (file_read_fd(RUN_SPEC_FD, SPEC_MAX, &text, err) < 0)
		return -1;
	return run_spec_read(s, text.data, text.len, err);
}

int run_worker_main(void)
{
	struct run_message last = {.kind = RUN_RESULT};
	struct error err = ERROR_INIT;
	struct run_spec s = {0};
	int rc;

	for (int fd = RUN_SPEC_FD; fd <= RUN_OUTPUT_FD; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return 2; /* started by hand */
	prctl(PR_SET_NAME, RUN_WORKER_NAME);
	interrupt_install();
	umask(022);
	rc = follow_parent(&err);
	if (!rc)
		rc = read_spec(&s, &err);
	if (!rc)
		rc = s.probe ? do_probe(&s, &last.result, &err)
			     : do_step(&s, &last.result, &err);
	run_spec_release(&s);
	if (rc < 0) {
		last.kind = RUN_ERROR;
		last.error = err;
	}
	send_message(&last);
	return rc < 0;
}
