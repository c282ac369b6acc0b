/*
 * leash: runs a program so that nothing it started outlives it, or outlives this process, however either ends.
 *
 *   leash -- PROGRAM ARGUMENT...
 *
 *     leash                    the process its caller knows: passes signals in and the end out
 *     └─ process 1             of a PID and mount namespace of its own, with a /proc that shows only what is inside; takes in orphans
 *        └─ PROGRAM            finds TT_LEASH="pid starttime" of the first in its environment
 *
 * The kernel kills every process of a PID namespace when its process 1 ends (pid_namespaces(7)). Process 1 ends when PROGRAM does, and is killed
 * when the first process dies (PR_SET_PDEATHSIG), by SIGKILL too. The inside is a process group of its own: what a terminal sends to its
 * foreground reaches PROGRAM once, by way of the first process. Without root a user namespace that knows this one user goes with the others.
 *
 * It ends as PROGRAM did, with its status or by its signal. What cannot be done is one line on stderr and exit status 126.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "leash"
enum { REFUSED = 126, NOT_FOUND = 127 };
#include "own.h"

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH };

/* As the program is to have it. */
static sigset_t usual_mask;

/* One user and one group, each itself: all that is allowed without root. https://man7.org/linux/man-pages/man7/user_namespaces.7.html */
static void map_user(uid_t uid, gid_t gid)
{
	char text[64];

	write_file("/proc/self/setgroups", 0, "deny");
	snprintf(text, sizeof text, "%u %u 1", uid, uid);
	write_file("/proc/self/uid_map", 0, text);
	snprintf(text, sizeof text, "%u %u 1", gid, gid);
	write_file("/proc/self/gid_map", 0, text);
}

static void pass_on(int number, pid_t to)
{
	for (size_t at = 0; at < sizeof passed_on / sizeof *passed_on; at++)
		if (passed_on[at] == number)
			kill(to, number);
}

/* Waits for a signal; gives the next child that has ended, or 0 after passing on what is no child's end. */
static pid_t next_end(pid_t to, int *status)
{
	pid_t pid = waitpid(-1, status, WNOHANG);

	if (pid != 0)
		return pid;
	sigset_t all;
	sigfillset(&all);
	int number = sigwaitinfo(&all, NULL);
	if (number > 0 && number != SIGCHLD)
		pass_on(number, to);
	return 0;
}

__attribute__((noreturn))
static void be_the_program(char **program)
{
	sigprocmask(SIG_SETMASK, &usual_mask, NULL);
	execvp(program[0], program);
	fprintf(stderr, "leash: cannot run %s: %s\n", program[0], strerror(errno));
	_exit(errno == ENOENT ? NOT_FOUND : REFUSED);
}

/* Process 1: tells how the program ended and takes all the others with it. */
__attribute__((noreturn))
static void be_the_first(char **program, int alive, int report)
{
	struct pollfd outer = { .fd = alive, .events = POLLIN };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		refuse("PR_SET_PDEATHSIG: %s", strerror(errno));
	/* It may have died before that was set; its end of the pipe is closed then. */
	if (poll(&outer, 1, 0) != 0)
		_exit(REFUSED);
	prctl(PR_SET_NAME, "leash-inside", 0, 0, 0);
	setpgid(0, 0);
	/* What is mounted outside from now on is seen inside too, not the other way round. */
	if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		refuse("cannot have mounts of its own: %s", strerror(errno));
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
		refuse("cannot mount a /proc of its own: %s", strerror(errno));

	pid_t pid = fork();
	if (pid < 0)
		refuse("cannot start a process: %s", strerror(errno));
	if (pid == 0)
		be_the_program(program);
	for (;;) {
		int status;
		pid_t gone = next_end(pid, &status);

		if (gone < 0 && errno != EINTR)
			_exit(REFUSED);
		if (gone != pid)
			continue;
		if (write(report, &status, sizeof status) != sizeof status)
			_exit(REFUSED);
		_exit(0);
	}
}

__attribute__((noreturn))
static void end_as(int status)
{
	if (WIFSIGNALED(status)) {
		int number = WTERMSIG(status);
		struct rlimit none = { 0, 0 };
		sigset_t one;

		setrlimit(RLIMIT_CORE, &none); /* The program's own is enough. */
		signal(number, SIG_DFL);
		sigemptyset(&one);
		sigaddset(&one, number);
		kill(getpid(), number);
		sigprocmask(SIG_UNBLOCK, &one, NULL);
		_exit(128 + number);
	}
	_exit(WEXITSTATUS(status));
}

int main(int count, char **arguments)
{
	int alive[2], report[2];
	char self[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	sigset_t all;

	if (count < 3 || strcmp(arguments[1], "--") != 0)
		refuse("usage: leash -- PROGRAM ARGUMENT...");
	signal(SIGCHLD, SIG_DFL); /* Where it is ignored no end is ever told. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &usual_mask);
	snprintf(self, sizeof self, "%d %llu", getpid(), start_time());
	setenv("TT_LEASH", self, 1);
	if (pipe2(alive, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0)
		refuse("cannot make a pipe: %s", strerror(errno));

	unsigned long namespaces = CLONE_NEWPID | CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER);
	pid_t first = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, 0);
	if (first < 0)
		refuse("cannot make namespaces: %s%s", strerror(errno), uid == 0 ? "; root without CAP_SYS_ADMIN may not" : "; without root it takes a system that lets users make user namespaces");
	if (first == 0) {
		close(alive[1]);
		close(report[0]);
		if (uid != 0)
			map_user(uid, gid);
		be_the_first(arguments + 2, alive[0], report[1]);
	}
	close(alive[0]);
	close(report[1]);

	int status;
	for (pid_t gone = 0; gone != first; gone = next_end(first, &status))
		if (gone < 0 && errno != EINTR)
			refuse("lost sight of what it holds: %s", strerror(errno));
	int told;
	if (read(report[0], &told, sizeof told) == sizeof told)
		end_as(told);
	end_as(status);
}
