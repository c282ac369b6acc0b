#include "beat.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "protocol.h"
#include "text.h"
#include "wire.h"

enum { EVERY_MS = 10000, PAYLOAD = 12 };

static struct timer timer;

static void beat(struct timer *fired);
static void say_how(void);
static unsigned long field(const char *text, const char *name);

void beat_begin(void) {
  timer.fire = beat;
  say_how();
  loop_arm(&timer, EVERY_MS);
}

/* A host that is away takes nothing, and is not told all at once later. */
static void beat(struct timer *fired) {
  if (!wire_is_open()) return;
  if (wire_is_idle()) say_how();
  loop_arm(fired, EVERY_MS);
}

static void say_how(void) {
  char text[1024];
  uint8_t payload[PAYLOAD];
  unsigned whole = 0, hundredths = 0;
  if (text_read("/proc/loadavg", text, sizeof text)) sscanf(text, "%u.%2u", &whole, &hundredths);
  put_u32(payload, whole * 100 + hundredths);
  bool known = text_read("/proc/meminfo", text, sizeof text);
  unsigned long total = known ? field(text, "MemTotal:") : 0, left = known ? field(text, "MemAvailable:") : 0;
  put_u32(payload + 4, (uint32_t)((total - (left < total ? left : total)) >> 10));
  put_u32(payload + 8, (uint32_t)(total >> 10));
  wire_send(FRAME_BEAT, 0, payload, sizeof payload);
}

/* kB */
static unsigned long field(const char *text, const char *name) {
  const char *found = strstr(text, name);
  return found ? strtoul(found + strlen(name), NULL, 10) : 0;
}
