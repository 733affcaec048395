/// Parts of the system's interface to sockets and threads that Swift's Glibc module does not show.
#ifndef DSTACK_CNETWORK_H
#define DSTACK_CNETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// A non-blocking, close-on-exec eventfd; -1 if there is none to be had.
int dstack_open_wake(void);

/// Names the calling thread (at most 15 bytes). `niceness` as nice(1) has it: 0 for an ordinary thread, up to 19 for one that
/// stands back.
void dstack_prepare_thread(const char *name, int niceness);

/// Something that waits for many descriptors (epoll); -1 with `errno` set.
int dstack_poller_new(void);

/// What a descriptor is ready for.
typedef struct {
    /// As given with the descriptor.
    uint64_t key;
    bool readable;
    bool writable;
    /// It has failed, or its other end is gone.
    bool failed;
} dstack_ready;

/// Waits for a descriptor from now on, or for something else than before; for nothing but its failure where both are false.
bool dstack_poller_set(int poller, int descriptor, uint64_t key, bool reads, bool writes);
void dstack_poller_remove(int poller, int descriptor);

/// Sleeps until a descriptor is ready, or so many milliseconds have passed; -1 for as long as it takes. Returns how many of
/// `ready`, which has room for `count` (at most 64), are filled in.
int dstack_poller_wait(int poller, dstack_ready *ready, int count, int milliseconds);

/// The address of a vsock peer or listener.
socklen_t dstack_vsock_address(uint32_t cid, uint32_t port, struct sockaddr_storage *address);

/// CID and port of a vsock address. False for another family.
bool dstack_vsock_parts(const struct sockaddr *address, socklen_t length, uint32_t *cid, uint32_t *port);

/// Binds a Unix socket so that its file has exactly the mode, and tells which file that is; -1 with `errno` set. Nothing is
/// followed or looked up again by its name: what somebody else puts at the path meanwhile is not touched, and is an error
/// (`ESTALE`).
int dstack_bind_unix(int descriptor, const struct sockaddr *address, socklen_t length, const char *path, mode_t mode,
                     dev_t *device, ino_t *inode);

/// A descriptor of the process that made a connection over a Unix socket (pidfd); -1 where the kernel has none.
///
/// Kernels before 6.5 cannot say it themselves; there it is the process that has the number now, right after the
/// connection was accepted.
int dstack_peer_process(int descriptor, int32_t pid);

/// Who holds the other end of a Unix socket.
bool dstack_peer_credentials(int descriptor, int32_t *pid, uint32_t *uid, uint32_t *gid);

#pragma clang assume_nonnull end

#endif
