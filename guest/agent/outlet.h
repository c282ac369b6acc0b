/* Where the output of a command comes to us, and goes on to the host as far as the host gives credit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

struct running;

struct outlet {
  struct watch watch;
  struct running *of;
  int fd; /* -1: ended */
  uint8_t type;
  bool readable; /* there may be something in the pipe */
  bool hung_up;  /* nobody can write to it any more */
  bool queued;
  uint64_t credit; /* bytes the host still takes */
  struct outlet *next;
};

/* `fd` is ours from now on. */
void outlet_open(struct outlet *outlet, struct running *of, uint8_t type, int fd, uint32_t credit);
void outlet_close(struct outlet *outlet);

/* False if that is more than anybody may give. */
bool outlet_credit(struct outlet *outlet, uint32_t bytes);

/* Bytes that wait in the pipe. */
size_t outlet_waiting(const struct outlet *outlet);

/* Moves output of all commands to the wire, in turns, as far as it has room. */
void outlets_turn(void);
/* True if some output could be moved as soon as the wire has room. */
bool outlets_busy(void);
