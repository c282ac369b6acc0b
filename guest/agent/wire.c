#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "command.h"
#include "facts.h"
#include "loop.h"
#include "say.h"

enum {
  IN_SIZE = 64 << 10,
  OUT_SIZE = 256 << 10, /* grows if small frames need it */
  OUT_HIGH = 192 << 10, /* above this no output is taken from commands, and nothing more heard from the host */
  READS_AT_ONCE = 64,   /* then commands have their turn */
};

static struct wire_options options;
static int stream = -1;
static struct watch stream_watch;
static struct parser parser;

static uint8_t in[IN_SIZE];
static size_t in_start, in_end;
static bool readable; /* the kernel may have more */
static bool unheard;  /* we have more, and stopped because of OUT_HIGH */

static uint8_t *out;
static size_t out_start, out_end, out_size;
static bool blocked; /* the kernel takes no more for now */

static void stream_ready(struct watch *watch, uint32_t events);
static void end_stream(void);
static void hear(void);
static void greeted(const struct finding *finding);
static void announce(void);
static uint8_t *reserve(size_t size);
static bool crowded(void) { return out_end - out_start >= OUT_HIGH; }

void wire_open(int fd, struct wire_options given) {
  options = given;
  stream = fd;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  in_start = in_end = out_start = out_end = 0;
  blocked = unheard = false;
  parser.framed = false;
  parser.zeros = 0;
  stream_watch.ready = stream_ready;
  if (!out) out = malloc(out_size = OUT_SIZE);
  if (!out) die("no memory for the connection");
  if (!loop_watch(fd, &stream_watch, EPOLLIN)) die("cannot wait for the host: %m");
  announce();
  wire_flush();
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
      hear();
    } else if (count == 0 && options.end_is_pause) {
      readable = false;
    } else if (count < 0 && errno == EAGAIN) {
      readable = false;
    } else if (count == 0 || errno != EINTR) {
      return end_stream();
    }
  }
}

/* Takes in what has come, unless the host does not take our answers: then what it asks for waits. */
static void hear(void) {
  bool found = true;
  while (found && in_start < in_end && !crowded()) {
    struct finding finding = parser_next(&parser, in + in_start, in_end - in_start);
    in_start += finding.used;
    found = finding.what != FOUND_NOTHING || finding.used > 0;
    if (finding.what == FOUND_HELLO) greeted(&finding);
    if (finding.what == FOUND_JUNK) announce();
    if (finding.what == FOUND_FRAME && !command_frame(&finding.frame)) {
      parser.framed = false;
      parser.zeros = 0;
      announce();
    }
  }
  unheard = found && in_start < in_end;
  if (in_start == in_end) in_start = in_end = 0;
  if (in_start > 0 && IN_SIZE - in_end < IN_SIZE / 2) {
    memmove(in, in + in_start, in_end - in_start);
    in_end -= in_start;
    in_start = 0;
  }
}

static void greeted(const struct finding *finding) {
  if (finding->again) return; /* Answered already, on this very stream. */
  command_hang_up_all();
  out_start = out_end = 0;
  uint8_t *agree = reserve(MAGIC_SIZE + NONCE_SIZE);
  memcpy(agree, AGREE_MAGIC, MAGIC_SIZE);
  memcpy(agree + MAGIC_SIZE, parser.nonce, NONCE_SIZE);
  char facts[FACTS_MAX];
  wire_send(FRAME_FACTS, 0, facts, facts_write(facts));
  if (finding->version != PROTOCOL_VERSION) parser.framed = false; /* The facts tell the host why nothing follows. */
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

bool wire_has_room(void) { return stream >= 0 && !crowded(); }

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
  memcpy(frame + HEADER_SIZE + length, parser.nonce + NONCE_SIZE - TRAILER_SIZE, TRAILER_SIZE);
  out_end += HEADER_SIZE + length + TRAILER_SIZE;
}

void wire_send(uint8_t type, uint32_t id, const void *payload, size_t length) {
  if (stream < 0) return;
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
