/* tt-agent: runs commands for the host, and is process 1 of small guests. README.md beside this folder says how it is used. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arguments.h"
#include "boot.h"
#include "callers.h"
#include "door.h"
#include "facts.h"
#include "halt.h"
#include "inlet.h"
#include "key.h"
#include "launch.h"
#include "loop.h"
#include "request.h"
#include "running.h"
#include "say.h"
#include "wire.h"

extern char **environ;

static struct watch children_watch;
static int children = -1;

static void tidy_descriptors(void);
static char **environment(void);
static void hear_of_children(void);
static void reap(struct watch *watch, uint32_t events);
static void open_door(const struct arguments *arguments);
static int number(const char *text);

int main(int argc, char **argv) {
  init_process = getpid() == 1;
  const struct arguments arguments = arguments_read(argc, argv);
  if (init_process) boot_console();
  tidy_descriptors();
  signal(SIGPIPE, SIG_IGN);
  loop_open();
  launch_open();
  if (init_process) boot();
  char **env = environment();
  request_environment(env);
  if (chdir(getenv("HOME")) != 0 && chdir("/") != 0) say("no directory to be in: %m");
  facts_open();
  hear_of_children();
  if (init_process) halt_hear();
  if (arguments.key_file) key_require(arguments.key_file);
  else if (arguments.run_dir) key_keep(arguments.run_dir);
  open_door(&arguments);
  if (init_process) boot_rest(env);
  for (bool busy = true;;) {
    loop_turn(busy);
    wire_read();
    inlets_turn();
    outlets_turn();
    wire_flush();
    running_sweep();
    busy = wire_busy() || (outlets_busy() && wire_has_room());
  }
}

/* No pipe of ours may ever be 0, 1 or 2, and no command inherit what we were given. */
static void tidy_descriptors(void) {
  int fd = 0;
  while (fd >= 0 && fd <= 2) fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd > 2) close(fd);
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
}

/* As a login would give it. Process 1 is given words of the kernel command line by the kernel, which are nobody's business. */
static char **environment(void) {
  const char *const defaults[][2] = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                                     {"HOME", init_process ? "/root" : "/"},
                                     {"SHELL", "/bin/sh"},
                                     {"USER", "root"},
                                     {"LOGNAME", "root"}};
  if (init_process) clearenv();
  for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) setenv(defaults[i][0], defaults[i][1], 0);
  return environ;
}

static void hear_of_children(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  children_watch.ready = reap;
  if (children < 0 || !loop_watch(children, &children_watch, EPOLLIN)) die("cannot hear of children: %m");
}

static void reap(struct watch *watch, uint32_t events) {
  struct signalfd_siginfo heard;
  int status;
  (void)watch, (void)events;
  while (read(children, &heard, sizeof heard) == (ssize_t)sizeof heard) continue;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) running_reap(pid, status);
}

static void open_door(const struct arguments *arguments) {
  const char *where = arguments->where;
  switch (arguments->door) {
    case DOOR_FD: return door_stream(number(where));
    case DOOR_STDIO: return door_stream(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
    case DOOR_LISTEN_FD: return door_calls(number(where));
    case DOOR_UNIX: return door_calls(callers_socket(where));
    case DOOR_TCP: halt_allow(); return door_calls(callers_tcp(where));
    case DOOR_PORT: halt_allow(); return door_port(where);
  }
}

static int number(const char *text) {
  char *end;
  long value = strtol(text, &end, 10);
  if (*text == 0 || *end != 0 || value < 3 || value > 65535 || fcntl((int)value, F_GETFD) < 0) die("%s is no open descriptor above 2", text);
  return (int)value;
}
