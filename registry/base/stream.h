/*
 * stream.h - bytes that flow: pull sources, push sinks, the ring between them
 *
 * A source is read until it returns 0.  A sink is written, then either
 * committed (the bytes are wanted) or aborted (as if it had never been); close
 * of a source and commit/abort of a sink free it, also when they fail.  A
 * wrapper owns what it wraps from the moment its constructor is called, also
 * when that constructor fails.
 *
 * The ring is the only adaptor between push and pull: one thread writes its
 * sink, one other thread reads its source; memory is blocks x block size.
 */
#ifndef HOD_STREAM_H
#define HOD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct digest;

struct source;
struct source_ops {
	/* Up to len bytes into buf; 0 at the end; -1 and err. */
	ssize_t (*read)(struct source *s, void *buf, size_t len, struct error *err);
	void (*close)(struct source *s); /* frees s */
};
struct source {
	const struct source_ops *ops;
};

struct sink;
struct sink_ops {
	int (*write)(struct sink *s, const void *data, size_t len, struct error *err);
	int (*commit)(struct sink *s, struct error *err); /* frees s, also on -1 */
	void (*abort)(struct sink *s);                    /* frees s */
};
struct sink {
	const struct sink_ops *ops;
};

ssize_t source_read(struct source *s, void *buf, size_t len, struct error *err);
/* Reads until len bytes or the end; returns what it got. */
ssize_t source_read_full(struct source *s, void *buf, size_t len, struct error *err);
void source_close(struct source *s); /* NULL is fine */
int sink_write(struct sink *s, const void *data, size_t len, struct error *err);
int sink_commit(struct sink *s, struct error *err);
void sink_abort(struct sink *s); /* NULL is fine */

/* Reads fd from its current offset; takes fd. */
struct source *source_fd(int fd);
/* Reads bytes that stay yours and outlive the source. */
struct source *source_bytes(const void *data, size_t len);
/* Checks size and digest of what passes: more than size bytes, an early end or
 * another digest is E_CORRUPT (a short stream: E_NETWORK when `remote`).  The
 * check happens before the final 0 is returned. */
struct source *source_verify(struct source *inner, const struct digest *want,
			     uint64_t size, bool remote);
/* Decompresses by content: gzip (several members, ISA-L) or zstd; anything else passes
 * as it is.  Trailing junk or a cut stream is E_CORRUPT. */
struct source *source_inflate(struct source *inner);
/* Hashes all bytes that pass; *out is set (not freed) at the end of the stream. */
struct source *source_hash(struct source *inner, struct digest *out);
/* Passes everything also to a sink, which stays yours (not committed). */
struct source *source_tee(struct source *inner, struct sink *copy);

struct ring;
/* nblocks >= 2 blocks of block_size bytes.  One reference for each side:
 * ring_sink and ring_source take one each; both must be called once.  The ring
 * goes away when the sink was committed or aborted and the source closed.
 *
 * Writing after the source was closed fails with E_INTERRUPTED ("the reader is
 * gone"): the reader's own error is the one to report.  A sink that is aborted gives the
 * reader E_FAILED, unless ring_fail told it why.  Both waits see an interrupt. */
struct ring *ring_new(size_t block_size, size_t nblocks);
struct sink *ring_sink(struct ring *r);
struct source *ring_source(struct ring *r);
/* For a writer that must not block (curl's thread): true when len bytes fit
 * now, or the reader is gone (the write then says so).  When it returns false, wake(ctx)
 * is called once by the reader's thread when room appears or the reader is gone; never
 * after the sink's commit or abort returned. wake must not use the ring. */
bool ring_writable(struct ring *r, size_t len, void (*wake)(void *ctx), void *ctx);
/* Writer side: ends the stream with an error that the reader gets after what was
 * written before.  The sink is then to be aborted. */
void ring_fail(struct ring *r, const struct error *err);

#endif
