/* The keys by which people enter as root. */
#pragma once

#include <stddef.h>

/* Puts `count` keys in the place of all that came from us, into root's authorized_keys; those of others stay as they are. 0 or an errno. */
int keys_set(char *const keys[], size_t count);
