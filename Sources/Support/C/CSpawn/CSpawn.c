#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// posix_spawn does most of this, but knows neither handles and control groups (before glibc 2.39) nor death signals.

/// In the child, where memory is a copy of a process with many threads: nothing here may take a lock, so no malloc either.
/// Returns an error number; not at all if the program runs.
///
/// - report: where the error is to be written; it changes on the way.
/// - go: where a byte comes from when the program may run.
static int become(const struct dstack_launch *launch, pid_t parent, int *report, int go) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL); // fails for those that have no other
    if (launch->death_signal != 0) {
        if (prctl(PR_SET_PDEATHSIG, launch->death_signal) != 0) return errno;
        // Who started it may have ended before that was in force.
        if (getppid() != parent) _exit(127);
    }
    if (launch->has_session ? setsid() < 0 : setpgid(0, 0) != 0) return errno;
    // 0 names the process that writes; before any program code runs, so that nothing of it is ever outside.
    if (launch->control_group >= 0 && write(launch->control_group, "0", 1) != 1) return errno;

    // First all of them above where they are to go, so that none is overwritten before its turn. The last two are this
    // function's own, and go with exec.
    int count = (int)launch->descriptor_count, total = count + 2, copies[total];
    for (int i = 0; i < total; i++) {
        int source = i < count ? launch->descriptors[i] : i == count ? *report : go;
        copies[i] = fcntl(source, F_DUPFD_CLOEXEC, total);
        if (copies[i] < 0) return errno;
    }
    *report = copies[count];
    for (int i = 0; i < total; i++)
        if (dup3(copies[i], i, i < count ? 0 : O_CLOEXEC) < 0) return errno;
    *report = count;
    // Also the end of `go` to write: what it waits for below is the end of the others.
    closefrom(total);

    char byte;
    ssize_t got;
    do got = read(count + 1, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1) _exit(127);

    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(launch->program, launch->arguments, launch->environment);
    return errno;
}

int dstack_spawn_begin(const struct dstack_launch *launch, struct dstack_start *start) {
    int report[2], go[2];
    if (launch->descriptor_count > 1024) return EINVAL;
    if (pipe2(report, O_CLOEXEC) != 0) return errno;
    // Sockets, which can be written to without a signal where nobody reads any more.
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) != 0) {
        int code = errno;
        close(report[0]);
        close(report[1]);
        return code;
    }
    // No handler of this process runs in the child, where it would act on a copy of this process's memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    int handle = -1;
    // A fork that gives a handle in the same step. Unlike vfork, it leaves this process's memory out of the child's reach.
    long process = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &handle, NULL, 0);
    if (process == 0) {
        int32_t code = become(launch, parent, &report[1], go[0]);
        if (write(report[1], &code, sizeof code) < 0) {}
        _exit(127);
    }
    int code = process < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    close(go[0]);
    if (code != 0) {
        close(report[0]);
        close(go[1]);
        return code;
    }
    *start = (struct dstack_start){.process = (pid_t)process, .handle = handle, .go = go[1], .report = report[0]};
    return 0;
}

int dstack_spawn_finish(struct dstack_start *start, int proceeds) {
    int32_t code = 0;
    ssize_t count = 0;
    if (proceeds && send(start->go, "", 1, MSG_NOSIGNAL) < 0) {}
    close(start->go);
    if (proceeds) {
        do count = read(start->report, &code, sizeof code);
        while (count < 0 && errno == EINTR);
    }
    close(start->report);
    // An end of the report without a word: the program runs, and exec has closed it.
    if (proceeds && count == 0) return 0;
    while (waitpid(start->process, NULL, 0) < 0 && errno == EINTR) {}
    return count == sizeof code ? code : 0;
}

int dstack_spawn_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) return 0;
    int code = errno;
    close(ends[0]);
    close(ends[1]);
    return code;
}

int dstack_spawn_memory(const void *bytes, size_t count) {
    int file = memfd_create("input", MFD_CLOEXEC);
    if (file < 0) return -1;
    for (size_t written = 0; written < count;) {
        ssize_t part = pwrite(file, (const char *)bytes + written, count - written, (off_t)written);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) {
            int code = part < 0 ? errno : ENOSPC;
            close(file);
            errno = code;
            return -1;
        }
        written += (size_t)part;
    }
    return file;
}

int dstack_process_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int dstack_process_signal(int handle, int signal) { return (int)syscall(SYS_pidfd_send_signal, handle, signal, NULL, 0); }

int dstack_watch_open(void) { return epoll_create1(EPOLL_CLOEXEC); }

int dstack_watch_add(int watch, int descriptor, uint64_t number) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = number};
    return epoll_ctl(watch, EPOLL_CTL_ADD, descriptor, &event);
}

int dstack_watch_remove(int watch, int descriptor) { return epoll_ctl(watch, EPOLL_CTL_DEL, descriptor, NULL); }

int dstack_watch_wait(int watch, uint64_t *numbers, int count) {
    struct epoll_event events[64];
    int found = epoll_wait(watch, events, count < 64 ? count : 64, -1);
    for (int i = 0; i < found; i++) numbers[i] = events[i].data.u64;
    return found;
}
