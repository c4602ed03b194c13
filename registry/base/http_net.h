/*
 * http_net.h - the network thread, and one transfer on it (for http.c only)
 *
 * A transfer is made by the thread that wants it, started, waited for, and freed
 * by the same thread or by the reader of its stream.  In between, the network
 * thread alone touches its curl handle and the fields marked so.  The network
 * thread also watches each transfer's job, so that a stalled one ends soon
 * after its job is cancelled.
 */
#ifndef HOD_HTTP_NET_H
#define HOD_HTTP_NET_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "registry/base/buf.h"
#include "registry/base/error.h"
#include "registry/base/http.h"

struct ring;
struct sink;
struct transfer;

struct net {
	CURLM *multi;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;  /* a transfer's state */
	bool stop;               /* lock */
	struct transfer *queue;  /* lock: transfers with something to do */
	struct transfer *active; /* network thread */
};

int net_start(struct net *n, struct error *err);
void net_stop(struct net *n);

enum transfer_state { TRANSFER_NEW, TRANSFER_RUNNING, TRANSFER_ANSWERED, TRANSFER_DONE };

/* Where an upload's bytes come from and how far they were reported. */
struct upload {
	const void *data;
	int fd; /* -1: data */
	uint64_t len, offset;
	uint64_t *reported; /* high-water mark over all tries of one request */
	void (*sent)(void *ctx, uint64_t bytes);
	void *ctx;
};

struct transfer {
	struct net *net;
	CURL *easy;
	struct curl_slist *headers;
	struct job *job;
	bool stream;
	size_t max_body;
	struct upload upload;

	/* Written by the network thread, read by the owner once the state says so. */
	int status;
	struct strv answer; /* headers, "name: value" */
	size_t answer_bytes;
	bool headers_done;
	int64_t content_length;
	struct buf body;
	struct source *source; /* reader's side of the ring: the owner takes it */
	CURLcode code;
	struct error err; /* E_NONE: code decides */
	char text[CURL_ERROR_SIZE];

	/* Network thread. */
	struct ring *ring;
	struct sink *sink;
	bool cut; /* the rest of an error's body is not wanted */
	struct transfer *prev, *next;

	/* net->lock. */
	enum transfer_state state;
	bool queued, want_start, want_cancel, want_unpause;
	struct transfer *queue_next;
};

/* A transfer with its curl callbacks set; the caller adds URL, method, options. */
struct transfer *transfer_new(struct net *n);
void transfer_start(struct transfer *t);
/* Returns when the transfer is done, or answered in case of a stream. */
void transfer_wait(struct transfer *t);
/* Ends it if it is not done; then frees all.  NULL is fine. */
void transfer_free(struct transfer *t);

#endif
