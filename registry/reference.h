/*
 * reference.h - image names: parse, complete, print
 *
 * docker's normalisation (distribution/reference): the first part is a host only
 * if it holds `.` or `:` or an upper-case letter or is `localhost`; else the host is
 * docker.io, where a one-part path gains `library/`.  Tag `latest` is the default
 * only where reference_complete adds it.  host and path are at most 255 characters,
 * a tag 128.
 */
#ifndef HOD_REFERENCE_H
#define HOD_REFERENCE_H

#include <stdbool.h>

#include "registry/base/digest.h"

struct error;

struct reference {
	char *host; /* identity: "docker.io", "public.ecr.aws", "localhost:5000" */
	char *path; /* "library/alpine", "lambda/python" */
	char *tag;  /* NULL if none was given */
	bool has_digest;
	struct digest digest;
};
#define REFERENCE_INIT \
	{              \
		0      \
	}

/* Parses and normalises.  E_INPUT with the reason and, where it is one, the
 * hint (upper case, a scheme, a tag that is too long...). */
int reference_parse(struct reference *r, const char *text, struct error *err);
void reference_release(struct reference *r);
void reference_copy(struct reference *to, const struct reference *from);
/* Adds tag "latest" where there is neither tag nor digest. */
void reference_complete(struct reference *r);
/* Full text: host/path[:tag][@digest]; yours to free. */
char *reference_text(const struct reference *r);
/* As docker shows it (docker.io/library/x:1 -> x:1); yours to free. */
char *reference_familiar(const struct reference *r);
/* host/path; yours to free. */
char *reference_repository(const struct reference *r);
bool reference_same_repository(const struct reference *a, const struct reference *b);
/* Where requests go: "registry-1.docker.io" for docker.io, else the host. */
const char *reference_wire_host(const struct reference *r);
/* A private ECR registry: ACCOUNT.dkr.ecr.REGION.amazonaws.com and its
 * kin in other partitions, FIPS and dual-stack. */
bool reference_is_ecr(const struct reference *r);
/* localhost, 127/8, [::1]: may be tried without TLS. */
bool reference_is_loopback(const struct reference *r);

#define auto_reference __attribute__((cleanup(reference_release)))

#endif
