/* What the host is told of the guest when it says HELLO: lines `name=value`. */
#pragma once

#include <stddef.h>

#include "protocol.h"

#define AGENT_VERSION "0.2.0"

enum { FACTS_MAX = 512 };

/* Reads once what does not change. */
void facts_open(void);

/* With `proof`, by which the host knows the guest. */
size_t facts_write(char text[FACTS_MAX], const uint8_t proof[MAC_SIZE]);
