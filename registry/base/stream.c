#include "registry/base/stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/digest.h"
#include "registry/base/error.h"
#include "registry/base/interrupt.h"

ssize_t source_read(struct source *s, void *buf, size_t len, struct error *err)
{
	return s->ops->read(s, buf, len, err);
}

ssize_t source_read_full(struct source *s, void *buf, size_t len, struct error *err)
{
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		n = source_read(s, (char *)buf + got, len - got, err);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

void source_close(struct source *s)
{
	if (s)
		s->ops->close(s);
}

int sink_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	return s->ops->write(s, data, len, err);
}

int sink_commit(struct sink *s, struct error *err)
{
	return s->ops->commit(s, err);
}

void sink_abort(struct sink *s)
{
	if (s)
		s->ops->abort(s);
}

struct fd_source {
	struct source base;
	int fd;
};

static ssize_t fd_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct fd_source *f = (struct fd_source *)s;
	ssize_t n;

	while ((n = read(f->fd, buf, len)) < 0) {
		if (errno != EINTR)
			return error_errno(err, "cannot read");
		if (interrupt_check(err) < 0)
			return -1;
	}
	return n;
}

static void fd_close(struct source *s)
{
	close(((struct fd_source *)s)->fd);
	free(s);
}

struct source *source_fd(int fd)
{
	static const struct source_ops ops = {fd_read, fd_close};
	struct fd_source *f = xmalloc(sizeof(*f));

	f->base.ops = &ops;
	f->fd = fd;
	return &f->base;
}

struct bytes_source {
	struct source base;
	const char *data;
	size_t left;
};

static ssize_t bytes_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct bytes_source *b = (struct bytes_source *)s;
	size_t n = len < b->left ? len : b->left;

	(void)err;
	if (n > 0)
		memcpy(buf, b->data, n);
	b->data += n;
	b->left -= n;
	return (ssize_t)n;
}

static void bytes_close(struct source *s)
{
	free(s);
}

struct source *source_bytes(const void *data, size_t len)
{
	static const struct source_ops ops = {bytes_read, bytes_close};
	struct bytes_source *b = xmalloc(sizeof(*b));

	b->base.ops = &ops;
	b->data = len > 0 ? data : "";
	b->left = len;
	return &b->base;
}

struct verify_source {
	struct source base;
	struct source *inner;
	struct hash hash;
	struct digest want;
	uint64_t size, seen;
	bool remote, verified;
};

static int verify_end(struct verify_source *v, struct error *err)
{
	struct digest got;
	char hex[DIGEST_HEX], other[DIGEST_HEX];

	if (v->seen < v->size)
		return error_set(err, v->remote ? E_NETWORK : E_CORRUPT,
				 "ended after %llu of %llu bytes",
				 (unsigned long long)v->seen,
				 (unsigned long long)v->size);
	hash_peek(&v->hash, &got);
	if (!digest_equal(&got, &v->want))
		return error_set(err, E_CORRUPT,
				 "content hashes to sha256:%s, not sha256:%s",
				 digest_hex(&got, hex), digest_hex(&v->want, other));
	v->verified = true;
	return 0;
}

static ssize_t verify_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct verify_source *v = (struct verify_source *)s;
	ssize_t n;

	if (v->verified || len == 0)
		return 0;
	n = source_read(v->inner, buf, len, err);
	if (n < 0)
		return -1;
	if (n == 0)
		return verify_end(v, err);
	if ((uint64_t)n > v->size - v->seen)
		return error_set(err, E_CORRUPT, "content is longer than its %llu bytes",
				 (unsigned long long)v->size);
	v->seen += (uint64_t)n;
	hash_add(&v->hash, buf, (size_t)n);
	return n;
}

static void verify_close(struct source *s)
{
	struct verify_source *v = (struct verify_source *)s;

	source_close(v->inner);
	hash_release(&v->hash);
	free(v);
}

struct source *source_verify(struct source *inner, const struct digest *want,
			     uint64_t size, bool remote)
{
	static const struct source_ops ops = {verify_read, verify_close};
	struct verify_source *v = xcalloc(1, sizeof(*v));

	v->base.ops = &ops;
	v->inner = inner;
	v->want = *want;
	v->size = size;
	v->remote = remote;
	hash_init(&v->hash);
	return &v->base;
}

struct hash_source {
	struct source base;
	struct source *inner;
	struct hash hash;
	struct digest *out;
	bool ended;
};

static ssize_t hash_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct hash_source *h = (struct hash_source *)s;
	ssize_t n;

	if (h->ended || len == 0)
		return 0;
	n = source_read(h->inner, buf, len, err);
	if (n > 0)
		hash_add(&h->hash, buf, (size_t)n);
	if (n == 0) {
		hash_peek(&h->hash, h->out);
		h->ended = true;
	}
	return n;
}

static void hash_close(struct source *s)
{
	struct hash_source *h = (struct hash_source *)s;

	source_close(h->inner);
	hash_release(&h->hash);
	free(h);
}

struct source *source_hash(struct source *inner, struct digest *out)
{
	static const struct source_ops ops = {hash_read, hash_close};
	struct hash_source *h = xcalloc(1, sizeof(*h));

	h->base.ops = &ops;
	h->inner = inner;
	h->out = out;
	hash_init(&h->hash);
	return &h->base;
}

struct tee_source {
	struct source base;
	struct source *inner;
	struct sink *copy;
};

static ssize_t tee_read(struct source *s, void *buf, size_t len, struct error *err)
{
	struct tee_source *t = (struct tee_source *)s;
	ssize_t n = source_read(t->inner, buf, len, err);

	if (n > 0 && sink_write(t->copy, buf, (size_t)n, err) < 0)
		return -1;
	return n;
}

static void tee_close(struct source *s)
{
	source_close(((struct tee_source *)s)->inner);
	free(s);
}

struct source *source_tee(struct source *inner, struct sink *copy)
{
	static const struct source_ops ops = {tee_read, tee_close};
	struct tee_source *t = xmalloc(sizeof(*t));

	t->base.ops = &ops;
	t->inner = inner;
	t->copy = copy;
	return &t->base;
}
