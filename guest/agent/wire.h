/* The stream to the host: bytes in, frames and greetings out of them; frames in, bytes out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greeting.h"
#include "parser.h"

struct wire_options {
  bool end_is_pause;     /* a virtio port reads as ended while the host is away, and goes on when it is back */
  void (*ended)(void);   /* the stream is over, for good, and closed */
};

/* Speaks on `fd` from now on, which is ours; the handlers in command.h hear what a host says that has proved itself. */
void wire_open(int fd, struct wire_options options);

/* A stream whose host has proved itself already, and what came of it since. Takes the place of the one there was. */
void wire_adopt(int fd, struct wire_options options, const struct greeting *greeting, const struct parser *parser, const uint8_t *bytes, size_t size);
bool wire_is_open(void);

/* Room for a piece of output of at most `size` bytes, or NULL while the host is slow. `wire_data_end` sends what was filled in. */
uint8_t *wire_data_begin(size_t size);
void wire_data_end(uint8_t type, uint32_t id, size_t length);

bool wire_has_room(void);
/* A host that has proved itself is there, and has taken all that was sent. */
bool wire_is_idle(void);

/* A small frame. Always taken, and dropped while no host has proved itself; what the host sends bounds how many there can be. */
void wire_send(uint8_t type, uint32_t id, const void *payload, size_t length);

/* Hands to the kernel what it takes. */
void wire_flush(void);

/* Waits until all is handed over, at most `ms`. */
void wire_drain(int ms);

/* True if there is something to `wire_read` although no event will tell of it. */
bool wire_busy(void);
void wire_read(void);
