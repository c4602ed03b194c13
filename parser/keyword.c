#include <string.h>
#include <strings.h>

#include "parser/dockerfile.h"

static const char *const names[KW_COUNT] = {
	[KW_ADD] = "ADD",
	[KW_ARG] = "ARG",
	[KW_CMD] = "CMD",
	[KW_COPY] = "COPY",
	[KW_ENTRYPOINT] = "ENTRYPOINT",
	[KW_ENV] = "ENV",
	[KW_EXPOSE] = "EXPOSE",
	[KW_FROM] = "FROM",
	[KW_HEALTHCHECK] = "HEALTHCHECK",
	[KW_LABEL] = "LABEL",
	[KW_MAINTAINER] = "MAINTAINER",
	[KW_ONBUILD] = "ONBUILD",
	[KW_RUN] = "RUN",
	[KW_SHELL] = "SHELL",
	[KW_STOPSIGNAL] = "STOPSIGNAL",
	[KW_USER] = "USER",
	[KW_VOLUME] = "VOLUME",
	[KW_WORKDIR] = "WORKDIR",
};

const char *keyword_name(enum keyword kw)
{
	return kw < KW_COUNT ? names[kw] : "";
}

enum keyword keyword_find(const char *word, size_t len)
{
	for (enum keyword kw = 0; kw < KW_COUNT; kw++)
		if (strlen(names[kw]) == len && !strncasecmp(names[kw], word, len))
			return kw;
	return KW_COUNT;
}
