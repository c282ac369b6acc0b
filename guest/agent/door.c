#define _GNU_SOURCE
#include "door.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "callers.h"
#include "command.h"
#include "loop.h"
#include "say.h"
#include "text.h"
#include "wire.h"

enum { TELL_MS = 5, PATIENCE_MS = 10000 };

static const char *wanted;
static struct timer look_again, tell;
static int wait_ms, waited_ms;

static void look(struct timer *timer);
static void tell_people(struct timer *timer);
static int open_port(const char *name);
static void port_ended(void);
static void stream_ended(void);

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

void door_calls(int listener) { callers_hear(listener, command_hang_up_all); }
