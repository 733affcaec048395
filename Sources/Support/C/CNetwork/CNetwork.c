#define _GNU_SOURCE
#include "CNetwork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

int dstack_open_wake(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void dstack_prepare_thread(const char *name, int niceness) {
    pthread_setname_np(pthread_self(), name);
    // On Linux this is a thread's own, and 0 names the calling one. Where it cannot be had, the thread is as all others.
    if (niceness != 0) setpriority(PRIO_PROCESS, 0, niceness);
}

int dstack_poller_new(void) { return epoll_create1(EPOLL_CLOEXEC); }

bool dstack_poller_set(int poller, int descriptor, uint64_t key, bool reads, bool writes) {
    struct epoll_event event = {.events = (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0), .data.u64 = key};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, descriptor, &event) == 0) return true;
    return errno == ENOENT && epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void dstack_poller_remove(int poller, int descriptor) { epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, NULL); }

int dstack_poller_wait(int poller, dstack_ready *ready, int count, int milliseconds) {
    struct epoll_event events[64];
    int found = epoll_wait(poller, events, count < 64 ? count : 64, milliseconds);
    for (int index = 0; index < found; index++) {
        uint32_t what = events[index].events;
        ready[index] = (dstack_ready){events[index].data.u64, what & EPOLLIN, what & EPOLLOUT, what & (EPOLLERR | EPOLLHUP)};
    }
    return found < 0 ? 0 : found;
}

socklen_t dstack_vsock_address(uint32_t cid, uint32_t port, struct sockaddr_storage *address) {
    struct sockaddr_vm vsock = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    memset(address, 0, sizeof *address);
    memcpy(address, &vsock, sizeof vsock);
    return sizeof vsock;
}

bool dstack_vsock_parts(const struct sockaddr *address, socklen_t length, uint32_t *cid, uint32_t *port) {
    if (address->sa_family != AF_VSOCK || length < sizeof(struct sockaddr_vm)) return false;
    const struct sockaddr_vm *vsock = (const struct sockaddr_vm *)address;
    *cid = vsock->svm_cid;
    *port = vsock->svm_port;
    return true;
}

// Sets the mode of the socket file behind a descriptor that names it (O_PATH), if the umask took something from it.
static int give_mode(int file, const struct stat *status, mode_t mode) {
    if ((status->st_mode & 07777) == mode) return 0;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return chmod(path, mode);
}

int dstack_bind_unix(int descriptor, const struct sockaddr *address, socklen_t length, const char *path, mode_t mode,
                     dev_t *device, ino_t *inode) {
    // The file gets the socket's own mode less the umask, so it never has more than the wanted bits.
    if (fchmod(descriptor, mode) != 0 || bind(descriptor, address, length) != 0) return -1;
    int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return -1;
    struct stat status;
    int result = fstat(file, &status);
    if (result == 0 && (!S_ISSOCK(status.st_mode) || status.st_nlink != 1 || status.st_uid != geteuid())) {
        errno = ESTALE;
        result = -1;
    }
    if (result == 0) result = give_mode(file, &status, mode);
    int error = errno;
    close(file);
    errno = error;
    *device = status.st_dev;
    *inode = status.st_ino;
    return result;
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int dstack_peer_process(int descriptor, int32_t pid) {
    int process = -1;
    socklen_t length = sizeof process;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERPIDFD, &process, &length) == 0) return process;
    // Another reason than an older kernel: the process has ended.
    if (errno != ENOPROTOOPT) return -1;
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
#else
    return -1;
#endif
}

bool dstack_peer_credentials(int descriptor, int32_t *pid, uint32_t *uid, uint32_t *gid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return false;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return true;
}
