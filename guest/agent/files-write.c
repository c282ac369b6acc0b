#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* files of more than 2 GB on 32-bit processors, too */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "files-window.h"
#include "files-work.h"
#include "protocol.h"

enum { ANSWER = 2, PATIENCE_MS = 10000, OLD_S = 24 * 3600, PART_NAME_SIZE = 48 };

#define PART_PREFIX ".tt-part-"

/* Where something is to be: its directory, held open, and its name there. */
struct place {
  int directory;
  const char *name;
  char part[PART_NAME_SIZE]; /* the name it has until it is whole */
};

static void find_place(const struct files_order *order, struct place *place);
static bool is_there(const struct files_order *order, const struct place *place, bool whatever);
static int open_part(const struct place *place);
static void take_over(int part, const struct place *place, uint64_t offset, struct sha256 *hash);
static enum files_verdict receive(int part, const struct place *place, const struct files_order *order, struct sha256 *hash);
static size_t take(void);
static void put(int part, const uint8_t *bytes, size_t size, const struct place *place);
static enum files_verdict judge(struct sha256 *hash, const struct files_order *order);
static void give_up(int error, const char *step, const struct place *place);
static void give_name(const struct files_order *order, const struct place *place);
static void tidy(const struct place *place);

bool files_is_part(const char *name) { return strncmp(name, PART_PREFIX, sizeof PART_PREFIX - 1) == 0; }

void files_offer(const struct files_order *order) {
  struct place place;
  struct stat about;
  uint64_t has = 0;
  find_place(order, &place);
  if (is_there(order, &place, false)) has = order->size;
  /* One that is whole but has no name yet wants its last byte once more, and with it the name. */
  else if (fstatat(place.directory, place.part, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode) && (uint64_t)about.st_size <= order->size)
    has = (uint64_t)about.st_size < order->size ? (uint64_t)about.st_size : order->size > 0 ? order->size - 1 : 0;
  uint8_t answer[8];
  put_u32(answer, (uint32_t)has);
  put_u32(answer + 4, (uint32_t)(has >> 32));
  files_say(ANSWER, answer, sizeof answer);
}

/*
 * It is not flushed to the disk before it gets its name, as no copy of files is: that would take longer than the rest of a small one. Should the machine lose its
 * power within seconds, the name may be there and the bytes not; who sends it again finds that out by the sha256.
 */
void files_write(const struct files_order *order) {
  struct place place;
  struct sha256 hash;
  find_place(order, &place);
  if (order->tidy) tidy(&place);
  if (is_there(order, &place, order->flags & FILES_OVERWRITE)) return;
  int part = open_part(&place);
  sha256_begin(&hash);
  take_over(part, &place, order->offset, &hash);
  enum files_verdict verdict = receive(part, &place, order, &hash);
  if (verdict == FILES_CUT_SHORT) files_fail(ENODATA, "size");
  if (verdict == FILES_WRONG) give_up(EBADMSG, "sha256", &place);
  if (fchmod(part, order->mode) != 0) files_fail(errno, "mode");
  give_name(order, &place);
}

static void find_place(const struct files_order *order, struct place *place) {
  static const char digits[] = "0123456789abcdef";
  size_t length = files_directory(order->path);
  place->name = order->path + length + 1;
  if (place->name[0] == 0) files_fail(order->path[1] == 0 ? EEXIST : EINVAL, "name");
  if (strcmp(place->name, ".") == 0 || strcmp(place->name, "..") == 0) files_fail(EINVAL, "name");
  if (strlen(place->name) > 255) files_fail(ENAMETOOLONG, "name");
  char *directory = strndup(order->path, length > 0 ? length : 1);
  place->directory = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  /* A directory that may be written but not read. */
  if (place->directory < 0 && errno == EACCES) place->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (place->directory < 0) files_fail(errno, "directory");
  free(directory);
  struct sha256 hash;
  uint8_t digest[SHA256_SIZE];
  sha256_begin(&hash);
  sha256_add(&hash, order->digest, sizeof order->digest);
  sha256_add(&hash, place->name, strlen(place->name));
  sha256_end(&hash, digest);
  size_t end = sizeof PART_PREFIX - 1;
  memcpy(place->part, PART_PREFIX, end);
  for (int i = 0; i < 16; i++) {
    place->part[end++] = digits[digest[i] >> 4];
    place->part[end++] = digits[digest[i] & 15];
  }
  place->part[end] = 0;
}

/* True if the very file is there, which then has its mode; it is not looked for if it is to give way, `whatever` it is. Fails if something is there that may not. */
static bool is_there(const struct files_order *order, const struct place *place, bool whatever) {
  struct stat about;
  if (fstatat(place->directory, place->name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    files_fail(errno, "stat");
  }
  if (S_ISDIR(about.st_mode)) files_fail(EEXIST, "directory");
  if (!whatever && S_ISREG(about.st_mode) && (uint64_t)about.st_size == order->size) {
    struct sha256 hash;
    uint8_t digest[SHA256_SIZE];
    int fd = openat(place->directory, place->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    sha256_begin(&hash);
    if (fd >= 0 && files_hash(fd, order->size, &hash)) {
      sha256_end(&hash, digest);
      if (memcmp(digest, order->digest, sizeof digest) == 0) {
        if (fchmod(fd, order->mode) != 0) files_fail(errno, "mode");
        return true;
      }
    }
    if (fd >= 0) close(fd);
  }
  if (!(order->flags & FILES_OVERWRITE)) files_fail(EEXIST, "name");
  return false;
}

/* Ours alone: nobody else's file that was put there before, and nobody else writes to it, not even what is left of a write that was broken off just now. */
static int open_part(const struct place *place) {
  const struct timespec pause = {.tv_nsec = 10000000};
  for (int waited = 0; waited < PATIENCE_MS; waited += 10) {
    struct stat about, named;
    int fd = openat(place->directory, place->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : 0;
    if (error != 0 && error != ELOOP && error != ENXIO && error != EACCES) files_fail(error, "create");
    if (fd < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_nlink > 1 || about.st_uid != geteuid() || (about.st_mode & 07077) != 0) {
      if (fd >= 0) close(fd);
      if (unlinkat(place->directory, place->part, 0) != 0 && (errno != ENOENT || error == EACCES)) files_fail(EACCES, "create");
      continue;
    }
    bool busy = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!busy && fstatat(place->directory, place->part, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == about.st_ino && named.st_dev == about.st_dev) return fd;
    close(fd);
    if (busy) nanosleep(&pause, NULL);
  }
  files_fail(EBUSY, "lock");
}

/* What lies there counts up to the offset, and what it holds is looked at again: the sha256 is of what is on the disk. */
static void take_over(int part, const struct place *place, uint64_t offset, struct sha256 *hash) {
  struct stat about;
  if (fstat(part, &about) != 0) files_fail(errno, "stat");
  if ((uint64_t)about.st_size < offset) {
    if (about.st_size == 0) unlinkat(place->directory, place->part, 0);
    files_fail(ESTALE, "offset");
  }
  if (ftruncate(part, (off_t)offset) != 0) files_fail(errno, "truncate");
  if (!files_hash(part, offset, hash)) files_fail(ESTALE, "offset");
}

static void give_up(int error, const char *step, const struct place *place) {
  unlinkat(place->directory, place->part, 0);
  files_fail(error, step);
}

/* What came by the window the host has hashed, and each piece of it has a tag; what came by the port is hashed here. */
static enum files_verdict receive(int part, const struct place *place, const struct files_order *order, struct sha256 *hash) {
  struct files_window window;
  struct statvfs space;
  bool by_window = order->flags & FILES_WINDOW;
  uint64_t at = order->offset;
  if (fstatvfs(part, &space) == 0 && space.f_blocks > 0 && order->size - at > (uint64_t)space.f_bfree * space.f_frsize) give_up(ENOSPC, "space", place);
  if (by_window) files_window_open(&window, order);
  for (;;) {
    const uint8_t *bytes = files_buffer;
    size_t count = by_window ? files_window_take(&window, &bytes) : take();
    if (count == 0) break;
    if (count > order->size - at) give_up(EMSGSIZE, "size", place);
    put(part, bytes, count, place);
    if (by_window) files_window_done(&window);
    else sha256_add(hash, files_buffer, count);
    at += count;
  }
  if (at < order->size) return FILES_CUT_SHORT;
  return by_window ? window.verdict : judge(hash, order);
}

/* What came by the port; 0 at the end. */
static size_t take(void) {
  for (;;) {
    ssize_t count = read(0, files_buffer, FILES_BUFFER);
    if (count >= 0) return (size_t)count;
    if (errno != EINTR) files_fail(errno, "input");
  }
}

static void put(int part, const uint8_t *bytes, size_t size, const struct place *place) {
  for (size_t done = 0; done < size;) {
    ssize_t more = write(part, bytes + done, size - done);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) give_up(more < 0 ? errno : ENOSPC, "write", place); /* A full disk is not left full. */
    done += (size_t)more;
  }
}

static enum files_verdict judge(struct sha256 *hash, const struct files_order *order) {
  uint8_t digest[SHA256_SIZE];
  sha256_end(hash, digest);
  return memcmp(digest, order->digest, sizeof digest) == 0 ? FILES_WHOLE : FILES_WRONG;
}

static void give_name(const struct files_order *order, const struct place *place) {
  int error = 0;
  if (order->flags & FILES_OVERWRITE) {
    if (renameat(place->directory, place->part, place->directory, place->name) == 0) return;
    error = errno == EISDIR || errno == ENOTEMPTY ? EEXIST : errno;
  } else {
    if (renameat2(place->directory, place->part, place->directory, place->name, RENAME_NOREPLACE) == 0) return;
    error = errno;
    if (error == EINVAL || error == ENOSYS) { /* A file system that cannot: a second name is refused if there is one. */
      if (linkat(place->directory, place->part, place->directory, place->name, 0) == 0) {
        unlinkat(place->directory, place->part, 0);
        return;
      }
      error = errno;
    }
  }
  unlinkat(place->directory, place->part, 0);
  /* Somebody else was first; with the same bytes that is as good. */
  if (error != EEXIST || !is_there(order, place, order->flags & FILES_OVERWRITE)) files_fail(error, "name");
}

/* Parts that nobody came back for within a day. */
static void tidy(const struct place *place) {
  int fd = openat(place->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) {
    if (fd >= 0) close(fd);
    return;
  }
  time_t now = time(NULL);
  for (struct dirent *found; (found = readdir(dir));) {
    struct stat about;
    if (!files_is_part(found->d_name) || strcmp(found->d_name, place->part) == 0) continue;
    if (fstatat(fd, found->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(about.st_mode) || now - about.st_mtime < OLD_S) continue;
    unlinkat(fd, found->d_name, 0);
  }
  closedir(dir);
}

void files_make_directory(const struct files_order *order) {
  struct place place;
  struct stat about;
  char self[40];
  find_place(order, &place);
  if (mkdirat(place.directory, place.name, 0700) != 0 && errno != EEXIST) files_fail(errno, "create");
  /* By a descriptor: the name may lead elsewhere by the time it is given a mode. */
  int fd = openat(place.directory, place.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &about) != 0) files_fail(errno, "open");
  if (!S_ISDIR(about.st_mode)) files_fail(EEXIST, "name");
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  if ((about.st_mode & 07777) != order->mode && chmod(self, order->mode) != 0) files_fail(errno, "mode");
}

void files_make_link(const struct files_order *order) {
  struct place place;
  struct stat about;
  char had[4097], part[PART_NAME_SIZE];
  find_place(order, &place);
  if (symlinkat(order->target, place.directory, place.name) == 0) return;
  if (errno != EEXIST) files_fail(errno, "create");
  ssize_t length = readlinkat(place.directory, place.name, had, sizeof had);
  if (length >= 0 && strlen(order->target) == (size_t)length && memcmp(had, order->target, (size_t)length) == 0) return;
  if (fstatat(place.directory, place.name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(about.st_mode)) files_fail(EEXIST, "directory");
  if (!(order->flags & FILES_OVERWRITE)) files_fail(EEXIST, "name");
  snprintf(part, sizeof part, PART_PREFIX "%d", (int)getpid());
  if (symlinkat(order->target, place.directory, part) != 0) files_fail(errno, "create");
  if (renameat(place.directory, part, place.directory, place.name) == 0) return;
  int error = errno;
  unlinkat(place.directory, part, 0);
  files_fail(error == EISDIR || error == ENOTEMPTY ? EEXIST : error, "name");
}
