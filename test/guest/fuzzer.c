/*
 * Feeds a coverage-guided fuzzer's bytes to the agent as its host would: the greeting is a true one, then each frame of the input is packed as the protocol wants, or bytes are written as they are.
 * Nothing is started and nothing outside of this process is touched: programs and children are pretended (see the wrapped functions), and the process is nobody.
 *
 * An input is records: `u8 what, u8 id, u16 length, bytes`. What below 0x40 is a frame of that type, more or less; else see `act`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "facts.h"
#include "key.h"
#include "launch.h"
#include "loop.h"
#include "outlet.h"
#include "parser.h"
#include "request.h"
#include "running.h"
#include "wire.h"

enum { RAW = 0x40, SAYS, ENDS, TURNS, FIRST_PID = 0x40000000, PROGRAMS = 64, GREETINGS = 4 };

static unsigned long long frames; /* that the agent took for ones, and acted upon or refused */
static bool lost;                 /* it is out of step, and would drop what follows */
static int host = -1;
static uint8_t nonce[NONCE_SIZE], trailer[TRAILER_SIZE];
static pid_t last_pid = FIRST_PID;
/* What the pretended programs hold: their output, and their input so that it can be written to. */
static struct {
  pid_t pid;
  int in, out;
} programs[PROGRAMS];

static void tell_count(void) { fprintf(stderr, "frames: %llu\n", frames); }
static void ended(void) { abort(); }

static void turn(void) {
  static uint8_t drain[256 << 10];
  for (int n = 0; n < 3; n++) {
    loop_turn(true);
    wire_read();
    inlets_turn();
    outlets_turn();
    wire_flush();
    running_sweep();
  }
  while (recv(host, drain, sizeof drain, MSG_DONTWAIT) > 0) continue;
}

static void say_bytes(const void *bytes, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t count = send(host, (const uint8_t *)bytes + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) at += (size_t)count;
    else turn();
  }
}

static void say_frame(uint8_t type, uint32_t id, const uint8_t *payload, size_t length) {
  uint8_t frame[HEADER_SIZE + UINT16_MAX + TRAILER_SIZE];
  put_u32(frame, (uint32_t)length);
  frame[4] = type;
  put_u32(frame + 5, id);
  memcpy(frame + HEADER_SIZE, payload, length);
  memcpy(frame + HEADER_SIZE + length, trailer, TRAILER_SIZE);
  say_bytes(frame, HEADER_SIZE + length + TRAILER_SIZE);
  if (length > HEARD_MAX || type == 0 || type > FRAME_HEARD_LAST) lost = true;
}

/* As a host that knows the key does it. */
static void greet(void) {
  static const uint8_t zeros[HELLO_FILLER + HELLO_SIZE];
  static uint64_t count = 0x0101010101010101;
  uint8_t answer[MAGIC_SIZE + NONCE_SIZE + HEADER_SIZE + 1 + NONCE_SIZE + TRAILER_SIZE], version[4], mac[MAC_SIZE];
  turn();
  lost = false;
  count += 2; /* No byte of it becomes zero within any run. */
  memset(nonce, 0x33, sizeof nonce);
  for (size_t i = 0; i < sizeof count; i++) nonce[i] = (uint8_t)(1 + (count >> (7 * i)) % 127);
  memcpy(trailer, nonce + NONCE_SIZE - TRAILER_SIZE, TRAILER_SIZE);
  put_u32(version, PROTOCOL_VERSION);
  say_bytes(zeros, sizeof zeros);
  say_bytes(HELLO_MAGIC, MAGIC_SIZE);
  say_bytes(nonce, NONCE_SIZE);
  say_bytes(version, sizeof version);
  loop_turn(true);
  wire_read();
  wire_flush();
  size_t got = 0;
  for (int n = 0; n < 100 && got < sizeof answer; n++) {
    ssize_t size = recv(host, answer + got, sizeof answer - got, MSG_DONTWAIT);
    if (size > 0) got += (size_t)size;
    else loop_turn(true), wire_read(), wire_flush();
    if (got >= 1 && memcmp(answer, AGREE_MAGIC, got < MAGIC_SIZE ? got : MAGIC_SIZE) != 0) memmove(answer, answer + 1, --got), n = 0;
  }
  if (got != sizeof answer) abort(); /* The agent no longer answers a HELLO. */
  const uint8_t *guest_nonce = answer + MAGIC_SIZE + NONCE_SIZE + HEADER_SIZE + 1;
  key_mac("tt-rexec host", nonce, guest_nonce, mac);
  say_frame(FRAME_PROOF, 0, mac, sizeof mac);
  key_mac("tt-rexec to guest", nonce, guest_nonce, mac);
  for (size_t i = 0; i < TRAILER_SIZE; i++) trailer[i] = mac[i] ? mac[i] : 0xa5;
  turn();
}

static void act(uint8_t what, uint8_t id, const uint8_t *bytes, size_t length) {
  size_t at = id % PROGRAMS;
  switch (what) {
    case RAW:
      say_bytes(bytes, length);
      lost = true;
      break;
    case SAYS:
      if (programs[at].pid && write(programs[at].out, bytes, length) < 0 && errno != EAGAIN && errno != EPIPE && errno != EIO) abort();
      break;
    case ENDS:
      if (!programs[at].pid) break;
      close(programs[at].in);
      close(programs[at].out);
      running_reap(programs[at].pid, length ? bytes[0] << (id & 1 ? 8 : 0) : 0);
      programs[at].pid = 0;
      break;
    default: break;
  }
  turn();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static char *environment[] = {"PATH=/bin", "HOME=/", NULL};
  (void)argc, (void)argv;
  if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) abort();
  signal(SIGPIPE, SIG_IGN);
  atexit(tell_count);
  loop_open();
  request_environment(environment);
  facts_open();
  uint8_t key[KEY_SIZE] = {7};
  key_take(key, sizeof key);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) abort();
  host = pair[0];
  wire_open(pair[1], (struct wire_options){.ended = ended});
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int greetings = 0;
  greet();
  while (size >= 4) {
    uint8_t what = data[0], id = data[1];
    size_t length = get_u16(data + 2);
    data += 4, size -= 4;
    if (length > size) length = size;
    if (what < RAW) {
      if (lost && ++greetings > GREETINGS) break;
      if (lost) greet();
      /* Mostly a type that there is. */
      say_frame(what < FRAME_FILES_FIRST + 1 || what > 0x38 ? what : 1 + what % FRAME_FILES_FIRST, id & 7, data, length);
      turn();
    } else {
      act(what, id, data, length);
    }
    data += length, size -= length;
  }
  greet(); /* Whatever it was, the next host is heard, and nothing runs for it. */
  for (uint32_t id = 0; id < 256; id++)
    if (running_by_id(id)) abort();
  for (size_t i = 0; i < PROGRAMS; i++) {
    if (programs[i].pid) close(programs[i].in), close(programs[i].out);
    programs[i].pid = 0;
  }
  return 0;
}

/* A program that runs until the input says that it ends; its pid is none that can be. */
pid_t __wrap_launch(const struct launch *launch, enum launch_step *step);
pid_t __wrap_launch(const struct launch *launch, enum launch_step *step) {
  *step = launch->argv[0][0] == '/' ? LAUNCH_EXEC : LAUNCH_CWD;
  for (size_t i = 0; i < PROGRAMS; i++) {
    if (programs[i].pid) continue;
    programs[i].in = fcntl(launch->in, F_DUPFD_CLOEXEC, 3);
    programs[i].out = fcntl(launch->out, F_DUPFD_CLOEXEC, 3);
    fcntl(programs[i].out, F_SETFL, fcntl(programs[i].out, F_GETFL) | O_NONBLOCK);
    return programs[i].pid = last_pid = last_pid == 0x7ffffff0 ? FIRST_PID : last_pid + 1;
  }
  errno = EAGAIN;
  return -1;
}

bool __real_command_frame(const struct frame *frame);
bool __wrap_command_frame(const struct frame *frame);
bool __wrap_command_frame(const struct frame *frame) {
  frames++;
  bool known = __real_command_frame(frame);
  if (!known) lost = true;
  return known;
}

pid_t __wrap_fork(void);
pid_t __wrap_fork(void) {
  errno = EAGAIN;
  return -1;
}

int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number) {
  if (pid < FIRST_PID && pid > -FIRST_PID) abort(); /* Only what was started may be ended. */
  (void)number;
  errno = ESRCH;
  return -1;
}

void __wrap_family_kill(pid_t leader);
void __wrap_family_kill(pid_t leader) {
  if (leader < FIRST_PID) abort();
}

/* What halts the machine, or makes it another, is not tried. */
int __wrap_name_set(const char *name, const char *address);
int __wrap_name_set(const char *name, const char *address) { return (int)(strlen(name) + (address ? strlen(address) : 0)) % 2; }
int __wrap_keys_set(char *const keys[], size_t count);
int __wrap_keys_set(char *const keys[], size_t count) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++) size += strlen(keys[i]);
  return size % 2;
}
int __wrap_clock_settime(clockid_t clock, const struct timespec *time);
int __wrap_clock_settime(clockid_t clock, const struct timespec *time) { return clock == CLOCK_REALTIME && time->tv_nsec < 1000000000 ? 0 : -1; }
