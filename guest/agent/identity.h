/* Who the guest is to be, as its host tells it. */
#pragma once

#include <stdbool.h>

#include "parser.h"

/* False if it breaks the protocol. */
bool identity_frame(const struct frame *frame);

/* The host is gone: what it had begun to say is forgotten. */
void identity_hang_up(void);
