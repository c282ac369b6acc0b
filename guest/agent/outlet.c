#include "outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "running.h"
#include "wire.h"

enum { PIECES_AT_ONCE = 16 }; /* then the host is heard again */

static const uint64_t most_credit = (uint64_t)1 << 32;

static struct outlet *first, *last; /* that have something, and credit for it */

static void ready(struct watch *watch, uint32_t events);
static void queue(struct outlet *outlet);
static void move(struct outlet *outlet, uint8_t *room, size_t size);
static void end(struct outlet *outlet);

void outlet_open(struct outlet *outlet, struct running *of, uint8_t type, int fd, uint32_t credit) {
  *outlet = (struct outlet){.watch.ready = ready, .of = of, .fd = fd, .type = type, .credit = credit};
  fcntl(fd, F_SETFL, O_NONBLOCK);
  if (!loop_watch(fd, &outlet->watch, EPOLLIN)) outlet_close(outlet);
}

void outlet_close(struct outlet *outlet) {
  if (outlet->fd >= 0) loop_close(outlet->fd);
  outlet->fd = -1;
}

bool outlet_credit(struct outlet *outlet, uint32_t bytes) {
  outlet->credit += bytes;
  queue(outlet);
  return outlet->credit <= most_credit;
}

size_t outlet_waiting(const struct outlet *outlet) {
  int count = 0;
  return outlet->fd >= 0 && ioctl(outlet->fd, FIONREAD, &count) == 0 && count > 0 ? (size_t)count : 0;
}

static void ready(struct watch *watch, uint32_t events) {
  struct outlet *outlet = (struct outlet *)watch;
  if (outlet->fd < 0) return; /* It was closed while this event was on its way. */
  if (events & EPOLLHUP) outlet->hung_up = true;
  if (!(events & EPOLLIN) && outlet->hung_up) return end(outlet);
  outlet->readable = true;
  queue(outlet);
}

static void queue(struct outlet *outlet) {
  if (outlet->queued || !outlet->readable || outlet->credit == 0 || outlet->fd < 0) return;
  outlet->queued = true;
  outlet->next = NULL;
  if (first) last->next = outlet;
  else first = outlet;
  last = outlet;
}

bool outlets_busy(void) { return first != NULL; }

void outlets_turn(void) {
  for (int pieces = 0; first && pieces < PIECES_AT_ONCE; pieces++) {
    struct outlet *outlet = first;
    size_t size = outlet->credit < SPOKEN_MAX ? (size_t)outlet->credit : SPOKEN_MAX;
    uint8_t *room = wire_data_begin(size);
    if (!room) return;
    first = outlet->next;
    outlet->queued = false;
    if (outlet->fd >= 0) move(outlet, room, size);
    queue(outlet);
  }
}

static void move(struct outlet *outlet, uint8_t *room, size_t size) {
  ssize_t count = read(outlet->fd, room, size);
  if (count > 0) {
    wire_data_end(outlet->type, outlet->of->id, (size_t)count);
    outlet->credit -= (size_t)count;
    running_spoke(outlet->of);
    if ((size_t)count == size || outlet->of->terminal) return; /* A terminal gives less than it has. */
    outlet->readable = false; /* Less than asked for: the pipe is empty, and an event tells when it is not. */
    if (outlet->hung_up) end(outlet);
  } else if (count < 0 && errno == EAGAIN) {
    outlet->readable = false;
  } else if (count == 0 || errno != EINTR) {
    end(outlet);
  }
}

static void end(struct outlet *outlet) {
  outlet_close(outlet);
  running_fell_silent(outlet->of);
}
