#include "registry/base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool digest_parse_hex(struct digest *d, const char *hex, size_t len)
{
	if (len != 2 * DIGEST_BYTES)
		return false;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		d->bytes[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

int digest_parse(struct digest *d, const char *text, struct error *err)
{
	if (strncmp(text, "sha256:", 7) ||
	    !digest_parse_hex(d, text + 7, strlen(text + 7)))
		return error_set(
			err, E_INPUT,
			"'%.100s' is no digest (sha256: and 64 lower-case hex digits)",
			text);
	return 0;
}

char *digest_hex(const struct digest *d, char out[static DIGEST_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		out[2 * i] = digits[d->bytes[i] >> 4];
		out[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	out[2 * DIGEST_BYTES] = '\0';
	return out;
}

char *digest_text(const struct digest *d, char out[static DIGEST_TEXT])
{
	memcpy(out, "sha256:", 7);
	digest_hex(d, out + 7);
	return out;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return !memcmp(a->bytes, b->bytes, DIGEST_BYTES);
}

bool digest_is_zero(const struct digest *d)
{
	static const struct digest zero;

	return digest_equal(d, &zero);
}

/* Fetched once: a look-up by name for each hash costs more than a small hash. */
static const EVP_MD *sha256;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256)
		sha256 = EVP_sha256();
}

static void must(int ok)
{
	if (ok != 1)
		abort(); /* SHA-256 of memory can't fail */
}

void hash_init(struct hash *h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch_sha256);
	h->ctx = EVP_MD_CTX_new();
	must(h->ctx && EVP_DigestInit_ex2(h->ctx, sha256, NULL));
}

void hash_restart(struct hash *h)
{
	must(EVP_DigestInit_ex2(h->ctx, sha256, NULL));
}

void hash_add(struct hash *h, const void *data, size_t len)
{
	if (len)
		must(EVP_DigestUpdate(h->ctx, data, len));
}

void hash_u64(struct hash *h, uint64_t value)
{
	uint8_t le[8];

	for (int i = 0; i < 8; i++)
		le[i] = (uint8_t)(value >> (8 * i));
	hash_add(h, le, sizeof(le));
}

void hash_field(struct hash *h, const void *data, size_t len)
{
	hash_u64(h, len);
	hash_add(h, data, len);
}

void hash_string(struct hash *h, const char *text)
{
	if (!text)
		hash_u64(h, UINT64_MAX);
	else
		hash_field(h, text, strlen(text));
}

void hash_peek(const struct hash *h, struct digest *out)
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();

	must(copy && EVP_MD_CTX_copy_ex(copy, h->ctx));
	must(EVP_DigestFinal_ex(copy, out->bytes, NULL));
	EVP_MD_CTX_free(copy);
}

void hash_end(struct hash *h, struct digest *out)
{
	must(EVP_DigestFinal_ex(h->ctx, out->bytes, NULL));
	hash_release(h);
}

void hash_release(struct hash *h)
{
	EVP_MD_CTX_free(h->ctx);
	h->ctx = NULL;
}

void digest_of(struct digest *out, const void *data, size_t len)
{
	struct hash h;

	hash_init(&h);
	hash_add(&h, data, len);
	hash_end(&h, out);
}
