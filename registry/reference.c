#include "registry/reference.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

#define HUB "docker.io"
#define HUB_ALIAS "index.docker.io"
#define HUB_WIRE "registry-1.docker.io"
#define OFFICIAL "library/"

#define MAX_NAME 255
#define MAX_TAG 128

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define HEX DIGITS "abcdefABCDEF"

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

static int bad(struct error *err, const char *text, const char *why)
{
	return error_set(err, E_INPUT, "\"%s\" is no image name: %s", text, why);
}

/* docker's rule for what the part before the first slash is. */
static bool is_host(const char *s, size_t len)
{
	if (len == 9 && memcmp(s, "localhost", 9) == 0)
		return true;
	for (size_t i = 0; i < len; i++)
		if (s[i] == '.' || s[i] == ':' || isupper((unsigned char)s[i]))
			return true;
	return len > 0 && s[0] == '[';
}

/* Labels of letters, digits and inner hyphens, or a bracketed IPv6 address; then a port.
 */
static const char *check_host(const char *host)
{
	const char *p = host, *label;
	unsigned long port;
	char *end;

	if (*p == '[') {
		p += 1 + strspn(p + 1, HEX ":.");
		if (p == host + 1 || *p++ != ']')
			return "the host's IPv6 address is malformed";
	} else {
		for (;; p++) {
			label = p;
			p += strspn(p, LOWER UPPER DIGITS "-");
			if (p == label || *label == '-' || p[-1] == '-')
				return "the host's name is malformed";
			if (*p != '.')
				break;
		}
	}
	if (*p == '\0')
		return NULL;
	if (*p++ != ':')
		return "the host's name is malformed";
	port = strtoul(p, &end, 10);
	if (strspn(p, DIGITS) != strlen(p) || p == end || strlen(p) > 5 || port < 1 ||
	    port > 65535)
		return "the host's port is not between 1 and 65535";
	return NULL;
}

/* Between two runs of letters and digits: one `.`, one or two `_`, any number of `-`. */
static size_t separator(const char *p)
{
	if (*p == '.')
		return 1;
	if (*p == '_')
		return p[1] == '_' ? 2 : 1;
	return strspn(p, "-");
}

static const char *check_path(const char *path)
{
	const char *p = path;
	size_t n;

	for (;;) {
		n = strspn(p, LOWER DIGITS);
		p += n;
		if (n == 0)
			return (*p == '/' || *p == '\0') && (p == path || p[-1] == '/')
				       ? "a part of the repository's path is empty"
				       : "each part of the repository's path starts and "
					 "ends "
					 "with a lower-case letter or a digit";
		if (*p == '\0')
			return NULL;
		if (*p == '/') {
			p++;
			continue;
		}
		n = separator(p);
		if (n == 0)
			return "the repository's path holds a character other than a-z, "
			       "0-9, "
			       ". _ - and /";
		p += n;
		if (is_one_of(*p, "._-"))
			return "the repository's path has separators (. _ -) in a row";
	}
}

static int check_tag(const char *text, const char *tag, struct error *err)
{
	size_t len = strlen(tag);

	if (len == 0)
		return bad(err, text, "the tag is empty");
	if (len > MAX_TAG)
		return bad(err, text, "the tag is longer than 128 characters");
	if (is_one_of(*tag, ".-"))
		return bad(err, text, "a tag does not start with . or -");
	if (strspn(tag, LOWER UPPER DIGITS "_.-") != len)
		return bad(err, text,
			   "the tag holds a character other than letters, digits, "
			   "_ . and -");
	return 0;
}

/* What people type that is close to a name. */
static int check_shape(const char *text, struct error *err)
{
	const char *scheme = strstr(text, "://");

	if (!*text)
		return error_set(err, E_INPUT, "an image name is empty");
	if (scheme) {
		bad(err, text, "it has a scheme");
		return error_hint(err, "%.*s is not part of an image name; write %s",
				  (int)(scheme + 3 - text), text, scheme + 3);
	}
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return bad(err, text, "it holds white space");
	return 0;
}

static int split_digest(struct reference *r, const char *text, char *name,
			struct error *err)
{
	struct error inner = ERROR_INIT;
	char *at = strchr(name, '@');

	if (!at)
		return 0;
	*at++ = '\0';
	if (digest_parse(&r->digest, at, &inner) < 0) {
		bad(err, text, "what follows the @ is no digest");
		return error_hint(err,
				  "a digest is sha256: and 64 lower-case hexadecimal "
				  "digits");
	}
	r->has_digest = true;
	return 0;
}

static int split_tag(struct reference *r, const char *text, char *name, struct error *err)
{
	char *slash = strrchr(name, '/'), *colon = strrchr(slash ? slash : name, ':');

	if (!colon || (!slash && *name == '['))
		return 0;
	*colon = '\0';
	r->tag = xstrdup(colon + 1);
	return check_tag(text, r->tag, err);
}

static void split_host(struct reference *r, const char *name)
{
	const char *slash = strchr(name, '/');

	if (slash && is_host(name, (size_t)(slash - name))) {
		r->host = xstrndup(name, (size_t)(slash - name));
		name = slash + 1;
	} else {
		r->host = xstrdup(HUB);
	}
	if (strcmp(r->host, HUB_ALIAS) == 0) {
		free(r->host);
		r->host = xstrdup(HUB);
	}
	r->path = strcmp(r->host, HUB) == 0 && !strchr(name, '/')
			  ? xasprintf(OFFICIAL "%s", name)
			  : xstrdup(name);
}

static int parse(struct reference *r, const char *text, struct error *err)
{
	auto_free char *name = xstrdup(text);
	const char *why;

	if (check_shape(text, err) < 0 || split_digest(r, text, name, err) < 0 ||
	    split_tag(r, text, name, err) < 0)
		return -1;
	if (!*name)
		return bad(err, text, "the repository is missing");
	if (*name == '[' && !strchr(name, '/'))
		return bad(err, text, "the repository is missing");
	if (strlen(name) == 64 && strspn(name, DIGITS "abcdef") == 64)
		return bad(err, text, "64 hexadecimal digits are an image's id");
	split_host(r, name);
	why = check_host(r->host);
	if (why)
		return bad(err, text, why);
	if (strpbrk(r->path, UPPER)) {
		bad(err, text, "the repository has upper-case letters");
		return error_hint(err, "repository names must be lower case");
	}
	why = *r->path ? check_path(r->path) : "the repository is missing";
	if (why)
		return bad(err, text, why);
	if (strlen(r->host) + 1 + strlen(r->path) > MAX_NAME)
		return bad(err, text,
			   "host and repository are longer than 255 characters");
	return 0;
}

int reference_parse(struct reference *r, const char *text, struct error *err)
{
	*r = (struct reference)REFERENCE_INIT;
	if (parse(r, text, err) == 0)
		return 0;
	reference_release(r);
	return -1;
}

void reference_release(struct reference *r)
{
	free(r->host);
	free(r->path);
	free(r->tag);
	*r = (struct reference)REFERENCE_INIT;
}

void reference_copy(struct reference *to, const struct reference *from)
{
	struct reference r = *from;

	r.host = from->host ? xstrdup(from->host) : NULL;
	r.path = from->path ? xstrdup(from->path) : NULL;
	r.tag = from->tag ? xstrdup(from->tag) : NULL;
	reference_release(to);
	*to = r;
}

void reference_complete(struct reference *r)
{
	if (!r->tag && !r->has_digest)
		r->tag = xstrdup("latest");
}

/* host NULL: leave it out. */
static char *text_of(const struct reference *r, const char *host, const char *path)
{
	auto_buf struct buf b = BUF_INIT;
	char digest[DIGEST_TEXT];

	if (host)
		buf_addf(&b, "%s/", host);
	buf_adds(&b, path);
	if (r->tag)
		buf_addf(&b, ":%s", r->tag);
	if (r->has_digest)
		buf_addf(&b, "@%s", digest_text(&r->digest, digest));
	return buf_detach(&b);
}

char *reference_text(const struct reference *r)
{
	return text_of(r, r->host, r->path);
}

char *reference_familiar(const struct reference *r)
{
	const char *path = r->path, *slash;

	if (strcmp(r->host, HUB) != 0)
		return reference_text(r);
	if (strncmp(path, OFFICIAL, strlen(OFFICIAL)) == 0 &&
	    !strchr(path + strlen(OFFICIAL), '/'))
		return text_of(r, NULL, path + strlen(OFFICIAL));
	/* Where the first part would be read as a host, the host must stay. */
	slash = strchr(path, '/');
	if (!slash || is_host(path, (size_t)(slash - path)))
		return reference_text(r);
	return text_of(r, NULL, path);
}

char *reference_repository(const struct reference *r)
{
	return xasprintf("%s/%s", r->host, r->path);
}

bool reference_same_repository(const struct reference *a, const struct reference *b)
{
	return strcmp(a->host, b->host) == 0 && strcmp(a->path, b->path) == 0;
}

const char *reference_wire_host(const struct reference *r)
{
	return strcmp(r->host, HUB) == 0 ? HUB_WIRE : r->host;
}

/* A whole dotted address 127.a.b.c: 127.example.com is somebody else's. */
static bool is_127(const char *host, size_t len)
{
	unsigned dots = 0, value = 0, digits = 0;

	if (len < 4 || memcmp(host, "127.", 4) != 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (host[i] == '.') {
			if (digits == 0)
				return false;
			dots++;
			value = digits = 0;
			continue;
		}
		if (!isdigit((unsigned char)host[i]))
			return false;
		value = value * 10 + (unsigned)(host[i] - '0');
		if (++digits > 3 || value > 255)
			return false;
	}
	return dots == 3 && digits > 0;
}

bool reference_is_loopback(const struct reference *r)
{
	size_t len = strcspn(r->host, ":");

	if (r->host[0] == '[')
		return strncmp(r->host, "[::1]", 5) == 0;
	return (len == 9 && strncasecmp(r->host, "localhost", 9) == 0) ||
	       is_127(r->host, len);
}

/* Skips the text at *p; false when something else stands there. */
static bool skip(const char **p, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*p, text, n) != 0)
		return false;
	*p += n;
	return true;
}

bool reference_is_ecr(const struct reference *r)
{
	static const char *const suffixes[] = {".amazonaws.com",
					       ".amazonaws.com.cn",
					       ".amazonaws.eu",
					       ".on.aws",
					       ".on.amazonwebservices.com.cn",
					       ".c2s.ic.gov",
					       ".sc2s.sgov.gov",
					       ".cloud.adc-e.uk",
					       ".csp.hci.ic.gov"};
	const char *p = r->host;
	size_t region;

	if (strspn(p, "0123456789") != 12)
		return false;
	p += 12;
	if (!skip(&p, ".dkr.ecr") && !skip(&p, ".dkr-ecr"))
		return false;
	(void)skip(&p, "-fips");
	region = *p == '.' ? strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
	if (region == 0)
		return false;
	p += 1 + region;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
		if (strcmp(p, suffixes[i]) == 0)
			return true;
	return false;
}
