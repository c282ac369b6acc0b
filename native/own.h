/* What launcher and leash have in common. Each defines PROGRAM, its name, and REFUSED, its exit status when it refuses, before. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One line on stderr and the end of this process. */
__attribute__((noreturn, format(printf, 1, 2)))
static void refuse(const char *format, ...)
{
	va_list values;

	fputs(PROGRAM ": ", stderr);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fputc('\n', stderr);
	_exit(REFUSED);
}

static void write_file(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	size_t size = strlen(text);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size || close(fd) != 0)
		refuse("cannot write %s: %s", path, strerror(errno));
}

/* Field 22 of stat: with the pid it names one process for as long as the machine is up. */
static unsigned long long start_time(void)
{
	char stat[1024], *word;
	FILE *file = fopen("/proc/self/stat", "re");
	size_t size = file ? fread(stat, 1, sizeof stat - 1, file) : 0;

	if (file)
		fclose(file);
	stat[size] = 0;
	word = strrchr(stat, ')'); /* The name before it may hold anything. */
	for (int field = 2; word && field < 22; field++)
		word = strchr(word + 1, ' ');
	if (!word)
		refuse("cannot read /proc/self/stat");
	return strtoull(word, NULL, 10);
}
