#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "beat.h"
#include "command.h"
#include "facts.h"
#include "loop.h"
#include "say.h"

enum {
  IN_SIZE = 64 << 10,
  OUT_SIZE = 256 << 10, /* grows if small frames need it */
  OUT_HIGH = 192 << 10, /* above this no output is taken from commands, and nothing more heard from the host */
  READS_AT_ONCE = 64,   /* then commands have their turn */
  AWAY_MS = 10000,      /* a host that is away for longer is gone */
};

static struct wire_options options;
static int stream = -1;
static struct watch stream_watch;
static struct parser parser;
static struct greeting greeting;
static uint8_t trailer[TRAILER_SIZE]; /* of our frames */

static uint8_t in[IN_SIZE];
static size_t in_start, in_end;
static bool readable; /* the kernel may have more */
static bool unheard;  /* we have more, and stopped because of OUT_HIGH */

static uint8_t *out;
static size_t out_start, out_end, out_size;
static bool blocked; /* the kernel takes no more for now */
static struct timer away;

static void stream_ready(struct watch *watch, uint32_t events);
static void end_stream(void);
static void host_gone(struct timer *timer);
static void hear(void);
static void open_stream(int fd, struct wire_options given);
static void heard(const struct finding *finding);
static void greeted(const struct finding *finding);
static void prove(const struct frame *frame);
static void welcome(void);
static void announce(void);
static uint8_t *reserve(size_t size);
static bool crowded(void) { return out_end - out_start >= OUT_HIGH; }

void wire_open(int fd, struct wire_options given) {
  open_stream(fd, given);
  parser.framed = false;
  parser.zeros = 0;
  announce();
  wire_flush();
}

void wire_adopt(int fd, struct wire_options given, const struct greeting *had, const struct parser *found, const uint8_t *bytes, size_t size) {
  if (stream >= 0) loop_close(stream);
  open_stream(fd, given);
  parser = *found;
  greeting = *had;
  memcpy(in, bytes, size);
  in_end = size;
  unheard = size > 0;
  welcome();
}

static void open_stream(int fd, struct wire_options given) {
  options = given;
  greeting = (struct greeting){0};
  stream = fd;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  in_start = in_end = out_start = out_end = 0;
  blocked = unheard = false;
  stream_watch.ready = stream_ready;
  away.fire = host_gone;
  if (!out) out = malloc(out_size = OUT_SIZE);
  if (!out) die("no memory for the connection");
  if (!loop_watch(fd, &stream_watch, EPOLLIN)) die("cannot wait for the host: %m");
  readable = true;
}

bool wire_is_open(void) { return stream >= 0; }

static void stream_ready(struct watch *watch, uint32_t events) {
  (void)watch;
  if (blocked && (events & EPOLLOUT)) {
    blocked = false;
    loop_rewatch(stream, &stream_watch, EPOLLIN);
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable = true;
}

bool wire_busy(void) { return (readable || unheard) && !crowded(); }

void wire_read(void) {
  if (unheard) hear();
  for (int reads = 0; reads < READS_AT_ONCE && readable && !crowded(); reads++) {
    ssize_t count = read(stream, in + in_end, IN_SIZE - in_end);
    if (count > 0) {
      in_end += (size_t)count;
      loop_disarm(&away);
      hear();
    } else if (count == 0 && options.end_is_pause) {
      readable = false;
      if (!away.armed) loop_arm(&away, AWAY_MS);
    } else if (count < 0 && errno == EAGAIN) {
      readable = false;
    } else if (count == 0 || errno != EINTR) {
      return end_stream();
    }
  }
}

static void host_gone(struct timer *timer) {
  (void)timer;
  command_hang_up_all();
}

/* Takes in what has come, unless the host does not take our answers: then what it asks for waits. */
static void hear(void) {
  bool found = true;
  while (found && in_start < in_end && !crowded()) {
    struct finding finding = parser_next(&parser, in + in_start, in_end - in_start);
    in_start += finding.used;
    found = finding.what != FOUND_NOTHING || finding.used > 0;
    heard(&finding);
  }
  unheard = found && in_start < in_end;
  if (in_start == in_end) in_start = in_end = 0;
  if (in_start > 0 && IN_SIZE - in_end < IN_SIZE / 2) {
    memmove(in, in + in_start, in_end - in_start);
    in_end -= in_start;
    in_start = 0;
  }
}

static void heard(const struct finding *finding) {
  if (finding->what == FOUND_HELLO) greeted(finding);
  if (finding->what == FOUND_JUNK) announce();
  if (finding->what != FOUND_FRAME) return;
  if (!greeting.proven) return prove(&finding->frame);
  if (command_frame(&finding->frame)) return;
  parser.framed = false;
  parser.zeros = 0;
  announce();
}

/* What runs for the former host goes on until this one is proven; but nothing more of it is told, as nobody can tell who hears it. */
static void greeted(const struct finding *finding) {
  if (finding->again) return; /* Answered already, on this very stream. */
  uint8_t answer[ANSWER_MAX];
  size_t size = greeting_answer(&greeting, &parser, finding->version, answer);
  out_start = out_end = 0;
  memcpy(reserve(size), answer, size);
}

static void prove(const struct frame *frame) {
  uint8_t answered[TRAILER_SIZE];
  memcpy(answered, parser.trailer, TRAILER_SIZE);
  if (greeting_prove(&greeting, &parser, frame)) return welcome();
  uint8_t refusal[ANSWER_MAX];
  size_t size = greeting_refuse(answered, refusal);
  memcpy(reserve(size), refusal, size);
}

static void welcome(void) {
  char facts[FACTS_MAX];
  uint8_t mac[MAC_SIZE], next[TRAILER_SIZE];
  command_hang_up_all();
  greeting_reply(&greeting, &parser, mac, next);
  memcpy(trailer, parser.nonce + NONCE_SIZE - TRAILER_SIZE, TRAILER_SIZE);
  wire_send(FRAME_FACTS, 0, facts, facts_write(facts, mac));
  memcpy(trailer, next, TRAILER_SIZE);
  beat_begin();
}

/* The filler completes what the host may have half of, should a frame of ours have been cut. */
static void announce(void) {
  uint8_t *awake = reserve(AWAKE_FILLER + MAGIC_SIZE);
  memset(awake, 0, AWAKE_FILLER);
  memcpy(awake + AWAKE_FILLER, AWAKE_MAGIC, MAGIC_SIZE);
}

static void end_stream(void) {
  loop_close(stream);
  stream = -1;
  readable = unheard = false;
  out_start = out_end = 0;
  options.ended();
}

bool wire_is_idle(void) { return wire_has_room() && out_start == out_end; }

bool wire_has_room(void) { return stream >= 0 && greeting.proven && !crowded(); }

uint8_t *wire_data_begin(size_t size) {
  if (!wire_has_room()) return NULL;
  uint8_t *frame = reserve(HEADER_SIZE + size + TRAILER_SIZE);
  out_end -= HEADER_SIZE + size + TRAILER_SIZE;
  return frame + HEADER_SIZE;
}

void wire_data_end(uint8_t type, uint32_t id, size_t length) {
  uint8_t *frame = out + out_end;
  put_u32(frame, (uint32_t)length);
  frame[4] = type;
  put_u32(frame + 5, id);
  memcpy(frame + HEADER_SIZE + length, trailer, TRAILER_SIZE);
  out_end += HEADER_SIZE + length + TRAILER_SIZE;
}

void wire_send(uint8_t type, uint32_t id, const void *payload, size_t length) {
  if (stream < 0 || !greeting.proven) return;
  uint8_t *frame = reserve(HEADER_SIZE + length + TRAILER_SIZE);
  out_end -= HEADER_SIZE + length + TRAILER_SIZE;
  if (length > 0) memcpy(frame + HEADER_SIZE, payload, length);
  wire_data_end(type, id, length);
}

/* The next `size` bytes that will be sent. */
static uint8_t *reserve(size_t size) {
  if (out_start == out_end) out_start = out_end = 0;
  if (out_size - out_end < size && out_start > 0) {
    memmove(out, out + out_start, out_end - out_start);
    out_end -= out_start;
    out_start = 0;
  }
  if (out_size - out_end < size) {
    out_size = out_end + size + OUT_SIZE;
    out = realloc(out, out_size);
    if (!out) die("no memory for the connection");
  }
  out_end += size;
  return out + out_end - size;
}

void wire_flush(void) {
  while (out_start < out_end && !blocked && stream >= 0) {
    ssize_t count = write(stream, out + out_start, out_end - out_start);
    if (count > 0) {
      out_start += (size_t)count;
    } else if (count < 0 && errno == EAGAIN) {
      blocked = true;
      loop_rewatch(stream, &stream_watch, EPOLLIN | EPOLLOUT);
    } else if (count == 0 || errno != EINTR) {
      out_start = out_end = 0;
      readable = true; /* Reading tells what is wrong. */
    }
  }
}

void wire_drain(int ms) {
  for (wire_flush(); out_start < out_end && ms > 0; ms--) {
    usleep(1000);
    blocked = false;
    wire_flush();
  }
}
