/*
 * digest.h - SHA-256 digests: state, text, comparison
 *
 * image-spec descriptor.md, "Digests"; hod takes sha256 with 64 lower-case
 * hexadecimal digits and nothing else.
 */
#ifndef HOD_DIGEST_H
#define HOD_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_HEX 65  /* with NUL */
#define DIGEST_TEXT 72 /* "sha256:" + hex + NUL */

struct error;

struct digest {
	uint8_t bytes[DIGEST_BYTES];
};

/* Parses "sha256:HEX" (exactly; no white space).  E_INPUT otherwise. */
int digest_parse(struct digest *d, const char *text, struct error *err);
/* Parses 64 lower-case hex digits of which text need not be NUL-terminated. */
bool digest_parse_hex(struct digest *d, const char *hex, size_t len);
/* Both write into out and return it. */
char *digest_hex(const struct digest *d, char out[static DIGEST_HEX]);
char *digest_text(const struct digest *d, char out[static DIGEST_TEXT]);
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d);

/* An incremental SHA-256.  A value with memory inside: init, add..., then end
 * or release.  Out of memory ends the program. */
struct hash {
	void *ctx; /* EVP_MD_CTX */
};

void hash_init(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t len);
/* Adds a length (8 bytes, little-endian) and then the bytes, so that joined
 * fields cannot be confused.  NULL text counts as length 2^64-1. */
void hash_field(struct hash *h, const void *data, size_t len);
void hash_string(struct hash *h, const char *text);
void hash_u64(struct hash *h, uint64_t value);
/* The digest so far; h can go on. */
void hash_peek(const struct hash *h, struct digest *out);
/* The digest; h is released. */
void hash_end(struct hash *h, struct digest *out);
void hash_release(struct hash *h); /* fine after hash_end */
/* Starts over, keeping memory: for many small inputs. */
void hash_restart(struct hash *h);

/* One call for bytes in memory. */
void digest_of(struct digest *out, const void *data, size_t len);

#endif
