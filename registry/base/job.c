#include "registry/base/job.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "registry/base/alloc.h"
#include "registry/base/interrupt.h"

#define TICK_NS 100000000L

struct task {
	struct job *job;
	job_fn *fn;
	void *arg;
};

void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

void cond_wait_tick(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_NS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(cond, lock, &until);
}

void job_init(struct job *job, struct job *parent)
{
	memset(job, 0, sizeof(*job));
	pthread_mutex_init(&job->lock, NULL);
	cond_init(&job->changed);
	job->parent = parent;
}

static void *run_task(void *arg)
{
	struct task *task = arg;
	struct job *job = task->job;
	struct error err = ERROR_INIT;

	if (task->fn(job, task->arg, &err) < 0)
		job_fail(job, &err);
	free(task);
	return NULL;
}

void job_start(struct job *job, job_fn *fn, void *arg)
{
	struct task *task = xmalloc(sizeof(*task));
	struct error err = ERROR_INIT;
	int rc;

	*task = (struct task){job, fn, arg};
	GROW(job->threads, job->nthreads, job->cap);
	rc = pthread_create(&job->threads[job->nthreads], NULL, run_task, task);
	if (!rc) {
		job->nthreads++;
		return;
	}
	free(task);
	error_set(&err, E_FAILED, "cannot start a thread: %s", strerrordesc_np(rc));
	job_fail(job, &err);
}

int job_wait(struct job *job, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < job->nthreads; i++)
		pthread_join(job->threads[i], NULL);
	free(job->threads);
	if (job->first.kind != E_NONE) {
		if (err)
			*err = job->first;
		rc = -1;
	}
	pthread_mutex_destroy(&job->lock);
	pthread_cond_destroy(&job->changed);
	return rc;
}

void job_fail(struct job *job, const struct error *err)
{
	pthread_mutex_lock(&job->lock);
	if (job->first.kind == E_NONE)
		job->first = *err;
	atomic_store(&job->cancelled, true);
	pthread_cond_broadcast(&job->changed);
	pthread_mutex_unlock(&job->lock);
}

bool job_cancelled(struct job *job)
{
	if (interrupt_signal())
		return true;
	for (; job; job = job->parent)
		if (atomic_load(&job->cancelled))
			return true;
	return false;
}

int job_check(struct job *job, struct error *err)
{
	if (interrupt_check(err) < 0)
		return -1;
	for (; job; job = job->parent) {
		if (!atomic_load(&job->cancelled))
			continue;
		pthread_mutex_lock(&job->lock);
		if (err)
			*err = job->first;
		pthread_mutex_unlock(&job->lock);
		return -1;
	}
	return 0;
}

/* Processors that the cgroup's CPU quota allows, rounded up; UINT_MAX: no quota. */
static unsigned quota_cpus(void)
{
	unsigned long long quota, period;
	FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
	unsigned cpus = ~0u;

	if (!f)
		return cpus;
	if (fscanf(f, "%llu %llu", &quota, &period) == 2 && period && quota)
		cpus = (unsigned)((quota + period - 1) / period);
	fclose(f);
	return cpus;
}

unsigned cpu_count(void)
{
	cpu_set_t *set = CPU_ALLOC(4096);
	size_t size = CPU_ALLOC_SIZE(4096);
	unsigned n = 1, quota = quota_cpus();

	if (set && !sched_getaffinity(0, size, set))
		n = (unsigned)CPU_COUNT_S(size, set);
	CPU_FREE(set);
	if (n > quota)
		n = quota;
	return n ? n : 1;
}
