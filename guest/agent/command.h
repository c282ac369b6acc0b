/* What the host asks for, frame by frame. */
#pragma once

#include <stdbool.h>

#include "parser.h"

/* Does what a frame asks. False if it breaks the protocol. */
bool command_frame(const struct frame *frame);

/* The host that asked is gone: each command hears SIGHUP, finds its pipes closed, and is forgotten. */
void command_hang_up_all(void);
