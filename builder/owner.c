#include "builder/owner.h"

#include <stdbool.h>
#include <string.h>

#include "builder/passwd.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/log.h"

/* A number, or root without a look-up. */
static bool plain_id(const char *text, uint32_t *out)
{
	if (!strcmp(text, "root")) {
		*out = 0;
		return true;
	}
	return passwd_id(text, strlen(text), out);
}

/* An unknown name is 0, with a warning. */
static void unknown(const char *name, const char *path)
{
	log_warn("%s is not in the image's %s: 0 is used", name, path);
}

static int find_user(struct stage_state *s, const char *name, uint32_t *uid,
		     uint32_t *gid, struct error *err)
{
	auto_buf struct buf file = BUF_INIT;
	struct passwd_entry e;

	if (passwd_read(s, PASSWD_FILE, &file, err) < 0)
		return -1;
	if (!passwd_by_name(&file, name, &e)) {
		unknown(name, PASSWD_FILE);
		return 0;
	}
	*uid = e.uid;
	*gid = e.gid;
	return 0;
}

static int find_group(struct stage_state *s, const char *name, uint32_t *gid,
		      struct error *err)
{
	auto_buf struct buf file = BUF_INIT;

	if (passwd_read(s, GROUP_FILE, &file, err) < 0)
		return -1;
	if (!group_by_name(&file, name, gid)) {
		unknown(name, GROUP_FILE);
		*gid = 0;
	}
	return 0;
}

int owner_resolve(struct stage_state *s, const char *text, uint32_t *uid, uint32_t *gid,
		  struct error *err)
{
	auto_free char *user = xstrndup(text, strcspn(text, ":"));
	const char *group = strchr(text, ':');

	*uid = *gid = 0;
	if (group && !*++group)
		group = NULL;
	if (*user && plain_id(user, uid)) {
		*gid = *uid;
	} else if (*user && find_user(s, user, uid, gid, err) < 0) {
		return -1;
	}
	if (group && !plain_id(group, gid))
		return find_group(s, group, gid, err);
	return 0;
}
