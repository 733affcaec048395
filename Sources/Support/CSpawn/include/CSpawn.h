#ifndef DSTACK_SPAWN_H
#define DSTACK_SPAWN_H

#include <sys/types.h>

/// Starts a program in a session of its own, with nothing at standard input and its output at the end of `log`.
///
/// It gets no other descriptor, no blocked signal and no ignored one. glibc's declarations that this needs are hidden from
/// Swift (_GNU_SOURCE).
///
/// Returns 0, or an error number.
int dstack_spawn(
    pid_t *process, const char *path, char *const *arguments, char *const *environment, const char *log);

#endif
