#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "files-window.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "files-work.h"
#include "poly1305.h"
#include "protocol.h"
#include "window.h"

enum {
  INPUT = 0,
  OUTPUT = 1,
  BLOCK = 4096, /* what a disk reads and writes past a cache: as large as any has them */
  PLACE_SIZE = 4,
  PIECE_SIZE = PLACE_SIZE + 4 + POLY1305_SIZE, /* u32 place, u32 length, tag; with length 0 the place is a verdict */
};

static uint8_t piece[WINDOW_PIECE] __attribute__((aligned(BLOCK)));

static bool hear(uint8_t *into, size_t size);
static size_t in_blocks(size_t size) { return (size + BLOCK - 1) / BLOCK * BLOCK; }

void files_window_open(struct files_window *window, const struct files_order *order) {
  *window = (struct files_window){.disk = window_open(order->operation == FILES_READ ? O_RDWR : O_RDONLY), .key = order->key};
  if (window->disk < 0) files_fail(errno, "window");
}

size_t files_window_take(struct files_window *window, const uint8_t **bytes) {
  uint8_t said[PIECE_SIZE], tag[POLY1305_SIZE];
  if (!hear(said, sizeof said)) return 0;
  uint32_t at = get_u32(said), size = get_u32(said + 4);
  if (size == 0) {
    window->verdict = at == FILES_WHOLE ? FILES_WHOLE : FILES_WRONG;
    return 0;
  }
  if (size > sizeof piece || at % BLOCK != 0) files_fail(EINVAL, "window");
  for (size_t done = 0; done < size;) {
    ssize_t count = pread(window->disk, piece + done, in_blocks(size) - done, (off_t)at + (off_t)done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) files_fail(count < 0 ? errno : EINVAL, "window");
    done += (size_t)count;
  }
  poly1305_tag(window->key, piece, size, tag);
  if (memcmp(tag, said + PLACE_SIZE + 4, sizeof tag) != 0) files_fail(EBADMSG, "window");
  window->at = at;
  *bytes = piece;
  return size;
}

void files_window_done(const struct files_window *window) {
  uint8_t place[PLACE_SIZE];
  put_u32(place, window->at);
  files_say(OUTPUT, place, sizeof place);
}

uint8_t *files_window_room(size_t *size) {
  *size = sizeof piece;
  return piece;
}

void files_window_give(struct files_window *window, size_t size) {
  uint8_t said[PIECE_SIZE];
  if (!hear(said, PLACE_SIZE)) _exit(2); /* Nobody wants it any more. */
  uint32_t at = get_u32(said);
  if (at % BLOCK != 0) files_fail(EINVAL, "window");
  memset(piece + size, 0, in_blocks(size) - size);
  for (size_t done = 0; done < size;) {
    ssize_t count = pwrite(window->disk, piece + done, in_blocks(size) - done, (off_t)at + (off_t)done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) files_fail(count < 0 ? errno : EINVAL, "window");
    done += (size_t)count;
  }
  put_u32(said + PLACE_SIZE, (uint32_t)size);
  poly1305_tag(window->key, piece, size, said + PLACE_SIZE + 4);
  files_say(OUTPUT, said, sizeof said);
}

/* False at the end of what the host says. */
static bool hear(uint8_t *into, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t count = read(INPUT, into + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += (size_t)count;
  }
  return true;
}
