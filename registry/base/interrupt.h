/*
 * interrupt.h - SIGINT, SIGTERM and SIGHUP ask the work to stop
 *
 * The handler only sets a flag; loops and waits look at it and fail with
 * E_INTERRUPTED, so that the ordinary error path cleans up.  A second signal
 * ends the program at once.  SIGPIPE is ignored.
 */
#ifndef HOD_INTERRUPT_H
#define HOD_INTERRUPT_H

#include <stdbool.h>

struct error;

void interrupt_install(void);
/* The signal that was received first, or 0. */
int interrupt_signal(void);
/* If one was received: fills err and returns -1. */
int interrupt_check(struct error *err);

#endif
