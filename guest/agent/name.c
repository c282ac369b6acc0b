#define _GNU_SOURCE
#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

#define HOSTS "/etc/hosts"
#define OURS "# tt-agent"

enum { NAME_MAX_LENGTH = 64, HOSTS_MAX = 64 << 10 };

static int write_hosts(const char *name, const char *address, bool only_ours);

int name_set(const char *name, const char *address) {
  const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
  char line[NAME_MAX_LENGTH + 2], had[NAME_MAX_LENGTH + 1] = "";
  size_t length = strlen(name);
  if (length == 0 || length > NAME_MAX_LENGTH || strspn(name, letters) != length) return EINVAL;
  gethostname(had, sizeof had - 1);
  if (strcmp(had, name) != 0 && sethostname(name, length) != 0) return errno;
  snprintf(line, sizeof line, "%s\n", name);
  int fault = text_replace("/etc/hostname", line, 0644);
  return fault ? fault : write_hosts(name, address, false);
}

int name_moved(const char *address) {
  char name[NAME_MAX_LENGTH + 1] = "";
  gethostname(name, sizeof name - 1);
  return name[0] ? write_hosts(name, address, true) : 0;
}

/* The other lines are left alone. */
static int write_hosts(const char *name, const char *address, bool only_ours) {
  static char had[HOSTS_MAX], text[HOSTS_MAX + 256];
  size_t end = 0;
  bool ours = false;
  if (!text_read(HOSTS, had, sizeof had)) strcpy(had, "127.0.0.1 localhost\n::1 localhost");
  if (strlen(had) == sizeof had - 1) return EFBIG;
  for (char *line = had, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    if (strstr(line, OURS)) ours = true;
    else if (line[0]) end += (size_t)sprintf(text + end, "%s\n", line);
  }
  if (only_ours && !ours) return 0;
  snprintf(text + end, sizeof text - end, "%.64s %s " OURS "\n", address && address[0] ? address : "127.0.1.1", name);
  return text_replace(HOSTS, text, 0644);
}
