/* What one operation on files is to do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sha256.h"

enum files_operation { FILES_STAT = 1, FILES_LIST, FILES_DIGEST, FILES_READ, FILES_OFFER, FILES_WRITE, FILES_DIRECTORY, FILES_LINK };
enum files_flag {
  FILES_OVERWRITE = 1,
  FILES_PART = 2,   /* not all of the file, but `size` bytes of it */
  FILES_WINDOW = 4, /* of a read or a write: its bytes go by the window */
};

struct files_order {
  uint32_t output_window, answer_window;
  uint8_t operation, flags;
  uint32_t mode;
  uint64_t size, offset;
  uint8_t digest[SHA256_SIZE];
  const char *path, *target; /* of a link */
  const uint8_t *key;        /* of the tags of what goes by the window */
  bool tidy;                 /* old parts in the directory may be looked for */
};

/* False if the body, which must outlive the order, is none. */
bool files_order_parse(const uint8_t *body, size_t size, struct files_order *order);

/* The part of the path that is the directory. */
size_t files_directory(const char *path);
