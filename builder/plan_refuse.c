#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "builder/build.h"
#include "builder/diags.h"
#include "builder/plan_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

int plan_refuse_at(struct error *err, const struct plan *p, unsigned line,
		   const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error_set(err, E_INPUT, "%s", text);
	return error_at(err, p->file, line, 0);
}

bool plan_octal_mode(const char *text, uint16_t *mode)
{
	size_t n = strspn(text, "01234567");
	unsigned long value = n && n <= 5 && !text[n] ? strtoul(text, NULL, 8) : 010000;

	*mode = (uint16_t)value;
	return value <= 07777;
}

static int refuse_copy(const struct plan *p, const struct instruction *in,
		       struct error *err)
{
	static const char *const missing[] = {"link", "parents", "exclude"};
	const struct flag *chmod = instruction_flag(in, "chmod");
	uint16_t mode;

	for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++) {
		const struct flag *f = instruction_flag(in, missing[i]);

		if (f && !(f->value && !strcasecmp(f->value, "false")))
			return plan_refuse_at(err, p, in->line,
					      "COPY --%s is not supported yet",
					      missing[i]);
	}
	if (chmod && chmod->value && !strchr(chmod->value, '$') &&
	    !plan_octal_mode(chmod->value, &mode)) {
		plan_refuse_at(err, p, in->line,
			       "COPY --chmod=%s: only octal modes are supported yet",
			       chmod->value);
		return error_hint(err, "for example --chmod=755");
	}
	if (in->nheredocs)
		return plan_refuse_at(err, p, in->line,
				      "COPY with a heredoc (<<%s) is not supported yet",
				      in->heredocs[0].name);
	return 0;
}

static int refuse_network(const struct plan *p, const struct build_request *req,
			  const struct instruction *in, struct error *err)
{
	const struct flag *f = instruction_flag(in, "network");
	int mode =
		f ? build_network_parse(f->value ? f->value : "") : BUILD_NETWORK_DEFAULT;

	if (mode < 0) {
		plan_refuse_at(err, p, in->line,
			       "RUN --network=%s: there is no such network",
			       f->value ? f->value : "");
		return error_hint(err, "it is default, none or host");
	}
	if (mode == BUILD_NETWORK_HOST && !req->allow_host_network) {
		plan_refuse_at(err, p, in->line,
			       "RUN --network=host is not allowed by the command line");
		return error_hint(err, "build with --allow network.host");
	}
	return 0;
}

static int refuse_security(const struct plan *p, const struct instruction *in,
			   struct error *err)
{
	const struct flag *f = instruction_flag(in, "security");
	const char *mode = f && f->value ? f->value : f ? "" : "sandbox";

	if (!strcmp(mode, "sandbox"))
		return 0;
	if (!strcmp(mode, "insecure")) {
		plan_refuse_at(err, p, in->line,
			       "RUN --security=insecure: hod runs no command without its "
			       "sandbox");
		return error_hint(err, "leave the flag out");
	}
	plan_refuse_at(err, p, in->line, "RUN --security=%s: there is no such mode",
		       mode);
	return error_hint(err, "it is sandbox");
}

static int refuse_run(const struct plan *p, const struct build_request *req,
		      const struct instruction *in, struct error *err)
{
	static const char *const missing[] = {"mount", "device"};

	for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++)
		if (instruction_flag(in, missing[i]))
			return plan_refuse_at(err, p, in->line,
					      "RUN --%s is not supported yet",
					      missing[i]);
	if (refuse_network(p, req, in, err) < 0 || refuse_security(p, in, err) < 0)
		return -1;
	if (req->isolation != ISOLATION_NONE)
		return 0;
	plan_refuse_at(err, p, in->line, "RUN needs isolation, which is switched off");
	err->kind = E_SANDBOX;
	return error_hint(err, "build with --isolation auto (see also HOD_ISOLATION)");
}

/* What this version cannot do, by name and line. */
static int refuse_unsupported(const struct plan *p, const struct build_request *req,
			      const struct instruction *in, struct error *err)
{
	switch (in->kw) {
	case KW_ADD:
	case KW_ONBUILD:
		plan_refuse_at(err, p, in->line, "%s is not supported yet",
			       keyword_name(in->kw));
		if (in->kw == KW_ADD)
			error_hint(err, "use COPY for files and folders of the context");
		return -1;
	case KW_COPY:
		return refuse_copy(p, in, err);
	case KW_RUN:
		return refuse_run(p, req, in, err);
	default:
		return 0;
	}
}

int plan_refuse(const struct plan *p, const struct build_request *req, const char *text,
		size_t len, struct error *err)
{
	struct error last = ERROR_INIT, next = ERROR_INIT;

	for (size_t i = 0; i < p->nstages; i++) {
		size_t n;
		const struct instruction *in = plan_instructions(p, i, &n);

		for (size_t k = 0; k < n; k++) {
			auto_free char *excerpt = NULL;

			if (!refuse_unsupported(p, req, &in[k], &next))
				continue;
			if (last.kind != E_NONE) {
				excerpt = diags_line(text, len, last.line);
				log_error(&last, excerpt);
			}
			last = next;
		}
	}
	if (last.kind == E_NONE)
		return 0;
	*err = last;
	return -1;
}
