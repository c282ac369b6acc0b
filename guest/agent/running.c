#include "running.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family.h"
#include "names.h"
#include "protocol.h"
#include "wire.h"

/*
 * A command has ended when its process has, and both its pipes are at their end. What it left in the background may hold
 * them open for ever: then what comes is delivered until nothing came for SILENCE_MS, or for LINGER_MS at most. Time in which output
 * waits for the host does not count, so all that was there when the process ended is delivered in any case.
 */
enum { SILENCE_MS = 100, LINGER_MS = 1000, BUCKETS = 256 };

static struct running *by_id[BUCKETS], *by_pid[BUCKETS], *gone;

static void settle(struct running *running);
static void linger(struct timer *timer);
static bool is_held_up(const struct outlet *outlet);
static void report(struct running *running);
static void forget(struct running *running);

struct running *running_by_id(uint32_t id) {
  struct running *running = by_id[id % BUCKETS];
  while (running && running->id != id) running = running->next_by_id;
  return running;
}

struct running *running_new(uint32_t id) {
  struct running *running = calloc(1, sizeof *running);
  if (!running) return NULL;
  running->id = id;
  running->script = running->in.fd = running->out.fd = running->err.fd = -1;
  return running;
}

void running_drop(struct running *running) { free(running); }

void running_begin(struct running *running, const int ours[3], const uint32_t windows[2]) {
  running->linger.fire = linger;
  running->next_by_id = by_id[running->id % BUCKETS];
  by_id[running->id % BUCKETS] = running;
  running->next_by_pid = by_pid[(unsigned)running->pid % BUCKETS];
  by_pid[(unsigned)running->pid % BUCKETS] = running;
  inlet_open(&running->in, running->id, ours[0]);
  outlet_open(&running->out, running, FRAME_STDOUT, ours[1], windows[0]);
  if (ours[2] >= 0) outlet_open(&running->err, running, FRAME_STDERR, ours[2], windows[1]);
}

/* Once it has been reaped, its pid may be somebody else's; then nobody of its own group is left. */
static bool is_reachable(const struct running *running) { return !running->ended || kill(running->pid, 0) != 0; }

/* On a terminal what is in front of it hears the signal, too: a shell gives each of its jobs a group of its own. */
void running_signal(struct running *running, int number) {
  if (number <= 0 || !is_reachable(running)) return;
  pid_t front = 0;
  if (running->terminal && running->out.fd >= 0 && ioctl(running->out.fd, TIOCGPGRP, &front) == 0 && front > 1 && front != running->pid) kill(-front, number);
  kill(-running->pid, number);
}

bool running_resize(struct running *running, uint16_t columns, uint16_t rows) {
  const struct winsize size = {.ws_col = columns, .ws_row = rows};
  if (!running->terminal || columns == 0 || rows == 0) return false;
  if (running->out.fd >= 0) ioctl(running->out.fd, TIOCSWINSZ, &size);
  return true;
}

void running_unplug(struct running *running) {
  if (!running->terminal) return;
  inlet_close(&running->in);
  outlet_close(&running->out);
  settle(running);
}

void running_kill(struct running *running) {
  if (is_reachable(running)) family_kill(running->pid);
  running->killed = true;
  outlet_close(&running->out);
  outlet_close(&running->err);
  inlet_close(&running->in);
  settle(running);
}

void running_hang_up_all(void) {
  for (int bucket = 0; bucket < BUCKETS; bucket++) {
    while (by_id[bucket]) {
      struct running *running = by_id[bucket];
      running_signal(running, SIGHUP);
      running_signal(running, SIGCONT); /* so that a stopped one hears it */
      forget(running);
    }
  }
}

void running_reap(pid_t pid, int status) {
  struct running *running = by_pid[(unsigned)pid % BUCKETS];
  while (running && (running->pid != pid || running->ended)) running = running->next_by_pid;
  if (!running) return;
  running->ended = true;
  running->status = status;
  running->spoke_at = running->lingered_at = loop_now();
  settle(running);
}

void running_spoke(struct running *running) {
  if (running->ended) running->spoke_at = loop_now();
}

void running_fell_silent(struct running *running) { settle(running); }

static void settle(struct running *running) {
  if (!running->ended) return;
  if (running->killed || (running->out.fd < 0 && running->err.fd < 0)) return report(running);
  if (!running->linger.armed) loop_arm(&running->linger, SILENCE_MS);
}

static void linger(struct timer *timer) {
  struct running *running = (struct running *)((char *)timer - offsetof(struct running, linger));
  int64_t now = loop_now(), silent = now - running->spoke_at;
  bool held_up = is_held_up(&running->out) || is_held_up(&running->err);
  if (!held_up) running->lingered += (int)(now - running->lingered_at);
  running->lingered_at = now;
  if (!held_up && (silent >= SILENCE_MS || running->lingered >= LINGER_MS)) return report(running);
  loop_arm(timer, silent < SILENCE_MS ? SILENCE_MS - (int)silent : SILENCE_MS);
}

/* By the host: by its credit, or by taking nothing at all. */
static bool is_held_up(const struct outlet *outlet) { return (outlet->credit == 0 || outlet->queued) && outlet_waiting(outlet) > 0; }

static void report(struct running *running) {
  uint8_t payload[32] = {0};
  size_t length = 2;
  if (WIFSIGNALED(running->status)) {
    payload[0] = 1;
    signal_name(WTERMSIG(running->status), (char *)payload + 1);
    length = 1 + strlen((char *)payload + 1);
  } else {
    payload[1] = (uint8_t)WEXITSTATUS(running->status);
  }
  wire_send(FRAME_EXIT, running->id, payload, length);
  forget(running);
}

static void forget(struct running *running) {
  inlet_close(&running->in);
  outlet_close(&running->out);
  outlet_close(&running->err);
  loop_disarm(&running->linger);
  if (running->script >= 0) close(running->script);
  struct running **place = &by_id[running->id % BUCKETS];
  while (*place != running) place = &(*place)->next_by_id;
  *place = running->next_by_id;
  place = &by_pid[(unsigned)running->pid % BUCKETS];
  while (*place != running) place = &(*place)->next_by_pid;
  *place = running->next_by_pid;
  running->next_gone = gone;
  gone = running;
}

void running_sweep(void) {
  struct running *left = NULL;
  while (gone) {
    struct running *running = gone;
    gone = running->next_gone;
    if (running->in.queued || running->out.queued || running->err.queued) {
      running->next_gone = left;
      left = running;
    } else {
      free(running);
    }
  }
  gone = left;
}
