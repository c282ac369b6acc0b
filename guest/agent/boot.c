#define _GNU_SOURCE
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launch.h"
#include "loop.h"
#include "net.h"
#include "root.h"
#include "say.h"
#include "text.h"

enum { REST_MS = 10 };

static int console = -1;
static char **environment;

static void mount_at(const char *type, const char *place, unsigned long flags, const char *data);
static void open_console(void);
static void load_drivers(const char *list);
static void load(char *line);
static void link_streams(void);
static void start_rest(struct timer *timer);
static void seed_entropy(void);

void boot_console(void) {
  umask(022);
  mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=755");
  open_console();
  die_on_faults();
}

void boot(void) {
  static char cmdline[4096];
  mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  if (!text_read("/proc/cmdline", cmdline, sizeof cmdline)) die("cannot read the kernel command line: %m");
  load_drivers("/etc/tt/modules");
  root_enter(cmdline);
  mkdir("/dev/pts", 0755);
  mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
  mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
  mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
  link_streams();
  net_begin(cmdline);
}

static void mount_at(const char *type, const char *place, unsigned long flags, const char *data) {
  mkdir(place, 0755);
  if (mount(type, place, type, flags, data) != 0 && errno != EBUSY) say("cannot mount %s at %s: %m", type, place);
}

/* The kernel gives us descriptors 0 to 2 only if the initrd has /dev/console. */
static void open_console(void) {
  int opened = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (opened < 0) return;
  console = fcntl(opened, F_DUPFD_CLOEXEC, 3);
  say_to(console);
  for (int fd = 0; fd <= 2; fd++) dup2(opened, fd);
  if (opened > 2) close(opened);
}

/* A line is a path, or the name of a driver in /lib/modules, and parameters; in an order in which each finds what it needs. */
static void load_drivers(const char *list) {
  char line[512];
  FILE *file = fopen(list, "re");
  if (!file) return;
  while (fgets(line, sizeof line, file)) load(line);
  fclose(file);
}

static void load(char *line) {
  char path[600];
  line[strcspn(line, "\n")] = 0;
  char *name = strsep(&line, " \t");
  if (name[0] == 0 || name[0] == '#') return;
  snprintf(path, sizeof path, name[0] == '/' ? "%s" : "/lib/modules/%s.ko", name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || (syscall(SYS_finit_module, fd, line ? line : "", 0) != 0 && errno != EEXIST)) say("cannot load %s: %m", path);
  if (fd >= 0) close(fd);
}

/* What udev would make. */
static void link_streams(void) {
  const char *const links[][2] = {
      {"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"}};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++)
    if (symlink(links[i][0], links[i][1]) != 0 && errno != EEXIST) say("cannot make %s: %m", links[i][1]);
}

void boot_rest(char **env) {
  static struct timer timer = {.fire = start_rest};
  environment = env;
  loop_arm(&timer, REST_MS);
}

static void start_rest(struct timer *timer) {
  static char rc[] = "/etc/tt/rc";
  char *argv[] = {rc, NULL};
  (void)timer;
  seed_entropy();
  if (access(rc, F_OK) != 0) return;
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int out = console < 0 ? null : console;
  struct launch plan = {.argv = argv, .env = environment, .cwd = "/", .in = null, .out = out, .err = out};
  enum launch_step step;
  if (null < 0 || launch(&plan, &step) < 0) say("cannot start %s: %m", rc);
  if (null >= 0) close(null);
}

/* From the host, by virtio-rng, if there is one. */
static void seed_entropy(void) {
  struct {
    struct rand_pool_info info;
    char bytes[64];
  } seed;
  int source = open("/dev/hwrng", O_RDONLY | O_NONBLOCK | O_CLOEXEC), pool = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  ssize_t count = source < 0 ? 0 : read(source, seed.bytes, sizeof seed.bytes);
  if (count > 0 && pool >= 0) {
    seed.info.entropy_count = (int)count * 8;
    seed.info.buf_size = (int)count;
    if (ioctl(pool, RNDADDENTROPY, &seed) != 0) say("cannot use the entropy of the host: %m");
  }
  if (source >= 0) close(source);
  if (pool >= 0) close(pool);
}
