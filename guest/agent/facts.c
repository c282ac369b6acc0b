#include "facts.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "protocol.h"
#include "say.h"
#include "text.h"
#include "window.h"

static char boot_id[64];
static unsigned long long instance; /* tells this run of the agent from any other */

void facts_open(void) {
  if (!text_read("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id)) strcpy(boot_id, "unknown");
  if (getrandom(&instance, sizeof instance, GRND_NONBLOCK) != sizeof instance) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    instance = (unsigned long long)now.tv_sec << 32 ^ (unsigned long long)now.tv_nsec ^ (unsigned long long)getpid() << 48;
  }
}

size_t facts_write(char text[FACTS_MAX], const uint8_t proof[MAC_SIZE]) {
  char digits[2 * MAC_SIZE + 1];
  for (size_t i = 0; i < MAC_SIZE; i++) sprintf(digits + 2 * i, "%02x", proof[i]);
  char host[65] = "", window[WINDOW_NAME_SIZE] = "";
  gethostname(host, sizeof host - 1);
  if (window_find(window) && !window_works()) window[0] = 0;
  int length = snprintf(text, FACTS_MAX, "protocol=%d\nagent=%s\nboot=%s\ninstance=%016llx\ninit=%d\nhostname=%s\nwindow=%s\nproof=%s\n", PROTOCOL_VERSION,
                        AGENT_VERSION, boot_id, instance, init_process, host, window, digits);
  return length < 0 ? 0 : length < FACTS_MAX ? (size_t)length : FACTS_MAX - 1;
}
