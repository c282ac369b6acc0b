/* Texts that are run: held in memory, where whoever runs them reads them by a path. */
#pragma once

#include <stddef.h>

enum { SCRIPT_WORDS = 3 };

/* The descriptor of the text in memory, by which it can be read but not written; or -1 with errno. */
int script_open(const char *text, size_t length);

/*
 * The words to run it by, of which there are at most SCRIPT_WORDS: what its first line names after `#!`, with what else is there as one word, or else the shell; then the path of `script`.
 * Gives how many, or 0 if its first line names nothing. Cuts the text into words, which must outlive them.
 */
size_t script_words(char *text, int script, char *words[SCRIPT_WORDS]);
