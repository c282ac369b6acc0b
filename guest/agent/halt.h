/* The orderly end of the machine. */
#pragma once

#include <stdbool.h>

#include "parser.h"

/* As process 1 it is ours to end; in a system with an init of its own that is asked, if we may. */
void halt_allow(void);
bool halt_frame(const struct frame *frame);

/* As process 1: the signals by which `poweroff`, `halt` and `reboot` of busybox ask for it. */
void halt_hear(void);
