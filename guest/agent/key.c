#define _GNU_SOURCE
#include "key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"
#include "sha256.h"
#include "text.h"

enum { DIGITS = KEY_SIZE * 2 };

static uint8_t key[KEY_SIZE];
static bool known;
static char place[256]; /* of the file that keeps it; empty: nowhere */

static bool read_private(const char *path, char *text, size_t size);
static bool parse(const char *digits);
static void save(void);

void key_require(const char *path) {
  char text[DIGITS + 8];
  if (!read_private(path, text, sizeof text)) die("cannot use the key file %s: %m", path);
  if (!parse(text)) die("the key file %s does not hold %d hexadecimal digits and nothing else", path, DIGITS);
  explicit_bzero(text, sizeof text);
}

/* `BOOT-ID DIGITS`: what an earlier boot left behind, where the directory outlives it, does not count. */
void key_keep(const char *dir) {
  char text[64 + DIGITS + 8], boot[64];
  struct stat status;
  if (mkdir(dir, 0700) != 0 && errno != EEXIST) return say("cannot keep the key of the host in %s: %m", dir);
  if (lstat(dir, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0)
    return say("does not keep the key of the host in %s, which is not its own alone", dir);
  if ((size_t)snprintf(place, sizeof place, "%s/key", dir) >= sizeof place) place[0] = 0;
  if (known || !read_private(place, text, sizeof text)) return;
  char *space = strchr(text, ' ');
  if (!space || !text_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot)) return;
  *space = 0;
  if (strcmp(text, boot) == 0) parse(space + 1);
  explicit_bzero(text, sizeof text);
}

bool key_known(void) { return known; }

bool key_take(const uint8_t *given, size_t size) {
  if (known || size != KEY_SIZE) return false;
  memcpy(key, given, KEY_SIZE);
  known = true;
  if (place[0]) save();
  return true;
}

void key_mac(const char *word, const uint8_t host_nonce[NONCE_SIZE], const uint8_t guest_nonce[NONCE_SIZE], uint8_t mac[MAC_SIZE]) {
  uint8_t text[32 + 2 * NONCE_SIZE];
  size_t length = strlen(word) + 1;
  memcpy(text, word, length);
  memcpy(text + length, host_nonce, NONCE_SIZE);
  memcpy(text + length + NONCE_SIZE, guest_nonce, NONCE_SIZE);
  hmac_sha256(key, KEY_SIZE, text, length + 2 * NONCE_SIZE, mac);
}

bool key_equal(const uint8_t *one, const uint8_t *other, size_t size) {
  volatile uint8_t differs = 0;
  for (size_t i = 0; i < size; i++) differs |= one[i] ^ other[i];
  return differs == 0;
}

static bool read_private(const char *path, char *text, size_t size) {
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  bool ours = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0;
  ssize_t count = ours ? read(fd, text, size - 1) : -1;
  if (!ours) errno = EPERM;
  int fault = errno;
  close(fd);
  errno = fault;
  if (count < 0) return false;
  text[count] = 0;
  return true;
}

static bool parse(const char *digits) {
  uint8_t bytes[KEY_SIZE];
  size_t length = strspn(digits, "0123456789abcdefABCDEF");
  if (length != DIGITS || digits[length + (digits[length] == '\n')] != 0) return false;
  for (size_t i = 0; i < KEY_SIZE; i++) sscanf(digits + 2 * i, "%2hhx", &bytes[i]);
  memcpy(key, bytes, KEY_SIZE);
  explicit_bzero(bytes, sizeof bytes);
  return known = true;
}

static void save(void) {
  char text[64 + DIGITS + 8], boot[64], new[sizeof place + 4];
  if (!text_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot)) return;
  size_t end = (size_t)snprintf(text, sizeof text, "%.60s ", boot);
  for (size_t i = 0; i < KEY_SIZE; i++) end += (size_t)sprintf(text + end, "%02x", key[i]);
  text[end++] = '\n';
  snprintf(new, sizeof new, "%s.new", place);
  unlink(new);
  int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  bool written = fd >= 0 && write(fd, text, end) == (ssize_t)end;
  if (fd >= 0) close(fd);
  explicit_bzero(text, sizeof text);
  if (!written || rename(new, place) != 0) say("cannot keep the key of the host in %s: %m", place);
}
