/*
 * job.h - work on all cores, with one first error
 *
 * A job is a set of tasks that stand or fall together: the first error wins,
 * is kept, and asks the others to stop.  Long loops look at job_cancelled().
 * Tasks run on threads of their own (start_thread style), bounded by the
 * caller's structure, not by a global pool: hod's parallel parts are a few
 * long pipelines.
 *
 *	struct job job;
 *	job_init(&job, NULL);
 *	job_start(&job, fetch, &layer[0]);
 *	job_start(&job, fetch, &layer[1]);
 *	if (job_wait(&job, err) < 0) ...
 *
 * An interrupt (interrupt.h) cancels every job with E_INTERRUPTED.
 */
#ifndef HOD_JOB_H
#define HOD_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "registry/base/error.h"

struct job {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* CLOCK_MONOTONIC */
	atomic_bool cancelled;
	struct job *parent; /* its cancellation is ours too; NULL = none */
	struct error first; /* E_NONE while all is well */
	pthread_t *threads;
	size_t nthreads, cap;
};

typedef int job_fn(struct job *job, void *arg, struct error *err);

void job_init(struct job *job, struct job *parent);
/* Runs fn(job, arg, err) on a thread of its own.  fn returning -1 fails the job. */
void job_start(struct job *job, job_fn *fn, void *arg);
/* Waits for all tasks, releases the job.  -1 and the first error if one failed. */
int job_wait(struct job *job, struct error *err);
/* Records an error (if it is the first) and asks everybody to stop. */
void job_fail(struct job *job, const struct error *err);
/* True when the tasks should stop; also after an interrupt. */
bool job_cancelled(struct job *job);
/* If cancelled: fills err (the first error, or E_INTERRUPTED) and returns -1. */
int job_check(struct job *job, struct error *err);

/* Number of processors this process may use (affinity and cgroup quota), >= 1. */
unsigned cpu_count(void);

/* Waits at most 100 ms on cond, so that waiters see cancellation; the cond must
 * have been made by cond_init (monotonic clock). */
void cond_init(pthread_cond_t *cond);
void cond_wait_tick(pthread_cond_t *cond, pthread_mutex_t *lock);

#endif
