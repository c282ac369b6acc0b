/* What the agent says to people: one line each, on the console as process 1, else on standard error. */
#pragma once

#include <stdbool.h>

extern bool init_process; /* we are process 1: there is nobody to fall back on */

void say_to(int fd);
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* Ends the agent, and as process 1 the machine, which would otherwise panic. */
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);

/* Writes the disks out and takes the power away. */
__attribute__((noreturn)) void power_off(void);

/* As process 1: a fault of our own ends in `power_off` with a line that says so. */
void die_on_faults(void);
