#include "files-order.h"

#include <string.h>

#include "poly1305.h"
#include "protocol.h"

/* u32 window of the output, u32 of the answer, u8 operation, u8 flags, u32 mode, u64 size, u64 offset, sha256, path 0, target 0; by the window also 32 bytes of key */
enum { FIXED_SIZE = 4 + 4 + 1 + 1 + 4 + 8 + 8 + SHA256_SIZE };

static uint64_t get_u64(const uint8_t *at) { return get_u32(at) | (uint64_t)get_u32(at + 4) << 32; }

bool files_order_parse(const uint8_t *body, size_t size, struct files_order *order) {
  bool by_window = size > FIXED_SIZE && (body[9] & FILES_WINDOW);
  if (by_window && size < FIXED_SIZE + POLY1305_KEY_SIZE) return false;
  if (by_window) size -= POLY1305_KEY_SIZE;
  if (size < FIXED_SIZE + 2 || body[size - 1] != 0) return false;
  *order = (struct files_order){.output_window = get_u32(body),
                                .answer_window = get_u32(body + 4),
                                .operation = body[8],
                                .flags = body[9],
                                .mode = get_u32(body + 10),
                                .size = get_u64(body + 14),
                                .offset = get_u64(body + 22),
                                .path = (const char *)body + FIXED_SIZE,
                                .key = by_window ? body + size : NULL};
  memcpy(order->digest, body + 30, SHA256_SIZE);
  size_t path = strlen(order->path);
  if (FIXED_SIZE + path + 1 >= size) return false; /* The only zero was the last byte. */
  order->target = order->path + path + 1;
  if (FIXED_SIZE + path + 1 + strlen(order->target) + 1 != size) return false;
  return order->path[0] == '/' && order->operation >= FILES_STAT && order->operation <= FILES_LINK && order->flags <= (FILES_OVERWRITE | FILES_PART | FILES_WINDOW) &&
         (!by_window || order->operation == FILES_WRITE || (order->operation == FILES_READ && order->offset == 0)) &&
         order->mode <= 07777 && order->size <= INT64_MAX && order->offset <= INT64_MAX;
}

size_t files_directory(const char *path) { return (size_t)(strrchr(path, '/') - path); }
