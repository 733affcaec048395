#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

/// Nothing to read, no other descriptor, no blocked or ignored signal; and the flags given.
static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, short flags) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (code == 0) code = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (code == 0) code = posix_spawnattr_setsigmask(attributes, &none);
    if (code == 0) code = posix_spawnattr_setsigdefault(attributes, &all);
    if (code == 0) code = posix_spawnattr_setflags(attributes, flags | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return code;
}

int dstack_spawn_logging(
    pid_t *process, const char *path, char *const *arguments, char *const *environment, const char *log) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0) return code;
    code = posix_spawnattr_init(&attributes);
    if (code == 0) {
        code = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
        if (code == 0) code = posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
        if (code == 0) code = set_up(&actions, &attributes, POSIX_SPAWN_SETSID);
        if (code == 0) code = posix_spawn(process, path, &actions, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/// A pipe whose ends have numbers above those that a program is given, and that no program inherits.
static int open_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    for (int i = 0; i < 2; i++) {
        if (ends[i] > STDERR_FILENO) continue;
        int higher = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (higher < 0) {
            int code = errno;
            close(ends[0]);
            close(ends[1]);
            return code;
        }
        close(ends[i]);
        ends[i] = higher;
    }
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        int code = errno;
        close(ends[0]);
        close(ends[1]);
        return code;
    }
    return 0;
}

int dstack_spawn_piped(
    pid_t *process, const char *program, char *const *arguments, char *const *environment, int *output, int *errors) {
    int first[2], second[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = open_pipe(first);
    if (code != 0) return code;
    code = open_pipe(second);
    if (code != 0) {
        close(first[0]);
        close(first[1]);
        return code;
    }
    code = posix_spawn_file_actions_init(&actions);
    if (code == 0) {
        code = posix_spawnattr_init(&attributes);
        if (code == 0) {
            code = posix_spawn_file_actions_adddup2(&actions, first[1], STDOUT_FILENO);
            if (code == 0) code = posix_spawn_file_actions_adddup2(&actions, second[1], STDERR_FILENO);
            // A group of its own (number 0), so that its children can be ended with it.
            if (code == 0) code = set_up(&actions, &attributes, POSIX_SPAWN_SETPGROUP);
            if (code == 0) code = posix_spawnp(process, program, &actions, &attributes, arguments, environment);
            posix_spawnattr_destroy(&attributes);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    close(first[1]);
    close(second[1]);
    if (code != 0) {
        close(first[0]);
        close(second[0]);
        return code;
    }
    *output = first[0];
    *errors = second[0];
    return 0;
}
