/* Bytes of files that come or go by the window (window.h) in pieces of which the host says, and is told, only where they lie; each with its tag. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files-order.h"

enum files_verdict { FILES_CUT_SHORT, FILES_WHOLE, FILES_WRONG };

struct files_window {
  int disk;
  const uint8_t *key;
  uint32_t at;                /* where the piece lies that is in hand */
  enum files_verdict verdict; /* what the host said when there were no more pieces */
};

/* Fails the operation if the window is not there. */
void files_window_open(struct files_window *window, const struct files_order *order);

/* The next piece that the host has put there; 0 at the end. `done` gives its place back. */
size_t files_window_take(struct files_window *window, const uint8_t **bytes);
void files_window_done(const struct files_window *window);

/* Room for the next piece, and how much; then `give` puts it into a place that the host has left to us, and says so. */
uint8_t *files_window_room(size_t *size);
void files_window_give(struct files_window *window, size_t size);
