/* Who may speak: what a host has to prove after its HELLO, and what holds once it has. One for each stream. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parser.h"

struct greeting {
  bool challenged; /* the next frame has to be the proof */
  bool proven;     /* the host is the one that knows the key */
  uint8_t guest_nonce[NONCE_SIZE];
};

enum { ANSWER_MAX = MAGIC_SIZE + NONCE_SIZE + HEADER_SIZE + 32 + TRAILER_SIZE };

/* Answers a HELLO: the bytes to send. A host of another version is told ours, and not heard further. */
size_t greeting_answer(struct greeting *greeting, struct parser *parser, uint32_t version, uint8_t answer[ANSWER_MAX]);

/* True if the frame proves the host, or brings the key where there was none; the parser then expects what only that host can send. Otherwise the host is not heard further. */
bool greeting_prove(struct greeting *greeting, struct parser *parser, const struct frame *frame);

/* Tells a host that it was not proven; `trailer` is the one it knows. */
size_t greeting_refuse(const uint8_t trailer[TRAILER_SIZE], uint8_t refusal[ANSWER_MAX]);

/* What proves the guest to the host, and the trailer of what it sends from then on. */
void greeting_reply(const struct greeting *greeting, const struct parser *parser, uint8_t mac[MAC_SIZE], uint8_t trailer[TRAILER_SIZE]);
