#include "poly1305.h"

#include <string.h>

#include "protocol.h"

enum { BLOCK = 16 };

/* A number below 2^130 and a bit, as five digits of 32 bits: the lowest first, and of the last a few bits only. */
struct poly {
  uint32_t r[4], sum[5];
};

static void begin(struct poly *poly, const uint8_t key[BLOCK]);
static void add(struct poly *poly, const uint8_t *bytes, size_t blocks);
static void end(struct poly *poly, const uint8_t pad[BLOCK], uint8_t tag[POLY1305_SIZE]);

void poly1305_tag(const uint8_t key[POLY1305_KEY_SIZE], const uint8_t *bytes, size_t size, uint8_t tag[POLY1305_SIZE]) {
  struct poly poly;
  size_t whole = size / BLOCK * BLOCK;
  uint8_t last[BLOCK] = {0}, sizes[BLOCK] = {0};
  begin(&poly, key);
  add(&poly, bytes, whole / BLOCK);
  if (size > whole) {
    memcpy(last, bytes + whole, size - whole);
    add(&poly, last, 1);
  }
  put_u32(sizes, (uint32_t)size);
  put_u32(sizes + 4, (uint32_t)((uint64_t)size >> 32));
  add(&poly, sizes, 1);
  end(&poly, key + BLOCK, tag);
}

/* Some bits of r are always zero; `add` needs that: r[1] to r[3] can be divided by four, and no digit has more than 28 bits. */
static void begin(struct poly *poly, const uint8_t key[BLOCK]) {
  *poly = (struct poly){.r = {get_u32(key) & 0x0fffffff, get_u32(key + 4) & 0x0ffffffc, get_u32(key + 8) & 0x0ffffffc, get_u32(key + 12) & 0x0ffffffc}};
}

/*
 * sum = (sum + block + 2^128) * r modulo 2^130 - 5. A digit that would stand at 2^128 or above comes back at the bottom with 5/4 of its worth, as
 * 2^130 is 5 here: for that there are the digits of r with a quarter more. No sum of products has more than 63 bits.
 */
static void add(struct poly *poly, const uint8_t *bytes, size_t blocks) {
  const uint64_t r0 = poly->r[0], r1 = poly->r[1], r2 = poly->r[2], r3 = poly->r[3];
  const uint64_t t1 = r1 + r1 / 4, t2 = r2 + r2 / 4, t3 = r3 + r3 / 4;
  uint64_t h0 = poly->sum[0], h1 = poly->sum[1], h2 = poly->sum[2], h3 = poly->sum[3], h4 = poly->sum[4];
  for (; blocks > 0; blocks--, bytes += BLOCK) {
    h0 += get_u32(bytes);
    h1 += get_u32(bytes + 4) + (h0 >> 32);
    h2 += get_u32(bytes + 8) + (h1 >> 32);
    h3 += get_u32(bytes + 12) + (h2 >> 32);
    h4 += 1 + (h3 >> 32);
    h0 = (uint32_t)h0, h1 = (uint32_t)h1, h2 = (uint32_t)h2, h3 = (uint32_t)h3;
    uint64_t d0 = h0 * r0 + h1 * t3 + h2 * t2 + h3 * t1;
    uint64_t d1 = h0 * r1 + h1 * r0 + h2 * t3 + h3 * t2 + h4 * t1;
    uint64_t d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * t3 + h4 * t2;
    uint64_t d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * t3;
    h4 *= r0;
    d1 += d0 >> 32;
    d2 += d1 >> 32;
    d3 += d2 >> 32;
    h4 += d3 >> 32;
    /* All but two bits of the last digit go to the bottom: times 5/4, which is (h4 & ~3) + h4 / 4. */
    h0 = (uint32_t)d0 + (h4 & ~3ull) + h4 / 4;
    h1 = (uint32_t)d1 + (h0 >> 32);
    h2 = (uint32_t)d2 + (h1 >> 32);
    h3 = (uint32_t)d3 + (h2 >> 32);
    h4 = (h4 & 3) + (h3 >> 32);
    h0 = (uint32_t)h0, h1 = (uint32_t)h1, h2 = (uint32_t)h2, h3 = (uint32_t)h3;
  }
  memcpy(poly->sum, (uint32_t[]){(uint32_t)h0, (uint32_t)h1, (uint32_t)h2, (uint32_t)h3, (uint32_t)h4}, sizeof poly->sum);
}

static void end(struct poly *poly, const uint8_t pad[BLOCK], uint8_t tag[POLY1305_SIZE]) {
  uint32_t *sum = poly->sum, less[4];
  uint64_t digit = 5;
  /* The sum is below twice 2^130 - 5: with five more it passes 2^130 if it is not below that once. */
  for (int i = 0; i < 4; i++) {
    digit += sum[i];
    less[i] = (uint32_t)digit;
    digit >>= 32;
  }
  const uint32_t *result = digit + sum[4] >= 4 ? less : sum;
  digit = 0;
  for (int i = 0; i < 4; i++) {
    digit += (uint64_t)result[i] + get_u32(pad + i * 4);
    put_u32(tag + i * 4, (uint32_t)digit);
    digit >>= 32;
  }
}
