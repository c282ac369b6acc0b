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

#include "card.h"
#include "loop.h"
#include "name.h"
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
static void raise_loopback(int socket);
static void be_called(const char *name);
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
  if (asked.name[0]) be_called(asked.name);
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
    errno = card_set(CARD, asked.address, asked.gateway, asked.mtu[0] ? atoi(asked.mtu) : 0);
    if (errno != 0) say("cannot give %s the address %s, gateway %s: %m", CARD, asked.address, asked.gateway);
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

static void be_called(const char *name) {
  char address[64];
  snprintf(address, sizeof address, "%.*s", (int)strcspn(asked.address, "/"), asked.address);
  errno = name_set(name, address);
  if (errno != 0) say("cannot be called '%s': %m", name);
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
