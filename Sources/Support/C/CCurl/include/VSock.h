/// Sockets between a virtual machine and its host (AF_VSOCK), under libcurl.
#ifndef DSTACK_CCURL_VSOCK_H
#define DSTACK_CCURL_VSOCK_H

#include "CCurlRequirements.h"

#include <curl/curl.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef struct {
    uint32_t cid;
    uint32_t port;
    int timeout_milliseconds;
    /// Set to `errno` where connecting failed.
    int error;
} dstack_curl_vsock;

/// Makes every connection of the transfer go to the given address instead of the URL's host. The struct must stay valid
/// as long as the transfer. Connecting waits on the calling thread, for `timeout_milliseconds` at most: a vsock peer is
/// on the same machine and answers or refuses at once.
CURLcode dstack_curl_use_vsock(CURL *easy, dstack_curl_vsock *address);

#pragma clang assume_nonnull end

#endif
