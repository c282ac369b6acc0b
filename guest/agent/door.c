#define _GNU_SOURCE
#include "door.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "command.h"
#include "loop.h"
#include "say.h"
#include "text.h"
#include "wire.h"

enum { TELL_MS = 5, PATIENCE_MS = 10000 };

static const char *wanted;
static struct timer look_again, tell;
static int wait_ms, waited_ms;
static int callers = -1;
static struct watch call_watch;

static void look(struct timer *timer);
static void tell_people(struct timer *timer);
static int open_port(const char *name);
static void port_ended(void);
static void stream_ended(void);
static void answer(struct watch *watch, uint32_t events);
static void call_ended(void);

void door_port(const char *name) {
  wanted = name;
  look_again.fire = look;
  wait_ms = 1;
  look(&look_again);
}

/* The kernel makes ports known some milliseconds after the driver is loaded. */
static void look(struct timer *timer) {
  int fd = open_port(wanted);
  if (fd >= 0) {
    wire_open(fd, (struct wire_options){.end_is_pause = true, .ended = port_ended});
    tell.fire = tell_people;
    return loop_arm(&tell, TELL_MS);
  }
  loop_arm(timer, wait_ms);
  if (waited_ms < PATIENCE_MS && waited_ms + wait_ms >= PATIENCE_MS) say("waits for a port called %s", wanted);
  waited_ms += wait_ms;
  if (wait_ms < 1000) wait_ms += 1 + wait_ms / 4;
}

/* A line on a serial console takes longer than the greeting. */
static void tell_people(struct timer *timer) {
  (void)timer;
  say("ready");
}

static int open_port(const char *name) {
  int fd = -1;
  DIR *dir = opendir("/sys/class/virtio-ports");
  if (!dir) return -1;
  for (struct dirent *entry; fd < 0 && (entry = readdir(dir));) {
    char path[300], found[64];
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
    if (!text_read(path, found, sizeof found) || strcmp(found, name) != 0) continue;
    snprintf(path, sizeof path, "/dev/%s", entry->d_name);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  }
  closedir(dir);
  return fd;
}

static void port_ended(void) {
  say("the port %s is gone", wanted);
  wait_ms = 50;
  loop_arm(&look_again, wait_ms);
}

void door_stream(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  wire_open(fd, (struct wire_options){.ended = stream_ended});
}

static void stream_ended(void) {
  command_hang_up_all();
  exit(0);
}

int door_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) die("%s is too long for a socket", path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  unlink(path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0) die("cannot listen on %s: %m", path);
  return fd;
}

void door_calls(int listener) {
  callers = listener;
  fcntl(listener, F_SETFD, FD_CLOEXEC);
  fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
  call_watch.ready = answer;
  if (!loop_watch(listener, &call_watch, EPOLLIN)) die("cannot wait for calls: %m");
}

static void answer(struct watch *watch, uint32_t events) {
  (void)watch, (void)events;
  if (wire_is_open()) return; /* One call at a time; the next waits. */
  int fd = accept4(callers, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0) wire_open(fd, (struct wire_options){.ended = call_ended});
}

static void call_ended(void) { answer(&call_watch, EPOLLIN); }
