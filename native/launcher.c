/*
 * launcher: what has to happen between the server and a program it starts, in the program's own process.
 *
 *   launcher [option value]... -- PROGRAM ARGUMENT...
 *     --cgroup DIR         join this cgroup; once for each hierarchy
 *     --dir DIR            the program's working directory
 *     --pid-file FILE      made with "pid starttime cookie" before the program runs; if it is there already, nothing is started
 *     --cookie TEXT        the third word in it
 *     --nofile N           limit of open files
 *     --oom-score-adj N    how gladly the kernel kills it when memory runs out
 *     --tap NAME           opens this tap for the program, as descriptor 3 and, repeated, 4 and so on: no user but root need have /dev/net/tun
 *     --uid N --gid N      the user and group it runs as, with no other groups and no capabilities
 *   launcher --tsc-khz     prints the rate of the CPU's time stamp counter
 *
 * The program gets a session of its own, no open file but 0, 1, 2 and its taps, no core dumps, umask 077, and no way to gain rights by an exec.
 * It has the pid of this process. What cannot be done is one line on stderr and exit status 126.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define PROGRAM "launcher"
enum { REFUSED = 126 };
#include "own.h"

enum { MAX_CGROUPS = 32, MAX_TAPS = 16, FIRST_TAP_FD = 3 };

static struct {
	const char *cgroups[MAX_CGROUPS];
	int cgroup_count;
	const char *taps[MAX_TAPS];
	int tap_count;
	const char *dir, *pid_file, *cookie, *oom_score_adj;
	long nofile, uid, gid;
	char **program;
} asked = { .nofile = -1, .uid = -1, .gid = -1 };

static long number(const char *text, long most)
{
	char *end;

	errno = 0;
	long value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < 0 || value > most)
		refuse("%s is not a number from 0 to %ld", text, most);
	return value;
}

static void read_arguments(char **argument)
{
	for (; *argument && strcmp(*argument, "--") != 0; argument += 2) {
		const char *option = argument[0], *value = argument[1];

		if (!value)
			refuse("%s needs a value", option);
		if (!strcmp(option, "--cgroup")) {
			if (asked.cgroup_count == MAX_CGROUPS)
				refuse("more than %d cgroups", MAX_CGROUPS);
			asked.cgroups[asked.cgroup_count++] = value;
		} else if (!strcmp(option, "--tap")) {
			if (asked.tap_count == MAX_TAPS)
				refuse("more than %d taps", MAX_TAPS);
			asked.taps[asked.tap_count++] = value;
		} else if (!strcmp(option, "--dir"))
			asked.dir = value;
		else if (!strcmp(option, "--pid-file"))
			asked.pid_file = value;
		else if (!strcmp(option, "--cookie"))
			asked.cookie = value;
		else if (!strcmp(option, "--oom-score-adj"))
			asked.oom_score_adj = value;
		else if (!strcmp(option, "--nofile"))
			asked.nofile = number(value, INT_MAX);
		else if (!strcmp(option, "--uid"))
			asked.uid = number(value, INT_MAX);
		else if (!strcmp(option, "--gid"))
			asked.gid = number(value, INT_MAX);
		else
			refuse("%s is not an option", option);
	}
	if (!*argument || !argument[1])
		refuse("no program is given after --");
	asked.program = argument + 1;
	if ((asked.uid < 0) != (asked.gid < 0))
		refuse("--uid and --gid need each other");
	if (!asked.pid_file != !asked.cookie)
		refuse("--pid-file and --cookie need each other");
}

/*
 * "0" is whoever writes it, right in every pid namespace. Of v1 the file for single threads is taken: the kernel then leaves out a lock that
 * costs an RCU grace period, some 9 ms (cgroup_procs_write_start in kernel/cgroup/cgroup.c). This process has one thread, so it is the same.
 */
static void join_cgroups(void)
{
	char path[PATH_MAX];

	for (int at = 0; at < asked.cgroup_count; at++) {
		if (snprintf(path, sizeof path, "%s/tasks", asked.cgroups[at]) >= (int)sizeof path - 16)
			refuse("the cgroup's path is too long");
		if (access(path, F_OK) != 0)
			snprintf(path, sizeof path, "%s/cgroup.procs", asked.cgroups[at]);
		write_file(path, 0, "0");
	}
}

/* Whole or not at all, and never over another's: of two launchers for one guest, one starts it. */
static void write_pid_file(void)
{
	char temporary[PATH_MAX], text[512];

	if (snprintf(temporary, sizeof temporary, "%s.%d", asked.pid_file, getpid()) >= (int)sizeof temporary)
		refuse("the pid file's path is too long");
	if (snprintf(text, sizeof text, "%d %llu %s\n", getpid(), start_time(), asked.cookie) >= (int)sizeof text)
		refuse("the cookie is too long");
	unlink(temporary);
	write_file(temporary, O_CREAT | O_EXCL, text);
	int linked = link(temporary, asked.pid_file);
	int why = errno;
	unlink(temporary);
	if (linked != 0)
		refuse("cannot make %s: %s", asked.pid_file, strerror(why));
}

static void limit(int what, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(what, &now) != 0)
		refuse("getrlimit: %s", strerror(errno));
	if (now.rlim_max == RLIM_INFINITY || now.rlim_max > most)
		now.rlim_max = most; /* Only ever lowered: raising needs a right that containers do not have. */
	now.rlim_cur = now.rlim_max;
	if (setrlimit(what, &now) != 0)
		refuse("setrlimit: %s", strerror(errno));
}

/* Attaches to taps that exist; the descriptors stay open over the exec. https://docs.kernel.org/networking/tuntap.html */
static void open_taps(void)
{
	for (int at = 0; at < asked.tap_count; at++) {
		struct ifreq wanted = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
		int fd = open("/dev/net/tun", O_RDWR);

		if (fd != FIRST_TAP_FD + at)
			refuse("cannot open /dev/net/tun: %s", fd < 0 ? strerror(errno) : "its descriptor is taken");
		if (strlen(asked.taps[at]) >= sizeof wanted.ifr_name)
			refuse("%s is too long for a tap", asked.taps[at]);
		if (if_nametoindex(asked.taps[at]) == 0)
			refuse("there is no tap %s", asked.taps[at]);
		strcpy(wanted.ifr_name, asked.taps[at]);
		if (ioctl(fd, TUNSETIFF, &wanted) != 0)
			refuse("cannot attach to the tap %s: %s", asked.taps[at], strerror(errno));
	}
}

static void drop_rights(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		refuse("no_new_privs: %s", strerror(errno));
	if (asked.uid < 0)
		return;
	if (geteuid() == 0) {
		for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
		if (setgroups(0, NULL) != 0)
			refuse("setgroups: %s", strerror(errno));
	}
	if (setresgid(asked.gid, asked.gid, asked.gid) != 0 || setresuid(asked.uid, asked.uid, asked.uid) != 0)
		refuse("cannot become user %ld, group %ld: %s", asked.uid, asked.gid, strerror(errno));
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	if (asked.uid != 0 && (syscall(SYS_capset, &header, none) != 0 || setuid(0) == 0))
		refuse("could not give up root's rights");
}

#if defined(__x86_64__)
static double raw_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

struct reading { double seconds; double ticks; double width; };

/* The clock between two looks at the counter; of many, the one that was disturbed least. */
static struct reading read_both(void)
{
	struct reading best = { .width = 1e18 };

	for (int try = 0; try < 200; try++) {
		unsigned long long before = __rdtsc();
		double seconds = raw_seconds();
		unsigned long long after = __rdtsc();

		if (after - before < best.width)
			best = (struct reading){ seconds, before / 2.0 + after / 2.0, after - before };
	}
	return best;
}

static void print_tsc_khz(void)
{
	struct reading from = read_both();
	struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };

	nanosleep(&pause, NULL);
	struct reading to = read_both();
	printf("%.0f\n", (to.ticks - from.ticks) / (to.seconds - from.seconds) / 1e3);
}
#else
static void print_tsc_khz(void)
{
	refuse("this CPU has no time stamp counter");
}
#endif

int main(int count, char **arguments)
{
	if (count == 2 && !strcmp(arguments[1], "--tsc-khz")) {
		print_tsc_khz();
		return 0;
	}
	read_arguments(arguments + 1);

	if (close_range(3, ~0U, 0) != 0)
		refuse("close_range: %s", strerror(errno));
	if (setsid() < 0 && getsid(0) != getpid())
		refuse("setsid: %s", strerror(errno));
	umask(077);
	join_cgroups();
	if (asked.oom_score_adj)
		write_file("/proc/self/oom_score_adj", 0, asked.oom_score_adj);
	limit(RLIMIT_CORE, 0);
	if (asked.nofile >= 0)
		limit(RLIMIT_NOFILE, asked.nofile);
	if (asked.pid_file)
		write_pid_file();
	if (asked.dir && chdir(asked.dir) != 0)
		refuse("cannot enter %s: %s", asked.dir, strerror(errno));
	open_taps();
	drop_rights();
	execvp(asked.program[0], asked.program);
	refuse("cannot run %s: %s", asked.program[0], strerror(errno));
}
