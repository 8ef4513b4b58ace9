// Linux calls that Swift's Glibc module does not show: epoll, eventfd, accept4, getrandom, prctl, mallopt, locks of open
// files, spawning with a working directory, signal handlers. Each returns -1 and sets errno where it fails, as the call it stands for.
#ifndef SLUICE_LINUX_CALLS_H
#define SLUICE_LINUX_CALLS_H

#include <stddef.h>
#include <stdint.h>

#define SLUICE_POLL_IN 1u
#define SLUICE_POLL_OUT 4u
#define SLUICE_POLL_ERROR 8u
#define SLUICE_POLL_HANGUP 16u

struct sluice_poll_event {
  uint64_t name;
  uint32_t flags;
};

/// A new epoll descriptor.
int sluice_poll_create(void);
/// Adds (what = 1), removes (2) or changes (3) the level-triggered interest in a descriptor.
int sluice_poll_control(int poll, int what, int fd, uint32_t flags, uint64_t name);
/// Waits at most `timeout` nanoseconds, without end where negative; 0 to `count` events.
int sluice_poll_wait(int poll, struct sluice_poll_event *_Nonnull events, int count, int64_t timeout);

/// A non-blocking eventfd at 0.
int sluice_event_create(void);

/// A close-on-exec pipe: ends[0] to read, ends[1] to write.
int sluice_pipe(int *_Nonnull ends);

/// Accepts a connection as a non-blocking, close-on-exec descriptor; the address goes to `address` (128 bytes).
int sluice_accept(int listener, void *_Nonnull address);

/// Fills `count` bytes (at most 256) from the system's random source.
int sluice_random_fill(void *_Nonnull bytes, size_t count);

/// The calling thread's timers fire as near to their time as the system can.
void sluice_precise_timers(void);

/// Names the calling thread, as shown by top and gdb; 15 bytes of the name count.
void sluice_name_thread(const char *_Nonnull name);

/// Keeps freed blocks of up to 32 MiB for the next allocation instead of giving them back to the system.
void sluice_keep_freed_memory(void);

/// Tells the processor that this is a spinning loop.
static inline void sluice_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Starts a program with default signal handling. The three descriptors become its 0, 1 and 2; nothing else is
/// inherited. `directory` NULL: the caller's own. Returns 0, or the error number.
int sluice_spawn(int *_Nonnull pid, const char *_Nonnull path, char *_Nullable const *_Nonnull arguments,
                 char *_Nullable const *_Nonnull environment, const char *_Nullable directory, int in, int out,
                 int err);

/// From now on each of these signals writes its number as one byte into `fd` (a non-blocking pipe) instead of its
/// default; 0 for `fd` restores the default. A SIGHUP that is ignored, as under nohup, stays so.
int sluice_signals_to(int fd, int signal);
void sluice_ignore_signal(int signal);

/// How a wait status reads: 1 and the exit code, or 2 and the signal, or 0 for anything else.
int sluice_wait_result(int status, int *_Nonnull value);

/// Takes the write lock of a whole file for its descriptor's open file (F_OFD_SETLK), without waiting.
int sluice_file_lock(int fd);
/// 1 where another open file has that lock, 0 where none has (F_OFD_GETLK).
int sluice_file_is_locked(int fd);

/// The columns of the terminal at `fd`; 0 where it is none.
int sluice_terminal_width(int fd);

#endif
