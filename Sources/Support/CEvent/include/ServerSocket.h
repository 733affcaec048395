/// Parts of the socket interface that Swift's Glibc module does not show.
#ifndef DSTACK_CEVENT_SERVER_SOCKET_H
#define DSTACK_CEVENT_SERVER_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#pragma clang assume_nonnull begin

/// A non-blocking, close-on-exec eventfd; -1 if there is none to be had.
int dstack_server_open_wake(void);

/// Names the calling thread (at most 15 bytes) and keeps signals from being delivered to it; SIGPIPE among them, which
/// OpenSSL's writes to a closed connection would raise.
void dstack_server_prepare_thread(const char *name);

/// A bound vsock socket, non-blocking and close-on-exec; -1 with `errno` set.
int dstack_server_bind_vsock(uint32_t cid, uint32_t port);

/// CID and port of a vsock address. False for another family.
bool dstack_server_vsock_address(const struct sockaddr *address, socklen_t length, uint32_t *cid, uint32_t *port);

/// Who holds the other end of a Unix socket.
bool dstack_server_peer_credentials(int descriptor, int32_t *pid, uint32_t *uid, uint32_t *gid);

#pragma clang assume_nonnull end

#endif
