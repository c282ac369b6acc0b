/* What the guest is called. */
#pragma once

#include <stdbool.h>

/* Takes the name, also into /etc/hostname and into the one line of /etc/hosts that is ours, with this address (NULL or empty: 127.0.1.1). 0 or an errno. */
int name_set(const char *name, const char *address);

/* The address has changed: our line of /etc/hosts follows, if it is there. */
int name_moved(const char *address);
