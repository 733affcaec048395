#include "VSock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int wait_connected(int descriptor, int timeout) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLOUT};
    int ready = poll(&wanted, 1, timeout);
    if (ready < 0) return errno;
    if (ready == 0) return ETIMEDOUT;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
    return error;
}

static curl_socket_t open_vsock(void *context, curlsocktype purpose, struct curl_sockaddr *unused) {
    (void)purpose, (void)unused;
    dstack_curl_vsock *address = context;
    int descriptor = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) {
        address->error = errno;
        return CURL_SOCKET_BAD;
    }
    struct sockaddr_vm peer = {.svm_family = AF_VSOCK, .svm_cid = address->cid, .svm_port = address->port};
    int error = 0;
    if (connect(descriptor, (struct sockaddr *)&peer, sizeof peer) != 0) {
        error = errno == EINPROGRESS ? wait_connected(descriptor, address->timeout_milliseconds) : errno;
    }
    address->error = error;
    if (error != 0) {
        close(descriptor);
        return CURL_SOCKET_BAD;
    }
    return descriptor;
}

static int already_connected(void *context, curl_socket_t descriptor, curlsocktype purpose) {
    (void)context, (void)descriptor, (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

CURLcode dstack_curl_use_vsock(CURL *easy, dstack_curl_vsock *address) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_vsock);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, address);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, already_connected);
    return code;
}
