/* The commands that run, and how each of them ends. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "inlet.h"
#include "loop.h"
#include "outlet.h"

struct running {
  uint32_t id;
  pid_t pid;
  int script; /* the text its shell reads, or -1 */
  bool terminal; /* both its streams are one */
  bool ended, killed;
  int status;
  struct inlet in;
  struct outlet out, err;
  struct timer linger;
  int64_t spoke_at;    /* when it last wrote something, or ended */
  int64_t lingered_at; /* up to where `lingered` counts */
  int lingered;        /* ms after its end in which nothing but silence kept us waiting */
  struct running *next_by_id, *next_by_pid, *next_gone;
};

struct running *running_by_id(uint32_t id);

/* NULL without memory. Either `running_begin` or `running_drop` is due. */
struct running *running_new(uint32_t id);
void running_drop(struct running *running);
/* Its program runs: `pid`, `script` and `terminal` are set; `ours` are our ends of its streams: input (or -1), output, errors (-1 with a terminal). */
void running_begin(struct running *running, const int ours[3], const uint32_t windows[2]);

/* False if there is no such size, or no terminal. */
bool running_resize(struct running *running, uint16_t columns, uint16_t rows);
/* Its terminal is taken away, as by a closed window: the kernel tells its session. */
void running_unplug(struct running *running);

void running_signal(struct running *running, int number);
void running_kill(struct running *running);
void running_hang_up_all(void);

/* Heard from its outlets: something came; one of them ended. */
void running_spoke(struct running *running);
void running_fell_silent(struct running *running);

/* A child of ours ended: a command, or as process 1 anybody's orphan. */
void running_reap(pid_t pid, int status);

/* Frees what ended; nothing else may be under way. */
void running_sweep(void);
