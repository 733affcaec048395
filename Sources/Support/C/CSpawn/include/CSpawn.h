#ifndef DSTACK_SPAWN_H
#define DSTACK_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Starting programs, and holding on to processes. glibc's declarations that this needs are hidden from Swift (_GNU_SOURCE).

/// What a program is started with. It gets standard streams and the descriptors that are named, no other; no blocked signal
/// and no ignored one.
struct dstack_launch {
    /// A path, or a name without a slash, which is looked for by PATH.
    const char *program;
    /// Both end with NULL; the first argument is the program's name for itself.
    char *const *arguments;
    char *const *environment;
    /// Descriptors that become 0, 1, 2 and so on, in this order. They may be open in this process by any number.
    const int *descriptors;
    size_t descriptor_count;
    /// Whether it leads a session of its own, without terminal; else a process group of its own.
    int has_session;
    /// A signal that it gets when the thread that started it ends; 0 for none. The thread, not the process: whoever asks for
    /// it must start the program from one that stays.
    int death_signal;
    /// The `cgroup.procs` file of the control group that it begins in, open for writing; -1 for that of this process.
    int control_group;
};

/// A program on its way: it has its process, and waits for its first instruction.
struct dstack_start {
    /// Its number, which stays its own until somebody waits for it.
    pid_t process;
    /// A descriptor of it (pidfd), which becomes readable when it ends, and is not inherited.
    int handle;
    int go;
    int report;
};

/// Makes the process of a program, and stops there, so that somebody can write down that there is one before it does
/// anything: if this process ends now, so does that one. Returns 0 or an error number.
int dstack_spawn_begin(const struct dstack_launch *launch, struct dstack_start *start);

/// Lets the program run, or makes an end of it. Returns 0 once it runs, or the error number; then, and where it was not to
/// run, nothing of it is left but its handle, which is for the caller to close in any case.
int dstack_spawn_finish(struct dstack_start *start, int proceeds);

/// A pipe whose ends no program inherits; the end to read never blocks. Returns 0 or an error number.
int dstack_spawn_pipe(int ends[2]);

/// A file in memory alone, with these bytes, to be read from its beginning. Negative with errno where it fails.
int dstack_spawn_memory(const void *bytes, size_t count);

/// A descriptor of a process that runs or has not been waited for (pidfd_open(2)). Negative with errno where it fails.
int dstack_process_open(pid_t process);

/// Sends a signal to the very process (pidfd_send_signal(2)). Negative with errno where it fails.
int dstack_process_signal(int handle, int signal);

// Waiting for the ends of many processes (epoll(7)). All give -1 with errno where they fail.

/// A descriptor for the following.
int dstack_watch_open(void);

/// Watches a descriptor until it is readable or has ended, once, under a number.
int dstack_watch_add(int watch, int descriptor, uint64_t number);

int dstack_watch_remove(int watch, int descriptor);

/// Waits for any of those that are watched, and gives the numbers of so many at most.
int dstack_watch_wait(int watch, uint64_t *numbers, int count);

#endif
