#include "family.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct process {
  pid_t pid, parent, session;
  bool doomed, dead;
};

static size_t look(struct process **processes);
static bool look_at(const char *pid, struct process *process);
static bool is_doomed(const struct process *processes, size_t count, const struct process *one, pid_t leader);

void family_kill(pid_t leader) {
  for (int round = 0; round < 8; round++) { /* Some may be starting others meanwhile. */
    struct process *processes = NULL;
    size_t count = look(&processes), killed = 0;
    for (bool more = true; more;) {
      more = false;
      for (size_t i = 0; i < count; i++) {
        if (processes[i].doomed || !is_doomed(processes, count, &processes[i], leader)) continue;
        processes[i].doomed = more = true;
      }
    }
    for (size_t i = 0; i < count; i++)
      if (processes[i].doomed && !processes[i].dead && kill(processes[i].pid, SIGKILL) == 0) killed++;
    free(processes);
    if (killed == 0) return;
  }
}

static bool is_doomed(const struct process *processes, size_t count, const struct process *one, pid_t leader) {
  if (one->pid == leader || one->session == leader) return true;
  for (size_t i = 0; i < count; i++)
    if (processes[i].doomed && processes[i].pid == one->parent) return true;
  return false;
}

static size_t look(struct process **processes) {
  size_t count = 0, room = 0;
  DIR *dir = opendir("/proc");
  if (!dir) return 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    if (count == room) {
      size_t wanted = room * 2 + 64;
      struct process *more = realloc(*processes, wanted * sizeof **processes);
      if (!more) break;
      *processes = more;
      room = wanted;
    }
    if (look_at(entry->d_name, *processes + count)) count++;
  }
  closedir(dir);
  return count;
}

static bool look_at(const char *pid, struct process *process) {
  char path[300], line[512], state;
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  if (!text_read(path, line, sizeof line)) return false;
  const char *rest = strrchr(line, ')'); /* The name before it may hold anything. */
  int parent, group, session;
  if (!rest || sscanf(rest + 1, " %c %d %d %d", &state, &parent, &group, &session) != 4) return false;
  *process = (struct process){.pid = atoi(pid), .parent = parent, .session = session, .dead = state == 'Z' || state == 'X'};
  return true;
}
