#include "sha256.h"

#include <string.h>

/*
 * Most guests run on an emulated processor, and there this is what a file's transfer takes longest for. So: rounds written out with the names of the
 * variables going round instead of their values, constants inside the instructions, and a schedule of 16 words that is never longer than that.
 */
static void mix(uint32_t state[8], const uint8_t *block, size_t blocks);

void sha256_begin(struct sha256 *hash) {
  *hash = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t size) {
  const uint8_t *from = bytes;
  size_t held = hash->size % SHA256_BLOCK;
  hash->size += size;
  if (held > 0) {
    size_t more = SHA256_BLOCK - held;
    if (more > size) more = size;
    if (more > 0) memcpy(hash->held + held, from, more);
    if (held + more < SHA256_BLOCK) return;
    mix(hash->state, hash->held, 1);
    from += more;
    size -= more;
  }
  mix(hash->state, from, size / SHA256_BLOCK);
  if (size % SHA256_BLOCK > 0) memcpy(hash->held, from + size - size % SHA256_BLOCK, size % SHA256_BLOCK);
}

void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_SIZE]) {
  uint64_t bits = hash->size * 8;
  size_t held = hash->size % SHA256_BLOCK;
  hash->held[held++] = 0x80;
  memset(hash->held + held, 0, SHA256_BLOCK - held);
  if (held > SHA256_BLOCK - 8) {
    mix(hash->state, hash->held, 1);
    memset(hash->held, 0, SHA256_BLOCK);
  }
  for (int i = 0; i < 8; i++) hash->held[SHA256_BLOCK - 1 - i] = (uint8_t)(bits >> 8 * i);
  mix(hash->state, hash->held, 1);
  for (int i = 0; i < SHA256_SIZE; i++) digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hmac_sha256(const void *key, size_t key_size, const void *text, size_t size, uint8_t mac[SHA256_SIZE]) {
  uint8_t pad[SHA256_BLOCK] = {0};
  struct sha256 hash;
  if (key_size > SHA256_BLOCK) {
    sha256_begin(&hash);
    sha256_add(&hash, key, key_size);
    sha256_end(&hash, pad);
  } else if (key_size > 0) {
    memcpy(pad, key, key_size);
  }
  for (int i = 0; i < SHA256_BLOCK; i++) pad[i] ^= 0x36;
  sha256_begin(&hash);
  sha256_add(&hash, pad, sizeof pad);
  sha256_add(&hash, text, size);
  sha256_end(&hash, mac);
  for (int i = 0; i < SHA256_BLOCK; i++) pad[i] ^= 0x36 ^ 0x5c;
  sha256_begin(&hash);
  sha256_add(&hash, pad, sizeof pad);
  sha256_add(&hash, mac, SHA256_SIZE);
  sha256_end(&hash, mac);
}

static inline uint32_t load(const uint8_t *at) {
  uint32_t word;
  memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap32(word);
#endif
  return word;
}

#define TURN(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define ROUND(a, b, c, d, e, f, g, h, k, w)                                                                                  \
  (h += (k) + (w) + (TURN(e, 6) ^ TURN(e, 11) ^ TURN(e, 25)) + (g ^ (e & (f ^ g))), d += h,                                     \
   h += (TURN(a, 2) ^ TURN(a, 13) ^ TURN(a, 22)) + ((a & b) | (c & (a | b))))

/* The first 16 words are the block; each later one takes the place of that of 16 before. */
#define FIRST(i) (w[i] = load(block + 4 * (i)))
#define LATER(i)                                                                                                                \
  (w[i] += (TURN(w[(i + 1) & 15], 7) ^ TURN(w[(i + 1) & 15], 18) ^ w[(i + 1) & 15] >> 3) + w[(i + 9) & 15] +                      \
           (TURN(w[(i + 14) & 15], 17) ^ TURN(w[(i + 14) & 15], 19) ^ w[(i + 14) & 15] >> 10))

#define EIGHT(W, i, k0, k1, k2, k3, k4, k5, k6, k7)                                                                             \
  ROUND(a, b, c, d, e, f, g, h, k0, W(i));                                                                                      \
  ROUND(h, a, b, c, d, e, f, g, k1, W(i + 1));                                                                                  \
  ROUND(g, h, a, b, c, d, e, f, k2, W(i + 2));                                                                                  \
  ROUND(f, g, h, a, b, c, d, e, k3, W(i + 3));                                                                                  \
  ROUND(e, f, g, h, a, b, c, d, k4, W(i + 4));                                                                                  \
  ROUND(d, e, f, g, h, a, b, c, k5, W(i + 5));                                                                                  \
  ROUND(c, d, e, f, g, h, a, b, k6, W(i + 6));                                                                                  \
  ROUND(b, c, d, e, f, g, h, a, k7, W(i + 7))

static void mix(uint32_t state[8], const uint8_t *block, size_t blocks) {
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7], w[16];
  for (; blocks > 0; blocks--, block += SHA256_BLOCK) {
    EIGHT(FIRST, 0, 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5);
    EIGHT(FIRST, 8, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174);
    EIGHT(LATER, 0, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da);
    EIGHT(LATER, 8, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967);
    EIGHT(LATER, 0, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85);
    EIGHT(LATER, 8, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070);
    EIGHT(LATER, 0, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3);
    EIGHT(LATER, 8, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2);
    a = state[0] += a;
    b = state[1] += b;
    c = state[2] += c;
    d = state[3] += d;
    e = state[4] += e;
    f = state[5] += f;
    g = state[6] += g;
    h = state[7] += h;
  }
}
