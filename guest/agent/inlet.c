#include "inlet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "protocol.h"
#include "running.h"
#include "wire.h"

enum { TELL_AT = STDIN_WINDOW / 4 };

static struct inlet *first; /* that have something for a pipe which may take it */

static void ready(struct watch *watch, uint32_t events);
static void queue(struct inlet *inlet);
static void end(struct inlet *inlet);
static void give(struct inlet *inlet);
static void tell(struct inlet *inlet);
static bool hold(struct inlet *inlet, const uint8_t *bytes, size_t length);

void inlet_open(struct inlet *inlet, uint32_t id, int fd) {
  *inlet = (struct inlet){.watch.ready = ready, .id = id, .fd = fd, .window = fd < 0 ? 0 : STDIN_WINDOW};
  if (fd < 0) return;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  if (!loop_watch(fd, &inlet->watch, EPOLLOUT)) inlet_close(inlet);
}

void inlet_close(struct inlet *inlet) {
  if (inlet->fd >= 0) loop_close(inlet->fd);
  inlet->fd = -1;
  free(inlet->held);
  inlet->held = NULL;
  inlet->start = inlet->end = inlet->size = 0;
}

bool inlet_take(struct inlet *inlet, const uint8_t *bytes, size_t length) {
  if (length > inlet->window || inlet->ending) return false;
  inlet->window -= length;
  if (inlet->fd < 0) return true; /* Nobody reads it: it is dropped, and no more is asked for. */
  if (!hold(inlet, bytes, length)) inlet_close(inlet);
  queue(inlet);
  return true;
}

void inlet_end(struct inlet *inlet) {
  inlet->ending = true;
  queue(inlet);
}

static void ready(struct watch *watch, uint32_t events) {
  (void)events; /* That nobody reads any more shows when we write. */
  struct inlet *inlet = (struct inlet *)watch;
  inlet->full = false;
  if (inlet->start < inlet->end) queue(inlet);
}

static void queue(struct inlet *inlet) {
  if (inlet->queued || inlet->full || inlet->fd < 0) return;
  inlet->queued = true;
  inlet->next = first;
  first = inlet;
}

void inlets_turn(void) {
  while (first) {
    struct inlet *inlet = first;
    first = inlet->next;
    inlet->queued = false;
    give(inlet);
    if (inlet->start < inlet->end) continue;
    if (inlet->ending) end(inlet);
    free(inlet->held);
    inlet->held = NULL;
    inlet->start = inlet->end = inlet->size = 0;
  }
}

/* A pipe is closed; with what is typed at a terminal the terminal ends. */
static void end(struct inlet *inlet) {
  struct running *running = running_by_id(inlet->id);
  inlet_close(inlet);
  if (running && &running->in == inlet) running_unplug(running);
}

static void give(struct inlet *inlet) {
  while (inlet->start < inlet->end && !inlet->full && inlet->fd >= 0) {
    ssize_t count = write(inlet->fd, inlet->held + inlet->start, inlet->end - inlet->start);
    if (count > 0) {
      inlet->start += (size_t)count;
      inlet->taken += (size_t)count;
    } else if (errno == EAGAIN) {
      inlet->full = true;
    } else if (errno != EINTR) {
      inlet_close(inlet);
    }
  }
  if (inlet->taken >= TELL_AT && inlet->fd >= 0) tell(inlet);
}

static void tell(struct inlet *inlet) {
  uint8_t taken[4];
  put_u32(taken, (uint32_t)inlet->taken);
  inlet->window += inlet->taken;
  inlet->taken = 0;
  wire_send(FRAME_TAKEN, inlet->id, taken, sizeof taken);
}

static bool hold(struct inlet *inlet, const uint8_t *bytes, size_t length) {
  if (inlet->size - inlet->end < length && inlet->start > 0) {
    memmove(inlet->held, inlet->held + inlet->start, inlet->end - inlet->start);
    inlet->end -= inlet->start;
    inlet->start = 0;
  }
  if (inlet->size - inlet->end < length) {
    size_t size = (inlet->end + length) * 2;
    uint8_t *more = realloc(inlet->held, size);
    if (!more) return false;
    inlet->held = more;
    inlet->size = size;
  }
  if (length > 0) memcpy(inlet->held + inlet->end, bytes, length);
  inlet->end += length;
  return true;
}
