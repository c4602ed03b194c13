#include "builder/run_failure.h"

#include <signal.h>
#include <string.h>

#include "builder/build.h"
#include "builder/run_command.h"
#include "builder/run_worker.h"
#include "builder/stage.h"
#include "registry/base/error.h"

/* From the surest reason to the most likely one. */
static int hint(const struct run_result *r, const struct build *b, struct error *err)
{
	if (r->memory_killed)
		return error_hint(err,
				  "there was not enough memory: give the build more");
	if (r->processes_met)
		return error_hint(
			err,
			"it wanted more than %llu processes at once: build with "
			"--ulimit nproc=N",
			(unsigned long long)b->request->processes);
	if (r->status == 127)
		return error_hint(
			err, "a command was not found in the image, or the interpreter "
			     "that its first line names (with CRLF line ends too)");
	if (r->status == 126)
		return error_hint(err,
				  "a file in the image is there but could not be "
				  "executed: is it executable, and for this machine?");
	if (b->mode == SANDBOX_ONE)
		return error_hint(
			err, "if it is for an owner: this host gives the build one user "
			     "id, so that no other can be set; subordinate ids "
			     "(/etc/subuid, newuidmap) allow it");
	return -1;
}

int run_failure(const struct run_command *c, const struct run_result *r,
		const struct build *b, struct error *err)
{
	auto_buf struct buf quoted = BUF_INIT;
	const char *name = r->signal ? sigabbrev_np(r->signal) : NULL;

	run_command_quote(c, &quoted);
	if (name)
		error_set(
			err, E_FAILED,
			"process %s did not complete successfully: killed by SIG%s (%d)",
			quoted.data, name, r->status);
	else if (r->signal)
		error_set(err, E_FAILED,
			  "process %s did not complete successfully: killed by signal %d "
			  "(%d)",
			  quoted.data, r->signal, r->status);
	else
		error_set(err, E_FAILED,
			  "process %s did not complete successfully: exit code: %d",
			  quoted.data, r->status);
	return hint(r, b, err);
}
