/* Starts a program. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct launch {
  char **argv;
  char **env;
  const char *cwd;
  int in, out, err; /* become 0, 1, 2 */
  bool terminal;    /* `in` becomes the terminal of its session */
};

/* Where it failed. */
enum launch_step { LAUNCH_FORK, LAUNCH_CWD, LAUNCH_EXEC };

/* Remembers how things are for programs before the agent changes them for itself. */
void launch_open(void);

/* The pid of the program, which leads a session of its own; or -1 with errno and where it failed. A program without a slash is looked for in PATH. */
pid_t launch(const struct launch *launch, enum launch_step *step);
