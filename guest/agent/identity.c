#define _GNU_SOURCE
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "keys.h"
#include "name.h"
#include "names.h"
#include "wire.h"

enum { ENTROPY_MAX = 512, CLOCK_MS = 1000, KEYS_MAX = 1024 };

struct identity {
  const char *hostname, *address, *gateway, *mtu, *clock, *entropy;
  bool has_keys;
  char *keys[KEYS_MAX];
  size_t key_count;
};

/* What failed first. */
struct outcome {
  int fault; /* 0: nothing */
  const char *step;
};

static struct {
  uint8_t *body; /* whose last frame has not come yet */
  size_t size;
  uint32_t id;
} unfinished;

static bool parse(uint8_t *body, size_t size, struct identity *identity);
static struct outcome become(const struct identity *identity);
static void note(struct outcome *first, const char *step, int fault);
static int move(const struct identity *identity);
static int set_clock(const char *text);
static int stir(const char *digits);

bool identity_frame(const struct frame *frame) {
  if (frame->length < 1 || frame->payload[0] > IDENTIFY_MORE) return false;
  if (unfinished.body && unfinished.id != frame->id) return false;
  size_t length = frame->length - 1;
  if (length > IDENTITY_MAX - unfinished.size) return false;
  uint8_t *more = realloc(unfinished.body, unfinished.size + length + 1);
  if (!more) return false;
  memcpy(more + unfinished.size, frame->payload + 1, length);
  unfinished.body = more;
  unfinished.size += length;
  unfinished.id = frame->id;
  if (frame->payload[0] & IDENTIFY_MORE) return true;
  static struct identity identity;
  identity = (struct identity){0};
  bool known = parse(unfinished.body, unfinished.size, &identity);
  struct outcome outcome = known ? become(&identity) : (struct outcome){EINVAL, "identity"};
  char text[64] = "";
  if (outcome.fault != 0) snprintf(text, sizeof text, "%s %s", error_name(outcome.fault), outcome.step);
  wire_send(outcome.fault ? FRAME_ERROR : FRAME_IDENTIFIED, frame->id, text, strlen(text));
  identity_hang_up();
  return true;
}

void identity_hang_up(void) {
  free(unfinished.body);
  unfinished.body = NULL;
  unfinished.size = 0;
}

/* Fields as in a request: `u8 tag, u32 length, bytes, 0`. */
static bool parse(uint8_t *body, size_t size, struct identity *identity) {
  for (size_t at = 0; at < size;) {
    if (size - at < 6) return false;
    uint32_t length = get_u32(body + at + 1);
    char *text = (char *)body + at + 5;
    if (length > size - at - 6 || memchr(text, 0, (size_t)length + 1) != text + length) return false;
    switch (body[at]) {
      case FIELD_HOSTNAME: identity->hostname = text; break;
      case FIELD_ADDRESS: identity->address = text; break;
      case FIELD_GATEWAY: identity->gateway = text; break;
      case FIELD_MTU: identity->mtu = text; break;
      case FIELD_CLOCK: identity->clock = text; break;
      case FIELD_ENTROPY: identity->entropy = text; break;
      case FIELD_KEYS: identity->has_keys = true; break;
      case FIELD_KEY:
        if (identity->key_count == KEYS_MAX) return false;
        identity->keys[identity->key_count++] = text;
        break;
      default: return false;
    }
    at += 6 + (size_t)length;
  }
  return true;
}

/* All of it, whatever of it fails. */
static struct outcome become(const struct identity *identity) {
  struct outcome first = {0};
  char card[CARD_NAME], address[CARD_ADDRESS];
  if (identity->entropy) note(&first, "entropy", stir(identity->entropy));
  if (identity->clock) note(&first, "clock", set_clock(identity->clock));
  if (identity->address) note(&first, "address", move(identity));
  if (identity->hostname) note(&first, "hostname", name_set(identity->hostname, card_first(card) && card_address(card, address) ? address : NULL));
  if (identity->has_keys) note(&first, "keys", keys_set(identity->keys, identity->key_count));
  return first;
}

static void note(struct outcome *first, const char *step, int fault) {
  if (first->fault == 0 && fault != 0) *first = (struct outcome){fault, step};
}

static int move(const struct identity *identity) {
  char card[CARD_NAME], address[CARD_ADDRESS], *end = NULL;
  long mtu = identity->mtu ? strtol(identity->mtu, &end, 10) : 0;
  if (identity->mtu && (end == identity->mtu || *end || mtu < 68 || mtu > 65535)) return EINVAL;
  if (!card_first(card)) return ENODEV;
  int fault = card_set(card, identity->address, identity->gateway ? identity->gateway : "", (int)mtu);
  return fault == 0 && card_address(card, address) ? name_moved(address) : fault;
}

/* Milliseconds of Unix time. */
static int set_clock(const char *text) {
  char *end;
  errno = 0;
  long long wanted = strtoll(text, &end, 10);
  if (end == text || *end || errno || wanted < 0 || wanted > 253402300799999) return EINVAL; /* the year 9999 */
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  long long off = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 - wanted;
  if (off <= CLOCK_MS && off >= -CLOCK_MS) return 0;
  now.tv_sec = (time_t)(wanted / 1000);
  now.tv_nsec = (long)(wanted % 1000) * 1000000;
  if (now.tv_sec != wanted / 1000) return EOVERFLOW; /* a time of 32 bits */
  return clock_settime(CLOCK_REALTIME, &now) == 0 ? 0 : errno;
}

/* Into the kernel's pool, and what programs draw is drawn from there at once: else a clone goes on with the numbers of its original for a while. */
static int stir(const char *digits) {
  struct {
    struct rand_pool_info info;
    uint8_t bytes[ENTROPY_MAX];
  } seed;
  size_t count = strlen(digits) / 2;
  if (count == 0 || count > ENTROPY_MAX || strspn(digits, "0123456789abcdef") != count * 2 || digits[count * 2]) return EINVAL;
  for (size_t i = 0; i < count; i++) sscanf(digits + 2 * i, "%2hhx", &seed.bytes[i]);
  seed.info.entropy_count = (int)count * 8;
  seed.info.buf_size = (int)count;
  int pool = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
  int fault = pool < 0 || ioctl(pool, RNDADDENTROPY, &seed) != 0 ? errno : 0;
#ifdef RNDRESEEDCRNG
  if (fault == 0 && ioctl(pool, RNDRESEEDCRNG) != 0 && errno != EINVAL && errno != ENOTTY) fault = errno;
#endif
  if (pool >= 0) close(pool);
  explicit_bzero(&seed, sizeof seed);
  return fault;
}
