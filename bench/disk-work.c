/*
 * disk-work: moves bytes between a file and memory around the guest's cache, and prints the milliseconds it took.
 *
 *   disk-work write|read FILE MIB TIMES           all of it in order, 1 MiB at a time, so many times
 *   disk-work randwrite|randread FILE MIB TIMES   so many times 4 KiB, somewhere in it
 *
 * What is written is on the disk when the time is taken. Random places are the same in every run.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = 1 << 20, SMALL = 4096 };

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int count, char **arguments)
{
	if (count < 5)
		return 2;
	int is_random = !strncmp(arguments[1], "rand", 4);
	int is_write = strstr(arguments[1], "write") != NULL;
	long mib = atol(arguments[3]), rounds = atol(arguments[4]) * (is_random ? 1 : mib);
	size_t size = is_random ? SMALL : LARGE;
	int fd = open(arguments[2], (is_write ? O_WRONLY | O_CREAT : O_RDONLY) | O_DIRECT, 0600);
	void *bytes;
	unsigned long long dice = 88172645463325252ULL;

	if (fd < 0 || posix_memalign(&bytes, SMALL, size) != 0) {
		perror(arguments[2]);
		return 1;
	}
	memset(bytes, 'x', size);
	double begun = now_ms();
	for (long at = 0; at < rounds; at++) {
		dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
		off_t offset = is_random ? (off_t)(dice % (mib * (LARGE / SMALL))) * SMALL : (off_t)(at % mib) * LARGE;
		ssize_t done = is_write ? pwrite(fd, bytes, size, offset) : pread(fd, bytes, size, offset);
		if (done != (ssize_t)size) {
			perror("disk-work");
			return 1;
		}
	}
	if (is_write && fdatasync(fd) != 0) {
		perror("fdatasync");
		return 1;
	}
	printf("%.3f\n", now_ms() - begun);
	return 0;
}
