/* What the host is told of the guest when it says HELLO: lines `name=value`. */
#pragma once

#include <stddef.h>

enum { FACTS_MAX = 512 };

/* Reads once what does not change. */
void facts_open(void);
size_t facts_write(char text[FACTS_MAX]);
