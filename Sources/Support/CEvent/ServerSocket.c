#define _GNU_SOURCE
#include "ServerSocket.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

int dstack_server_open_wake(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void dstack_server_prepare_thread(const char *name) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), name);
}

int dstack_server_bind_vsock(uint32_t cid, uint32_t port) {
    int descriptor = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -1;
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(descriptor);
        errno = error;
        return -1;
    }
    return descriptor;
}

bool dstack_server_vsock_address(const struct sockaddr *address, socklen_t length, uint32_t *cid, uint32_t *port) {
    if (address->sa_family != AF_VSOCK || length < sizeof(struct sockaddr_vm)) return false;
    const struct sockaddr_vm *vsock = (const struct sockaddr_vm *)address;
    *cid = vsock->svm_cid;
    *port = vsock->svm_port;
    return true;
}

bool dstack_server_peer_credentials(int descriptor, int32_t *pid, uint32_t *uid, uint32_t *gid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return false;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return true;
}
