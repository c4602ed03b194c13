/*
 * map.h - hash map from strings to pointers
 *
 * Keys are copied, values stay yours.  Not ordered: never iterate one to make
 * output.  One thread at a time.
 */
#ifndef HOD_MAP_H
#define HOD_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot {
	char *key; /* NULL = free */
	size_t len;
	uint64_t hash;
	void *value;
};

struct map {
	struct map_slot *slots;
	size_t n, cap;
};

#define MAP_INIT  \
	{         \
		0 \
	}

/* 64-bit hash of bytes, seeded per process (keys come from outside). */
uint64_t hash_bytes(const void *data, size_t len, uint64_t salt);

void map_release(struct map *m);
void *map_get(const struct map *m, const char *key, size_t len); /* NULL: not there */
void map_put(struct map *m, const char *key, size_t len, void *value); /* value != NULL */

#endif
