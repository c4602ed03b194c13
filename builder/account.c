#include "builder/account.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "builder/passwd.h"
#include "registry/base/alloc.h"
#include "registry/base/buf.h"
#include "registry/base/error.h"

/* USER taken apart: `user[:group]`, each a name or a number. */
struct user_text {
	char *user, *group; /* group NULL: none given */
	bool number, group_number;
	uint32_t uid, gid;
};

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* A text of digits is an id, never a name (12.2).  The largest number is no id: the
 * kernel's calls take it for "leave as it is". */
static int read_number(const char *text, bool *number, uint32_t *id, struct error *err)
{
	*number = is_number(text);
	if (*number && (!passwd_id(text, strlen(text), id) || *id == UINT32_MAX))
		return error_set(err, E_INPUT, "%s is no id: it is too large", text);
	return 0;
}

static int split(struct user_text *t, const char *text, struct error *err)
{
	const char *colon = strchr(text, ':');

	t->user = xstrndup(text, strcspn(text, ":"));
	if (!*t->user) {
		free(t->user);
		t->user = xstrdup("0");
	}
	t->group = colon && colon[1] ? xstrdup(colon + 1) : NULL;
	if (read_number(t->user, &t->number, &t->uid, err) < 0)
		return -1;
	return t->group ? read_number(t->group, &t->group_number, &t->gid, err) : 0;
}

static int unknown(const char *what, const char *name, const char *path,
		   struct error *err)
{
	error_set(err, E_INPUT, "the %s %s is not in the image's %s", what, name, path);
	return error_hint(err, "a RUN before USER can make it, or give a number");
}

/* The account's own groups: those that list it. */
static void own_groups(struct account *a, const struct buf *group,
		       const struct passwd_entry *e)
{
	size_t at = 0, cap = 0;
	uint32_t gid;

	while (group_next_of(group, e->name, e->name_len, &at, &gid)) {
		if (gid == UINT32_MAX)
			continue;
		GROW(a->groups, a->ngroups, cap);
		a->groups[a->ngroups++] = gid;
	}
}

static int find(struct stage_state *s, struct user_text *t, struct account *a,
		struct error *err)
{
	auto_buf struct buf passwd = BUF_INIT, group = BUF_INIT;
	struct passwd_entry e;
	bool found;

	if (passwd_read(s, PASSWD_FILE, &passwd, err) < 0)
		return -1;
	found = t->number ? passwd_by_id(&passwd, t->uid, &e)
			  : passwd_by_name(&passwd, t->user, &e);
	if (!found && !t->number)
		return unknown("user", t->user, PASSWD_FILE, err);
	a->uid = found ? e.uid : t->uid;
	a->gid = found ? e.gid : 0;
	if (a->uid == UINT32_MAX || a->gid == UINT32_MAX)
		return error_set(err, E_INPUT, "the ids of %s are too large", t->user);
	if (found && e.home_len)
		a->home = xstrndup(e.home, e.home_len);
	if (t->group_number) {
		a->gid = t->gid;
		return 0;
	}
	if (!found && !t->group)
		return 0;
	if (passwd_read(s, GROUP_FILE, &group, err) < 0)
		return -1;
	if (!t->group)
		own_groups(a, &group, &e);
	else if (!group_by_name(&group, t->group, &a->gid))
		return unknown("group", t->group, GROUP_FILE, err);
	return 0;
}

int account_find(struct stage_state *s, const char *user, struct account *out,
		 struct error *err)
{
	struct user_text t = {0};
	int rc;

	*out = (struct account){0};
	rc = split(&t, user ? user : "", err);
	if (!rc)
		rc = find(s, &t, out, err);
	free(t.user);
	free(t.group);
	if (rc < 0) {
		account_release(out);
		return -1;
	}
	if (!out->home)
		out->home = xstrdup("/");
	return 0;
}

void account_release(struct account *a)
{
	free(a->groups);
	free(a->home);
	*a = (struct account){0};
}
