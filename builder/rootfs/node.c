#include "builder/rootfs/node.h"

#include <string.h>

bool xattr_is_kept(const char *name)
{
	static const char *const others[] = {"user.overlay.", "user.hod.",
					     "user.containers.",
					     "user.rootlesscontainers"};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (!strncmp(name, others[i], strlen(others[i])))
			return false;
	return !strncmp(name, "user.", 5) || !strcmp(name, XATTR_CAPABILITY);
}
