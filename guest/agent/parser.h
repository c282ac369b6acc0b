/* Finds greetings and frames in the bytes of the host. Pure: no I/O, no memory of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

struct parser {
  bool framed;  /* in step with the host; otherwise everything but a HELLO is dropped */
  size_t zeros; /* length of the run of zeros that ends where we are, while not framed */
  uint8_t nonce[NONCE_SIZE];
  uint8_t trailer[TRAILER_SIZE]; /* of the frames of the host */
};

struct frame {
  uint8_t type;
  uint32_t id;
  const uint8_t *payload;
  size_t length;
};

enum found {
  FOUND_NOTHING, /* `used` bytes are done with; more are needed */
  FOUND_FRAME,
  FOUND_HELLO, /* the nonce was taken; `again` if it is the one we had */
  FOUND_JUNK,  /* out of step from here on, and not because of filler: the host should be told */
};

struct finding {
  enum found what;
  size_t used;
  struct frame frame;
  bool again;
  uint32_t version;
};

/* Looks at the start of `bytes`. At most HEARD_FRAME_MAX unused bytes ever have to be kept. */
struct finding parser_next(struct parser *parser, const uint8_t *bytes, size_t size);
