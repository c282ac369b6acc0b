#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "say.h"
#include "text.h"

#define CARD "eth0"
#define OURS "# tt-agent"

enum { GIVE_UP_MS = 10000 };

static struct {
  char address[64], gateway[32], mtu[8], dns[128], name[65];
} asked;
static struct timer look_again;
static int64_t begun_at;
static int wait_ms = 1;

static void set_up(struct timer *timer);
static bool configure(int socket, struct ifreq *card);
static void raise_loopback(int socket);
static void set_name(void);
static void write_hosts(void);
static void write_resolver(void);

void net_begin(const char *cmdline) {
  text_word(cmdline, "tt.ip", asked.address, sizeof asked.address);
  text_word(cmdline, "tt.gw", asked.gateway, sizeof asked.gateway);
  text_word(cmdline, "tt.mtu", asked.mtu, sizeof asked.mtu);
  text_word(cmdline, "tt.dns", asked.dns, sizeof asked.dns);
  text_word(cmdline, "tt.name", asked.name, sizeof asked.name);
  begun_at = loop_now();
  look_again.fire = set_up;
  set_up(&look_again);
  set_name();
  write_hosts();
  write_resolver();
}

static void set_up(struct timer *timer) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return say("no network: %m");
  if (wait_ms == 1) raise_loopback(fd);
  struct ifreq card = {.ifr_name = CARD};
  if (asked.address[0] == 0) {
    /* Nothing was asked for. */
  } else if (ioctl(fd, SIOCGIFFLAGS, &card) == 0) {
    if (!configure(fd, &card)) say("cannot give %s the address %s, gateway %s: %m", CARD, asked.address, asked.gateway);
  } else if (loop_now() - begun_at < GIVE_UP_MS) {
    loop_arm(timer, wait_ms);
    if (wait_ms < 50) wait_ms *= 2;
  } else {
    say("there is no network card " CARD);
  }
  close(fd);
}

static void raise_loopback(int socket) {
  struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (ioctl(socket, SIOCSIFFLAGS, &loopback) != 0) say("cannot raise lo: %m");
}

static bool set(struct sockaddr *place, in_addr_t address) {
  struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = address};
  memcpy(place, &inet, sizeof inet);
  return true;
}

static bool configure(int socket, struct ifreq *card) {
  char address[32];
  struct in_addr parsed;
  errno = EINVAL;
  const char *slash = strchr(asked.address, '/');
  long prefix = slash ? strtol(slash + 1, NULL, 10) : 0;
  if (!slash || prefix < 1 || prefix > 32) return false;
  snprintf(address, sizeof address, "%.*s", (int)(slash - asked.address), asked.address);
  if (inet_pton(AF_INET, address, &parsed) != 1) return false;

  short flags = card->ifr_flags;
  if (asked.mtu[0]) {
    card->ifr_mtu = atoi(asked.mtu);
    if (ioctl(socket, SIOCSIFMTU, card) != 0) say("cannot set the mtu %s of " CARD ": %m", asked.mtu);
  }
  set(&card->ifr_addr, parsed.s_addr);
  if (ioctl(socket, SIOCSIFADDR, card) != 0) return false;
  set(&card->ifr_netmask, htonl(~0u << (32 - prefix)));
  if (ioctl(socket, SIOCSIFNETMASK, card) != 0) return false;
  card->ifr_flags = (short)(flags | IFF_UP);
  if (ioctl(socket, SIOCSIFFLAGS, card) != 0) return false;
  if (asked.gateway[0] == 0) return true;

  struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
  errno = EINVAL;
  if (inet_pton(AF_INET, asked.gateway, &parsed) != 1) return false;
  set(&route.rt_dst, 0);
  set(&route.rt_genmask, 0);
  set(&route.rt_gateway, parsed.s_addr);
  return ioctl(socket, SIOCADDRT, &route) == 0 || errno == EEXIST;
}

static void set_name(void) {
  const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
  size_t length = strlen(asked.name);
  if (length == 0) return;
  if (strspn(asked.name, letters) != length || sethostname(asked.name, length) != 0) {
    say("cannot be called '%s'", asked.name);
    asked.name[0] = 0;
    return;
  }
  char line[sizeof asked.name + 1];
  snprintf(line, sizeof line, "%s\n", asked.name);
  text_write("/etc/hostname", line);
}

/* One line of /etc/hosts is ours; the others are left alone. */
static void write_hosts(void) {
  char had[4096], text[4096 + 256];
  size_t end = 0;
  if (asked.name[0] == 0) return;
  if (!text_read("/etc/hosts", had, sizeof had)) strcpy(had, "127.0.0.1 localhost\n::1 localhost");
  if (strlen(had) == sizeof had - 1) return; /* Longer than we care for. */
  for (char *line = had, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    if (line[0] && !strstr(line, OURS)) end += (size_t)sprintf(text + end, "%s\n", line);
  }
  int length = asked.address[0] ? (int)strcspn(asked.address, "/") : 0;
  sprintf(text + end, "%.*s %s " OURS "\n", length ? length : 9, length ? asked.address : "127.0.1.1", asked.name);
  text_write("/etc/hosts", text);
}

static void write_resolver(void) {
  char had[64], text[512] = OURS " writes this at every start while this line is here\n";
  if (asked.dns[0] == 0) return;
  if (text_read("/etc/resolv.conf", had, sizeof had) && strncmp(had, OURS, strlen(OURS)) != 0) return;
  char *rest = asked.dns;
  for (char *server; (server = strsep(&rest, ","));) {
    struct in_addr parsed;
    size_t end = strlen(text);
    if (inet_pton(AF_INET, server, &parsed) == 1) snprintf(text + end, sizeof text - end, "nameserver %s\n", server);
  }
  text_write("/etc/resolv.conf", text);
}
