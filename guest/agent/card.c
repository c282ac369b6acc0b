#define _GNU_SOURCE
#include "card.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEFAULT_ROUTES = 8 };

static bool parse(const char *address, in_addr_t *host, in_addr_t *mask);
static struct ifreq card_of(const char *name);
static in_addr_t ask(int socket, unsigned long what, const char *name);
static int tell(int socket, unsigned long what, const char *name, in_addr_t address);
static int raise(int socket, const char *name);
static int route_by(int socket, const char *name, in_addr_t gateway);
static bool next_default(const char *name, in_addr_t other_than, bool *has, in_addr_t *gateway);
static int change_default(int socket, unsigned long what, const char *name, in_addr_t gateway);

bool card_first(char name[CARD_NAME]) {
  struct if_nameindex *all = if_nameindex(), *first = NULL, *any = NULL;
  for (struct if_nameindex *one = all; one && one->if_index; one++) {
    char path[64];
    snprintf(path, sizeof path, "/sys/class/net/%.15s/device", one->if_name);
    if (strcmp(one->if_name, "lo") == 0) continue;
    if (access(path, F_OK) == 0 && (!first || one->if_index < first->if_index)) first = one;
    if (!any || one->if_index < any->if_index) any = one;
  }
  if (!first) first = any;
  if (first) snprintf(name, CARD_NAME, "%.15s", first->if_name);
  if (all) if_freenameindex(all);
  return first != NULL;
}

bool card_address(const char *name, char address[CARD_ADDRESS]) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct in_addr has = {.s_addr = fd < 0 ? 0 : ask(fd, SIOCGIFADDR, name)};
  if (fd >= 0) close(fd);
  return has.s_addr != 0 && inet_ntop(AF_INET, &has, address, CARD_ADDRESS) != NULL;
}

int card_set(const char *name, const char *address, const char *gateway, int mtu) {
  in_addr_t host, mask;
  struct in_addr by = {0};
  if (!parse(address, &host, &mask) || (gateway[0] && inet_pton(AF_INET, gateway, &by) != 1)) return EINVAL;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fault = 0;
  if (fd < 0) return errno;
  struct ifreq card = card_of(name);
  if (mtu > 0 && (ioctl(fd, SIOCGIFMTU, &card) != 0 || card.ifr_mtu != mtu)) {
    card.ifr_mtu = mtu;
    if (ioctl(fd, SIOCSIFMTU, &card) != 0) fault = errno;
  }
  if (fault == 0 && ask(fd, SIOCGIFADDR, name) != host) fault = tell(fd, SIOCSIFADDR, name, host);
  if (fault == 0 && ask(fd, SIOCGIFNETMASK, name) != mask) fault = tell(fd, SIOCSIFNETMASK, name, mask);
  if (fault == 0) fault = raise(fd, name);
  if (fault == 0 && gateway[0]) fault = route_by(fd, name, by.s_addr);
  close(fd);
  return fault;
}

static bool parse(const char *address, in_addr_t *host, in_addr_t *mask) {
  char text[CARD_ADDRESS], *end;
  struct in_addr parsed;
  const char *slash = strchr(address, '/');
  if (!slash || slash - address >= CARD_ADDRESS) return false;
  snprintf(text, sizeof text, "%.*s", (int)(slash - address), address);
  long prefix = strtol(slash + 1, &end, 10);
  if (end == slash + 1 || *end || prefix < 1 || prefix > 32 || inet_pton(AF_INET, text, &parsed) != 1) return false;
  *host = parsed.s_addr;
  *mask = htonl(~0u << (32 - prefix));
  return true;
}

static struct ifreq card_of(const char *name) {
  struct ifreq card = {0};
  snprintf(card.ifr_name, sizeof card.ifr_name, "%.15s", name);
  return card;
}

/* 0 if it has none. */
static in_addr_t ask(int socket, unsigned long what, const char *name) {
  struct ifreq card = card_of(name);
  struct sockaddr_in inet;
  if (ioctl(socket, what, &card) != 0) return 0;
  memcpy(&inet, &card.ifr_addr, sizeof inet);
  return inet.sin_addr.s_addr;
}

static int tell(int socket, unsigned long what, const char *name, in_addr_t address) {
  struct ifreq card = card_of(name);
  struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = address};
  memcpy(&card.ifr_addr, &inet, sizeof inet);
  return ioctl(socket, what, &card) == 0 ? 0 : errno;
}

static int raise(int socket, const char *name) {
  struct ifreq card = card_of(name);
  if (ioctl(socket, SIOCGIFFLAGS, &card) != 0) return errno;
  if (card.ifr_flags & IFF_UP) return 0;
  card.ifr_flags = (short)(card.ifr_flags | IFF_UP);
  return ioctl(socket, SIOCSIFFLAGS, &card) == 0 ? 0 : errno;
}

/* Its only default route: those by other gateways go. */
static int route_by(int socket, const char *name, in_addr_t gateway) {
  bool has = false;
  in_addr_t other;
  for (int routes = 0; routes < DEFAULT_ROUTES && next_default(name, gateway, &has, &other); routes++) {
    int fault = change_default(socket, SIOCDELRT, name, other);
    if (fault != 0) return fault;
  }
  int fault = has ? 0 : change_default(socket, SIOCADDRT, name, gateway);
  return fault == EEXIST ? 0 : fault;
}

/* The next default route of the card by another gateway; and whether there is one by this. */
static bool next_default(const char *name, in_addr_t other_than, bool *has, in_addr_t *gateway) {
  char line[256], card[32];
  bool found = false;
  unsigned target, by, flags, mask;
  FILE *routes = fopen("/proc/net/route", "re");
  while (routes && !found && fgets(line, sizeof line, routes)) {
    if (sscanf(line, "%31s %x %x %x %*s %*s %*s %x", card, &target, &by, &flags, &mask) != 5) continue;
    if (strcmp(card, name) != 0 || target != 0 || mask != 0 || !(flags & RTF_GATEWAY)) continue;
    if (by == other_than) *has = true;
    else found = true, *gateway = by;
  }
  if (routes) fclose(routes);
  return found;
}

static int change_default(int socket, unsigned long what, const char *name, in_addr_t gateway) {
  char card[CARD_NAME];
  struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = card};
  struct sockaddr_in inet = {.sin_family = AF_INET};
  snprintf(card, sizeof card, "%.15s", name);
  memcpy(&route.rt_dst, &inet, sizeof inet);
  memcpy(&route.rt_genmask, &inet, sizeof inet);
  inet.sin_addr.s_addr = gateway;
  memcpy(&route.rt_gateway, &inet, sizeof inet);
  return ioctl(socket, what, &route) == 0 ? 0 : errno;
}
