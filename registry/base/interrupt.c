#include "registry/base/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/error.h"

/* Lock-free, so that a handler may set it and any thread read it. */
static atomic_int received;

static void on_signal(int sig)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&received, &none, sig))
		_exit(128 + sig);
}

void interrupt_install(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		struct sigaction old;

		/* nohup and background shells ignore a signal: let them */
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(signals[i], &sa, NULL);
	}
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

int interrupt_signal(void)
{
	return atomic_load(&received);
}

int interrupt_check(struct error *err)
{
	int sig = interrupt_signal();

	if (!sig)
		return 0;
	return error_set(err, E_INTERRUPTED, "interrupted by SIG%s", sigabbrev_np(sig));
}
