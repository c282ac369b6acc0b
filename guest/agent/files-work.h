/* Operations on files, as a process of their own does them: what it is given comes on 0, bytes go to 1, the answer to 2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "files-order.h"

/* Does it and ends the process: with 0 after the answer, with 1 after `ENOENT open`, the errno and the step that failed. */
__attribute__((noreturn)) void files_work(const struct files_order *order);

/* For its parts. */
__attribute__((noreturn)) void files_fail(int error, const char *step);
void files_say(int fd, const void *bytes, size_t size);

/* Descriptors of regular files; everything else is refused before it is opened, because to open alone may do something. */
int files_open(const char *path, struct stat *about);

/* Adds the file's next `size` bytes to the hash. False if it has not so many. */
bool files_hash(int fd, uint64_t size, struct sha256 *hash);

/* What `list` and `stat` say of one thing; 0 if it is neither file, directory nor link. */
enum { FILES_ENTRY_MAX = 17 + 256 + 4096 };
size_t files_entry(int directory, const char *path, const char *name, uint8_t entry[FILES_ENTRY_MAX]);

/* Is it one of our part files, which nobody is told of? */
bool files_is_part(const char *name);

void files_offer(const struct files_order *order);
void files_write(const struct files_order *order);
void files_make_directory(const struct files_order *order);
void files_make_link(const struct files_order *order);

enum { FILES_BUFFER = 256 << 10 };
extern uint8_t files_buffer[FILES_BUFFER];
