#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* files of more than 2 GB on 32-bit processors, too */
#include "files-work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files-window.h"
#include "names.h"
#include "protocol.h"

enum { OUTPUT = 1, ANSWER = 2 };

uint8_t files_buffer[FILES_BUFFER];

static void stat_path(const struct files_order *order);
static void list(const struct files_order *order);
static void digest(const struct files_order *order);
static void read_file(const struct files_order *order);
static uint64_t send_by_port(int fd, uint64_t size, struct sha256 *hash);
static uint64_t send_by_window(int fd, uint64_t size, const struct files_order *order);
static void tell_digest(struct sha256 *hash);

void files_work(const struct files_order *order) {
  switch (order->operation) {
    case FILES_STAT: stat_path(order); break;
    case FILES_LIST: list(order); break;
    case FILES_DIGEST: digest(order); break;
    case FILES_READ: read_file(order); break;
    case FILES_OFFER: files_offer(order); break;
    case FILES_WRITE: files_write(order); break;
    case FILES_DIRECTORY: files_make_directory(order); break;
    case FILES_LINK: files_make_link(order); break;
  }
  _exit(0);
}

void files_fail(int error, const char *step) {
  char text[64];
  int length = snprintf(text, sizeof text, "%s %s", error_name(error), step);
  files_say(ANSWER, text, (size_t)length);
  _exit(1);
}

void files_say(int fd, const void *bytes, size_t size) {
  for (const uint8_t *at = bytes; size > 0;) {
    ssize_t count = write(fd, at, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) _exit(2); /* Nobody hears us any more. */
    at += count;
    size -= (size_t)count;
  }
}

static void stat_path(const struct files_order *order) {
  uint8_t entry[FILES_ENTRY_MAX];
  errno = 0;
  size_t size = files_entry(AT_FDCWD, order->path, "", entry);
  if (size > 0) files_say(ANSWER, entry, size);
  else if (errno == 0) files_fail(EINVAL, "kind");
  else if (errno != ENOENT && errno != ENOTDIR) files_fail(errno, "stat");
}

/* u8 type, u32 mode, u64 size, u16 length, name, u16 length, target */
size_t files_entry(int directory, const char *path, const char *name, uint8_t entry[FILES_ENTRY_MAX]) {
  struct stat about;
  if (fstatat(directory, path, &about, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  errno = 0;
  size_t length = strlen(name), end = 13;
  if (length > 256 || (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode) && !S_ISLNK(about.st_mode))) return 0;
  entry[0] = S_ISREG(about.st_mode) ? 'f' : S_ISDIR(about.st_mode) ? 'd' : 'l';
  put_u32(entry + 1, about.st_mode & 07777);
  put_u32(entry + 5, (uint32_t)about.st_size);
  put_u32(entry + 9, (uint32_t)((uint64_t)about.st_size >> 32));
  entry[end++] = (uint8_t)length;
  entry[end++] = (uint8_t)(length >> 8);
  memcpy(entry + end, name, length);
  end += length;
  ssize_t target = S_ISLNK(about.st_mode) ? readlinkat(directory, path, (char *)entry + end + 2, 4096) : 0;
  if (target < 0) return 0;
  entry[end] = (uint8_t)target;
  entry[end + 1] = (uint8_t)(target >> 8);
  return end + 2 + (size_t)target;
}

static void list(const struct files_order *order) {
  size_t end = 0;
  DIR *dir = opendir(order->path);
  if (!dir) files_fail(errno, "open");
  for (struct dirent *found; errno = 0, (found = readdir(dir));) {
    const char *name = found->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || files_is_part(name)) continue;
    end += files_entry(dirfd(dir), name, name, files_buffer + end); /* What went away meanwhile is not there. */
    if (end + FILES_ENTRY_MAX <= FILES_BUFFER) continue;
    files_say(OUTPUT, files_buffer, end);
    end = 0;
  }
  if (errno != 0) files_fail(errno, "read");
  files_say(OUTPUT, files_buffer, end);
}

int files_open(const char *path, struct stat *about) {
  if (stat(path, about) != 0) files_fail(errno, "open");
  if (!S_ISREG(about->st_mode)) files_fail(S_ISDIR(about->st_mode) ? EISDIR : EINVAL, "kind");
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) files_fail(errno, "open");
  if (fstat(fd, about) != 0 || !S_ISREG(about->st_mode)) files_fail(EINVAL, "kind");
  return fd;
}

/* As much as the buffer takes, as is wanted, or as there is. */
static size_t fill(int fd, uint8_t *buffer, size_t room, uint64_t most) {
  size_t end = 0, size = most < room ? (size_t)most : room;
  while (end < size) {
    ssize_t count = read(fd, buffer + end, size - end);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) files_fail(errno, "read");
    if (count == 0) break;
    end += (size_t)count;
  }
  return end;
}

bool files_hash(int fd, uint64_t size, struct sha256 *hash) {
  while (size > 0) {
    size_t count = fill(fd, files_buffer, FILES_BUFFER, size);
    if (count == 0) return false;
    sha256_add(hash, files_buffer, count);
    size -= count;
  }
  return true;
}

static void digest(const struct files_order *order) {
  struct stat about;
  struct sha256 hash;
  int fd = files_open(order->path, &about);
  sha256_begin(&hash);
  if (!(order->flags & FILES_PART)) {
    for (size_t count; (count = fill(fd, files_buffer, FILES_BUFFER, UINT64_MAX)) > 0;) sha256_add(&hash, files_buffer, count);
  } else if ((uint64_t)about.st_size < order->size || !files_hash(fd, order->size, &hash)) {
    return; /* It has not so many: no answer. */
  }
  tell_digest(&hash);
}

/* What is there when it begins, so that a log which grows all the while has an end; files of /proc say 0 and have more. */
static void read_file(const struct files_order *order) {
  struct stat about;
  struct sha256 hash;
  int fd = files_open(order->path, &about);
  uint64_t size = about.st_size > 0 ? (uint64_t)about.st_size : UINT64_MAX, at = order->offset;
  bool by_window = order->flags & FILES_WINDOW;
  sha256_begin(&hash);
  if (at > size || !files_hash(fd, at, &hash)) files_fail(EINVAL, "offset");
  at += by_window ? send_by_window(fd, size, order) : send_by_port(fd, size - at, &hash);
  /* Files of /sys have less than they say, and never had more. */
  if (at < size && fstat(fd, &about) == 0 && (uint64_t)about.st_size < size && size != UINT64_MAX) files_fail(ENODATA, "shrunk");
  if (!by_window) tell_digest(&hash);
}

/* A piece is handed on before it is hashed: whoever moves it may work at the same time. */
static uint64_t send_by_port(int fd, uint64_t size, struct sha256 *hash) {
  uint64_t sent = 0;
  for (size_t count; (count = fill(fd, files_buffer, FILES_BUFFER, size - sent)) > 0; sent += count) {
    files_say(OUTPUT, files_buffer, count);
    sha256_add(hash, files_buffer, count);
  }
  return sent;
}

static uint64_t send_by_window(int fd, uint64_t size, const struct files_order *order) {
  struct files_window window;
  uint64_t sent = 0;
  size_t room;
  files_window_open(&window, order);
  uint8_t *buffer = files_window_room(&room);
  for (size_t count; (count = fill(fd, buffer, room, size - sent)) > 0; sent += count) files_window_give(&window, count);
  return sent;
}

static void tell_digest(struct sha256 *hash) {
  uint8_t digest[SHA256_SIZE];
  sha256_end(hash, digest);
  files_say(ANSWER, digest, sizeof digest);
}
