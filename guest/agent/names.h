/* Signals and errors by name: their numbers differ between machines. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The number of `SIGTERM`; 0 if there is none of that name. */
int signal_number(const uint8_t *name, size_t length);
/* The name of a signal, with `SIG`. */
void signal_name(int number, char name[24]);
/* `ENOENT` */
const char *error_name(int number);
