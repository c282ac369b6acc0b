#define _GNU_SOURCE
#include "names.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int signal_number(const uint8_t *name, size_t length) {
  for (int number = 1; number <= SIGRTMAX; number++) {
    char known[24];
    signal_name(number, known);
    if (strlen(known) == length && memcmp(known, name, length) == 0) return number;
  }
  return 0;
}

void signal_name(int number, char name[24]) {
  const char *known = sigabbrev_np(number);
  if (known) snprintf(name, 24, "SIG%s", known);
  else if (number == SIGRTMIN) strcpy(name, "SIGRTMIN");
  else if (number > SIGRTMIN && number <= SIGRTMAX) snprintf(name, 24, "SIGRTMIN+%d", number - SIGRTMIN);
  else snprintf(name, 24, "SIG%d", number);
}

const char *error_name(int number) {
  const char *known = strerrorname_np(number);
  return known ? known : "EUNKNOWN";
}
