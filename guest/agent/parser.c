#include "parser.h"

#include <string.h>

static struct finding next_greeting(struct parser *parser, const uint8_t *bytes, size_t size);
static struct finding next_frame(struct parser *parser, const uint8_t *bytes, size_t size);
static size_t leading_zeros(const uint8_t *bytes, size_t size);
static size_t trailing_zeros(const uint8_t *bytes, size_t size);

struct finding parser_next(struct parser *parser, const uint8_t *bytes, size_t size) {
  return parser->framed ? next_frame(parser, bytes, size) : next_greeting(parser, bytes, size);
}

static struct finding next_frame(struct parser *parser, const uint8_t *bytes, size_t size) {
  struct finding finding = {.what = FOUND_NOTHING};
  if (size < HEADER_SIZE) return finding;
  uint32_t length = get_u32(bytes);
  uint8_t type = bytes[4];
  if (length > HEARD_MAX || type < FRAME_EXEC || type > FRAME_HEARD_LAST) {
    parser->framed = false;
    parser->zeros = 0;
    if (type == 0) return next_greeting(parser, bytes, size); /* Filler, also one that completes a header that was cut. */
    finding.what = FOUND_JUNK;
    return finding;
  }
  size_t whole = HEADER_SIZE + length + TRAILER_SIZE;
  if (size < whole) return finding;
  finding.used = whole;
  const uint8_t *trailer = bytes + HEADER_SIZE + length;
  if (memcmp(trailer, parser->trailer, TRAILER_SIZE) != 0) {
    /* The payload is skipped unseen: only filler can have completed a frame that was cut. */
    parser->framed = false;
    parser->zeros = trailing_zeros(bytes, whole);
    finding.what = trailer[TRAILER_SIZE - 1] == 0 ? FOUND_NOTHING : FOUND_JUNK;
    return finding;
  }
  finding.what = FOUND_FRAME;
  finding.frame = (struct frame){.type = type, .id = get_u32(bytes + 5), .payload = bytes + HEADER_SIZE, .length = length};
  return finding;
}

/* A HELLO counts only after a run of zeros that no frame can hold, so nothing inside a payload is ever taken for one. */
static struct finding next_greeting(struct parser *parser, const uint8_t *bytes, size_t size) {
  struct finding finding = {.what = FOUND_NOTHING};
  size_t at = 0;
  while (at < size) {
    size_t run = leading_zeros(bytes + at, size - at);
    parser->zeros += run;
    if (parser->zeros > HELLO_FILLER) parser->zeros = HELLO_FILLER;
    at += run;
    if (at == size) break;
    size_t seen = size - at < MAGIC_SIZE ? size - at : MAGIC_SIZE;
    if (parser->zeros == HELLO_FILLER && memcmp(bytes + at, HELLO_MAGIC, seen) == 0) {
      if (size - at < HELLO_SIZE) break;
      const uint8_t *nonce = bytes + at + MAGIC_SIZE;
      if (memchr(nonce, 0, NONCE_SIZE) == NULL) {
        finding.what = FOUND_HELLO;
        finding.used = at + HELLO_SIZE;
        finding.again = memcmp(parser->nonce, nonce, NONCE_SIZE) == 0;
        finding.version = get_u32(nonce + NONCE_SIZE);
        memcpy(parser->nonce, nonce, NONCE_SIZE);
        if (!finding.again) memcpy(parser->trailer, nonce + NONCE_SIZE - TRAILER_SIZE, TRAILER_SIZE);
        parser->framed = true;
        return finding;
      }
    }
    parser->zeros = 0;
    at++;
  }
  finding.used = at;
  return finding;
}

static size_t leading_zeros(const uint8_t *bytes, size_t size) {
  size_t at = 0;
  uint64_t word;
  for (; size - at >= sizeof word; at += sizeof word) {
    memcpy(&word, bytes + at, sizeof word);
    if (word != 0) break;
  }
  while (at < size && bytes[at] == 0) at++;
  return at;
}

static size_t trailing_zeros(const uint8_t *bytes, size_t size) {
  size_t count = 0;
  while (count < size && bytes[size - 1 - count] == 0) count++;
  return count;
}
