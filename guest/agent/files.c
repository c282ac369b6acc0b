#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files-work.h"
#include "loop.h"
#include "names.h"
#include "protocol.h"
#include "running.h"
#include "say.h"
#include "wire.h"

enum { BODY_MAX = 16 << 10, FILE_MORE = 1, FILE_NO_INPUT = 2, TIDY_EVERY_MS = 600000, TIDIED = 16 };

static struct {
  uint8_t body[BODY_MAX]; /* whose last frame has not come yet */
  size_t size;
  uint32_t id;
  bool begun;
} unfinished;

static void begin(uint32_t id, bool input);
static int start(struct running *running, const struct files_order *order, bool input);
static void become(const struct files_order *order, const int theirs[3]);
static bool is_due(const char *path);
static void refuse(uint32_t id, int error, const char *step);

bool files_heard(uint8_t type, uint32_t id, const uint8_t *payload, size_t length) {
  if (type != FRAME_FILE || length < 1 || payload[0] > (FILE_MORE | FILE_NO_INPUT)) return false;
  if (unfinished.begun && unfinished.id != id) return false;
  if (length - 1 > BODY_MAX - unfinished.size) return false;
  memcpy(unfinished.body + unfinished.size, payload + 1, length - 1);
  unfinished.size += length - 1;
  unfinished.id = id;
  unfinished.begun = payload[0] & FILE_MORE;
  if (unfinished.begun) return true;
  begin(id, !(payload[0] & FILE_NO_INPUT));
  files_hang_up_all();
  return true;
}

void files_hang_up_all(void) {
  unfinished.size = 0;
  unfinished.begun = false;
}

static void begin(uint32_t id, bool input) {
  struct files_order order;
  if (running_by_id(id)) return refuse(id, EEXIST, "request");
  if (!files_order_parse(unfinished.body, unfinished.size, &order)) return refuse(id, EINVAL, "request");
  order.tidy = order.operation == FILES_WRITE && is_due(order.path);
  struct running *running = running_new(id);
  int error = running ? start(running, &order, input) : ENOMEM;
  if (error == 0) return;
  if (running) running_drop(running);
  refuse(id, error, "start");
}

/* A child for each: a disk that hangs, a file of many gigabytes or a fault of ours holds nobody else up, and it is ended like any command. */
static int start(struct running *running, const struct files_order *order, bool input) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, error = 0;
  if ((input && pipe2(in, O_CLOEXEC) != 0) || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    error = errno;
  } else {
    /* So that a child on another processor hashes one piece while we move the next. */
    if (input) fcntl(in[1], F_SETPIPE_SZ, STDIN_WINDOW);
    if (order->operation == FILES_READ) fcntl(out[0], F_SETPIPE_SZ, FILES_BUFFER);
    running->pid = fork();
    if (running->pid == 0) become(order, (const int[]){in[0], out[1], err[1]});
    if (running->pid < 0) error = errno;
    else setpgid(running->pid, running->pid); /* Here as well: a signal to its group may be due before it has come so far itself. */
  }
  const int theirs[] = {in[0], out[1], err[1]}, ours[] = {in[1], out[0], err[0]};
  for (int i = 0; i < 3; i++) {
    if (theirs[i] >= 0) close(theirs[i]);
    if (error != 0 && ours[i] >= 0) close(ours[i]);
  }
  if (error == 0) running_begin(running, ours, (const uint32_t[]){order->output_window, order->answer_window});
  return error;
}

/* The child: nothing of the agent's is its own but its memory. */
static void become(const struct files_order *order, const int theirs[3]) {
  const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGPIPE, SIGHUP, SIGTERM, SIGINT};
  sigset_t none;
  init_process = false;
  setpgid(0, 0);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) signal(own[i], SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int i = 0; i < 3; i++) {
    if (theirs[i] >= 0) dup2(theirs[i], i);
  }
  if (theirs[0] < 0) close(0), open("/dev/null", O_RDONLY); /* becomes 0 */
  close_range(3, ~0u, 0);
  umask(0);
  files_work(order);
}

/* Directories that were looked through lately are not looked through again for each of a thousand files. */
static bool is_due(const char *path) {
  static struct {
    uint32_t hash;
    int64_t at;
  } tidied[TIDIED];
  static unsigned next;
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0, length = files_directory(path); i < length; i++) hash = (hash ^ (uint8_t)path[i]) * 16777619u;
  int64_t now = loop_now();
  for (unsigned i = 0; i < TIDIED; i++)
    if (tidied[i].hash == hash && tidied[i].at > 0 && now - tidied[i].at < TIDY_EVERY_MS) return false;
  tidied[next].hash = hash;
  tidied[next].at = now;
  next = (next + 1) % TIDIED;
  return true;
}

static void refuse(uint32_t id, int error, const char *step) {
  char text[64];
  int length = snprintf(text, sizeof text, "%s %s", error_name(error), step);
  wire_send(FRAME_ERROR, id, text, (size_t)length);
}
