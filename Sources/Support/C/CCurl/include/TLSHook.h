/// A say in libcurl's TLS: settings of the `SSL_CTX` before the handshake, and what became of its connections.
#ifndef DSTACK_CCURL_TLS_HOOK_H
#define DSTACK_CCURL_TLS_HOOK_H

#include "CCurlRequirements.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

struct ssl_ctx_st;
struct ssl_st;

typedef struct {
    void *context;
    /// Called with each new `SSL_CTX` after libcurl's own settings, before the handshake. False fails the transfer.
    bool (*configure)(void *context, struct ssl_ctx_st *ssl_ctx);
} dstack_curl_tls_hook;

/// Installs the hook in one transfer; it must stay valid as long as the transfer. The `SSL_CTX` may live longer (in a kept
/// connection).
CURLcode dstack_curl_set_tls_hook(CURL *easy, const dstack_curl_tls_hook *hook);

/// The `SSL` of the connection that the transfer uses at the moment; null without TLS. Works only inside a callback of that
/// transfer.
struct ssl_st *_Nullable dstack_curl_connection(CURL *easy);

typedef struct {
    void *context;
    /// Called when the transfer has a connection, new or kept, and before it sends anything over it; also again where
    /// libcurl takes another connection because a kept one turned out to be dead. False ends the transfer.
    bool (*admits)(void *context);
} dstack_curl_admission;

/// The struct must stay valid as long as the transfer.
CURLcode dstack_curl_set_before_request(CURL *easy, const dstack_curl_admission *admission);

typedef struct {
    void *context;
    /// Gives a socket that is connected already, -1 for none.
    int (*open)(void *context);
} dstack_curl_opener;

/// Has a transfer's connections made by somebody else. The struct must stay valid as long as the transfer.
CURLcode dstack_curl_set_opener(CURL *easy, const dstack_curl_opener *opener);

#pragma clang assume_nonnull end

#endif
