#include "builder/meta.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "builder/goformat.h"
#include "builder/stage.h"
#include "parser/expand.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

static void replace(char **field, const char *value)
{
	free(*field);
	*field = value && *value ? xstrdup(value) : NULL;
}

static void warn_unset(struct stage_state *s, const struct instruction *in,
		       const struct expand_unset *unset)
{
	for (size_t i = 0; i < unset->n; i++)
		log_warn("%s:%u: variable %s is not set, so it is empty",
			 s->build->plan.file, in->line, unset->v[i]);
}

static int expansion_failed(const char *word, const char *why, struct error *err)
{
	error_set(err, E_INPUT, "%s: %s", word, why);
	return -1;
}

const char *meta_expand(struct stage_state *s, const struct instruction *in,
			const char *word, struct error *err)
{
	struct plan *p = &s->build->plan;
	struct expand_unset unset = {0};
	const char *why = NULL, *out;

	out = expand_word_noting(&p->arena, word, p->dockerfile->escape, plan_lookup,
				 &s->vars, &unset, &why);
	if (!out) {
		expansion_failed(word, why, err);
		return NULL;
	}
	warn_unset(s, in, &unset);
	return out;
}

void meta_shell(const struct stage_state *s, struct strv *out)
{
	for (size_t i = 0; i < s->config.shell.n; i++)
		strv_add(out, s->config.shell.v[i]);
	if (!s->config.shell.n) {
		strv_add(out, "/bin/sh");
		strv_add(out, "-c");
	}
}

/* The JSON elements, or SHELL and the text. */
static void command_line(const struct stage_state *s, const struct instruction *in,
			 size_t first, struct strv *out)
{
	if (!in->json)
		meta_shell(s, out);
	for (size_t i = first; i < in->nargs; i++)
		strv_add(out, in->args[i].text);
	if (!in->json && first >= in->nargs)
		strv_add(out, "");
}

static int apply_cmd(struct stage_state *s, const struct instruction *in, struct buf *by)
{
	auto_strv struct strv args = STRV_INIT;

	command_line(s, in, 0, &args);
	strv_copy(&s->config.cmd, &args);
	s->config.has_cmd = true;
	s->config.args_escaped = true;
	s->cmd_set = true;
	buf_adds(by, "CMD ");
	go_quote_list(by, &args);
	return 0;
}

/* 13.2: an inherited Cmd goes, unless CMD stood earlier in this stage. */
static int apply_entrypoint(struct stage_state *s, const struct instruction *in,
			    struct buf *by)
{
	auto_strv struct strv args = STRV_INIT;

	command_line(s, in, 0, &args);
	strv_copy(&s->config.entrypoint, &args);
	s->config.has_entrypoint = args.n > 0;
	if (!s->cmd_set) {
		strv_release(&s->config.cmd);
		s->config.has_cmd = false;
	}
	buf_adds(by, "ENTRYPOINT ");
	go_quote_list(by, &args);
	return 0;
}

/* ENV and LABEL: the map is frozen for the whole instruction (4.2). */
static int apply_pairs(struct stage_state *s, const struct instruction *in,
		       struct buf *by, struct error *err)
{
	auto_strv struct strv done = STRV_INIT;
	bool env = in->kw == KW_ENV;

	buf_adds(by, env ? "ENV" : "LABEL");
	for (size_t i = 0; i < in->npairs; i++) {
		const char *key = meta_expand(s, in, in->pairs[i].key, err);
		const char *value =
			key ? meta_expand(s, in, in->pairs[i].value, err) : NULL;

		if (!value)
			return -1;
		if (!*key)
			return error_set(err, E_INPUT, "a name is empty");
		if (strchr(key, '='))
			return error_set(err, E_INPUT, "'=' in the name %s", key);
		strv_addf(&done, "%s=%s", key, value);
		buf_addf(by, " %s=%s", key, value);
	}
	for (size_t i = 0; i < done.n; i++) {
		char *eq = strchr(done.v[i], '=');

		*eq = '\0';
		strv_set(env ? &s->config.env : &s->config.labels, done.v[i], eq + 1);
		if (env)
			strv_set(&s->vars, done.v[i], eq + 1);
	}
	return 0;
}

/* 6.1 to 6.6: --build-arg, else the default, else the global value, else unset. */
static int apply_arg(struct stage_state *s, const struct instruction *in, struct buf *by,
		     struct error *err)
{
	buf_adds(by, "ARG");
	for (size_t i = 0; i < in->npairs; i++) {
		const struct pair *arg = &in->pairs[i];
		const char *value = plan_build_arg(s->build->request, arg->key);

		if (!value && arg->has_value) {
			value = meta_expand(s, in, arg->value, err);
			if (!value)
				return error_wrap(err, "%s", arg->key);
		}
		if (!value && !arg->has_value)
			value = strv_get(&s->build->plan.globals, arg->key);
		if (strv_find(&s->args, arg->key) < 0)
			strv_add(&s->args, arg->key);
		buf_addf(by, " %s", arg->key);
		if (value) {
			buf_addf(by, "=%s", value);
			strv_set(&s->vars, arg->key, value);
		}
	}
	return 0;
}

/* "80", "80-90", with the container's part of ip:host:container (13.7). */
static int parse_port_range(const char *text, unsigned *low, unsigned *high)
{
	char *end;
	unsigned long a, b;

	if (!isdigit((unsigned char)*text))
		return -1;
	a = b = strtoul(text, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		b = strtoul(end + 1, &end, 10);
	if (*end || a > 65535 || b > 65535 || b < a)
		return -1;
	*low = (unsigned)a;
	*high = (unsigned)b;
	return 0;
}

static int expose_port(const char *word, struct strv *ports, struct error *err)
{
	auto_free char *copy = xstrdup(word);
	char *slash = strchr(copy, '/'), *colon;
	const char *proto = "tcp", *port = copy;
	unsigned low, high;

	if (slash) {
		*slash = '\0';
		for (char *p = slash + 1; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (slash[1])
			proto = slash + 1;
	}
	colon = strrchr(copy, ':');
	if (colon) {
		log_warn("EXPOSE %s: only the container's port counts", word);
		port = colon + 1;
	}
	if (strcmp(proto, "tcp") && strcmp(proto, "udp") && strcmp(proto, "sctp"))
		return error_set(err, E_INPUT, "%s: the protocol is tcp, udp or sctp",
				 word);
	if (parse_port_range(port, &low, &high) < 0)
		return error_set(err, E_INPUT, "%s: no port from 0 to 65535", word);
	for (unsigned p = low; p <= high; p++)
		strv_addf(ports, "%u/%s", p, proto);
	return 0;
}

/* Ports are a set, written sorted: sorting finds doubles in time, of 65536 too. */
static void add_ports(struct strv *set, const struct strv *ports)
{
	size_t kept = 0;

	for (size_t i = 0; i < ports->n; i++)
		strv_add(set, ports->v[i]);
	strv_sort(set);
	for (size_t i = 0; i < set->n; i++) {
		if (kept && !strcmp(set->v[kept - 1], set->v[i]))
			free(set->v[i]);
		else
			set->v[kept++] = set->v[i];
	}
	if (set->n)
		set->v[kept] = NULL;
	set->n = kept;
}

/* 13.7: words are sorted before they are expanded, each may become several. */
static int apply_expose(struct stage_state *s, const struct instruction *in,
			struct buf *by, struct error *err)
{
	struct plan *p = &s->build->plan;
	auto_strv struct strv sorted = STRV_INIT, ports = STRV_INIT;

	for (size_t i = 0; i < in->nargs; i++)
		strv_add(&sorted, in->args[i].text);
	strv_sort(&sorted);
	for (size_t i = 0; i < sorted.n; i++) {
		const char *why = NULL;
		char **words = NULL;
		size_t n = expand_words(&p->arena, sorted.v[i], p->dockerfile->escape,
					plan_lookup, &s->vars, &words, &why);

		if (n == (size_t)-1)
			return expansion_failed(sorted.v[i], why, err);
		for (size_t k = 0; k < n; k++)
			if (expose_port(words[k], &ports, err) < 0)
				return -1;
	}
	add_ports(&s->config.exposed_ports, &ports);
	buf_adds(by, "EXPOSE ");
	go_list(by, &ports);
	return 0;
}

static int64_t flag_duration(const struct instruction *in, const char *name)
{
	const struct flag *f = instruction_flag(in, name);
	long long ns = 0;

	/* the parser has refused what is malformed */
	if (f && f->value)
		duration_parse(f->value, &ns);
	return ns;
}

static int apply_healthcheck(struct stage_state *s, const struct instruction *in,
			     struct buf *by)
{
	struct healthcheck *h = &s->config.healthcheck;
	const struct flag *retries = instruction_flag(in, "retries");
	const struct {
		const char *name;
		int64_t ns;
	} times[] = {{"Interval", flag_duration(in, "interval")},
		     {"Timeout", flag_duration(in, "timeout")},
		     {"StartPeriod", flag_duration(in, "start-period")},
		     {"StartInterval", flag_duration(in, "start-interval")}};

	strv_release(&h->test);
	*h = (struct healthcheck){.interval = times[0].ns,
				  .timeout = times[1].ns,
				  .start_period = times[2].ns,
				  .start_interval = times[3].ns,
				  .retries = retries && retries->value
						     ? strtoll(retries->value, NULL, 10)
						     : 0};
	s->config.has_healthcheck = true;
	if (!strcmp(in->args[0].text, "NONE")) {
		h->interval = h->timeout = h->start_period = h->start_interval =
			h->retries = 0;
		strv_add(&h->test, "NONE");
	} else {
		strv_add(&h->test, in->json ? "CMD" : "CMD-SHELL");
	}
	for (size_t i = 1; i < in->nargs; i++)
		strv_add(&h->test, in->args[i].text);
	buf_adds(by, "HEALTHCHECK {Test:");
	go_list(by, &h->test);
	for (size_t i = 0; i < 4; i++) {
		buf_addf(by, " %s:", times[i].name);
		go_duration(by, strcmp(in->args[0].text, "NONE") ? times[i].ns : 0);
	}
	buf_addf(by, " Retries:%lld}", (long long)h->retries);
	return 0;
}

/* 13.6: a number, or a name with or without SIG. */
static bool known_signal(const char *text)
{
	const char *name = strncasecmp(text, "SIG", 3) ? text : text + 3;
	char *end;
	long n = strtol(text, &end, 10);

	if (*text && !*end)
		return n > 0 && n <= 64;
	for (int i = 1; i < 32; i++)
		if (sigabbrev_np(i) && !strcasecmp(name, sigabbrev_np(i)))
			return true;
	if (!strncasecmp(name, "RTMIN", 5) || !strncasecmp(name, "RTMAX", 5)) {
		if (!name[5])
			return true;
		n = strtol(name + 5, &end, 10);
		return !*end && n >= -14 && n <= 15;
	}
	return !strcasecmp(name, "IOT") || !strcasecmp(name, "CLD");
}

static int apply_word(struct stage_state *s, const struct instruction *in, struct buf *by,
		      struct error *err)
{
	const char *word = in->nargs ? in->args[0].text : "";

	if (in->kw == KW_MAINTAINER) {
		replace(&s->config.author, word);
		buf_addf(by, "MAINTAINER %s", word);
		return 0;
	}
	word = meta_expand(s, in, word, err);
	if (!word)
		return -1;
	if (in->kw == KW_USER) {
		replace(&s->config.user, word);
	} else {
		if (!known_signal(word))
			return error_set(err, E_INPUT, "%s: no such signal", word);
		replace(&s->config.stop_signal, word);
	}
	buf_addf(by, "%s %s", keyword_name(in->kw), word);
	return 0;
}

static int apply_volume(struct stage_state *s, const struct instruction *in,
			struct buf *by, struct error *err)
{
	auto_strv struct strv added = STRV_INIT;

	for (size_t i = 0; i < in->nargs; i++) {
		const char *path = meta_expand(s, in, in->args[i].text, err);

		if (!path)
			return -1;
		if (!*path)
			return error_set(err, E_INPUT, "a path is empty");
		strv_add(&added, path);
		if (strv_find(&s->config.volumes, path) < 0)
			strv_add(&s->config.volumes, path);
	}
	buf_adds(by, "VOLUME ");
	go_list(by, &added);
	return 0;
}

static int apply_shell(struct stage_state *s, const struct instruction *in,
		       struct buf *by)
{
	strv_release(&s->config.shell);
	for (size_t i = 0; i < in->nargs; i++)
		strv_add(&s->config.shell, in->args[i].text);
	buf_adds(by, "SHELL ");
	go_list(by, &s->config.shell);
	return 0;
}

bool meta_is(const struct instruction *in)
{
	switch (in->kw) {
	case KW_ARG:
	case KW_CMD:
	case KW_ENTRYPOINT:
	case KW_ENV:
	case KW_EXPOSE:
	case KW_HEALTHCHECK:
	case KW_LABEL:
	case KW_MAINTAINER:
	case KW_SHELL:
	case KW_STOPSIGNAL:
	case KW_USER:
	case KW_VOLUME:
		return true;
	default:
		return false;
	}
}

static int dispatch(struct stage_state *s, const struct instruction *in, struct buf *by,
		    struct error *err)
{
	switch (in->kw) {
	case KW_ARG:
		return apply_arg(s, in, by, err);
	case KW_CMD:
		return apply_cmd(s, in, by);
	case KW_ENTRYPOINT:
		return apply_entrypoint(s, in, by);
	case KW_ENV:
	case KW_LABEL:
		return apply_pairs(s, in, by, err);
	case KW_EXPOSE:
		return apply_expose(s, in, by, err);
	case KW_HEALTHCHECK:
		return apply_healthcheck(s, in, by);
	case KW_SHELL:
		return apply_shell(s, in, by);
	case KW_VOLUME:
		return apply_volume(s, in, by, err);
	default:
		return apply_word(s, in, by, err);
	}
}

int meta_apply(struct stage_state *s, const struct instruction *in, struct error *err)
{
	auto_buf struct buf by = BUF_INIT;

	if (dispatch(s, in, &by, err) < 0)
		return -1;
	stage_history(s, by.data, true);
	return 0;
}
