#define _GNU_SOURCE
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define OURS " # tt-agent" /* at the end of a line, where a key has its comment */

enum { FILE_MAX = 1 << 20 };

static void find_home(char home[256]);
static int prepare(const char *dir, mode_t mode);
static char *merged(const char *had, char *const keys[], size_t count);

int keys_set(char *const keys[], size_t count) {
  char home[256], dir[300], path[320];
  for (size_t i = 0; i < count; i++)
    if (keys[i][0] == 0 || keys[i][0] == '#' || strpbrk(keys[i], "\r\n")) return EINVAL;
  find_home(home);
  snprintf(dir, sizeof dir, "%s/.ssh", home);
  snprintf(path, sizeof path, "%s/authorized_keys", dir);
  struct stat status;
  bool there = stat(path, &status) == 0;
  if (!there && count == 0) return 0;
  if (there && status.st_size > FILE_MAX) return EFBIG;
  int fault = prepare(home, 0700);
  if (fault == 0) fault = prepare(dir, 0700);
  char *had = fault ? NULL : calloc(1, FILE_MAX + 2);
  if (had && there && !text_read(path, had, FILE_MAX + 2)) fault = errno;
  char *text = had && fault == 0 ? merged(had, keys, count) : NULL;
  if (fault == 0 && !text) fault = ENOMEM;
  if (fault == 0) fault = text_replace(path, text, 0600);
  /* sshd takes no file that others can write. */
  if (fault == 0 && stat(path, &status) == 0 && (status.st_mode & 022) && chmod(path, status.st_mode & 07755) != 0) fault = errno;
  free(text);
  free(had);
  return fault;
}

static char *merged(const char *had, char *const keys[], size_t count) {
  size_t size = strlen(had) + 2, end = 0;
  for (size_t i = 0; i < count; i++) size += strlen(keys[i]) + sizeof OURS + 1;
  char *text = malloc(size);
  if (!text) return NULL;
  while (*had) {
    size_t length = strcspn(had, "\n");
    const size_t mark = sizeof OURS - 1;
    if (length < mark || memcmp(had + length - mark, OURS, mark) != 0) {
      memcpy(text + end, had, length);
      end += length;
      text[end++] = '\n';
    }
    had += length + (had[length] == '\n');
  }
  for (size_t i = 0; i < count; i++) end += (size_t)sprintf(text + end, "%s" OURS "\n", keys[i]);
  text[end] = 0;
  return text;
}

/* Made if it is not there; others may not write to it. */
static int prepare(const char *dir, mode_t mode) {
  struct stat status;
  if (mkdir(dir, mode) == 0) return chmod(dir, mode) == 0 ? 0 : errno;
  if (errno != EEXIST || stat(dir, &status) != 0) return errno;
  if (!S_ISDIR(status.st_mode)) return ENOTDIR;
  return (status.st_mode & 022) && chmod(dir, status.st_mode & 07755) != 0 ? errno : 0;
}

/* By /etc/passwd itself: a static program cannot ask what else there may be, and root is nowhere else. */
static void find_home(char home[256]) {
  char line[512];
  FILE *users = fopen("/etc/passwd", "re");
  strcpy(home, "/root");
  while (users && fgets(line, sizeof line, users)) {
    char *rest = line, *field[7] = {0};
    for (int i = 0; i < 7 && rest; i++) field[i] = strsep(&rest, ":\n");
    if (!field[5] || strcmp(field[2], "0") != 0 || field[5][0] != '/' || strlen(field[5]) > 255) continue;
    strcpy(home, field[5]);
    break;
  }
  if (users) fclose(users);
}
