#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/steps_private.h"
#include "registry/base/alloc.h"
#include "registry/base/error.h"

/* Linux 6.3, where a file in memory may not be executable without it. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

static int copy(int from, int to, uint64_t size)
{
	while (size) {
		ssize_t n = sendfile(to, from, NULL, size > 1 << 30 ? 1 << 30 : size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		size -= (uint64_t)n;
	}
	return 0;
}

int sandbox_program(struct error *err)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	auto_fd int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	auto_fd int fd = memfd_create("hod", flags | MFD_EXEC);
	struct stat st;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("hod", flags);
	if (exe < 0 || fd < 0 || fstat(exe, &st) < 0)
		return refused(err, "cannot copy this program");
	if (copy(exe, fd, (uint64_t)st.st_size) < 0 || fchmod(fd, 0555) < 0)
		return refused(err, "cannot copy this program");
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return refused(err, "cannot seal a copy of this program");
	return steal_fd(&fd);
}
