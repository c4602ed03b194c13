/* The store's names: index.json (image-spec image-layout.md). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/file.h"
#include "registry/base/interrupt.h"
#include "registry/base/json.h"
#include "registry/base/log.h"
#include "registry/store_priv.h"

#define INDEX_FILE "index.json"
#define INDEX_LOCK "index.lock"
#define INDEX_MAX_BYTES ((size_t)64 << 20)
#define NOTE_NAME "org.opencontainers.image.ref.name"
#define NOTE_NAMED "hod.named" /* when; only in hod's own root */
#define MIN_PREFIX 4

static cJSON *empty_index(void)
{
	cJSON *doc = cJSON_CreateObject();

	cJSON_AddNumberToObject(doc, "schemaVersion", 2);
	cJSON_AddStringToObject(doc, "mediaType", MT_OCI_INDEX);
	cJSON_AddArrayToObject(doc, "manifests");
	return doc;
}

static cJSON *read_index(struct store *st, struct error *err)
{
	auto_buf struct buf text = BUF_INIT;
	auto_json cJSON *doc = NULL;
	const cJSON *list = NULL;
	uint64_t version = 0;

	if (st->root && faccessat(st->dirfd, INDEX_FILE, F_OK, 0) < 0 && errno == ENOENT)
		return empty_index();
	if (file_read(st->dirfd, INDEX_FILE, INDEX_MAX_BYTES, &text, err) < 0)
		return NULL;
	doc = json_parse(text.data, text.len, INDEX_FILE, err);
	if (!doc || json_get_size(doc, "schemaVersion", true, &version, err) < 0 ||
	    json_get_array(doc, "manifests", false, &list, err) < 0)
		return NULL;
	if (version != 2) {
		error_set(err, E_CORRUPT, "schemaVersion is not 2");
		return NULL;
	}
	if (!list) {
		cJSON_DeleteItemFromObjectCaseSensitive(doc, "manifests");
		cJSON_AddArrayToObject(doc, "manifests");
	}
	return steal_ptr(&doc);
}

/* The parsed index, cJSON_Delete it; its manifests are an array. */
static cJSON *load_index(struct store *st, struct error *err)
{
	struct error local = ERROR_INIT;
	cJSON *doc = read_index(st, &local);

	if (doc)
		return doc;
	if (err)
		*err = local;
	error_wrap(err, "%s/%s", st->path, INDEX_FILE);
	if (local.kind == E_CORRUPT && st->root)
		error_hint(err,
			   "move that file away: images lose their names in this store, "
			   "and come back when they are pulled or built again");
	return NULL;
}

static const char *note_of(const cJSON *entry, const char *key)
{
	const cJSON *notes = cJSON_GetObjectItemCaseSensitive(entry, "annotations");

	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(notes, key));
}

static bool has_name(const cJSON *entry, const char *name)
{
	const char *its = note_of(entry, NOTE_NAME);

	return its && name && !strcmp(its, name);
}

static bool has_digest(const cJSON *entry, const struct digest *d)
{
	char text[DIGEST_TEXT];
	const char *its =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "digest"));

	return its && !strcmp(its, digest_text(d, text));
}

/* 1: d is the entry's descriptor; 0: an entry of another tool that hod cannot
 * use (another digest algorithm); -1. */
static int entry_descriptor(struct store *st, const cJSON *entry, struct descriptor *d,
			    struct error *err)
{
	struct error local = ERROR_INIT;

	if (!descriptor_parse(d, entry, &local))
		return 1;
	if (!st->root) {
		log_debug("%s/%s: an entry is passed over: %s", st->path, INDEX_FILE,
			  local.msg);
		return 0;
	}
	if (err)
		*err = local;
	error_wrap(err, "%s/%s", st->path, INDEX_FILE);
	return error_hint(err, "move that file away and pull or build the images again");
}

static char *platform_of(const cJSON *entry)
{
	const cJSON *obj = cJSON_GetObjectItemCaseSensitive(entry, "platform");
	const char *field[3];
	static const char *const names[] = {"os", "architecture", "variant"};
	auto_platform struct platform p = PLATFORM_INIT;

	if (!cJSON_IsObject(obj))
		return NULL;
	for (size_t i = 0; i < 3; i++)
		field[i] = cJSON_GetStringValue(
			cJSON_GetObjectItemCaseSensitive(obj, names[i]));
	platform_set(&p, field[0], field[1], field[2]);
	return platform_text(&p);
}

static char *copy_note(const cJSON *entry, const char *key)
{
	const char *text = note_of(entry, key);

	return text ? xstrdup(text) : NULL;
}

static int list_entries(struct store *st, const cJSON *doc, struct store_image **out,
			size_t *n, struct error *err)
{
	const cJSON *entry;
	size_t cap = 0;

	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(doc, "manifests"))
	{
		struct descriptor d = {0};
		int rc = entry_descriptor(st, entry, &d, err);

		if (rc < 0)
			return -1;
		if (!rc)
			continue;
		GROW(*out, *n, cap);
		(*out)[(*n)++] = (struct store_image){
			.name = copy_note(entry, NOTE_NAME),
			.manifest = d,
			.platform = platform_of(entry),
			.created = copy_note(entry, NOTE_NAMED),
		};
	}
	return 0;
}

int store_images(struct store *st, struct store_image **out, size_t *n, struct error *err)
{
	auto_json cJSON *doc = load_index(st, err);

	*out = NULL;
	*n = 0;
	if (!doc)
		return -1;
	if (!list_entries(st, doc, out, n, err))
		return 0;
	store_images_free(*out, *n);
	*out = NULL;
	*n = 0;
	return -1;
}

void store_images_free(struct store_image *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].name);
		free(v[i].platform);
		free(v[i].created);
		descriptor_release(&v[i].manifest);
	}
	free(v);
}

int store_find(struct store *st, const char *name, struct descriptor *out,
	       struct error *err)
{
	auto_json cJSON *doc = load_index(st, err);
	const cJSON *entry;

	if (!doc)
		return -1;
	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(doc, "manifests"))
	{
		int rc =
			has_name(entry, name) ? entry_descriptor(st, entry, out, err) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

static bool has_prefix(const struct digest *d, const char *prefix)
{
	char hex[DIGEST_HEX];

	return !strncmp(digest_hex(d, hex), prefix, strlen(prefix));
}

/* The config's digest of an image that is wholly here; false otherwise. */
static bool config_digest(struct store *st, const struct descriptor *image,
			  struct digest *out)
{
	auto_buf struct buf raw = BUF_INIT;
	auto_manifest struct manifest m = MANIFEST_INIT;

	if (store_read(st, &image->digest, MANIFEST_MAX_BYTES, &raw, NULL) < 0 ||
	    manifest_parse(&m, raw.data, raw.len, NULL) < 0)
		return false;
	*out = m.config.digest;
	return true;
}

static const char *hex_prefix_of(const char *text)
{
	static const char scheme[] = "sha256:";
	size_t len;

	if (!strncmp(text, scheme, strlen(scheme)))
		text += strlen(scheme);
	len = strlen(text);
	if (len < MIN_PREFIX || len >= DIGEST_HEX ||
	    strspn(text, "0123456789abcdef") != len)
		return NULL;
	return text;
}

/* Images that share the id that matched are one (a config that two manifests
 * have); different ids are ambiguous. */
static int find_by_id(struct store *st, const struct store_image *v, size_t n,
		      const char *prefix, const struct store_image **found,
		      struct error *err)
{
	struct digest id, first;

	*found = NULL;
	for (size_t i = 0; i < n; i++) {
		id = v[i].manifest.digest;
		if (!has_prefix(&id, prefix) &&
		    (!config_digest(st, &v[i].manifest, &id) || !has_prefix(&id, prefix)))
			continue;
		if (!*found)
			first = id;
		else if (!digest_equal(&first, &id))
			return error_set(err, E_INPUT, "%s fits more than one image",
					 prefix);
		if (!*found || (!(*found)->name && v[i].name))
			*found = &v[i];
	}
	return 0;
}

int store_find_id(struct store *st, const char *hex_prefix, struct descriptor *out,
		  char **name, struct error *err)
{
	const char *prefix = hex_prefix_of(hex_prefix);
	const struct store_image *found = NULL;
	struct store_image *v = NULL;
	size_t n = 0;
	int rc;

	if (name)
		*name = NULL;
	if (!prefix)
		return 0;
	if (store_images(st, &v, &n, err) < 0)
		return -1;
	rc = find_by_id(st, v, n, prefix, &found, err);
	if (!rc && found) {
		descriptor_copy(out, &found->manifest);
		if (name && found->name)
			*name = xstrdup(found->name);
		rc = 1;
	}
	store_images_free(v, n);
	return rc;
}

/* The root has a lock file; a foreign layout is locked by its folder, so that
 * nothing is left in it. */
int store_lock_(struct store *st, struct error *err)
{
	auto_fd int fd = -1;

	if (st->root)
		return file_lock(st->dirfd, INDEX_LOCK, err);
	fd = openat(st->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open %s", st->path);
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return -2;
		if (interrupt_check(err) < 0)
			return -1;
	}
	return steal_fd(&fd);
}

static cJSON *new_entry(struct store *st, const char *name, const struct descriptor *d,
			const char *platform)
{
	char text[DIGEST_TEXT];
	auto_platform struct platform p = PLATFORM_INIT;
	cJSON *entry = cJSON_CreateObject(), *notes, *obj;

	cJSON_AddStringToObject(entry, "mediaType", d->media_type);
	cJSON_AddStringToObject(entry, "digest", digest_text(&d->digest, text));
	cJSON_AddNumberToObject(entry, "size", (double)d->size);
	if (name) {
		notes = cJSON_AddObjectToObject(entry, "annotations");
		if (st->root) {
			time_t now = time(NULL);
			struct tm tm;
			char when[32];

			strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ",
				 gmtime_r(&now, &tm));
			cJSON_AddStringToObject(notes, NOTE_NAMED, when);
		}
		cJSON_AddStringToObject(notes, NOTE_NAME, name);
	}
	if (!platform || platform_parse(&p, platform, NULL) < 0)
		return entry;
	obj = cJSON_AddObjectToObject(entry, "platform");
	cJSON_AddStringToObject(obj, "architecture", p.arch);
	cJSON_AddStringToObject(obj, "os", p.os);
	if (p.variant)
		cJSON_AddStringToObject(obj, "variant", p.variant);
	return entry;
}

static bool says_the_same(const cJSON *a, const cJSON *b)
{
	static const char *const fields[] = {"mediaType", "digest", "size", "platform"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const cJSON *x = cJSON_GetObjectItemCaseSensitive(a, fields[i]);
		const cJSON *y = cJSON_GetObjectItemCaseSensitive(b, fields[i]);

		if (x != y && !cJSON_Compare(x, y, true))
			return false;
	}
	return true;
}

static bool is_held_by_another(const cJSON *list, const cJSON *entry)
{
	const cJSON *digest = cJSON_GetObjectItemCaseSensitive(entry, "digest"), *other;

	cJSON_ArrayForEach(other, list)
	{
		if (other != entry &&
		    cJSON_Compare(digest,
				  cJSON_GetObjectItemCaseSensitive(other, "digest"),
				  true))
			return true;
	}
	return false;
}

static void drop_name(cJSON *entry)
{
	cJSON *notes = cJSON_GetObjectItemCaseSensitive(entry, "annotations");

	cJSON_DeleteItemFromObjectCaseSensitive(notes, NOTE_NAME);
	cJSON_DeleteItemFromObjectCaseSensitive(notes, NOTE_NAMED);
	if (!notes->child)
		cJSON_DeleteItemFromObjectCaseSensitive(entry, "annotations");
}

static void remove_entry(cJSON *list, cJSON *entry)
{
	cJSON_Delete(cJSON_DetachItemViaPointer(list, entry));
}

/* Puts entry (taken) in the place of the first of that name, else at the end. */
static void put_entry(struct store *st, cJSON *list, const char *name,
		      const struct digest *d, cJSON *entry)
{
	cJSON *next;
	bool placed = false;

	for (cJSON *e = list->child; e; e = next) {
		next = e->next;
		if (!has_name(e, name)) {
			/* it was only kept reachable, and is named now */
			if (st->root && name && !note_of(e, NOTE_NAME) &&
			    has_digest(e, d))
				remove_entry(list, e);
		} else if (st->root && !has_digest(e, d) &&
			   !is_held_by_another(list, e)) {
			drop_name(e);
		} else if (placed) {
			remove_entry(list, e);
		} else {
			cJSON_ReplaceItemViaPointer(list, e, entry);
			placed = true;
		}
	}
	if (!placed)
		cJSON_AddItemToArray(list, entry);
}

/* True when index.json says it already: then it is durable as well. */
static bool is_tagged(const cJSON *list, const char *name, const struct digest *d,
		      const cJSON *entry)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, list)
	{
		if (name ? has_name(e, name) && says_the_same(e, entry)
			 : has_digest(e, d))
			return true;
	}
	return false;
}

static int sync_described(struct store *st, const cJSON *obj, struct error *err)
{
	auto_descriptor struct descriptor d = {0};

	/* what hod cannot name it did not put there */
	if (descriptor_parse(&d, obj, NULL) < 0)
		return 0;
	return store_sync_blob_(st, &d.digest, err);
}

/* A manifest with its config, an index with its children that are here. */
static int sync_manifest(struct store *st, const struct descriptor *d,
			 const struct buf *raw, struct error *err)
{
	auto_json cJSON *doc = json_parse(raw->data, raw->len, "manifest", err);
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(doc, "config"), *child;

	if (!doc || store_sync_blob_(st, &d->digest, err) < 0 ||
	    (config && sync_described(st, config, err) < 0))
		return -1;
	cJSON_ArrayForEach(child, cJSON_GetObjectItemCaseSensitive(doc, "manifests"))
	{
		if (sync_described(st, child, err) < 0)
			return -1;
	}
	return store_sync_blobs_(st, err);
}

static int write_index(struct store *st, const cJSON *doc, struct error *err)
{
	struct tmpdir *dir = store_writable_(st, err);
	char *text;
	int rc;

	if (!dir)
		return -1;
	text = cJSON_PrintUnformatted(doc);
	if (!text)
		return error_set(err, E_BUG, "no memory for %s", INDEX_FILE);
	rc = file_replace(dir, st->dirfd, INDEX_FILE, text, strlen(text), true, err);
	cJSON_free(text);
	return rc;
}

static int tag_locked(struct store *st, const char *name,
		      const struct descriptor *manifest, const char *platform,
		      const struct buf *raw, struct error *err)
{
	auto_json cJSON *doc = load_index(st, err);
	cJSON *list = cJSON_GetObjectItemCaseSensitive(doc, "manifests"), *entry;

	if (!doc)
		return -1;
	entry = new_entry(st, name, manifest, platform);
	if (is_tagged(list, name, &manifest->digest, entry)) {
		cJSON_Delete(entry);
		return 0;
	}
	put_entry(st, list, name, &manifest->digest, entry);
	if (sync_manifest(st, manifest, raw, err) < 0)
		return -1;
	return write_index(st, doc, err);
}

int store_tag(struct store *st, const char *name, const struct descriptor *manifest,
	      const char *platform, struct error *err)
{
	auto_buf struct buf raw = BUF_INIT;
	auto_fd int lock = -1;
	int rc = store_read(st, &manifest->digest, MANIFEST_MAX_BYTES, &raw, err);

	if (!rc && raw.len != manifest->size)
		rc = error_set(err, E_CORRUPT, "manifest has %zu bytes, not %llu",
			       raw.len, (unsigned long long)manifest->size);
	if (!rc) {
		lock = store_lock_(st, err);
		rc = lock == -1 ? -1
				: tag_locked(st, name, manifest, platform, &raw, err);
	}
	return rc < 0 ? error_wrap(err, "cannot name %s", name ? name : "an image") : 0;
}
