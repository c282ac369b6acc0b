/* SHA-256 (FIPS 180-4) and HMAC over it (RFC 2104). */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, SHA256_BLOCK = 64 };

/* What was hashed so far; a plain value, which may be copied to go on from it twice. */
struct sha256 {
  uint32_t state[8];
  uint64_t size; /* bytes so far */
  uint8_t held[SHA256_BLOCK]; /* the last size % SHA256_BLOCK of them */
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t size);
/* The hash of all that was added; nothing can be added afterwards. */
void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_SIZE]);

void hmac_sha256(const void *key, size_t key_size, const void *text, size_t size, uint8_t mac[SHA256_SIZE]);
