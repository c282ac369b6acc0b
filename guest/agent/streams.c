#define _GNU_SOURCE
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int open_pipes(struct streams *streams, bool no_stdin);
static int open_terminal(struct streams *streams, const struct request *request);

int streams_open(struct streams *streams, const struct request *request) {
  *streams = (struct streams){{-1, -1, -1}, {-1, -1, -1}};
  return request->columns > 0 ? open_terminal(streams, request) : open_pipes(streams, request->no_stdin);
}

static int open_pipes(struct streams *streams, bool no_stdin) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, error = 0;
  if (no_stdin) in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if ((no_stdin ? in[0] < 0 : pipe2(in, O_CLOEXEC) != 0) || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) error = errno;
  *streams = (struct streams){{in[0], out[1], err[1]}, {in[1], out[0], err[0]}};
  return error;
}

/* Two descriptors for our end, as each is waited for by itself. */
static int open_terminal(struct streams *streams, const struct request *request) {
  const struct winsize size = {.ws_col = request->columns, .ws_row = request->rows};
  struct termios settings;
  int off = 0, ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  streams->ours[1] = ours;
  if (ours < 0 || ioctl(ours, TIOCSPTLCK, &off) != 0) return errno;
  int theirs = streams->theirs[0] = ioctl(ours, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (theirs < 0 || ioctl(theirs, TIOCSWINSZ, &size) != 0 || tcgetattr(theirs, &settings) != 0) return errno;
  settings.c_iflag |= IUTF8;
  if (tcsetattr(theirs, TCSANOW, &settings) != 0) return errno;
  streams->theirs[1] = fcntl(theirs, F_DUPFD_CLOEXEC, 3);
  streams->theirs[2] = fcntl(theirs, F_DUPFD_CLOEXEC, 3);
  if (!request->no_stdin) streams->ours[0] = fcntl(ours, F_DUPFD_CLOEXEC, 3);
  return streams->theirs[1] < 0 || streams->theirs[2] < 0 || (!request->no_stdin && streams->ours[0] < 0) ? errno : 0;
}

void streams_close(int ends[3]) {
  for (int i = 0; i < 3; i++)
    if (ends[i] >= 0) close(ends[i]);
}
