/* One thread waits here for everything: descriptors (edge-triggered) and timers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watch {
  void (*ready)(struct watch *watch, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
};

struct timer {
  void (*fire)(struct timer *timer);
  int64_t at;
  bool armed;
  struct timer *next;
};

void loop_open(void);

/* Tells of `events` whenever they begin to hold: read or write until EAGAIN (or less than asked for) before you wait again. */
bool loop_watch(int fd, struct watch *watch, uint32_t events);
void loop_rewatch(int fd, struct watch *watch, uint32_t events);

/* Closes a watched descriptor. Nothing of it is heard afterwards, but for events of this very turn. */
void loop_close(int fd);

/* Nothing of it is heard any more, and it stays open. */
void loop_forget(int fd);

void loop_arm(struct timer *timer, int ms);
void loop_disarm(struct timer *timer);

/* Milliseconds since some start; never runs backwards. */
int64_t loop_now(void);

/* Waits once, at most until the next timer (not at all if `busy`), and calls whoever is concerned. */
void loop_turn(bool busy);
