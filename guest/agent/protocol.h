/* Numbers of the rexec protocol. docs/rexec-protocol.md explains them; src/drivers/channel/rexec/protocol.ts says the same to the host. */
#pragma once

#include <stdint.h>

enum {
  PROTOCOL_VERSION = 2,
  HEADER_SIZE = 9, /* u32 length, u8 type, u32 id; all numbers little-endian */
  TRAILER_SIZE = 8,
  HEARD_MAX = 4000,   /* payload from the host: with it a HELLO and its filler are one page, and a virtio port hands out single pages */
  SPOKEN_MAX = 32000, /* payload to the host: a virtio port takes 32 KiB at once */
  HEARD_FRAME_MAX = HEADER_SIZE + HEARD_MAX + TRAILER_SIZE,
  SPOKEN_FRAME_MAX = HEADER_SIZE + SPOKEN_MAX + TRAILER_SIZE,
  HELLO_FILLER = HEARD_FRAME_MAX, /* zeros that must precede a HELLO: more than any frame can hold */
  AWAKE_FILLER = SPOKEN_FRAME_MAX,
  MAGIC_SIZE = 16,
  NONCE_SIZE = 16, /* no byte of it is zero; the last TRAILER_SIZE are the trailer until the host is proven */
  KEY_SIZE = 32,
  MAC_SIZE = 32,
  HELLO_SIZE = MAGIC_SIZE + NONCE_SIZE + 4,
  REQUEST_MAX = 16 << 20,
  IDENTITY_MAX = 256 << 10,
  STDIN_WINDOW = 256 << 10,
};

/* Each starts with a length that no frame can have. */
#define HELLO_MAGIC "\xff\xfftt-rexec hello" /* host: nonce, u32 version */
#define AGREE_MAGIC "\xff\xfftt-rexec agree" /* guest: nonce, then frames */
#define AWAKE_MAGIC "\xff\xfftt-rexec awake" /* guest: whoever hears this, say HELLO */

enum frame_type {
  /* host to guest */
  FRAME_EXEC = 0x01,
  FRAME_STDIN = 0x02,
  FRAME_EOF = 0x03,
  FRAME_CREDIT = 0x04,
  FRAME_SIGNAL = 0x05,
  FRAME_KILL = 0x06,
  FRAME_PING = 0x07,
  FRAME_HALT = 0x08,
  FRAME_BYE = 0x09,
  FRAME_PROOF = 0x0a,
  FRAME_KEY = 0x0b,
  FRAME_SIZE = 0x0c,
  FRAME_IDENTIFY = 0x0d,
  FRAME_FILES_FIRST = 0x10, /* up to FRAME_HEARD_LAST: files.h has them */
  FRAME_HEARD_LAST = 0x1f,
  /* guest to host */
  FRAME_FACTS = 0x81,
  FRAME_STDOUT = 0x82,
  FRAME_STDERR = 0x83,
  FRAME_EXIT = 0x84,
  FRAME_ERROR = 0x85,
  FRAME_TAKEN = 0x86,
  FRAME_PONG = 0x87,
  FRAME_HALTED = 0x88,
  FRAME_CHALLENGE = 0x89,
  FRAME_BEAT = 0x8a,
  FRAME_IDENTIFIED = 0x8b,
};

enum exec_flag { EXEC_MORE = 1, EXEC_NO_STDIN = 2 };
enum identify_flag { IDENTIFY_MORE = 1 };
enum identify_field {
  FIELD_HOSTNAME = 'h',
  FIELD_ADDRESS = 'a',
  FIELD_GATEWAY = 'g',
  FIELD_MTU = 'm',
  FIELD_CLOCK = 'c',
  FIELD_ENTROPY = 'r',
  FIELD_KEYS = 'K',
  FIELD_KEY = 'k',
};
enum exec_field { FIELD_ARG = 'a', FIELD_SHELL = 's', FIELD_ENV = 'e', FIELD_CWD = 'd', FIELD_SCRIPT = 'p', FIELD_TERMINAL = 't' };

static inline uint16_t get_u16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static inline uint32_t get_u32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void put_u32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
  at[2] = (uint8_t)(value >> 16);
  at[3] = (uint8_t)(value >> 24);
}
