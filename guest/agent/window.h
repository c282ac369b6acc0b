/* The window: a small disk of the machine, over whose blocks the host and this agent hand large pieces of files to each other. A port hands out single pages, a disk half a megabyte at once. */
#pragma once

#include <stdbool.h>

enum { WINDOW_NAME_SIZE = 32, WINDOW_PIECE = 512 << 10 /* no piece has more bytes */ };

/* The disk's name: `vdb`. False if the machine has none. */
bool window_find(char name[WINDOW_NAME_SIZE]);

/* Whether it can be opened. To open it for writing would make the guest's system look at it each time. */
bool window_works(void);

/* A descriptor that goes past the guest's cache, or -1 and errno. */
int window_open(int flags);
