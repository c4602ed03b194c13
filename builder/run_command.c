#include "builder/run_command.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "builder/build.h"
#include "builder/goformat.h"
#include "builder/meta.h"
#include "builder/stage.h"
#include "parser/heredoc.h"
#include "registry/base/alloc.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"

/* Of a command in a message. */
#define QUOTE_MAX 200

static bool is_set(const struct strv *env, const char *name)
{
	return strv_get(env, name) != NULL;
}

/* The body of the only heredoc, which is the script; <<- has lost its tabs. */
static const char *script_text(struct stage_state *s, const struct heredoc *h)
{
	size_t len = h->body_len;

	return h->strip_tabs ? heredoc_strip_tabs(&s->build->plan.arena, h->body, &len)
			     : h->body;
}

/* 5.5: an interpreter of its own reads the script as a file. */
static int script_file(struct run_command *c, const struct heredoc *h, const char *text,
		       struct error *err)
{
	if (strchr(h->name, '/') || !strcmp(h->name, ".") || !strcmp(h->name, "..")) {
		error_set(err, E_INPUT, "<<%s: no name for the file of a script",
			  h->name);
		return error_hint(err, "name it <<EOF");
	}
	c->script_name = xstrdup(h->name);
	c->script = xstrdup(text);
	strv_addf(&c->argv, "%s%s", RUN_SCRIPT_FOLDER, h->name);
	return 0;
}

/* 5.6: the shell reads the heredocs itself, with the bodies as they stand. */
static void rebuild(struct run_command *c, const struct instruction *in, const char *line)
{
	auto_buf struct buf text = BUF_INIT;

	buf_adds(&text, line);
	for (size_t i = 0; i < in->nheredocs; i++) {
		buf_addc(&text, '\n');
		buf_add(&text, in->heredocs[i].body, in->heredocs[i].body_len);
		buf_adds(&text, in->heredocs[i].name);
	}
	strv_add(&c->argv, text.data);
}

/* 9.1, 5.5, 5.6 */
static int arguments(struct run_command *c, struct stage_state *s,
		     const struct instruction *in, struct error *err)
{
	const char *line = in->nargs ? in->args[0].text : "", *text;
	struct heredoc only;

	if (in->json) {
		for (size_t i = 0; i < in->nargs; i++)
			strv_add(&c->argv, in->args[i].text);
		return in->nargs ? 0
				 : error_set(err, E_INPUT, "there is no command in []");
	}
	meta_shell(s, &c->argv);
	if (!in->nheredocs) {
		strv_add(&c->argv, line);
		return 0;
	}
	if (!heredoc_parse(&s->build->plan.arena, line, &only, NULL)) {
		rebuild(c, in, line);
		return 0;
	}
	text = script_text(s, &in->heredocs[0]);
	if (!strncmp(text, "#!", 2))
		return script_file(c, &in->heredocs[0], text, err);
	strv_add(&c->argv, text);
	return 0;
}

/* 9.2, 6.9: ENV in its order, then the ARGs that have a value, each with what was written
 * last. */
static void variables(struct run_command *c, const struct stage_state *s)
{
	const struct strv *const lists[] = {&s->config.env, &s->vars};

	for (size_t l = 0; l < 2; l++) {
		for (size_t i = 0; i < lists[l]->n; i++) {
			const char *text = lists[l]->v[i];
			auto_free char *name = xstrndup(text, strcspn(text, "="));
			const char *value = strv_get(&s->vars, name);

			if (value && !is_set(&c->env, name))
				strv_addf(&c->env, "%s=%s", name, value);
		}
	}
}

/* What makes Python and pip write the same bytes every time (hod-layers(5), RUN). */
static void steady_variables(struct run_command *c)
{
	static const char *const v[][2] = {{"PYTHONHASHSEED", "0"},
					   {"PIP_DISABLE_PIP_VERSION_CHECK", "1"},
					   {"PIP_NO_CACHE_DIR", "1"}};

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		if (!is_set(&c->env, v[i][0]))
			strv_addf(&c->env, "%s=%s", v[i][0], v[i][1]);
}

/* 6.7: --build-arg of a proxy that no ARG declares, in any case. */
static void proxies(struct run_command *c, const struct build_request *req)
{
	static const char *const names[][2] = {{"HTTP_PROXY", "http_proxy"},
					       {"HTTPS_PROXY", "https_proxy"},
					       {"FTP_PROXY", "ftp_proxy"},
					       {"NO_PROXY", "no_proxy"},
					       {"ALL_PROXY", "all_proxy"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = NULL;

		for (size_t k = 0; k < req->build_args.n; k++) {
			const char *arg = req->build_args.v[k];
			auto_free char *name = xstrndup(arg, strcspn(arg, "="));

			if (!strcasecmp(name, names[i][0]))
				value = plan_build_arg(req, name);
		}
		for (size_t k = 0; value && *value && k < 2; k++)
			if (!is_set(&c->env, names[i][k]))
				strv_addf(&c->proxies, "%s=%s", names[i][k], value);
	}
}

/* 9.6 */
static bool has_network(const struct build_request *req, const struct instruction *in)
{
	const struct flag *f = instruction_flag(in, "network");
	int mode = f && f->value ? build_network_parse(f->value) : BUILD_NETWORK_DEFAULT;

	if (mode == BUILD_NETWORK_DEFAULT)
		mode = (int)req->network;
	return mode != BUILD_NETWORK_NONE;
}

int run_command_make(struct run_command *c, struct stage_state *s,
		     const struct instruction *in, struct error *err)
{
	const char *cwd = s->config.working_dir;

	if (arguments(c, s, in, err) < 0)
		return -1;
	if (account_find(s, s->config.user, &c->account, err) < 0)
		return error_wrap(err, "USER %s",
				  s->config.user ? s->config.user : "root");
	variables(c, s);
	if (!is_set(&c->env, "HOME"))
		strv_addf(&c->env, "HOME=%s", c->account.home);
	if (s->build->bytecode)
		steady_variables(c);
	proxies(c, s->build->request);
	c->cwd = xstrdup(cwd && *cwd ? cwd : "/");
	c->network = has_network(s->build->request, in);
	return 0;
}

void run_command_release(struct run_command *c)
{
	strv_release(&c->argv);
	strv_release(&c->env);
	strv_release(&c->proxies);
	account_release(&c->account);
	free(c->cwd);
	free(c->script_name);
	free(c->script);
	*c = (struct run_command){0};
}

static void join(const struct strv *words, struct buf *out)
{
	for (size_t i = 0; i < words->n; i++)
		buf_addf(out, "%s%s", i ? " " : "", words->v[i]);
}

/* An ARG without a value is named too, with what ENV says. */
void run_command_history(const struct run_command *c, const struct stage_state *s,
			 struct buf *out)
{
	buf_adds(out, "RUN ");
	if (s->args.n)
		buf_addf(out, "|%zu ", s->args.n);
	for (size_t i = 0; i < s->args.n; i++) {
		const char *value = strv_get(&s->vars, s->args.v[i]);

		buf_addf(out, "%s=%s ", s->args.v[i], value ? value : "");
	}
	join(&c->argv, out);
	buf_adds(out, " # buildkit");
}

static void hash_list(struct hash *h, const struct strv *list)
{
	hash_u64(h, list->n);
	for (size_t i = 0; i < list->n; i++)
		hash_string(h, list->v[i]);
}

static void hash_account(struct hash *h, const struct account *a)
{
	hash_u64(h, a->uid);
	hash_u64(h, a->gid);
	hash_u64(h, a->ngroups);
	for (size_t i = 0; i < a->ngroups; i++)
		hash_u64(h, a->groups[i]);
}

void run_command_hash(const struct run_command *c, struct hash *h)
{
	hash_string(h, "RUN");
	hash_list(h, &c->argv);
	hash_list(h, &c->env);
	hash_account(h, &c->account);
	hash_string(h, c->cwd);
	hash_u64(h, c->network);
	hash_u64(h, c->script != NULL);
	if (c->script)
		hash_string(h, c->script);
}

/* "HEX NAME" of what h has; the name in one line. */
static void part(struct buf *out, struct hash *h, const char *kind, const char *name,
		 size_t len)
{
	char hex[DIGEST_HEX];
	struct digest d;

	hash_end(h, &d);
	buf_addf(out, "\n%.16s %s", digest_hex(&d, hex), kind);
	for (size_t i = 0; i < len; i++)
		buf_addc(out, name[i] == '\n' ? ' ' : name[i]);
}

static void text_part(struct buf *out, const char *name, const char *value)
{
	struct hash h;

	hash_init(&h);
	hash_string(&h, value);
	part(out, &h, name, "", 0);
}

void run_command_text(const struct run_command *c, struct buf *out)
{
	size_t start = out->len;
	struct hash h;

	buf_adds(out, c->network ? "RUN " : "RUN --network=none ");
	join(&c->argv, out);
	for (size_t i = start; i < out->len; i++)
		if (out->data[i] == '\n')
			out->data[i] = ' ';
	hash_init(&h);
	hash_list(&h, &c->argv);
	part(out, &h, "the command", "", 0);
	if (c->script)
		text_part(out, "the script", c->script);
	hash_init(&h);
	hash_account(&h, &c->account);
	part(out, &h, "the user", "", 0);
	text_part(out, "the folder (WORKDIR)", c->cwd);
	for (size_t i = 0; i < c->env.n; i++) {
		hash_init(&h);
		hash_string(&h, c->env.v[i]);
		part(out, &h, "the variable ", c->env.v[i], strcspn(c->env.v[i], "="));
	}
}

void run_command_quote(const struct run_command *c, struct buf *out)
{
	auto_buf struct buf all = BUF_INIT;
	size_t n = QUOTE_MAX;

	join(&c->argv, &all);
	if (all.len > QUOTE_MAX) {
		while (n && ((unsigned char)all.data[n] & 0xc0) == 0x80)
			n--;
		buf_truncate(&all, n);
		buf_adds(&all, "...");
	}
	go_quote(out, all.data);
}
