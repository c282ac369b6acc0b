#include "loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static int epoll = -1;
static struct timer *timers; /* soonest first */

static int milliseconds_to_wait(void);
static void fire_timers(void);

void loop_open(void) {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) die("epoll: %m");
}

bool loop_watch(int fd, struct watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events | EPOLLET, .data.ptr = watch};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void loop_rewatch(int fd, struct watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events | EPOLLET, .data.ptr = watch};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) die("epoll: %m");
}

/* To close alone is not enough: a program that is just being started has a copy of every descriptor until the kernel has closed those, which is after it lets us go on. */
void loop_close(int fd) {
  epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
  close(fd);
}

void loop_forget(int fd) { epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); }

void loop_turn(bool busy) {
  struct epoll_event events[64];
  int count = epoll_wait(epoll, events, 64, busy ? 0 : milliseconds_to_wait());
  if (count < 0 && errno != EINTR) die("epoll: %m");
  for (int i = 0; i < count; i++) {
    struct watch *watch = events[i].data.ptr;
    watch->ready(watch, events[i].events);
  }
  fire_timers();
}

void loop_arm(struct timer *timer, int ms) {
  loop_disarm(timer);
  timer->at = loop_now() + ms;
  timer->armed = true;
  struct timer **place = &timers;
  while (*place && (*place)->at <= timer->at) place = &(*place)->next;
  timer->next = *place;
  *place = timer;
}

void loop_disarm(struct timer *timer) {
  if (!timer->armed) return;
  struct timer **place = &timers;
  while (*place != timer) place = &(*place)->next;
  *place = timer->next;
  timer->armed = false;
}

int64_t loop_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int milliseconds_to_wait(void) {
  if (!timers) return -1;
  int64_t left = timers->at - loop_now();
  return left < 0 ? 0 : left > 60000 ? 60000 : (int)left + 1;
}

static void fire_timers(void) {
  if (!timers) return;
  int64_t now = loop_now();
  while (timers && timers->at <= now) {
    struct timer *timer = timers;
    timers = timer->next;
    timer->armed = false;
    timer->fire(timer);
  }
}
