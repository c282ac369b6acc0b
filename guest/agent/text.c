#include "text.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "say.h"

bool text_read(const char *path, char *text, size_t size) {
  text[0] = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t end = 0;
  for (ssize_t count; end < size - 1 && (count = read(fd, text + end, size - 1 - end)) > 0;) end += (size_t)count;
  close(fd);
  if (end > 0 && text[end - 1] == '\n') end--;
  text[end] = 0;
  return true;
}

bool text_word(const char *line, const char *key, char *value, size_t size) {
  size_t length = strlen(key);
  value[0] = 0;
  for (const char *word = line + strspn(line, " \t\n"); *word; word += strspn(word, " \t\n")) {
    size_t end = strcspn(word, " \t\n");
    if (end > length && word[length] == '=' && strncmp(word, key, length) == 0 && end - length <= size) {
      memcpy(value, word + length + 1, end - length - 1);
      value[end - length - 1] = 0;
      return true;
    }
    word += end;
  }
  return false;
}

void text_write(const char *path, const char *text) {
  size_t length = strlen(text);
  char had[4096];
  if (text_read(path, had, sizeof had) && length > 0 && strlen(had) == length - 1 && strncmp(had, text, length - 1) == 0) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, text, length) != (ssize_t)length) say("cannot write %s: %m", path);
  if (fd >= 0) close(fd);
}
