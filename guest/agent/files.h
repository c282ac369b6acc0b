/* Files, as the host asks for them: frames 0x10 to 0x1f from it; what comes back are the frames of a command. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_FILE = 0x10 };

/* Does what a frame asks. False if it breaks the protocol. An operation is a command from here on, with input, output, credit and end. */
bool files_heard(uint8_t type, uint32_t id, const uint8_t *payload, size_t length);

/* The host that asked is gone: what it had not yet asked to its end is forgotten. */
void files_hang_up_all(void);
