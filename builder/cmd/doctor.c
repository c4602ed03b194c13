/* hod doctor: which isolation of RUN works here, why not, and what would help. */
#include <stdio.h>
#include <string.h>

#include "builder/app.h"
#include "builder/cmd.h"
#include "builder/cmd/output.h"
#include "builder/sandbox/host.h"
#include "builder/sandbox/probe.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/store.h"

#define COLUMNS 80
#define MODE_NONE SANDBOX_MODES

struct findings {
	struct probe probes[SANDBOX_MODES];
	unsigned taken; /* by auto: a mode, or MODE_NONE */
	struct host host;
	const char *store;
};

/* Words for programs: the value of --isolation, and which ids there are. */
static const struct {
	const char *isolation, *ids;
} words[SANDBOX_MODES] = {
	[SANDBOX_ROOT] = {"root", "all"},
	[SANDBOX_RANGE] = {"userns", "range"},
	[SANDBOX_ONE] = {"userns", "one"},
};

static int examine(struct store *st, struct findings *f, struct error *err)
{
	f->taken = MODE_NONE;
	f->store = store_path(st);
	host_read(&f->host, store_dirfd(st));
	for (unsigned mode = 0; mode < SANDBOX_MODES; mode++) {
		struct probe *p = &f->probes[mode];

		if (probe_mode((enum sandbox_mode)mode, store_dirfd(st), p, err) < 0)
			return -1;
		if (p->works && f->taken == MODE_NONE &&
		    isolation_allows(ISOLATION_AUTO, p->mode))
			f->taken = mode;
	}
	return 0;
}

/* Words of text from column `at` on, further lines begin in that column. */
static void add_wrapped(struct buf *out, size_t at, const char *text)
{
	size_t column = at;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > at && column + 1 + len > COLUMNS) {
			buf_addf(out, "\n%*s", (int)at, "");
			column = at;
		} else if (column > at) {
			buf_addc(out, ' ');
			column++;
		}
		buf_add(out, text, len);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	buf_addc(out, '\n');
}

static void add_check(const struct probe_check *c, struct buf *out)
{
	buf_addf(out, "  %-4s  %-11s ", c->ok ? "ok" : c->needed ? "FAIL" : "-", c->name);
	add_wrapped(out, 20, c->text);
	if (!c->cure[0])
		return;
	buf_addf(out, "%20scure: ", "");
	add_wrapped(out, 26, c->cure);
}

static void add_mode(const struct findings *f, unsigned mode, struct buf *out)
{
	const struct probe *p = &f->probes[mode];

	buf_addf(out, "\n%s: %s%s\n", sandbox_mode_name(p->mode),
		 p->works ? "works" : "does not work",
		 f->taken == mode ? ", auto takes it" : "");
	for (size_t i = 0; i < p->n; i++)
		add_check(&p->checks[i], out);
}

/* text is taken. */
static void add_fact(struct buf *out, const char *name, char *text)
{
	buf_addf(out, "  %-17s ", name);
	add_wrapped(out, 20, text);
	free(text);
}

static char *userns_text(const struct host *h)
{
	if (h->user_namespaces < 0)
		return xstrdup("unknown");
	return h->user_namespaces ? xasprintf("at most %ld", h->user_namespaces)
				  : xstrdup("switched off");
}

static void add_host(const struct findings *f, struct buf *out)
{
	const struct host *h = &f->host;

	buf_adds(out, "\nhost:\n");
	add_fact(out, "kernel", xasprintf("%s %s", h->kernel, h->machine));
	add_fact(out, "user",
		 xasprintf("%s (uid %u)%s", h->user[0] ? h->user : "without a name",
			   h->euid, h->no_new_privs ? ", no_new_privs is set" : ""));
	add_fact(out, "store", xasprintf("%s, on %s", f->store, h->filesystem));
	add_fact(out, "user namespaces", userns_text(h));
	add_fact(out, "subordinate ids",
		 xasprintf("%u uids, %u gids; newuidmap and newgidmap are %s", h->subuids,
			   h->subgids, h->programs ? "there" : "missing"));
	add_fact(out, "seccomp",
		 xasprintf("%s%s", h->seccomp ? "yes" : "no",
			   h->filtered ? ", and hod is below a filter already" : ""));
	add_fact(out, "landlock",
		 h->landlock ? xasprintf("yes, ABI %d", h->landlock) : xstrdup("no"));
}

static void print_text(const struct findings *f)
{
	auto_buf struct buf out = BUF_INIT;

	if (f->taken == MODE_NONE)
		buf_adds(&out, "RUN has no isolation that works on this host.\n");
	else
		buf_addf(&out, "RUN works on this host, with isolation %s.\n",
			 sandbox_mode_name((enum sandbox_mode)f->taken));
	for (unsigned mode = 0; mode < SANDBOX_MODES; mode++)
		add_mode(f, mode, &out);
	add_host(f, &out);
	fputs(out.data, stdout);
}

static void add_member(struct buf *b, const char *key, const char *text)
{
	json_key(b, key);
	json_string(b, text);
}

static void add_words(struct buf *b, unsigned mode)
{
	add_member(b, "isolation", words[mode].isolation);
	add_member(b, "ids", words[mode].ids);
}

static void add_flag(struct buf *b, const char *key, bool value)
{
	json_key(b, key);
	json_bool(b, value);
}

static void add_number(struct buf *b, const char *key, int64_t value)
{
	json_key(b, key);
	json_int(b, value);
}

static void check_json(const struct probe_check *c, struct buf *b)
{
	json_open(b, '{');
	add_member(b, "name", c->name);
	add_flag(b, "ok", c->ok);
	add_flag(b, "needed", c->needed);
	add_member(b, "text", c->text);
	if (c->cure[0])
		add_member(b, "cure", c->cure);
	json_close(b, '}');
}

static void mode_json(const struct probe *p, struct buf *b)
{
	json_open(b, '{');
	add_words(b, p->mode);
	add_flag(b, "works", p->works);
	json_key(b, "checks");
	json_open(b, '[');
	for (size_t i = 0; i < p->n; i++)
		check_json(&p->checks[i], b);
	json_close(b, ']');
	json_close(b, '}');
}

static void host_json(const struct findings *f, struct buf *b)
{
	const struct host *h = &f->host;

	json_open(b, '{');
	add_member(b, "kernel", h->kernel);
	add_member(b, "machine", h->machine);
	add_member(b, "user", h->user);
	add_number(b, "uid", h->euid);
	add_flag(b, "no_new_privs", h->no_new_privs);
	add_member(b, "store", f->store);
	add_member(b, "filesystem", h->filesystem);
	if (h->user_namespaces >= 0)
		add_number(b, "user_namespaces", h->user_namespaces);
	add_number(b, "subuids", h->subuids);
	add_number(b, "subgids", h->subgids);
	add_flag(b, "newuidmap", h->programs);
	add_flag(b, "seccomp", h->seccomp);
	add_flag(b, "filtered", h->filtered);
	add_number(b, "landlock", h->landlock);
	json_close(b, '}');
}

static void print_json(const struct findings *f)
{
	auto_buf struct buf b = BUF_INIT;

	json_open(&b, '{');
	add_flag(&b, "works", f->taken != MODE_NONE);
	if (f->taken != MODE_NONE)
		add_words(&b, f->taken);
	json_key(&b, "modes");
	json_open(&b, '[');
	for (unsigned mode = 0; mode < SANDBOX_MODES; mode++)
		mode_json(&f->probes[mode], &b);
	json_close(&b, ']');
	json_key(&b, "host");
	host_json(f, &b);
	json_close(&b, '}');
	puts(b.data);
}

/* The error is about what this user could have. */
static int nothing_works(const struct findings *f, struct error *err)
{
	struct probe tried[SANDBOX_MODES];
	size_t n = 0;

	for (size_t i = 0; i < SANDBOX_MODES; i++)
		if (isolation_allows(ISOLATION_AUTO, f->probes[i].mode))
			tried[n++] = f->probes[i];
	return probe_refusal(ISOLATION_AUTO, tried, n, err);
}

static int run_doctor(struct app *app, int argc, char **argv, struct error *err)
{
	const char *format = "text";
	const struct option options[] = {
		{"format", 0, OPTION_STRING, &format, "FORMAT", "text or json"},
	};
	auto_strv struct strv operands = STRV_INIT;
	struct findings f = {0};
	struct store *st;
	int rc = command_options(app, &cmd_doctor, options, 1, argc, argv, 0, 0,
				 &operands, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return error_set(err, E_USAGE, "--format is text or json, not \"%s\"",
				 format);
	st = app_store(app, err);
	if (!st || examine(st, &f, err) < 0)
		return -1;
	if (!strcmp(format, "json"))
		print_json(&f);
	else
		print_text(&f);
	return f.taken == MODE_NONE ? nothing_works(&f, err) : 0;
}

const struct command cmd_doctor = {
	"doctor",
	"[OPTIONS]",
	"Show whether RUN works on this host, and what would help",
	run_doctor,
};
