#include "halt.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "loop.h"
#include "names.h"
#include "say.h"
#include "wire.h"

enum { LONGEST_GRACE_MS = 60000, MOUNTS = 64 };

static bool allowed;

static void ask_init(uint32_t id);
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
  end_processes(grace_ms < LONGEST_GRACE_MS ? (int)grace_ms : LONGEST_GRACE_MS);
  release_disks();
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
