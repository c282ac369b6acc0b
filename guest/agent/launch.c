#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child and we share: it runs in our memory while we stand still, until it has become the program (CLONE_VFORK). */
struct shared {
  const struct launch *launch;
  const char *path; /* NULL if the program is named with a slash */
  char *candidate;
  enum launch_step step;
  int fault;
};

static struct rlimit files; /* as we were given them */
static _Alignas(16) char stack[32 << 10];

static int child(void *argument);
static int become(struct shared *shared);
static const char *path_of(char **env);

void launch_open(void) {
  getrlimit(RLIMIT_NOFILE, &files);
  struct rlimit more = files;
  more.rlim_cur = more.rlim_max;
  if (getpid() == 1) more.rlim_cur = more.rlim_max = 1 << 18;
  setrlimit(RLIMIT_NOFILE, &more);
}

pid_t launch(const struct launch *launch, enum launch_step *step) {
  struct shared shared = {.launch = launch, .step = LAUNCH_FORK};
  *step = LAUNCH_FORK;
  if (!strchr(launch->argv[0], '/')) {
    shared.path = path_of(launch->env);
    shared.candidate = malloc(strlen(shared.path) + strlen(launch->argv[0]) + 2);
    if (!shared.candidate) return -1;
  }
  pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &shared);
  int fault = pid < 0 ? errno : shared.fault;
  if (pid > 0 && shared.fault != 0) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    pid = -1;
  }
  free(shared.candidate);
  *step = shared.step;
  errno = fault;
  return pid;
}

static int child(void *argument) {
  struct shared *shared = argument;
  const struct launch *launch = shared->launch;
  setsid();
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setrlimit(RLIMIT_NOFILE, &files);
  dup2(launch->in, 0);
  dup2(launch->out, 1);
  dup2(launch->err, 2);
  if (launch->terminal) ioctl(0, TIOCSCTTY, 0);
  shared->step = LAUNCH_CWD;
  if (launch->cwd && chdir(launch->cwd) != 0) {
    shared->fault = errno;
    _exit(127);
  }
  shared->step = LAUNCH_EXEC;
  shared->fault = become(shared);
  _exit(127);
}

/* As execvp, but with the PATH of the command, and without giving text files to a shell. Comes back with an errno. */
static int become(struct shared *shared) {
  const struct launch *launch = shared->launch;
  const char *name = launch->argv[0];
  if (!shared->path) {
    execve(name, launch->argv, launch->env);
    return errno;
  }
  int fault = ENOENT;
  if (name[0] == 0) return fault;
  for (const char *dir = shared->path; dir;) {
    const char *end = strchrnul(dir, ':');
    size_t length = (size_t)(end - dir);
    memcpy(shared->candidate, dir, length);
    if (length > 0) shared->candidate[length++] = '/';
    strcpy(shared->candidate + length, name);
    /* Looked at first: an execve that finds nothing has made and dropped a whole address space, which costs as much as ten looks. */
    if (access(shared->candidate, F_OK) == 0) execve(shared->candidate, launch->argv, launch->env);
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
    if (errno == EACCES) fault = EACCES; /* A program that may not be run is worth more to know of than one that is not there. */
    dir = *end ? end + 1 : NULL;
  }
  return fault;
}

static const char *path_of(char **env) {
  for (; *env; env++)
    if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
  return "/usr/sbin:/usr/bin:/sbin:/bin";
}
