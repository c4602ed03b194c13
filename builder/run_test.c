/* step_run with a worker that only pretends: what is asked of it, and what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "builder/run_worker.h"

static int pretend(const struct run_spec *spec, const struct run_listener *l,
		   struct run_result *out, struct error *err);

#define step_run tested_step_run
#define run_worker_call pretend
/* NOLINTNEXTLINE(bugprone-suspicious-include): it calls the worker above */
#include "builder/run.c"

#include "builder/build_test.h"

/* What the worker does, and what it was asked. */
static struct {
	enum sandbox_mode mode; /* answer to a probe */
	struct run_result result;
	const char *makes; /* text of the file that the step leaves; NULL: nothing */
	enum error_kind fails;
	unsigned probes, runs;
	size_t nlayers, nbase;
	char *env, *script;
	bool network;
} worker;

static struct store *store;

static int pretend_step(const struct run_spec *spec, struct run_result *out,
			struct error *err)
{
	auto_buf struct buf env = BUF_INIT;
	struct layer layer;
	struct layer_options o = {.store = store, .level = spec->level};
	auto_free char *tree = NULL;
	struct tree *t;

	for (size_t i = 0; i < spec->env.n; i++)
		buf_addf(&env, "%s\n", spec->env.v[i]);
	free(worker.env);
	worker.env = buf_detach(&env);
	free(worker.script);
	worker.script = spec->script ? xstrdup(spec->script) : NULL;
	worker.nlayers = spec->nlayers;
	worker.nbase = spec->nbase;
	worker.network = spec->network;
	if (worker.fails)
		return error_set(err, worker.fails, "the worker failed");
	*out = worker.result;
	out->empty = !worker.makes;
	if (out->status || !worker.makes)
		return 0;
	tree = xasprintf("f 0644 0:0 made =%s\n", worker.makes);
	t = tree_of(tree);
	fine(layer_write(t, &o, &layer, err), err);
	tree_free(t);
	out->digest = layer.digest;
	out->diff_id = layer.diff_id;
	out->size = layer.size;
	return 0;
}

static int pretend(const struct run_spec *spec, const struct run_listener *l,
		   struct run_result *out, struct error *err)
{
	assert_int_equal(spec->store[0], '/');
	if (spec->probe) {
		worker.probes++;
		out->mode = worker.mode;
		return 0;
	}
	worker.runs++;
	assert_int_equal(spec->mode, worker.mode);
	l->message(l->ctx, RUN_DEBUG, "noted");
	l->output(l->ctx, "written\n", 8);
	return pretend_step(spec, out, err);
}

/* One build of one RUN from scratch, at a place of its own. */
struct one_run {
	struct build_request req;
	struct build build;
	struct stage_state *stage;
	struct error err;
	bool cached;
	int rc;
};

static void begin_one(struct one_run *r, const char *dockerfile)
{
	*r = (struct one_run){.rc = -1};
	r->req.level = 1;
	platform_host(&r->req.platform);
	r->build = (struct build){
		.request = &r->req, .store = store, .context_id = (char[]){"c"}};
	log_setup(PROGRESS_QUIET, false, false);
	fine(plan_make(&r->build.plan, &r->req, "Dockerfile", dockerfile,
		       strlen(dockerfile), &r->err),
	     &r->err);
	r->stage = stage_from_image(&r->build, "s", NULL, &r->req.platform, &r->err);
	assert_non_null(r->stage);
}

static void run_one(struct one_run *r)
{
	const struct dockerfile *df = r->build.plan.dockerfile;
	struct progress_step *ui = progress_start("RUN");

	worker.probes = worker.runs = 0;
	if (df)
		r->rc = step_run(r->stage, &df->instructions[1], ui, &r->cached, &r->err);
	progress_end(ui, PROGRESS_DONE);
}

static void end_one(struct one_run *r)
{
	stage_free(r->stage);
	plan_release(&r->build.plan);
	build_request_release(&r->req);
}

/* A RUN that must succeed: whether it was found, and how often the worker was asked. */
static void expect(const char *dockerfile, bool cached, unsigned probes, unsigned runs)
{
	struct one_run r;

	begin_one(&r, dockerfile);
	run_one(&r);
	fine(r.rc, &r.err);
	if (r.cached != cached || worker.probes != probes || worker.runs != runs)
		fail_msg("%s: cached %d, %u probes, %u runs", dockerfile, r.cached,
			 worker.probes, worker.runs);
	assert_int_equal(r.stage->nlayers, worker.makes ? 1 : 0);
	assert_int_equal(r.stage->config.nhistory, 1);
	assert_int_equal(r.stage->config.history[0].empty_layer, !worker.makes);
	end_one(&r);
}

static void a_step_that_ran_is_found_without_asking_anybody(void **state)
{
	(void)state;
	worker.makes = "x";
	expect("FROM scratch\nRUN one\n", false, 1, 1);
	expect("FROM scratch\nRUN one\n", true, 0, 0);
	worker.makes = NULL;
	expect("FROM scratch\nRUN nothing\n", false, 1, 1);
	expect("FROM scratch\nRUN nothing\n", true, 0, 0);
}

static void what_the_step_left_is_in_the_stages_tree(void **state)
{
	struct one_run r;
	struct node *n = NULL;

	(void)state;
	worker.makes = "in the tree";
	for (int i = 0; i < 2; i++) {
		begin_one(&r, "FROM scratch\nRUN tree\n");
		assert_non_null(stage_tree(r.stage, &r.err));
		run_one(&r);
		fine(r.rc, &r.err);
		assert_int_equal(r.cached, i);
		assert_int_equal(tree_resolve(r.stage->tree, "made", 0, &n, NULL, &r.err),
				 1);
		assert_int_equal(n->size, strlen(worker.makes));
		end_one(&r);
	}
}

/* hod-store(5): one id without other owners has keys of its own. */
static void one_id_has_keys_of_its_own(void **state)
{
	(void)state;
	worker.makes = "y";
	worker.mode = SANDBOX_ONE;
	expect("FROM scratch\nRUN two\n", false, 1, 1);
	expect("FROM scratch\nRUN two\n", true, 1, 0);
	worker.mode = SANDBOX_ROOT;
	expect("FROM scratch\nRUN two\n", false, 1, 1);
	/* what came about with all owners is good for everybody */
	worker.mode = SANDBOX_ONE;
	expect("FROM scratch\nRUN two\n", true, 0, 0);
	worker.mode = SANDBOX_RANGE;
	expect("FROM scratch\nRUN two\n", true, 0, 0);
	worker.mode = SANDBOX_ROOT;
}

static void no_cache_looks_nothing_up_but_records(void **state)
{
	struct one_run r;

	(void)state;
	worker.makes = "z";
	expect("FROM scratch\nRUN three\n", false, 1, 1);
	begin_one(&r, "FROM scratch\nRUN three\n");
	r.req.no_cache = true;
	worker.makes = "another";
	run_one(&r);
	fine(r.rc, &r.err);
	assert_false(r.cached);
	assert_int_equal(worker.runs, 1);
	end_one(&r);
	expect("FROM scratch\nRUN three\n", true, 0, 0);
}

static void a_step_that_fails_is_not_recorded(void **state)
{
	static const struct {
		int status;
		enum error_kind fails, kind;
	} v[] = {
		{1, E_NONE, E_FAILED},
		{137, E_NONE, E_FAILED},
		{0, E_SANDBOX, E_SANDBOX},
		{0, E_MISSING, E_MISSING},
		{0, E_INTERRUPTED, E_INTERRUPTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct one_run r;

		worker.result.status = v[i].status;
		worker.fails = v[i].fails;
		begin_one(&r, "FROM scratch\nRUN four\n");
		run_one(&r);
		assert_int_equal(r.rc, -1);
		assert_int_equal(r.err.kind, v[i].kind);
		assert_int_equal(r.stage->nlayers, 0);
		end_one(&r);
	}
	worker.result.status = 0;
	worker.fails = E_NONE;
	expect("FROM scratch\nRUN four\n", false, 1, 1);
}

static void an_image_of_another_machine_is_not_run(void **state)
{
	struct one_run r;

	(void)state;
	begin_one(&r, "FROM scratch\nRUN five\n");
	free(r.stage->config.architecture);
	r.stage->config.architecture = xstrdup("s390x");
	run_one(&r);
	assert_int_equal(r.rc, -1);
	assert_int_equal(error_status(&r.err), 7);
	assert_non_null(strstr(r.err.msg, "linux/s390x"));
	assert_int_equal(worker.probes + worker.runs, 0);
	end_one(&r);
}

static void the_worker_gets_all_that_it_needs(void **state)
{
	struct one_run r;

	(void)state;
	begin_one(&r, "FROM scratch\nRUN --network=none <<S\n#!/bin/x\nS\n");
	strv_add(&r.req.build_args, "HTTPS_PROXY=p");
	run_one(&r);
	fine(r.rc, &r.err);
	assert_string_equal(worker.script, "#!/bin/x\n");
	assert_false(worker.network);
	assert_non_null(strstr(worker.env, "HOME=/\n"));
	assert_non_null(strstr(worker.env, "\nHTTPS_PROXY=p\nhttps_proxy=p\n"));
	assert_int_equal(worker.nlayers, 0);
	end_one(&r);
}

/* An overlay has room for so many folders only. */
static void very_many_layers_are_flattened_but_for_the_last(void **state)
{
	static const size_t counts[][2] = {
		{0, 0}, {1, 0}, {400, 0}, {401, 1}, {1000, 600}};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		struct run_step rs = {0};
		struct run_spec spec;
		struct one_run r;

		begin_one(&r, "FROM scratch\nRUN x\n");
		rs.step.stage = r.stage;
		rs.command.cwd = (char[]){"/"};
		r.stage->layers = xcalloc(counts[i][0], sizeof(*r.stage->layers));
		r.stage->nlayers = counts[i][0];
		fine(make_spec(&rs, &spec, &r.err), &r.err);
		assert_int_equal(spec.nlayers, counts[i][0]);
		assert_int_equal(spec.nbase, counts[i][1]);
		run_spec_release(&spec);
		end_one(&r);
	}
}

static int begin(void **state)
{
	if (set_up(state))
		return -1;
	store = open_store();
	return 0;
}

static int end(void **state)
{
	store_close(store);
	free(worker.env);
	free(worker.script);
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_that_ran_is_found_without_asking_anybody),
		cmocka_unit_test(what_the_step_left_is_in_the_stages_tree),
		cmocka_unit_test(one_id_has_keys_of_its_own),
		cmocka_unit_test(no_cache_looks_nothing_up_but_records),
		cmocka_unit_test(a_step_that_fails_is_not_recorded),
		cmocka_unit_test(an_image_of_another_machine_is_not_run),
		cmocka_unit_test(the_worker_gets_all_that_it_needs),
		cmocka_unit_test(very_many_layers_are_flattened_but_for_the_last),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
