#define _GNU_SOURCE
#include "callers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "greeting.h"
#include "loop.h"
#include "say.h"
#include "wire.h"

enum { CALLERS = 16, PATIENCE_MS = 10000, IN_SIZE = 2 * HEARD_FRAME_MAX };

struct caller {
  struct watch watch;
  struct timer patience;
  int fd; /* -1: the place is free */
  struct parser parser;
  struct greeting greeting;
  uint8_t in[IN_SIZE];
  size_t end;
};

static struct caller callers[CALLERS];
static int listener = -1;
static struct watch call_watch;
static struct wire_options options;

static void answer(struct watch *watch, uint32_t events);
static struct caller *place(void);
static void hear(struct watch *watch, uint32_t events);
static bool listen_to(struct caller *caller);
static void lose_patience(struct timer *timer);
static void hang_up(struct caller *caller);

int callers_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) die("%s is too long for a socket", path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  unlink(path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0) die("cannot listen on %s: %m", path);
  return fd;
}

int callers_tcp(const char *where) {
  struct sockaddr_in six_less = {.sin_family = AF_INET};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
  char host[64] = "", *end;
  const char *colon = strrchr(where, ':'), *digits = colon ? colon + 1 : where;
  long port = strtol(digits, &end, 10);
  if (*digits == 0 || *end != 0 || port < 1 || port > 65535) die("%s is no [ADDRESS:]PORT", where);
  if (colon) snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
  size_t length = strlen(host);
  if (host[0] == '[' && host[length - 1] == ']') {
    memmove(host, host + 1, length - 2);
    host[length - 2] = 0;
  }
  six_less.sin_port = six.sin6_port = htons((uint16_t)port);
  bool is_four = inet_pton(AF_INET, host, &six_less.sin_addr) == 1;
  if (host[0] && !is_four && inet_pton(AF_INET6, host, &six.sin6_addr) != 1) die("%s is no address", host);
  int off = 0, on = 1, fd = is_four ? -1 : socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && !host[0]) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  bool four = fd < 0 && (is_four || !host[0]); /* Also a kernel without IPv6. */
  if (four) fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const struct sockaddr *address = four ? (const struct sockaddr *)&six_less : (const struct sockaddr *)&six;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, address, four ? sizeof six_less : sizeof six) != 0 || listen(fd, 64) != 0) die("cannot listen on %s: %m", where);
  return fd;
}

void callers_hear(int socket, void (*ended)(void)) {
  listener = socket;
  options.ended = ended;
  for (size_t i = 0; i < CALLERS; i++) callers[i].fd = -1;
  fcntl(listener, F_SETFD, FD_CLOEXEC);
  fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
  call_watch.ready = answer;
  if (!loop_watch(listener, &call_watch, EPOLLIN)) die("cannot wait for calls: %m");
}

static void answer(struct watch *watch, uint32_t events) {
  (void)watch, (void)events;
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    int on = 1, idle = 30, every = 10;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* These fail on other sockets, which need none of it. */
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    struct caller *caller = place();
    caller->fd = fd;
    caller->end = 0;
    caller->parser = (struct parser){0};
    caller->greeting = (struct greeting){0};
    caller->watch.ready = hear;
    caller->patience.fire = lose_patience;
    loop_arm(&caller->patience, PATIENCE_MS);
    if (!loop_watch(fd, &caller->watch, EPOLLIN)) hang_up(caller);
  }
}

/* A free one, or that of the one who has been silent for longest: squatters keep nobody out. */
static struct caller *place(void) {
  struct caller *oldest = callers;
  for (struct caller *caller = callers; caller < callers + CALLERS; caller++) {
    if (caller->fd < 0) return caller;
    if (caller->patience.at < oldest->patience.at) oldest = caller;
  }
  hang_up(oldest);
  return oldest;
}

static void hear(struct watch *watch, uint32_t events) {
  struct caller *caller = (struct caller *)watch;
  (void)events;
  while (caller->fd >= 0) {
    ssize_t count = read(caller->fd, caller->in + caller->end, IN_SIZE - caller->end);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count > 0) caller->end += (size_t)count;
    if (count <= 0 || !listen_to(caller)) return hang_up(caller);
  }
}

/* False if it is not worth listening to any longer. */
static bool listen_to(struct caller *caller) {
  size_t start = 0;
  for (bool found = true; found && start < caller->end;) {
    struct finding finding = parser_next(&caller->parser, caller->in + start, caller->end - start);
    start += finding.used;
    found = finding.what != FOUND_NOTHING || finding.used > 0;
    if (finding.what == FOUND_JUNK) return false;
    uint8_t bytes[ANSWER_MAX], trailer[TRAILER_SIZE];
    memcpy(trailer, caller->parser.trailer, TRAILER_SIZE);
    if (finding.what == FOUND_HELLO && !finding.again) {
      size_t size = greeting_answer(&caller->greeting, &caller->parser, finding.version, bytes);
      if (write(caller->fd, bytes, size) != (ssize_t)size) return false;
    } else if (finding.what == FOUND_FRAME && !greeting_prove(&caller->greeting, &caller->parser, &finding.frame)) {
      (void)!write(caller->fd, bytes, greeting_refuse(trailer, bytes));
      return false;
    } else if (finding.what == FOUND_FRAME) {
      int fd = caller->fd;
      caller->fd = -1;
      loop_disarm(&caller->patience);
      loop_forget(fd);
      wire_adopt(fd, options, &caller->greeting, &caller->parser, caller->in + start, caller->end - start);
      return true;
    }
  }
  memmove(caller->in, caller->in + start, caller->end - start);
  caller->end -= start;
  return true;
}

static void lose_patience(struct timer *timer) { hang_up((struct caller *)((char *)timer - offsetof(struct caller, patience))); }

static void hang_up(struct caller *caller) {
  if (caller->fd < 0) return;
  loop_disarm(&caller->patience);
  loop_close(caller->fd);
  caller->fd = -1;
}
