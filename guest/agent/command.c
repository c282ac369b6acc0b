#define _GNU_SOURCE
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "halt.h"
#include "identity.h"
#include "inlet.h"
#include "launch.h"
#include "names.h"
#include "request.h"
#include "running.h"
#include "streams.h"
#include "wire.h"

static struct {
  uint8_t *body; /* of an EXEC whose last frame has not come yet */
  size_t size, room;
  uint32_t id;
} unfinished;

static bool exec_frame(const struct frame *frame);
static bool make_room(size_t size);
static void forget_unfinished(void);
static void exec(uint32_t id, uint8_t *body, size_t size, bool no_stdin);
static int start(struct running *running, const struct request *request, enum launch_step *step);
static void refuse(uint32_t id, int error, const char *step);
static bool credit(struct running *running, const struct frame *frame);

bool command_frame(const struct frame *frame) {
  switch (frame->type) {
    case FRAME_EXEC: return exec_frame(frame);
    case FRAME_HALT: return halt_frame(frame);
    case FRAME_BYE: command_hang_up_all(); return true;
    case FRAME_PING: wire_send(FRAME_PONG, frame->id, frame->payload, frame->length); return true;
  }
  if (frame->type >= FRAME_FILES_FIRST) return files_heard(frame->type, frame->id, frame->payload, frame->length);
  if (frame->type == FRAME_IDENTIFY) return identity_frame(frame);
  if (frame->type > FRAME_BYE && frame->type != FRAME_SIZE) return false;
  struct running *running = running_by_id(frame->id);
  if (!running) return true; /* It ended while this was on its way. */
  switch (frame->type) {
    case FRAME_STDIN: return inlet_take(&running->in, frame->payload, frame->length);
    case FRAME_EOF: inlet_end(&running->in); return true;
    case FRAME_CREDIT: return credit(running, frame);
    case FRAME_KILL: running_kill(running); return true;
    case FRAME_SIZE: return frame->length == 4 && running_resize(running, get_u16(frame->payload), get_u16(frame->payload + 2));
    case FRAME_SIGNAL: running_signal(running, signal_number(frame->payload, frame->length)); return true;
  }
  return false;
}

static bool credit(struct running *running, const struct frame *frame) {
  if (frame->length != 5 || (frame->payload[0] != FRAME_STDOUT && frame->payload[0] != FRAME_STDERR)) return false;
  struct outlet *outlet = frame->payload[0] == FRAME_STDERR ? &running->err : &running->out;
  return outlet_credit(outlet, get_u32(frame->payload + 1));
}

static bool exec_frame(const struct frame *frame) {
  if (frame->length < 1 || frame->payload[0] > (EXEC_MORE | EXEC_NO_STDIN)) return false;
  if (unfinished.body && unfinished.id != frame->id) return false;
  size_t length = frame->length - 1;
  if (length > REQUEST_MAX - unfinished.size) return false;
  if (!make_room(unfinished.size + length)) {
    forget_unfinished();
    refuse(frame->id, ENOMEM, "request");
    return !(frame->payload[0] & EXEC_MORE); /* What follows of it has nowhere to go. */
  }
  memcpy(unfinished.body + unfinished.size, frame->payload + 1, length);
  unfinished.size += length;
  unfinished.id = frame->id;
  if (frame->payload[0] & EXEC_MORE) return true;
  exec(frame->id, unfinished.body, unfinished.size, frame->payload[0] & EXEC_NO_STDIN);
  forget_unfinished();
  return true;
}

static bool make_room(size_t size) {
  if (unfinished.body && size <= unfinished.room) return true;
  size_t room = size < HEARD_MAX ? HEARD_MAX : size * 2;
  uint8_t *body = realloc(unfinished.body, room);
  if (!body) return false;
  unfinished.body = body;
  unfinished.room = room;
  return true;
}

static void forget_unfinished(void) {
  free(unfinished.body);
  unfinished.body = NULL;
  unfinished.size = unfinished.room = 0;
}

static void exec(uint32_t id, uint8_t *body, size_t size, bool no_stdin) {
  const char *const steps[] = {[LAUNCH_FORK] = "start", [LAUNCH_CWD] = "cwd", [LAUNCH_EXEC] = "exec"};
  if (running_by_id(id)) return refuse(id, EEXIST, "request");
  struct request request;
  int error = request_parse(body, size, &request);
  const char *where = "request";
  request.no_stdin = no_stdin;
  if (error == 0) {
    struct running *running = running_new(id);
    enum launch_step step = LAUNCH_FORK;
    error = running ? start(running, &request, &step) : ENOMEM;
    where = steps[step];
    if (error == 0) request.script = -1; /* It is the command's now. */
    else if (running) running_drop(running);
  }
  request_free(&request);
  if (error != 0) refuse(id, error, where);
}

static int start(struct running *running, const struct request *request, enum launch_step *step) {
  struct streams streams;
  *step = LAUNCH_FORK;
  int error = streams_open(&streams, request);
  if (error == 0) {
    const int *theirs = streams.theirs;
    struct launch plan = {.argv = request->argv, .env = request->env, .cwd = request->cwd, .in = theirs[0], .out = theirs[1], .err = theirs[2]};
    plan.terminal = request->columns > 0;
    running->pid = launch(&plan, step);
    if (running->pid < 0) error = errno;
  }
  streams_close(streams.theirs);
  if (error != 0) {
    streams_close(streams.ours);
    return error;
  }
  const uint32_t windows[] = {request->stdout_window, request->stderr_window};
  running->script = request->script;
  running->terminal = request->columns > 0;
  running_begin(running, streams.ours, windows);
  return 0;
}

/* `ENOENT exec`: what went wrong, and at which step. */
static void refuse(uint32_t id, int error, const char *step) {
  char text[64];
  int length = snprintf(text, sizeof text, "%s %s", error_name(error), step);
  wire_send(FRAME_ERROR, id, text, (size_t)length);
}

void command_hang_up_all(void) {
  forget_unfinished();
  identity_hang_up();
  files_hang_up_all();
  running_hang_up_all();
}
