#ifndef DSTACK_SPAWN_H
#define DSTACK_SPAWN_H

#include <sys/types.h>

// Starting programs. What is started gets nothing at standard input, no descriptor but 0 to 2, no blocked signal and no
// ignored one. glibc's declarations that this needs are hidden from Swift (_GNU_SOURCE). All return 0 or an error number.

/// Starts a program in a session of its own, its output at the end of the file `log`.
int dstack_spawn_logging(
    pid_t *process, const char *path, char *const *arguments, char *const *environment, const char *log);

/// Starts a program, found by PATH unless its name has a slash, as leader of a process group of its own, with pipes to
/// read what it writes to standard output and standard error. The ends to read never block, and are not inherited.
int dstack_spawn_piped(
    pid_t *process, const char *program, char *const *arguments, char *const *environment, int *output, int *errors);

#endif
