#define _GNU_SOURCE
#include "greeting.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "key.h"
#include "sha256.h"

#ifndef GRND_INSECURE
#define GRND_INSECURE 4
#endif

static size_t frame_write(uint8_t *at, uint8_t type, const uint8_t trailer[TRAILER_SIZE], size_t length);
static void draw(uint8_t nonce[NONCE_SIZE]);
static void trailer_of(const char *word, const struct greeting *greeting, const struct parser *parser, uint8_t trailer[TRAILER_SIZE]);

size_t greeting_answer(struct greeting *greeting, struct parser *parser, uint32_t version, uint8_t answer[ANSWER_MAX]) {
  *greeting = (struct greeting){.challenged = version == PROTOCOL_VERSION};
  memcpy(answer, AGREE_MAGIC, MAGIC_SIZE);
  memcpy(answer + MAGIC_SIZE, parser->nonce, NONCE_SIZE);
  uint8_t *frame = answer + MAGIC_SIZE + NONCE_SIZE, *payload = frame + HEADER_SIZE;
  if (version != PROTOCOL_VERSION) {
    parser->framed = false;
    parser->zeros = 0;
    int length = sprintf((char *)payload, "protocol=%d\n", PROTOCOL_VERSION);
    return (size_t)(frame - answer) + frame_write(frame, FRAME_FACTS, parser->trailer, (size_t)length);
  }
  draw(greeting->guest_nonce);
  payload[0] = key_known();
  memcpy(payload + 1, greeting->guest_nonce, NONCE_SIZE);
  return (size_t)(frame - answer) + frame_write(frame, FRAME_CHALLENGE, parser->trailer, 1 + NONCE_SIZE);
}

static size_t frame_write(uint8_t *at, uint8_t type, const uint8_t trailer[TRAILER_SIZE], size_t length) {
  put_u32(at, (uint32_t)length);
  at[4] = type;
  put_u32(at + 5, 0);
  memcpy(at + HEADER_SIZE + length, trailer, TRAILER_SIZE);
  return HEADER_SIZE + length + TRAILER_SIZE;
}

bool greeting_prove(struct greeting *greeting, struct parser *parser, const struct frame *frame) {
  uint8_t wanted[MAC_SIZE];
  bool proven = false;
  if (!greeting->challenged) {
    /* Nothing was asked. */
  } else if (frame->type == FRAME_KEY) {
    proven = key_take(frame->payload, frame->length);
  } else if (frame->type == FRAME_PROOF && frame->length == MAC_SIZE && key_known()) {
    key_mac("tt-rexec host", parser->nonce, greeting->guest_nonce, wanted);
    proven = key_equal(frame->payload, wanted, MAC_SIZE);
  }
  greeting->challenged = false;
  greeting->proven = proven;
  if (proven) {
    trailer_of("tt-rexec to guest", greeting, parser, parser->trailer);
  } else {
    parser->framed = false;
    parser->zeros = 0;
    memset(parser->nonce, 0, NONCE_SIZE); /* Should it greet again, it is asked again. */
  }
  return proven;
}

size_t greeting_refuse(const uint8_t trailer[TRAILER_SIZE], uint8_t refusal[ANSWER_MAX]) {
  static const char why[] = "EACCES greeting";
  memcpy(refusal + HEADER_SIZE, why, sizeof why - 1);
  return frame_write(refusal, FRAME_ERROR, trailer, sizeof why - 1);
}

void greeting_reply(const struct greeting *greeting, const struct parser *parser, uint8_t mac[MAC_SIZE], uint8_t trailer[TRAILER_SIZE]) {
  key_mac("tt-rexec guest", parser->nonce, greeting->guest_nonce, mac);
  trailer_of("tt-rexec to host", greeting, parser, trailer);
}

/* No byte of it is zero, so that filler never looks like it. */
static void trailer_of(const char *word, const struct greeting *greeting, const struct parser *parser, uint8_t trailer[TRAILER_SIZE]) {
  uint8_t mac[MAC_SIZE];
  key_mac(word, parser->nonce, greeting->guest_nonce, mac);
  for (size_t i = 0; i < TRAILER_SIZE; i++) trailer[i] = mac[i] ? mac[i] : 0xa5;
}

/* It has to be another each time, also where the kernel has nothing random yet, and in two clones of one memory. */
static void draw(uint8_t nonce[NONCE_SIZE]) {
  static struct {
    uint64_t count;
    struct timespec up, now;
    uint8_t before[NONCE_SIZE], random[SHA256_SIZE];
  } seed;
  struct sha256 hash;
  uint8_t digest[SHA256_SIZE];
  seed.count++;
  clock_gettime(CLOCK_BOOTTIME, &seed.up);
  clock_gettime(CLOCK_REALTIME, &seed.now);
  if (getrandom(seed.random, sizeof seed.random, GRND_NONBLOCK) < 0) (void)!getrandom(seed.random, sizeof seed.random, GRND_INSECURE);
  sha256_begin(&hash);
  sha256_add(&hash, &seed, sizeof seed);
  sha256_end(&hash, digest);
  memcpy(nonce, digest, NONCE_SIZE);
  memcpy(seed.before, digest + NONCE_SIZE, NONCE_SIZE);
}
