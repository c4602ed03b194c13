#include "registry/auth.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/json.h"
#include "registry/reference.h"

#define MAX_AUTH_FILE (4u << 20)
#define HUB_KEY "https://index.docker.io/v1/"

/* One file (or the variable's text), parsed. */
struct auth_file {
	char *name;
	cJSON *root;
};

struct auth {
	char *authfile;
	pthread_mutex_t lock;
	bool loaded; /* lock */
	struct auth_file *files;
	size_t n, cap;
};

struct auth *auth_new(const char *authfile)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	a->authfile = authfile ? xstrdup(authfile) : NULL;
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

/* json_parse bounds the depth. */
static void wipe_json(cJSON *j)
{
	for (; j; j = j->next) {
		if (j->valuestring)
			explicit_bzero(j->valuestring, strlen(j->valuestring));
		wipe_json(j->child);
	}
}

static void unload(struct auth *a)
{
	for (size_t i = 0; i < a->n; i++) {
		wipe_json(a->files[i].root);
		cJSON_Delete(a->files[i].root);
		free(a->files[i].name);
	}
	free(a->files);
	a->files = NULL;
	a->n = a->cap = 0;
	a->loaded = false;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	unload(a);
	pthread_mutex_destroy(&a->lock);
	free(a->authfile);
	free(a);
}

static void wipe_buf(struct buf *b)
{
	if (b->cap)
		explicit_bzero(b->data, b->cap);
	buf_release(b);
}

static int add_text(struct auth *a, const char *name, const char *text, size_t len,
		    struct error *err)
{
	cJSON *root = json_parse(text, len, name, err);

	if (root && !cJSON_IsObject(root)) {
		error_set(err, E_INPUT, "%s: not a JSON object", name);
		cJSON_Delete(root);
		root = NULL;
	}
	if (!root) {
		if (err)
			err->kind = E_INPUT;
		return -1;
	}
	GROW(a->files, a->n, a->cap);
	a->files[a->n++] = (struct auth_file){xstrdup(name), root};
	return 0;
}

/* A file that is not there is fine, unless it was asked for. */
static int add_file(struct auth *a, const char *name, bool required, struct error *err)
{
	__attribute__((cleanup(wipe_buf))) struct buf b = BUF_INIT;
	struct error e = ERROR_INIT;

	/* So that its growth leaves no copies of secrets behind. */
	buf_reserve(&b, 64u << 10);
	if (file_read(AT_FDCWD, name, MAX_AUTH_FILE, &b, &e) < 0) {
		if (e.kind == E_MISSING && !required)
			return 0;
		if (err) {
			*err = e;
			err->kind = E_INPUT;
		}
		return error_wrap(err, "credentials");
	}
	return add_text(a, name, b.data, b.len, err);
}

static int add_in(struct auth *a, const char *dir, const char *name, struct error *err)
{
	auto_free char *path = NULL;

	if (!dir)
		return 0;
	path = xasprintf("%s/%s", dir, name);
	return add_file(a, path, false, err);
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* A variable that names a file replaces the default it stands for. */
static int load(struct auth *a, struct error *err)
{
	const char *text = env("DOCKER_AUTH_CONFIG"), *docker = env("DOCKER_CONFIG");
	const char *containers = env("REGISTRY_AUTH_FILE"), *home = env("HOME");
	const char *config = env("XDG_CONFIG_HOME");

	if (a->authfile && add_file(a, a->authfile, true, err) < 0)
		return -1;
	if (text && add_text(a, "DOCKER_AUTH_CONFIG", text, strlen(text), err) < 0)
		return -1;
	if (add_in(a, docker, "config.json", err) < 0)
		return -1;
	if (containers && add_file(a, containers, false, err) < 0)
		return -1;
	if (!docker && add_in(a, home, ".docker/config.json", err) < 0)
		return -1;
	if (containers)
		return 0;
	if (add_in(a, env("XDG_RUNTIME_DIR"), "containers/auth.json", err) < 0)
		return -1;
	if (config)
		return add_in(a, config, "containers/auth.json", err);
	return add_in(a, home, ".config/containers/auth.json", err);
}

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_IsObject(obj) ? cJSON_GetObjectItemCaseSensitive(obj, key) : NULL;
}

static const char *text_member(const cJSON *obj, const char *key)
{
	const cJSON *j = member(obj, key);

	return cJSON_IsString(j) && *j->valuestring ? j->valuestring : NULL;
}

static const cJSON *host_entry(const cJSON *auths, const char *host)
{
	static const char *const shapes[] = {"%s", "https://%s", "http://%s",
					     "https://%s/v1/"};
	const cJSON *found = NULL;

	for (size_t i = 0; !found && i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		auto_buf struct buf key = BUF_INIT;
		const char *mark = strstr(shapes[i], "%s");

		buf_add(&key, shapes[i], (size_t)(mark - shapes[i]));
		buf_adds(&key, host);
		buf_adds(&key, mark + 2);
		found = member(auths, key.data);
	}
	return found;
}

/* From host/a/b up to host (containers-auth.json(5)); then docker's keys for a host. */
static const cJSON *find_entry(const cJSON *auths, const struct reference *ref)
{
	auto_free char *key = reference_repository(ref);
	const cJSON *found;
	char *slash;

	while ((slash = strrchr(key, '/'))) {
		found = member(auths, key);
		if (found)
			return found;
		*slash = '\0';
	}
	if (strcmp(ref->host, "docker.io") == 0) {
		found = member(auths, HUB_KEY);
		if (!found)
			found = host_entry(auths, "docker.io");
		if (!found)
			found = host_entry(auths, "index.docker.io");
		return found ? found : host_entry(auths, "registry-1.docker.io");
	}
	return host_entry(auths, ref->host);
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *encode(const char *in, size_t len)
{
	char *out = xmalloc(6 + (len + 2) / 3 * 4 + 1), *p = out;
	uint32_t v;

	memcpy(p, "Basic ", 6);
	p += 6;
	for (size_t i = 0; i < len; i += 3) {
		v = (uint32_t)(unsigned char)in[i] << 16;
		v |= i + 1 < len ? (uint32_t)(unsigned char)in[i + 1] << 8 : 0;
		v |= i + 2 < len ? (uint32_t)(unsigned char)in[i + 2] : 0;
		*p++ = base64_digits[v >> 18 & 63];
		*p++ = base64_digits[v >> 12 & 63];
		*p++ = i + 1 < len ? base64_digits[v >> 6 & 63] : '=';
		*p++ = i + 2 < len ? base64_digits[v & 63] : '=';
	}
	*p = '\0';
	return out;
}

/* Standard alphabet, padding optional.  NULL when malformed; the bytes are the caller's
 * to wipe. */
static char *decode(const char *in, size_t *len)
{
	size_t n = strlen(in), bits = 0, at = 0;
	const char *digit;
	uint32_t v = 0;
	char *out;

	while (n > 0 && in[n - 1] == '=')
		n--;
	if (n % 4 == 1 || strlen(in) - n > 2)
		return NULL;
	out = xcalloc(1, n + 1);
	for (size_t i = 0; i < n; i++) {
		digit = memchr(base64_digits, in[i], 64);
		if (!digit) {
			explicit_bzero(out, at);
			free(out);
			return NULL;
		}
		v = v << 6 | (uint32_t)(digit - base64_digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[at++] = (char)(v >> bits & 255);
		}
	}
	*len = at;
	return out;
}

/* 1 and *ret; 0: this entry holds nothing that hod can use; -1. */
static int use_entry(const cJSON *entry, const char *file, const char *host, char **ret,
		     struct error *err)
{
	const char *auth = text_member(entry, "auth");
	const char *user = text_member(entry, "username");
	const char *password = text_member(entry, "password");
	char *pair = NULL;
	size_t len = 0;

	if (auth) {
		pair = decode(auth, &len);
		if (!pair || !memchr(pair, ':', len)) {
			auth_wipe(pair);
			return error_set(
				err, E_INPUT,
				"%s: the auth of %s is not base64 of USER:PASSWORD", file,
				host);
		}
	} else if (user && password) {
		pair = xasprintf("%s:%s", user, password);
		len = strlen(pair);
	} else {
		return 0;
	}
	*ret = encode(pair, len);
	explicit_bzero(pair, len);
	free(pair);
	return 1;
}

/* The helper that would know, when only it does. */
static const char *helper_of(const cJSON *root, const cJSON *entry,
			     const struct reference *ref)
{
	const char *helper = text_member(member(root, "credHelpers"), ref->host);

	if (!helper && entry && !text_member(entry, "identitytoken") &&
	    !text_member(entry, "registrytoken"))
		helper = text_member(root, "credsStore");
	return helper;
}

static int look_up(struct auth *a, const struct reference *ref, char **ret,
		   const char **source, struct error *err)
{
	const char *helper = NULL, *helper_file = NULL;

	for (size_t i = 0; i < a->n; i++) {
		const struct auth_file *f = &a->files[i];
		const cJSON *entry = find_entry(member(f->root, "auths"), ref);
		int rc = entry ? use_entry(entry, f->name, ref->host, ret, err) : 0;

		if (rc > 0 && source)
			*source = f->name;
		if (rc)
			return rc < 0 ? -1 : 0;
		if (!helper) {
			helper = helper_of(f->root, entry, ref);
			helper_file = f->name;
		}
	}
	if (!helper)
		return 0;
	error_set(err, E_AUTH,
		  "credential helper %s is configured for %s, helpers are not supported "
		  "yet",
		  helper, ref->host);
	return error_hint(
		err,
		"%s names it; put an entry for %s under \"auths\" there, or name "
		"another file with --authfile",
		helper_file, ref->host);
}

int auth_basic(struct auth *a, const struct reference *ref, char **ret,
	       const char **source, struct error *err)
{
	int rc = 0;

	*ret = NULL;
	pthread_mutex_lock(&a->lock);
	if (!a->loaded) {
		rc = load(a, err);
		if (rc < 0)
			unload(a);
		else
			a->loaded = true;
	}
	if (rc == 0)
		rc = look_up(a, ref, ret, source, err);
	pthread_mutex_unlock(&a->lock);
	return rc;
}

void auth_wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* RFC 9110, 5.6.2. */
static size_t token(const char *p)
{
	return strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			 "!#$%&'*+-.^_`|~");
}

/* After a parameter's `=`: a quoted string or what stands for a token. */
static const char *skip_value(const char *p)
{
	p += strspn(p, " \t");
	if (*p != '"')
		return p + strcspn(p, ", \t");
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* RFC 9110, 11.6.1: a token that no `=` follows opens the next challenge. */
enum challenge_scheme challenge_parse(const char *header)
{
	const char *p = header, *after;
	size_t n;

	while (*p) {
		p += strspn(p, " \t,");
		n = token(p);
		if (n == 0) {
			p += *p != '\0';
			continue;
		}
		after = p + n + strspn(p + n, " \t");
		if (*after == '=') {
			p = skip_value(after + 1);
			continue;
		}
		if (n == 5 && strncasecmp(p, "Basic", 5) == 0)
			return CHALLENGE_BASIC;
		if (n == 6 && strncasecmp(p, "Bearer", 6) == 0)
			return CHALLENGE_BEARER;
		p += n;
	}
	return CHALLENGE_NONE;
}
