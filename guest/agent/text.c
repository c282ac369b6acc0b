#define _GNU_SOURCE
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

bool text_read(const char *path, char *text, size_t size) {
  text[0] = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t end = 0;
  for (ssize_t count; end < size - 1 && (count = read(fd, text + end, size - 1 - end)) > 0;) end += (size_t)count;
  close(fd);
  if (end > 0 && text[end - 1] == '\n') end--;
  text[end] = 0;
  return true;
}

bool text_word(const char *line, const char *key, char *value, size_t size) {
  size_t length = strlen(key);
  value[0] = 0;
  for (const char *word = line + strspn(line, " \t\n"); *word; word += strspn(word, " \t\n")) {
    size_t end = strcspn(word, " \t\n");
    if (end > length && word[length] == '=' && strncmp(word, key, length) == 0 && end - length <= size) {
      memcpy(value, word + length + 1, end - length - 1);
      value[end - length - 1] = 0;
      return true;
    }
    word += end;
  }
  return false;
}

void text_write(const char *path, const char *text) {
  size_t length = strlen(text);
  char had[4096];
  if (text_read(path, had, sizeof had) && length > 0 && strlen(had) == length - 1 && strncmp(had, text, length - 1) == 0) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, text, length) != (ssize_t)length) say("cannot write %s: %m", path);
  if (fd >= 0) close(fd);
}

static bool says(const char *path, const char *text, size_t length, const struct stat *status) {
  if ((size_t)status->st_size != length) return false;
  char *had = malloc(length + 2);
  int fd = had ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  bool same = fd >= 0 && read(fd, had, length + 1) == (ssize_t)length && memcmp(had, text, length) == 0;
  if (fd >= 0) close(fd);
  free(had);
  return same;
}

static int put(const char *path, int flags, const char *text, const struct stat *status) {
  size_t length = strlen(text);
  int fd = open(path, O_WRONLY | O_CLOEXEC | flags, status->st_mode & 07777);
  if (fd < 0) return errno;
  int fault = 0;
  if ((flags & O_EXCL) && (fchown(fd, status->st_uid, status->st_gid) != 0 || fchmod(fd, status->st_mode & 07777) != 0)) fault = errno;
  for (size_t at = 0; fault == 0 && at < length;) {
    ssize_t count = write(fd, text + at, length - at);
    if (count > 0) at += (size_t)count;
    else if (count == 0 || errno != EINTR) fault = count == 0 ? ENOSPC : errno;
  }
  /* ext4, which small guests have, sees to that itself when a file takes the place of another, and their boot need not wait for a disk. */
  if (fault == 0 && !init_process && fsync(fd) != 0 && errno != EINVAL) fault = errno;
  close(fd);
  return fault;
}

int text_replace(const char *path, const char *text, unsigned mode) {
  char real[4096], new[4096 + 16];
  struct stat status = {.st_mode = mode, .st_uid = geteuid(), .st_gid = getegid()};
  if (realpath(path, real) == NULL) {
    if (errno != ENOENT || strlen(path) >= sizeof real) return errno;
    strcpy(real, path);
  } else if (stat(real, &status) != 0) {
    return errno;
  } else if (says(real, text, strlen(text), &status)) {
    return 0;
  }
  snprintf(new, sizeof new, "%s.tt-agent", real);
  unlink(new);
  int fault = put(new, O_CREAT | O_EXCL | O_NOFOLLOW, text, &status);
  if (fault == 0 && rename(new, real) != 0) fault = errno;
  if (fault != 0) unlink(new);
  /* A file that something is mounted on cannot be replaced, only written: containers have such ones. */
  return fault == EBUSY ? put(real, O_TRUNC, text, &status) : fault;
}
