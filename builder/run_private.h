/*
 * run_private.h - what hod and its child process for a RUN agree on (run_call.c,
 * run_worker.c)
 */
#ifndef HOD_RUN_PRIVATE_H
#define HOD_RUN_PRIVATE_H

/* Numbers of the child's files: what to do, where to answer, where the command writes. */
#define RUN_SPEC_FD 3
#define RUN_CONTROL_FD 4
#define RUN_OUTPUT_FD 5

/* The name of the upper folder in the child's temporary folder. */
#define RUN_UPPER "upper"

#endif
