#define _GNU_SOURCE
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int reopen(int fd);

int script_open(const char *text, size_t length) {
  int fd = memfd_create("script", MFD_CLOEXEC);
  while (fd >= 0 && length > 0) {
    ssize_t count = write(fd, text, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      int fault = count < 0 ? errno : ENOSPC;
      close(fd);
      errno = fault;
      return -1;
    }
    text += count;
    length -= (size_t)count;
  }
  return fd < 0 ? -1 : reopen(fd);
}

/* What somebody may write to cannot be executed, should what runs it do that. */
static int reopen(int fd) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDONLY | O_CLOEXEC), fault = errno;
  close(fd);
  errno = fault;
  return again;
}

/* As the kernel does it (fs/binfmt_script.c), but for the file: that one may lie where nothing can be executed. */
size_t script_words(char *text, int script, char *words[SCRIPT_WORDS]) {
  static char sh[] = "/bin/sh", path[48];
  size_t count = 0;
  /* By our own descriptor, so that neither what runs it nor what that starts inherits one. */
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), script);
  if (strncmp(text, "#!", 2) == 0) {
    char *word = text + 2 + strspn(text + 2, " \t"), *end = word + strcspn(word, "\n");
    while (end > word && (end[-1] == ' ' || end[-1] == '\t')) end--;
    if (end == word) return 0;
    *end = 0;
    words[count++] = word;
    word += strcspn(word, " \t");
    if (*word) {
      *word++ = 0;
      words[count++] = word + strspn(word, " \t");
    }
  } else {
    words[count++] = sh;
  }
  words[count++] = path;
  return count;
}
