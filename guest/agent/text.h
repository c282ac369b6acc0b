/* Small files and the words in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The start of a file, without the line end; false if there is none. */
bool text_read(const char *path, char *text, size_t size);

/* The word `key=value` of a line, or an empty value and false. */
bool text_word(const char *line, const char *key, char *value, size_t size);

/* Makes the file hold this text, unless it does already; says so if it cannot. */
void text_write(const char *path, const char *text);

/* Puts the text in the place of the file, at once; nothing is written if it is there already. A file that is there keeps its mode and owner. 0 or an errno. */
int text_replace(const char *path, const char *text, unsigned mode);
