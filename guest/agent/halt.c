#include "halt.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "loop.h"
#include "names.h"
#include "say.h"
#include "wire.h"

enum { LONGEST_GRACE_MS = 60000, ASKED_GRACE_MS = 2000, MOUNTS = 64 };

static bool allowed;
static int signals = -1;
static struct watch watch;

static void ask_init(uint32_t id);
static void asked(struct watch *of, uint32_t events);
static void end_all(int grace_ms);
static void end_processes(int grace_ms);
static bool reap_all(int ms);
static void release_disks(void);

void halt_allow(void) { allowed = true; }

bool halt_frame(const struct frame *frame) {
  if (frame->length != 4) return false;
  uint32_t grace_ms = get_u32(frame->payload);
  if (!init_process) {
    ask_init(frame->id);
    return true;
  }
  end_all(grace_ms < LONGEST_GRACE_MS ? (int)grace_ms : LONGEST_GRACE_MS);
  wire_send(FRAME_HALTED, frame->id, NULL, 0);
  wire_drain(200);
  power_off();
}

static void ask_init(uint32_t id) {
  static char poweroff[] = "poweroff";
  char *argv[] = {poweroff, NULL}, *env[] = {NULL};
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  struct launch plan = {.argv = argv, .env = env, .in = null, .out = null, .err = null};
  enum launch_step step;
  errno = ENOTSUP;
  if (allowed && launch(&plan, &step) > 0) {
    wire_send(FRAME_HALTED, id, NULL, 0);
  } else {
    char text[64];
    int length = snprintf(text, sizeof text, "%s halt", error_name(errno));
    wire_send(FRAME_ERROR, id, text, (size_t)length);
  }
  if (null >= 0) close(null);
}

/* https://git.busybox.net/busybox/tree/init/halt.c: they leave it to process 1. SIGINT is Ctrl-Alt-Del, and a power-off all the same. */
void halt_hear(void) {
  static const int asks[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) sigaddset(&set, asks[i]);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  watch.ready = asked;
  if (signals < 0 || !loop_watch(signals, &watch, EPOLLIN)) say("cannot hear poweroff and reboot: %m");
}

static void asked(struct watch *of, uint32_t events) {
  struct signalfd_siginfo heard;
  (void)of, (void)events;
  if (read(signals, &heard, sizeof heard) != (ssize_t)sizeof heard) return;
  end_all(ASKED_GRACE_MS);
  if (heard.ssi_signo == SIGTERM) reboot(RB_AUTOBOOT);
  power_off();
}

static void end_all(int grace_ms) {
  end_processes(grace_ms);
  release_disks();
}

static void end_processes(int grace_ms) {
  kill(-1, SIGTERM);
  kill(-1, SIGCONT);
  if (reap_all(grace_ms)) return;
  kill(-1, SIGKILL);
  reap_all(1000);
}

/* True when no process but us is left. */
static bool reap_all(int ms) {
  int64_t until = loop_now() + ms;
  for (;;) {
    pid_t pid = waitpid(-1, NULL, WNOHANG);
    if (pid < 0 && errno == ECHILD) return true;
    if (pid > 0) continue;
    if (loop_now() >= until) return false;
    usleep(1000);
  }
}

/* Last mounted first. What cannot be unmounted, `/` for one, is made read-only. */
static void release_disks(void) {
  char *places[MOUNTS];
  int count = 0;
  FILE *mounts = setmntent("/proc/mounts", "re");
  for (struct mntent *one; mounts && count < MOUNTS && (one = getmntent(mounts));)
    if (strncmp(one->mnt_fsname, "/dev/", 5) == 0 && (places[count] = strdup(one->mnt_dir))) count++;
  if (mounts) endmntent(mounts);
  sync();
  while (count-- > 0) {
    if (umount2(places[count], 0) != 0) mount(NULL, places[count], NULL, MS_REMOUNT | MS_RDONLY, NULL);
    free(places[count]);
  }
}
