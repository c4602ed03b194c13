/*
 * host.h - what this host is: facts beside the probes, and words for cures
 */
#ifndef HOD_SANDBOX_HOST_H
#define HOD_SANDBOX_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define HOST_TEXT 80

struct host {
	char kernel[HOST_TEXT], machine[HOST_TEXT];
	uint32_t euid;
	char user[HOST_TEXT]; /* "" when it has no name */
	bool seccomp;         /* system call filters */
	bool filtered;        /* this process is below one already */
	bool no_new_privs;    /* set-uid programs are without effect */
	int landlock;         /* ABI, 0 without it */
	long user_namespaces; /* the limit, -1 when there is no such kernel setting */
	uint32_t subuids, subgids; /* how many subordinate ids the files give this user */
	bool programs;             /* newuidmap and newgidmap are found */
	char filesystem[HOST_TEXT]; /* that dirfd is on: "ext4" */
};

void host_read(struct host *h, int dirfd);
/* "ext4"; a number in hexadecimal where it is a rare one. */
void host_filesystem(int fd, char out[static HOST_TEXT]);
/* The running kernel is older than this version. */
bool host_kernel_before(unsigned major, unsigned minor);
/* Sets the hint that fits what a file system refused; always -1. */
int host_hint_filesystem(struct error *err, int fd);

#endif
