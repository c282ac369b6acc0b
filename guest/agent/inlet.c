#include "inlet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "protocol.h"
#include "wire.h"

enum { TELL_AT = STDIN_WINDOW / 4 };

static void ready(struct watch *watch, uint32_t events);
static size_t give(struct inlet *inlet, const uint8_t *bytes, size_t length);
static bool hold(struct inlet *inlet, const uint8_t *bytes, size_t length);

void inlet_open(struct inlet *inlet, uint32_t id, int fd) {
  *inlet = (struct inlet){.watch.ready = ready, .id = id, .fd = fd, .window = fd < 0 ? 0 : STDIN_WINDOW};
  if (fd < 0) return;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  if (!loop_watch(fd, &inlet->watch, EPOLLOUT)) inlet_close(inlet);
}

void inlet_close(struct inlet *inlet) {
  if (inlet->fd >= 0) close(inlet->fd);
  inlet->fd = -1;
  free(inlet->held);
  inlet->held = NULL;
  inlet->start = inlet->end = inlet->size = 0;
}

bool inlet_take(struct inlet *inlet, const uint8_t *bytes, size_t length) {
  if (length > inlet->window || inlet->ending) return false;
  inlet->window -= length;
  size_t given = inlet->start < inlet->end ? 0 : give(inlet, bytes, length);
  if (inlet->fd < 0 || given == length) return true; /* If nobody reads it, it is dropped, and no more is asked for. */
  if (!hold(inlet, bytes + given, length - given)) inlet_close(inlet);
  return true;
}

void inlet_end(struct inlet *inlet) {
  inlet->ending = true;
  if (inlet->start == inlet->end) inlet_close(inlet);
}

static void ready(struct watch *watch, uint32_t events) {
  (void)events; /* That nobody reads any more shows when we write. */
  struct inlet *inlet = (struct inlet *)watch;
  inlet->full = false;
  if (inlet->fd < 0 || inlet->start == inlet->end) return;
  inlet->start += give(inlet, inlet->held + inlet->start, inlet->end - inlet->start);
  if (inlet->start < inlet->end) return;
  free(inlet->held);
  inlet->held = NULL;
  inlet->start = inlet->end = inlet->size = 0;
  if (inlet->ending) inlet_close(inlet);
}

/* Writes what the pipe takes, and tells the host from time to time. */
static size_t give(struct inlet *inlet, const uint8_t *bytes, size_t length) {
  size_t given = 0;
  while (given < length && !inlet->full && inlet->fd >= 0) {
    ssize_t count = write(inlet->fd, bytes + given, length - given);
    if (count > 0) given += (size_t)count;
    else if (errno == EAGAIN) inlet->full = true;
    else if (errno != EINTR) inlet_close(inlet);
  }
  inlet->taken += given;
  if (inlet->taken >= TELL_AT && inlet->fd >= 0) {
    uint8_t taken[4];
    put_u32(taken, (uint32_t)inlet->taken);
    inlet->window += inlet->taken;
    inlet->taken = 0;
    wire_send(FRAME_TAKEN, inlet->id, taken, sizeof taken);
  }
  return given;
}

static bool hold(struct inlet *inlet, const uint8_t *bytes, size_t length) {
  if (inlet->size - inlet->end < length && inlet->start > 0) {
    memmove(inlet->held, inlet->held + inlet->start, inlet->end - inlet->start);
    inlet->end -= inlet->start;
    inlet->start = 0;
  }
  if (inlet->size - inlet->end < length) {
    uint8_t *more = realloc(inlet->held, inlet->end + length);
    if (!more) return false;
    inlet->held = more;
    inlet->size = inlet->end + length;
  }
  memcpy(inlet->held + inlet->end, bytes, length);
  inlet->end += length;
  return true;
}
