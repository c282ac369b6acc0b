/*
 * notify: tells the service manager what it reads. Node has no datagram sockets in the file system, so it is given this at the other end of a pipe.
 *
 *   notify <messages      NOTIFY_SOCKET names the socket, a path or "@name". Messages are lines; an empty line, or the end, sends what came before it.
 *
 * It lives as long as its input. A message of a process that is gone by the time it is read counts for nothing, so at the end it waits until the
 * manager has read all of them, by the barrier of sd_notify_barrier(3). A message that cannot be sent is one line on stderr and exit status 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <unistd.h>

enum { MESSAGE_MAX = 4096, BARRIER_MS = 5000 };

static struct sockaddr_un manager = { .sun_family = AF_UNIX };
static socklen_t manager_size;
static int fd;

static void fail(const char *what)
{
	fprintf(stderr, "notify: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void find_manager(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	size_t size = name ? strlen(name) : 0;

	errno = EINVAL;
	if (size < 2 || size >= sizeof manager.sun_path || (name[0] != '/' && name[0] != '@'))
		fail("NOTIFY_SOCKET");
	memcpy(manager.sun_path, name, size);
	/* An abstract name has no end: its length says where it stops. https://man7.org/linux/man-pages/man7/unix.7.html */
	manager_size = offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '/');
	if (name[0] == '@')
		manager.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
}

/* `carried` is a descriptor to send along, or -1. */
static int tell(const char *text, size_t size, int carried)
{
	struct iovec part = { .iov_base = (char *)text, .iov_len = size };
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct msghdr message = { .msg_name = &manager, .msg_namelen = manager_size, .msg_iov = &part, .msg_iovlen = 1 };

	if (carried >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof carried);
		memcpy(CMSG_DATA(&control.header), &carried, sizeof carried);
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The manager closes the descriptor it gets when it has read everything that came before. */
static void await_manager(void)
{
	static const char barrier[] = "BARRIER=1";
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0 || tell(barrier, sizeof barrier - 1, ends[1]) != 0)
		return; /* A manager of before 2020 knows no barriers. */
	close(ends[1]);
	struct pollfd closed = { .fd = ends[0] };
	poll(&closed, 1, BARRIER_MS);
}

int main(void)
{
	char message[MESSAGE_MAX], line[MESSAGE_MAX];
	size_t size = 0;
	int ended = 0;

	find_manager();
	while (!ended) {
		ended = !fgets(line, sizeof line, stdin);
		size_t length = ended ? 0 : strlen(line);

		if (length > 1) {
			if (size + length < sizeof message) {
				memcpy(message + size, line, length);
				size += length;
			}
			continue;
		}
		if (size > 0 && tell(message, size - 1, -1) != 0)
			fail("cannot tell the service manager");
		size = 0;
	}
	await_manager();
	return 0;
}
