/* All that a command started. */
#pragma once

#include <sys/types.h>

/* SIGKILL to the session of `leader` and to every child of anything in it, until none is left. What left both (a daemon) is not found. */
void family_kill(pid_t leader);
