#define _GNU_SOURCE
#include "root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "loop.h"
#include "say.h"
#include "text.h"

enum { GIVE_UP_MS = 10000 };

static void wait_for(const char *device);
static void carry_over(const char *place);
static void empty_initrd(void);
static void remove_within(int dir, dev_t device, int depth);

void root_enter(const char *cmdline) {
  char device[128], type[32];
  if (!text_word(cmdline, "root", device, sizeof device)) return;
  if (!text_word(cmdline, "rootfstype", type, sizeof type)) strcpy(type, "ext4");
  wait_for(device);
  mkdir("/newroot", 0755);
  if (mount(device, "/newroot", type, 0, NULL) != 0) die("cannot mount %s (%s) as /: %m", device, type);
  carry_over("/dev");
  carry_over("/proc");
  carry_over("/sys");
  if (chdir("/newroot") != 0) die("cannot enter %s: %m", device);
  empty_initrd();
  if (mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0) die("cannot make %s /: %m", device);
}

static void wait_for(const char *device) {
  for (int64_t until = loop_now() + GIVE_UP_MS; access(device, F_OK) != 0; usleep(1000))
    if (loop_now() > until) die("there is no %s after %d s", device, GIVE_UP_MS / 1000);
}

static void carry_over(const char *place) {
  char target[32];
  snprintf(target, sizeof target, "/newroot%s", place);
  mkdir(target, 0755);
  if (mount(place, target, NULL, MS_MOVE, NULL) != 0) die("cannot move %s: %m", place);
}

/* Only if it is in memory, and only what is on it. */
static void empty_initrd(void) {
  struct statfs filesystem;
  struct stat root;
  int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 || fstatfs(dir, &filesystem) != 0 || fstat(dir, &root) != 0) return;
  /* Its type has another width and sign on every processor. */
  unsigned type = (unsigned)filesystem.f_type;
  if (type == RAMFS_MAGIC || type == TMPFS_MAGIC) remove_within(dir, root.st_dev, 32);
  else close(dir);
}

static void remove_within(int dir, dev_t device, int depth) {
  DIR *entries = fdopendir(dir);
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));) {
    struct stat status;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (fstatat(dir, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_dev != device) continue;
    bool folder = S_ISDIR(status.st_mode);
    int inner = folder && depth > 0 ? openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (inner >= 0) remove_within(inner, device, depth - 1);
    unlinkat(dir, entry->d_name, folder ? AT_REMOVEDIR : 0);
  }
  closedir(entries);
}
