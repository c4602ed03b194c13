#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/http.h"

static void cleanup_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void cleanup_part(char **p)
{
	curl_free(*p);
}
#define auto_url __attribute__((cleanup(cleanup_url)))
#define auto_part __attribute__((cleanup(cleanup_part)))

/* NULL for what is no absolute http or https URL. */
static CURLU *parse(const char *url)
{
	CURLU *u = curl_url();
	auto_part char *scheme = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0))
		return u;
	curl_url_cleanup(u);
	return NULL;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	auto_part char *text = NULL;

	return curl_url_get(u, part, &text, 0) == CURLUE_OK;
}

char *http_display_url(const char *url)
{
	auto_url CURLU *u = parse(url);
	auto_part char *text = NULL;

	if (!u)
		return xstrdup("(not a URL)");
	curl_url_set(u, CURLUPART_USER, NULL, 0);
	curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
	curl_url_set(u, CURLUPART_OPTIONS, NULL, 0);
	curl_url_set(u, CURLUPART_QUERY, NULL, 0);
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	if (curl_url_get(u, CURLUPART_URL, &text, 0) != CURLUE_OK)
		return xstrdup("(not a URL)");
	return xstrdup(text);
}

/* RFC 3986, 5.2: `//host/path`, `/path`, `path`, `?query` against base. */
static char *join(CURLU *base, const char *location)
{
	auto_part char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
	auto_buf struct buf b = BUF_INIT;
	const char *slash;

	if (curl_url_get(base, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(base, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(base, CURLUPART_PATH, &path, 0) != CURLUE_OK)
		return NULL;
	curl_url_get(base, CURLUPART_PORT, &port, 0);
	if (strncmp(location, "//", 2) == 0)
		return xasprintf("%s:%s", scheme, location);
	buf_addf(&b, "%s://%s", scheme, host);
	if (port)
		buf_addf(&b, ":%s", port);
	slash = strrchr(path, '/');
	if (location[0] == '?' || location[0] == '\0')
		buf_adds(&b, path);
	else if (location[0] != '/')
		buf_add(&b, path, slash ? (size_t)(slash - path) + 1 : 0);
	buf_adds(&b, location);
	return buf_detach(&b);
}

/* "scheme:" opens an absolute one; a colon after `/` or `?` is plain text. */
static bool is_absolute(const char *location)
{
	return location[strcspn(location, ":/?#")] == ':';
}

char *http_resolve_url(const char *base, const char *location)
{
	auto_url CURLU *from = parse(base), *to = NULL;
	auto_free char *url = NULL;

	if (is_absolute(location))
		url = xstrdup(location);
	else if (from)
		url = join(from, location);
	if (!url)
		return NULL;
	to = parse(url);
	if (!to || has_part(to, CURLUPART_USER) || has_part(to, CURLUPART_PASSWORD))
		return NULL;
	return steal_ptr(&url);
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	auto_part char *x = NULL, *y = NULL;

	return curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	       curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	       strcasecmp(x, y) == 0;
}

bool http_same_origin(const char *a, const char *b)
{
	auto_url CURLU *x = parse(a), *y = parse(b);

	return x && y && same_part(x, y, CURLUPART_SCHEME) &&
	       same_part(x, y, CURLUPART_HOST) && same_part(x, y, CURLUPART_PORT);
}
