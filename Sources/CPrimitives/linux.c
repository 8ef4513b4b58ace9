#define _GNU_SOURCE
#include "LinuxCalls.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

_Static_assert(SLUICE_POLL_IN == EPOLLIN && SLUICE_POLL_OUT == EPOLLOUT, "the names are epoll's");
_Static_assert(SLUICE_POLL_ERROR == EPOLLERR && SLUICE_POLL_HANGUP == EPOLLHUP, "the names are epoll's");

int sluice_poll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int sluice_poll_control(int poll, int what, int fd, uint32_t flags, uint64_t name) {
  struct epoll_event event = {.events = flags, .data.u64 = name};
  return epoll_ctl(poll, what, fd, &event);
}

int sluice_poll_wait(int poll, struct sluice_poll_event *events, int count, int64_t timeout) {
  struct epoll_event raw[128];
  if (count > 128) count = 128;
  struct timespec time = {.tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000};
  int got = epoll_pwait2(poll, raw, count, timeout < 0 ? NULL : &time, NULL);
  for (int i = 0; i < got; i++) {
    events[i].name = raw[i].data.u64;
    events[i].flags = raw[i].events;
  }
  return got;
}

int sluice_event_create(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int sluice_pipe(int *ends) { return pipe2(ends, O_CLOEXEC); }

int sluice_accept(int listener, void *address) {
  socklen_t size = 128;
  return accept4(listener, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int sluice_random_fill(void *bytes, size_t count) { return (int)getrandom(bytes, count, 0); }

void sluice_precise_timers(void) { prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); }

void sluice_name_thread(const char *name) {
  char cut[16];
  strncpy(cut, name, 15);
  cut[15] = 0;
  pthread_setname_np(pthread_self(), cut);
}

void sluice_keep_freed_memory(void) {
  // 32 MiB is the highest threshold glibc takes. Blocks below it come from the heap from the first one on, where a freed
  // fetch buffer serves the next fetch; glibc's own threshold comes there only after it has mapped and unmapped a block
  // of each size. In a steady stream of 2 MiB frames both fault in about 4% of the pages received.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

int sluice_spawn(int *pid, const char *path, char *const *arguments, char *const *environment, const char *directory,
                 int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int failure = posix_spawn_file_actions_init(&actions);
  if (failure) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (failure) {
    posix_spawn_file_actions_destroy(&actions);
    return failure;
  }
  // The three are first moved out of each other's way, then to their places; dup2 clears close-on-exec.
  int moved[3] = {in, out, err};
  for (int i = 0; i < 3 && !failure; i++) {
    if (moved[i] < 3) {
      failure = posix_spawn_file_actions_adddup2(&actions, moved[i], 1000 + i);
      moved[i] = 1000 + i;
    }
  }
  for (int i = 0; i < 3 && !failure; i++) failure = posix_spawn_file_actions_adddup2(&actions, moved[i], i);
  // Also what others opened without close-on-exec: a stranger holding a pipe or a lock open is hard to find.
  if (!failure) failure = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  if (!failure && directory) failure = posix_spawn_file_actions_addchdir_np(&actions, directory);
  sigset_t all, none;
  sigfillset(&all);
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
  sigemptyset(&none);
  if (!failure) failure = posix_spawnattr_setsigdefault(&attributes, &all);
  if (!failure) failure = posix_spawnattr_setsigmask(&attributes, &none);
  if (!failure) failure = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  if (!failure) failure = posix_spawnp(pid, path, &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

static volatile int signalPipe = -1;

static void tellPipe(int number) {
  int saved = errno;
  unsigned char byte = (unsigned char)number;
  // A full pipe drops the signal: there are thousands unread before it.
  if (signalPipe >= 0 && write(signalPipe, &byte, 1) < 0) { /* nothing can be done here */ }
  errno = saved;
}

int sluice_signals_to(int fd, int number) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  if (fd > 0) {
    struct sigaction before;
    // nohup: who started us wants us to outlive the terminal.
    if (number == SIGHUP && sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN) return 0;
    signalPipe = fd;
    action.sa_handler = tellPipe;
  } else {
    action.sa_handler = SIG_DFL;
  }
  return sigaction(number, &action, NULL);
}

void sluice_ignore_signal(int number) { signal(number, SIG_IGN); }

int sluice_wait_result(int status, int *value) {
  if (WIFEXITED(status)) {
    *value = WEXITSTATUS(status);
    return 1;
  }
  if (WIFSIGNALED(status)) {
    *value = WTERMSIG(status);
    return 2;
  }
  return 0;
}

static struct flock wholeFile(void) { return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET}; }

int sluice_file_lock(int fd) {
  struct flock lock = wholeFile();
  return fcntl(fd, F_OFD_SETLK, &lock);
}

int sluice_file_is_locked(int fd) {
  struct flock lock = wholeFile();
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -1;
  return lock.l_type != F_UNLCK;
}

int sluice_terminal_width(int fd) {
  struct winsize size;
  if (!isatty(fd)) return 0;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
