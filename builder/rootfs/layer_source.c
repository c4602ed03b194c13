#include "builder/rootfs/layer_source.h"

#include <unistd.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/base/log.h"
#include "registry/base/restart.h"
#include "registry/base/stream.h"
#include "registry/points.h"
#include "registry/store.h"

struct layer_stream {
	struct source base;
	struct source *inner;
	struct restarts *points;
	int fd;
};

static ssize_t layer_read(struct source *s, void *buf, size_t len, struct error *err)
{
	return source_read(((struct layer_stream *)s)->inner, buf, len, err);
}

static void layer_close(struct source *s)
{
	struct layer_stream *l = (struct layer_stream *)s;

	source_close(l->inner);
	restarts_close(l->points);
	close(l->fd);
	free(l);
}

/* From a point; fd is taken if it works. */
static struct source *from_point(struct store *st, const struct digest *blob, int fd,
				 uint64_t from, uint64_t *at)
{
	static const struct source_ops ops = {layer_read, layer_close};
	struct error why = ERROR_INIT;
	struct restarts *points = points_open(st, blob, NULL);
	struct source *inner;
	struct layer_stream *l;

	if (!points)
		return NULL;
	inner = restarts_read(points, fd, from, at, &why);
	if (!inner) {
		log_debug("%s", why.msg);
		restarts_close(points);
		points_drop(st, blob);
		return NULL;
	}
	l = xmalloc(sizeof(*l));
	*l = (struct layer_stream){{&ops}, inner, points, fd};
	return &l->base;
}

struct source *layer_source(struct store *st, const struct digest *blob, uint64_t size,
			    uint64_t from, uint64_t *at, struct error *err)
{
	struct source *src;
	int fd = store_get(st, blob, NULL, err);

	if (fd < 0)
		return NULL;
	src = from_point(st, blob, fd, from, at);
	if (src)
		return src;
	*at = 0;
	return source_inflate(source_verify(source_fd(fd), blob, size, false));
}

void layer_points(struct store *st, const struct digest *blob, uint64_t **v, size_t *n)
{
	struct restarts *points = points_open(st, blob, NULL);

	*n = points ? restarts_count(points) : 1;
	*v = xcalloc(*n, sizeof(**v));
	for (size_t i = 0; points && i < *n; i++)
		(*v)[i] = restarts_offset(points, i);
	restarts_close(points);
}
