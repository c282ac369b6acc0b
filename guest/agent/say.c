#define _GNU_SOURCE
#include "say.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

bool init_process;
static int console = STDERR_FILENO;

static void speak(const char *format, va_list args);

void say_to(int fd) { console = fd; }

void say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  speak(format, args);
  va_end(args);
}

void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  speak(format, args);
  va_end(args);
  if (!init_process) exit(1);
  say("the machine is switched off, because process 1 cannot go on");
  power_off();
}

void power_off(void) {
  sync();
  reboot(RB_POWER_OFF);
  say("this machine has no way to switch itself off: %m");
  for (;;) pause();
}

static void speak(const char *format, va_list args) {
  char line[512];
  int saved = errno; /* %m */
  int start = snprintf(line, sizeof line, "tt-agent ");
  errno = saved;
  int length = vsnprintf(line + start, sizeof line - (size_t)start - 1, format, args);
  size_t end = length < 0 ? (size_t)start : (size_t)(start + length);
  if (end > sizeof line - 2) end = sizeof line - 2;
  line[end++] = '\n';
  (void)!write(console, line, end);
}

static void fault(int signal) {
  const char text[] = "tt-agent fault of its own, the machine is switched off: SIG";
  const char *name = sigabbrev_np(signal);
  (void)!write(console, text, sizeof text - 1);
  (void)!write(console, name, strlen(name));
  (void)!write(console, "\n", 1);
  power_off();
}

void die_on_faults(void) {
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
  struct sigaction action = {.sa_handler = fault, .sa_flags = SA_RESETHAND};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigaction(faults[i], &action, NULL);
}
