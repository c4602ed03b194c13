#include "registry/base/map.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "registry/base/alloc.h"

static uint64_t seed;

static void make_seed(void)
{
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)&seed;
}

static uint64_t process_seed(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_seed);
	return seed;
}

/* A multiply-and-fold hash, eight bytes at a time: names are short and the
 * seed differs in each process, so crafted names cannot collide on purpose. */
uint64_t hash_bytes(const void *data, size_t len, uint64_t salt)
{
	const unsigned char *p = data;
	uint64_t h = process_seed() ^ (salt * 0x9e3779b97f4a7c15u) ^ len;

	while (len) {
		uint64_t w = 0;
		size_t n = len < 8 ? len : 8;
		__uint128_t m;

		memcpy(&w, p, n);
		m = (__uint128_t)(h ^ w) * 0xa0761d6478bd642fu;
		h = (uint64_t)m ^ (uint64_t)(m >> 64) ^ w;
		p += n;
		len -= n;
	}
	h ^= h >> 32;
	h *= 0xe7037ed1a0b428dbu;
	return h ^ (h >> 29);
}

void map_release(struct map *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i].key);
	free(m->slots);
	*m = (struct map)MAP_INIT;
}

/* The slot of the key, or the free one where it belongs. */
static struct map_slot *slot_of(const struct map *m, const char *key, size_t len,
				uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	for (;; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];

		if (!s->key)
			return s;
		if (s->hash == hash && s->len == len && !memcmp(s->key, key, len))
			return s;
	}
}

static void grow(struct map *m)
{
	struct map bigger = {.cap = m->cap ? m->cap * 2 : 16, .n = m->n};

	bigger.slots = xcalloc(bigger.cap, sizeof(*bigger.slots));
	for (size_t i = 0; i < m->cap; i++) {
		struct map_slot *s = &m->slots[i];

		if (s->key)
			*slot_of(&bigger, s->key, s->len, s->hash) = *s;
	}
	free(m->slots);
	*m = bigger;
}

void *map_get(const struct map *m, const char *key, size_t len)
{
	struct map_slot *s;

	if (!m->cap)
		return NULL;
	s = slot_of(m, key, len, hash_bytes(key, len, 0));
	return s->key ? s->value : NULL;
}

void map_put(struct map *m, const char *key, size_t len, void *value)
{
	uint64_t hash = hash_bytes(key, len, 0);
	struct map_slot *s;

	if (m->n * 4 >= m->cap * 3)
		grow(m);
	s = slot_of(m, key, len, hash);
	if (!s->key) {
		s->key = xmalloc(len + 1);
		memcpy(s->key, key, len);
		s->key[len] = '\0';
		s->len = len;
		s->hash = hash;
		m->n++;
	}
	s->value = value;
}
