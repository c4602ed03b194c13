#include "builder/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "builder/build_test.h"
#include "builder/timestamp.h"
#include "registry/base/json.h"
#include "registry/base/log.h"

static struct store *store;

/* What was built: the request can be changed between begin and run. */
struct run {
	struct build_request req;
	struct build_result r;
	char *context;
	cJSON *config;
};

static void begin_run(struct run *b, const char *context)
{
	*b = (struct run){.context = in_folder(context)};
	b->req.context = b->context;
	b->req.level = 1;
	platform_set(&b->req.platform, "linux", "amd64", NULL);
}

static void end_run(struct run *b)
{
	build_result_release(&b->r);
	build_request_release(&b->req);
	cJSON_Delete(b->config);
	free(b->context);
}

static int try_run(struct run *b, struct error *err)
{
	auto_buf struct buf text = BUF_INIT;

	if (build_run(&b->req, store, NULL, &b->r, err) < 0)
		return -1;
	fine(store_read(store, &b->r.config, 1 << 20, &text, err), err);
	b->config = json_parse(text.data, text.len, "config", err);
	assert_non_null(b->config);
	return 0;
}

static void must_run(struct run *b)
{
	struct error err = ERROR_INIT;

	fine(try_run(b, &err), &err);
}

/* Builds ctx with its Dockerfile. */
static void build(struct run *b)
{
	begin_run(b, "ctx");
	must_run(b);
}

static void dockerfile(const char *text)
{
	write_file("ctx/Dockerfile", text, 0644);
}

static void fresh_context(void)
{
	remove_all("ctx");
	make_folder("ctx", 0755);
	write_file("ctx/.dockerignore", "Dockerfile\n.dockerignore\n", 0644);
}

static void layer_is(const struct run *b, size_t i, const char *want)
{
	auto_buf struct buf got = BUF_INIT;

	assert_true(i < b->r.parsed.nlayers);
	describe_layer(store, &b->r.parsed.layers[i].digest, false, &got);
	assert_string_equal(got.data, want);
}

static const char *config_string(const struct run *b, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(b->config, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

/* The history as lines: "created_by" or "(created_by)" where it is empty. */
static void history_is(const struct run *b, const char *want)
{
	auto_buf struct buf got = BUF_INIT;
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(b->config, "history"), *h;

	cJSON_ArrayForEach(h, all)
	{
		bool empty =
			cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(h, "empty_layer"));

		buf_addf(&got, empty ? "(%s)\n" : "%s\n",
			 cJSON_GetObjectItemCaseSensitive(h, "created_by")->valuestring);
	}
	assert_string_equal(got.data, want);
}

/* A build from nothing: blobs match their descriptors, the config its layers. */
static void an_image_from_scratch_has_what_was_copied(void **state)
{
	struct run b;
	auto_buf struct buf manifest = BUF_INIT;
	struct error err = ERROR_INIT;
	const cJSON *rootfs, *ids;

	(void)state;
	fresh_context();
	make_folder("ctx/src", 0700);
	write_file("ctx/src/main.py", "print(1)\n", 0600);
	write_file("ctx/run", "#!/bin/sh\n", 0755);
	make_link("ctx/src/run", "../run");
	dockerfile("FROM scratch\nARG app=/srv\nENV A=1 B=\"x y\"\nWORKDIR "
		   "$app/code\nCOPY src .\n"
		   "COPY --chown=5:6 --chmod=751 run ./bin/\nUSER 5\nEXPOSE 80\nCMD "
		   "[\"run\"]\n");
	build(&b);

	assert_int_equal(b.r.parsed.nlayers, 3);
	layer_is(&b, 0, "d 0755 0:0 srv/\nd 0755 0:0 srv/code/\n");
	layer_is(&b, 1,
		 "d 0755 0:0 srv/\nd 0755 0:0 srv/code/\nf 0600 0:0 srv/code/main.py "
		 "=print(1)\n\n"
		 "l 0:0 srv/code/run -> ../run\n");
	layer_is(&b, 2,
		 "d 0755 0:0 srv/\nd 0755 0:0 srv/code/\nd 0751 5:6 srv/code/bin/\n"
		 "f 0751 5:6 srv/code/bin/run =#!/bin/sh\n\n");
	history_is(&b, "(ARG app=/srv)\n(ENV A=1 B=x y)\nWORKDIR /srv/code\nCOPY src . # "
		       "buildkit\n"
		       "COPY --chown=5:6 --chmod=751 run ./bin/ # buildkit\n(USER "
		       "5)\n(EXPOSE [80/tcp])\n"
		       "(CMD [\"run\"])\n");
	assert_string_equal(config_string(&b, "os"), "linux");
	assert_string_equal(config_string(&b, "architecture"), "amd64");
	assert_string_equal(config_string(&b, "created"), "1980-01-01T00:00:00Z");

	/* the config names the digests of the uncompressed layers */
	rootfs = cJSON_GetObjectItemCaseSensitive(b.config, "rootfs");
	ids = cJSON_GetObjectItemCaseSensitive(rootfs, "diff_ids");
	assert_int_equal(cJSON_GetArraySize(ids), 3);
	for (int i = 0; i < 3; i++) {
		char hex[DIGEST_HEX];
		auto_free char *command =
			xasprintf("gzip -dc %s/store/blobs/sha256/%s | sha256sum", folder,
				  digest_hex(&b.r.parsed.layers[i].digest, hex));
		/* another program than hod sums the bytes */
		FILE *f = popen(command, "re"); /* NOLINT(cert-env33-c) */
		char sum[65];

		assert_int_equal(fscanf(f, "%64s", sum), 1);
		assert_int_equal(pclose(f), 0);
		assert_string_equal(
			cJSON_GetArrayItem(ids, i)->valuestring + strlen("sha256:"), sum);
		fine(store_check(store, &b.r.parsed.layers[i].digest,
				 b.r.parsed.layers[i].size, &err),
		     &err);
	}
	fine(store_read(store, &b.r.manifest.digest, 1 << 20, &manifest, &err), &err);
	assert_int_equal(manifest.len, b.r.manifest.size);
	assert_string_equal(b.r.manifest.media_type,
			    "application/vnd.oci.image.manifest.v1+json");
	end_run(&b);
}

/* 8.8, 8.9, 10.1, 10.2, 4.1: what WORKDIR, ENV and ARG make of words. */
static void destinations_are_where_the_rules_say(void **state)
{
	static const struct {
		const char *rule, *dockerfile, *want; /* of the last layer */
	} v[] = {
		{"8.8 an empty destination", "WORKDIR /w\nCOPY [\"a\", \"\"]",
		 "d 0755 0:0 w/\nf 0644 0:0 w/a =1\n"},
		{"8.8 a dot", "WORKDIR /w\nCOPY a .",
		 "d 0755 0:0 w/\nf 0644 0:0 w/a =1\n"},
		{"8.9 relative", "WORKDIR /w\nCOPY a x/b",
		 "d 0755 0:0 w/\nd 0755 0:0 w/x/\nf 0644 0:0 w/x/b =1\n"},
		{"8.9 /. at the end", "COPY a /x/.",
		 "d 0755 0:0 x/\nf 0644 0:0 x/a =1\n"},
		{"8.9 .. in it", "WORKDIR /w/v\nCOPY a ../b",
		 "d 0755 0:0 w/\nf 0644 0:0 w/b =1\n"},
		{"8.9 the root", "COPY a /", "f 0644 0:0 a =1\n"},
		{"8.9 no WORKDIR", "COPY a b", "f 0644 0:0 b =1\n"},
		{"10.1 relative joins", "WORKDIR /w\nWORKDIR v/\nCOPY a .",
		 "d 0755 0:0 w/\nd 0755 0:0 w/v/\nf 0644 0:0 w/v/a =1\n"},
		{"10.1 quotes", "WORKDIR \"/w x\"\nCOPY a .",
		 "d 0755 0:0 w x/\nf 0644 0:0 w x/a =1\n"},
		{"4.1 sources and destination", "ARG s=a\nENV d=/o\nCOPY $s ${d}/$s.txt",
		 "d 0755 0:0 o/\nf 0644 0:0 o/a.txt =1\n"},
		{"4.1 --chown, --chmod", "ARG o=7 m=600\nCOPY --chown=$o --chmod=$m a /a",
		 "f 0600 7:7 a =1\n"},
		{"8.16 USER has no influence", "USER 9\nCOPY a /o/",
		 "d 0755 0:0 o/\nf 0644 0:0 o/a =1\n"},
		{"8.19 a number is also the group", "COPY --chown=12 a /a",
		 "f 0644 12:12 a =1\n"},
		{"8.19 names are the image's",
		 "COPY passwd group /etc/\nCOPY --chown=app:staff a /a",
		 "f 0644 1000:50 a =1\n"},
		{"8.19 a primary group", "COPY passwd group /etc/\nCOPY --chown=app a /a",
		 "f 0644 1000:1001 a =1\n"},
		{"10.2 WORKDIR is USER's", "COPY passwd /etc/\nUSER app\nWORKDIR /x/y",
		 "d 0755 1000:1001 x/\nd 0755 1000:1001 x/y/\n"},
		{"10.2 a number's group", "USER 5\nWORKDIR /x", "d 0755 5:5 x/\n"},
		{"10.2 through a link", "COPY tree /\nWORKDIR /link/n",
		 "d 0755 0:0 real/\nd 0755 0:0 real/n/\n"},
		{"8.11 through a link", "COPY tree /\nCOPY a /link/",
		 "d 0755 0:0 real/\nf 0644 0:0 real/a =1\n"},
		{"8.3 nothing matched: an empty layer", "COPY x* /o/", ""},
		{"3.3 JSON words", "COPY [\"b c\", \"/d e/\"]",
		 "d 0755 0:0 d e/\nf 0644 0:0 d e/b c =2\n"},
		{"8.24 an empty tree", "COPY --from=scratch . /o/", "d 0755 0:0 o/\n"},
	};

	(void)state;
	fresh_context();
	make_folder("ctx/tree", 0755);
	make_folder("ctx/tree/real", 0755);
	make_link("ctx/tree/link", "real");
	write_file("ctx/a", "1", 0644);
	write_file("ctx/b c", "2", 0644);
	write_file("ctx/passwd", "app:x:1000:1001::/:\n", 0644);
	write_file("ctx/group", "staff:x:50:\n", 0644);
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_free char *text = xasprintf("FROM scratch\n%s\n", v[i].dockerfile);
		auto_buf struct buf got = BUF_INIT;
		struct error err = ERROR_INIT;
		struct run b;

		dockerfile(text);
		begin_run(&b, "ctx");
		if (try_run(&b, &err) < 0)
			fail_msg("%s: %s", v[i].rule, err.msg);
		describe_layer(store, &b.r.parsed.layers[b.r.parsed.nlayers - 1].digest,
			       false, &got);
		if (strcmp(got.data, v[i].want))
			fail_msg("%s:\n%s-- but it is --\n%s", v[i].rule, v[i].want,
				 got.data);
		end_run(&b);
	}
}

static void a_workdir_that_is_there_makes_no_layer(void **state)
{
	struct run b;

	(void)state;
	fresh_context();
	dockerfile("FROM scratch\nWORKDIR /a/b\nWORKDIR /a\nWORKDIR /\nWORKDIR a\n");
	build(&b);
	assert_int_equal(b.r.parsed.nlayers, 1);
	history_is(&b, "WORKDIR /a/b\n(WORKDIR /a)\n(WORKDIR /)\n(WORKDIR /a)\n");
	end_run(&b);
	build(&b); /* from the cache too */
	assert_int_equal(b.r.parsed.nlayers, 1);
	history_is(&b, "WORKDIR /a/b\n(WORKDIR /a)\n(WORKDIR /)\n(WORKDIR /a)\n");
	end_run(&b);
}

/* 6.8, 7.4, 7.5, 8.16 to 8.18: between stages, also where it all comes from the cache. */
static void stages_copy_from_each_other(void **state)
{
	auto_free char *x = in_folder("ctx/d/x"), *y = in_folder("ctx/d/y");

	(void)state;
	fresh_context();
	make_folder("ctx/d", 0755);
	write_file("ctx/d/w", "first", 0644);
	write_file("ctx/d/x", "shared", 04755);
	assert_int_equal(link(x, y), 0);
	write_file("ctx/d/z", "alone", 0644);
	write_file("ctx/missing-is-fine", "", 0644);
	dockerfile("FROM scratch AS one\nARG v=in\nCOPY --chown=3:4 d /$v/\nFROM one AS "
		   "two\nCOPY missing-is-fine /$v/e\n"
		   "FROM registry.invalid/never AS unused\nRUN never\nFROM scratch\nCOPY "
		   "--from=TWO /in /out/\n"
		   "COPY --from=0 --chmod=600 in/../in/z* /\n"
		   "COPY --from=two in/w in/x in/y /sep/\n");
	for (int i = 0; i < 2; i++) {
		struct run b;

		build(&b);
		assert_int_equal(b.r.steps, 5);
		assert_int_equal(b.r.cached, i ? 5 : 0);
		assert_int_equal(b.r.parsed.nlayers, 3);
		layer_is(&b, 0,
			 "d 0755 0:0 out/\nf 0644 0:0 out/e =\nf 0644 3:4 out/w "
			 "=first\nf 4755 3:4 out/x =shared\n"
			 "h out/y => out/x\nf 0644 3:4 out/z =alone\n");
		layer_is(&b, 1, "f 0600 3:4 z =alone\n");
		layer_is(&b, 2,
			 "d 0755 0:0 sep/\nf 0644 3:4 sep/w =first\n"
			 "f 4755 3:4 sep/x =shared\nf 4755 3:4 sep/y =shared\n");
		history_is(&b, "COPY /in /out/ # buildkit\n"
			       "COPY --chmod=600 in/../in/z* / # buildkit\n"
			       "COPY in/w in/x in/y /sep/ # buildkit\n");
		end_run(&b);
	}
}

static void a_target_ends_the_build_early(void **state)
{
	struct run b;

	(void)state;
	fresh_context();
	write_file("ctx/a", "1", 0644);
	dockerfile("FROM scratch AS One\nCOPY a /\nFROM one\nCOPY a /b\nCMD [\"x\"]\n");
	begin_run(&b, "ctx");
	b.req.target = "ONE";
	must_run(&b);
	assert_int_equal(b.r.parsed.nlayers, 1);
	end_run(&b);
	build(&b);
	assert_int_equal(b.r.parsed.nlayers, 2);
	history_is(&b, "COPY a / # buildkit\nCOPY a /b # buildkit\n(CMD [\"x\"])\n");
	end_run(&b);
}

static void manifest_of(const char *context, struct digest *out, size_t *cached)
{
	struct run b;

	begin_run(&b, context);
	must_run(&b);
	*out = b.r.manifest.digest;
	if (cached)
		*cached = b.r.cached;
	end_run(&b);
}

/* A step is made once; what it does not depend on does not matter (16.1, 16.3, 16.4). */
static void what_did_not_change_comes_from_the_cache(void **state)
{
	struct digest first, d;
	size_t cached;

	(void)state;
	fresh_context();
	write_file("ctx/.dockerignore", "*\n!a\n!b\n", 0644);
	write_file("ctx/a", "1", 0644);
	write_file("ctx/b", "2", 0644);
	dockerfile("FROM scratch\nWORKDIR /cached\nCOPY a .\nCOPY b .\n");
	manifest_of("ctx", &first, &cached);
	assert_int_equal(cached, 0);
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 3);
	assert_true(digest_equal(&first, &d));

	set_mtime("ctx/a", 86400); /* times are no content */
	write_file("ctx/ignored", "x", 0644);
	dockerfile("# comment\nfrom scratch\nworkdir   /cached\nlabel x=y\nCOPY  a "
		   ".\nCOPY b ./\n");
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 3); /* `.` and `./` are the same folder */
	dockerfile("FROM scratch\nWORKDIR /cached\nCOPY a .\nCOPY b .\n");
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 3);
	assert_true(digest_equal(&first, &d));

	write_file("ctx/b", "3", 0644);
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 2);
	assert_false(digest_equal(&first, &d));
	write_file("ctx/a", "3", 0644);
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 1);
	write_file("ctx/a", "1", 0600);
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 1);
	write_file("ctx/a", "1", 0644);
	write_file("ctx/b", "2", 0644);
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 3);
	assert_true(digest_equal(&first, &d));
}

static void no_cache_makes_the_same_again(void **state)
{
	struct digest first;
	struct run b;

	(void)state;
	fresh_context();
	write_file("ctx/a", "no cache", 0644);
	dockerfile("FROM scratch\nCOPY a /x\nWORKDIR /y\n");
	manifest_of("ctx", &first, NULL);
	begin_run(&b, "ctx");
	b.req.no_cache = true;
	must_run(&b);
	assert_int_equal(b.r.cached, 0);
	assert_true(digest_equal(&b.r.manifest.digest, &first));
	end_run(&b);
}

/* A layer that the store lost, or that was cut short, is made again. */
static void a_lost_layer_is_made_again(void **state)
{
	struct run b;
	struct digest first;
	char hex[DIGEST_HEX];

	(void)state;
	fresh_context();
	write_file("ctx/a", "to be lost", 0644);
	dockerfile("FROM scratch\nCOPY a /x\n");
	for (int i = 0; i < 3; i++) {
		auto_free char *name = NULL, *path = NULL;

		build(&b);
		if (!i)
			first = b.r.manifest.digest;
		assert_int_equal(b.r.cached, 0);
		assert_true(digest_equal(&b.r.manifest.digest, &first));
		name = xasprintf("store/blobs/sha256/%s",
				 digest_hex(&b.r.parsed.layers[0].digest, hex));
		path = in_folder(name);
		if (i)
			assert_int_equal(unlink(path), 0);
		else
			assert_int_equal(truncate(path, 20), 0);
		end_run(&b);
	}
}

/* A second copy of a context: other folder, inodes, order, times, umask, and store. */
static void equal_contexts_give_equal_digests(void **state)
{
	static const char text[] = "FROM scratch AS a\nWORKDIR /w\nCOPY . .\nFROM "
				   "scratch\nCOPY --from=a /w /v\nCMD [\"x\"]\n";
	static const char *const names[] = {"one", "two", "three"};
	struct digest d[3];
	struct store *second;
	struct error err = ERROR_INIT;
	auto_free char *path = in_folder("second");

	(void)state;
	for (int i = 0; i < 2; i++) {
		auto_free char *sub = xasprintf("ctx%d/sub", i);
		auto_free char *top = xasprintf("ctx%d", i);

		umask(i ? 077 : 022);
		make_folder(top, 0755);
		make_folder(sub, 0750);
		for (int k = 0; k < 3; k++) {
			auto_free char *name =
				xasprintf("%s/%s", sub, names[i ? 2 - k : k]);

			write_file(name, names[i ? 2 - k : k], 0640);
			set_mtime(name, 1000000 * (i + 1) + k);
		}
		auto_free char *file = xasprintf("ctx%d/Dockerfile", i);
		write_file(file, text, i ? 0644 : 0644);
		manifest_of(top, &d[i], NULL);
	}
	second = store;
	store = store_open(path, &err);
	assert_non_null(store);
	manifest_of("ctx1", &d[2], NULL);
	store_close(store);
	store = second;
	umask(022);
	assert_true(digest_equal(&d[0], &d[1]));
	assert_true(digest_equal(&d[0], &d[2]));
}

/* hod-layers(5), TIME. */
static void the_time_is_what_was_asked_for(void **state)
{
	static const struct {
		enum timestamp_mode mode;
		int64_t time;
		const char *created, *layer;
	} v[] = {
		{TIMESTAMP_BASE, 0, "1980-01-01T00:00:00Z",
		 "d 0755 0:0 o/ @315532800\nf 0644 0:0 o/a =1 @315532800\n"},
		{TIMESTAMP_FIXED, 1000000000, "2001-09-09T01:46:40Z",
		 "d 0755 0:0 o/ @1000000000\nf 0644 0:0 o/a =1 @1000000000\n"},
		{TIMESTAMP_FIXED, 0, "1970-01-01T00:00:00Z",
		 "d 0755 0:0 o/ @0\nf 0644 0:0 o/a =1 @0\n"},
		{TIMESTAMP_KEEP, 0, "1980-01-01T00:00:00Z",
		 "d 0755 0:0 o/ @315532800\nf 0644 0:0 o/a =1 @1234567890\n"},
	};
	struct run b;
	int64_t before, created;

	(void)state;
	fresh_context();
	write_file("ctx/a", "1", 0644);
	set_mtime("ctx/a", 1234567890);
	dockerfile("FROM scratch\nCOPY a /o/\nCMD x\n");
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		auto_buf struct buf got = BUF_INIT;
		const cJSON *h;

		begin_run(&b, "ctx");
		b.req.timestamp = v[i].mode;
		b.req.time = v[i].time;
		must_run(&b);
		assert_string_equal(config_string(&b, "created"), v[i].created);
		cJSON_ArrayForEach(h,
				   cJSON_GetObjectItemCaseSensitive(b.config, "history"))
			assert_string_equal(cJSON_GetObjectItemCaseSensitive(h, "created")
						    ->valuestring,
					    v[i].created);
		describe_layer(store, &b.r.parsed.layers[0].digest, true, &got);
		assert_string_equal(got.data, v[i].layer);
		end_run(&b);
	}
	before = (int64_t)time(NULL);
	begin_run(&b, "ctx");
	b.req.timestamp = TIMESTAMP_NOW;
	must_run(&b);
	assert_true(timestamp_parse(config_string(&b, "created"), &created));
	assert_true(created >= before && created <= (int64_t)time(NULL));
	end_run(&b);
}

/* With keep, a file's time is content. */
static void a_kept_time_is_part_of_the_key(void **state)
{
	struct run b;

	(void)state;
	fresh_context();
	write_file("ctx/a", "kept", 0644);
	dockerfile("FROM scratch\nCOPY a /o/\n");
	for (int i = 0; i < 3; i++) {
		auto_buf struct buf got = BUF_INIT;
		auto_free char *want =
			xasprintf("d 0755 0:0 o/ @315532800\nf 0644 0:0 o/a =kept @%d\n",
				  i < 2 ? 1000 : 2000);

		set_mtime("ctx/a", i < 2 ? 1000 : 2000);
		begin_run(&b, "ctx");
		b.req.timestamp = TIMESTAMP_KEEP;
		must_run(&b);
		assert_int_equal(b.r.cached, i == 1);
		describe_layer(store, &b.r.parsed.layers[0].digest, true, &got);
		assert_string_equal(got.data, want);
		end_run(&b);
	}
}

/* 11.4; hod-layers(5), JSON. */
static void labels_and_annotations_go_where_they_belong(void **state)
{
	auto_buf struct buf manifest = BUF_INIT;
	struct error err = ERROR_INIT;
	const cJSON *labels;
	struct run b;

	(void)state;
	fresh_context();
	dockerfile("FROM scratch\nLABEL a=1 b=2\n");
	begin_run(&b, "ctx");
	strv_add(&b.req.labels, "b=over");
	strv_add(&b.req.labels, "c=");
	strv_add(&b.req.labels, "d=x=y");
	strv_add(&b.req.annotations, "z=1");
	must_run(&b);
	labels = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(b.config, "config"), "Labels");
	assert_string_equal(cJSON_GetObjectItem(labels, "a")->valuestring, "1");
	assert_string_equal(cJSON_GetObjectItem(labels, "b")->valuestring, "over");
	assert_string_equal(cJSON_GetObjectItem(labels, "c")->valuestring, "");
	assert_string_equal(cJSON_GetObjectItem(labels, "d")->valuestring, "x=y");
	history_is(&b, "(LABEL a=1 b=2)\n");
	fine(store_read(store, &b.r.manifest.digest, 1 << 20, &manifest, &err), &err);
	assert_non_null(strstr(manifest.data, "\"annotations\":{\"z\":\"1\"}"));
	assert_int_equal(b.r.parsed.nlayers, 0);
	end_run(&b);
}

/* 7.2 a and d, 7.7: what a build stands on may lie in a layout. */
static void a_named_context_is_a_base_and_a_source(void **state)
{
	auto_free char *layout = in_folder("store"), *path = in_folder("second store");
	auto_free char *named = xasprintf("base=oci-layout://%s:base", layout);
	struct store *first = store;
	struct error err = ERROR_INIT;
	struct run b, c;

	(void)state;
	fresh_context();
	write_file("ctx/passwd", "app:x:7:8::/:\n", 0644);
	write_file("ctx/f", "file", 0640);
	dockerfile("FROM scratch\nCOPY passwd /etc/\nCOPY --chown=1:2 f /srv/\nENV A=b "
		   "PATH=/p\nUSER app\n"
		   "WORKDIR /srv\nCMD [\"c\"]\n");
	begin_run(&b, "ctx");
	b.req.timestamp = TIMESTAMP_FIXED;
	b.req.time = 1000000000;
	must_run(&b);
	fine(store_tag(store, "base", &b.r.manifest, NULL, &err), &err);

	store = store_open(path, &err);
	assert_non_null(store);
	dockerfile("FROM base\nCOPY --chown=app f g\nENV B=$A\nCOPY --from=base /srv/f "
		   "/h\n");
	for (int i = 0; i < 2; i++) {
		begin_run(&c, "ctx");
		strv_add(&c.req.build_contexts, named);
		must_run(&c);
		assert_int_equal(c.r.cached, i ? 2 : 0);
		assert_int_equal(c.r.parsed.nlayers, 4);
		for (size_t k = 0; k < 2; k++)
			assert_true(digest_equal(&c.r.parsed.layers[k].digest,
						 &b.r.parsed.layers[k].digest));
		layer_is(&c, 2, "d 0755 1:2 srv/\nf 0640 7:8 srv/g =file\n");
		layer_is(&c, 3, "f 0640 1:2 h =file\n");
		/* the base's time is the build's */
		assert_string_equal(config_string(&c, "created"), "2001-09-09T01:46:40Z");
		history_is(&c, "COPY passwd /etc/ # buildkit\nCOPY --chown=1:2 f /srv/ # "
			       "buildkit\n(ENV A=b PATH=/p)\n"
			       "(USER app)\n(WORKDIR /srv)\n(CMD [\"c\"])\nCOPY "
			       "--chown=app f g # buildkit\n(ENV B=b)\n"
			       "COPY /srv/f /h # buildkit\n");
		end_run(&c);
	}
	store_close(store);
	store = first;
	end_run(&b);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *dockerfile;
		unsigned line;
		const char *message, *hint;
	} v[] = {
		{"FROM scratch\nCOPY requirments.txt /\n", 2,
		 "COPY requirments.txt /: not found in the context",
		 "did you mean requirements.txt?"},
		{"FROM scratch\nCOPY ignored /\n", 2, "not found", ".dockerignore"},
		{"FROM scratch\n\nCOPY ../secret /\n", 3, "not found",
		 "outside the context"},
		{"FROM scratch\nCOPY out /\n", 2, "not found", "a link to ../secret"},
		{"FROM scratch\nCOPY requirements.txt out /d\nCOPY nope requirements.txt "
		 "/\n",
		 2, "out: not found", ""},
		{"FROM scratch AS a\nFROM scratch\nCOPY --from=a x /\n", 3,
		 "not found in the stage", ""},
		{"FROM scratch\nARG m=u+x\nCOPY --chmod=$m requirements.txt /\n", 3,
		 "octal", "--chmod=755"},
		{"FROM scratch\nCOPY --chmod=$m requirements.txt /\n", 2, "--chmod=", ""},
		{"FROM scratch\nCOPY requirements.txt /d\nWORKDIR /d\n", 3, "/d", ""},
		{"FROM scratch\nCOPY requirements.txt /d\nCOPY requirements.txt /d/e\n",
		 3, "/d is no folder", ""},
		{"FROM scratch\nCOPY ${x:?no} /\n", 2, "x", ""},
		{"FROM scratch\nCOPY [a /\n", 2, "malformed", ""},
		{"FROM scratch\nCOPY --chown=${x?} requirements.txt /\n", 2, "x", ""},
		{"FROM scratch\nSTOPSIGNAL X\n", 2, "X", ""},
	};

	(void)state;
	fresh_context();
	write_file("secret", "s", 0644);
	write_file("ctx/requirements.txt", "", 0644);
	write_file("ctx/ignored", "", 0644);
	write_file("ctx/.dockerignore", "ignored\n", 0644);
	make_link("ctx/out", "../secret");
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct error err = ERROR_INIT;
		struct run b;

		dockerfile(v[i].dockerfile);
		begin_run(&b, "ctx");
		if (!try_run(&b, &err) || err.kind != E_INPUT || err.line != v[i].line ||
		    !strstr(err.msg, v[i].message) || !strstr(err.hint, v[i].hint))
			fail_msg("%s: %u: %s (%s)", v[i].dockerfile, err.line, err.msg,
				 err.hint);
		end_run(&b);
	}
}

static void a_missing_dockerfile_is_wrong_input(void **state)
{
	auto_free char *other = in_folder("other.Dockerfile");
	struct error err = ERROR_INIT;
	struct run b;

	(void)state;
	fresh_context();
	begin_run(&b, "ctx");
	assert_int_equal(try_run(&b, &err), -1);
	assert_int_equal(error_status(&err), 2);
	assert_non_null(strstr(err.msg, "no Dockerfile"));
	end_run(&b);
	err = (struct error)ERROR_INIT;
	begin_run(&b, "ctx");
	b.req.dockerfile = "none.Dockerfile";
	assert_int_equal(try_run(&b, &err), -1);
	assert_int_equal(error_status(&err), 2);
	end_run(&b);
	/* 15.1: dockerfile will do, and -f may lie outside of the context */
	write_file("ctx/dockerfile", "FROM scratch\nENV A=1\n", 0644);
	build(&b);
	end_run(&b);
	write_file("other.Dockerfile", "FROM scratch\nENV A=2\n", 0644);
	begin_run(&b, "ctx");
	b.req.dockerfile = other;
	must_run(&b);
	history_is(&b, "(ENV A=2)\n");
	end_run(&b);
}

/* Each key, label and path of a cache hit is looked up in a tree that is never made:
 * a build that is cached as a whole needs no layer's index. */
static void a_cached_build_does_not_read_its_layers(void **state)
{
	auto_free char *trees = in_folder("store/trees");
	struct digest first, d;
	size_t cached;

	(void)state;
	fresh_context();
	write_file("ctx/a", "index", 0644);
	dockerfile("FROM scratch\nCOPY a /x\nCOPY a /y\n");
	manifest_of("ctx", &first, NULL);
	file_remove_tree(AT_FDCWD, trees, NULL);
	assert_int_equal(mkdir(trees, 0700), 0);
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 2);
	assert_true(digest_equal(&first, &d));
	/* and where one is needed again it is made from the layer */
	dockerfile("FROM scratch\nCOPY a /x\nCOPY a /y\nCOPY a /z/\n");
	manifest_of("ctx", &d, &cached);
	assert_int_equal(cached, 2);
}

/* A layer whose bytes were damaged is never used and goes; the next build is right. */
static void a_damaged_layer_is_dropped_when_it_is_read(void **state)
{
	auto_free char *trees = in_folder("store/trees");
	struct error err = ERROR_INIT;
	char hex[DIGEST_HEX];
	struct digest first;
	struct run b;

	(void)state;
	fresh_context();
	write_file("ctx/a", "damaged layer", 0644);
	dockerfile("FROM scratch\nCOPY a /x\nCOPY a /y\n");
	build(&b);
	first = b.r.manifest.digest;
	auto_free char *name = xasprintf("store/blobs/sha256/%s",
					 digest_hex(&b.r.parsed.layers[0].digest, hex));
	auto_free char *path = in_folder(name);
	end_run(&b);

	int fd = open(path, O_RDWR | O_CLOEXEC);
	char byte;
	assert_int_equal(pread(fd, &byte, 1, 40), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 40), 1);
	close(fd);
	store_close(store); /* another process: it verified nothing yet */
	store = open_store();
	file_remove_tree(AT_FDCWD, trees, NULL);
	assert_int_equal(mkdir(trees, 0700), 0);
	dockerfile("FROM scratch\nCOPY a /x\nCOPY a /y\nCOPY a /z\n");
	begin_run(&b, "ctx");
	assert_int_equal(try_run(&b, &err), -1);
	assert_int_equal(err.kind, E_CORRUPT);
	assert_non_null(strstr(err.hint, "again"));
	end_run(&b);
	build(&b);
	end_run(&b);
	dockerfile("FROM scratch\nCOPY a /x\nCOPY a /y\n");
	build(&b);
	assert_true(digest_equal(&b.r.manifest.digest, &first));
	end_run(&b);
}

static int begin(void **state)
{
	if (set_up(state))
		return -1;
	store = open_store();
	log_setup(PROGRESS_QUIET, false, false);
	return 0;
}

static int end(void **state)
{
	store_close(store);
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_from_scratch_has_what_was_copied),
		cmocka_unit_test(destinations_are_where_the_rules_say),
		cmocka_unit_test(a_workdir_that_is_there_makes_no_layer),
		cmocka_unit_test(stages_copy_from_each_other),
		cmocka_unit_test(a_target_ends_the_build_early),
		cmocka_unit_test(what_did_not_change_comes_from_the_cache),
		cmocka_unit_test(no_cache_makes_the_same_again),
		cmocka_unit_test(a_lost_layer_is_made_again),
		cmocka_unit_test(equal_contexts_give_equal_digests),
		cmocka_unit_test(the_time_is_what_was_asked_for),
		cmocka_unit_test(a_kept_time_is_part_of_the_key),
		cmocka_unit_test(labels_and_annotations_go_where_they_belong),
		cmocka_unit_test(a_named_context_is_a_base_and_a_source),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
		cmocka_unit_test(a_missing_dockerfile_is_wrong_input),
		cmocka_unit_test(a_cached_build_does_not_read_its_layers),
		cmocka_unit_test(a_damaged_layer_is_dropped_when_it_is_read),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
