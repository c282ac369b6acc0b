#define _GNU_SOURCE
#include "window.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

#define WINDOW_SERIAL "tt-window"

bool window_find(char name[WINDOW_NAME_SIZE]) {
  DIR *dir = opendir("/sys/block");
  if (!dir) return false;
  bool found = false;
  for (struct dirent *disk; !found && (disk = readdir(dir));) {
    char path[300], serial[sizeof WINDOW_SERIAL + 1];
    snprintf(path, sizeof path, "/sys/block/%s/serial", disk->d_name);
    if (strlen(disk->d_name) >= WINDOW_NAME_SIZE || !text_read(path, serial, sizeof serial) || strcmp(serial, WINDOW_SERIAL) != 0) continue;
    strcpy(name, disk->d_name);
    found = true;
  }
  closedir(dir);
  return found;
}

bool window_works(void) {
  int disk = window_open(O_RDONLY);
  if (disk >= 0) close(disk);
  return disk >= 0;
}

int window_open(int flags) {
  char name[WINDOW_NAME_SIZE], path[WINDOW_NAME_SIZE + 8];
  if (!window_find(name)) {
    errno = ENODEV;
    return -1;
  }
  snprintf(path, sizeof path, "/dev/%s", name);
  return open(path, flags | O_DIRECT | O_CLOEXEC);
}
