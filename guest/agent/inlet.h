/* Where a command gets its input: what its pipe does not take is held, never more than the window. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

struct inlet {
  struct watch watch;
  uint32_t id; /* of the command */
  int fd;      /* -1: closed, by the host or because nobody reads it */
  uint8_t *held;
  size_t start, end, size;
  size_t window; /* bytes the host may still send */
  size_t taken;  /* bytes the pipe took that the host has not been told of */
  bool full, ending, queued;
  struct inlet *next;
};

/* `fd` is ours from now on; -1 for a command without input. */
void inlet_open(struct inlet *inlet, uint32_t id, int fd);
void inlet_close(struct inlet *inlet);

/* False if the host sent more than it may. */
bool inlet_take(struct inlet *inlet, const uint8_t *bytes, size_t length);
/* Nothing more will come. */
void inlet_end(struct inlet *inlet);

/* Gives to all commands what came for them: the frames of the host are small, and one write is better than ten. */
void inlets_turn(void);
