/// A say in libcurl's TLS: settings of the `SSL_CTX` before the handshake, and a verdict on the peer's certificates
/// during it, that is, before a single byte of the request is sent.
#ifndef DSTACK_CCURL_TLS_HOOK_H
#define DSTACK_CCURL_TLS_HOOK_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

struct ssl_ctx_st;

/// One certificate, DER.
typedef struct {
    const unsigned char *bytes;
    size_t count;
} dstack_curl_certificate;

typedef struct {
    /// Passed to every function. The hook holds one reference for each `SSL_CTX` that it was installed in.
    void *context;
    void (*retain)(void *context);
    void (*release)(void *context);
    /// Called with each new `SSL_CTX` after libcurl's own settings. False fails the transfer.
    bool (*_Nullable configure)(void *context, struct ssl_ctx_st *ssl_ctx);
    /// Whether OpenSSL's own verification (chain to a trusted authority, dates, purpose) must pass first.
    bool checks_chain;
    /// Called with the certificates leaf first: those of the verified chain if `checks_chain`, else those the peer
    /// presented. False fails the handshake.
    bool (*_Nullable verify)(void *context, const dstack_curl_certificate *chain, size_t count);
    /// Called with OpenSSL's reason where its verification failed, before the handshake fails.
    void (*chain_refused)(void *context, const char *reason);
} dstack_curl_tls_hook;

/// Installs the hook in one transfer; it is read when a connection is made, so it must stay valid as long as the
/// transfer. The `SSL_CTX` may live longer (in a kept connection), which is why it holds its own copy and reference.
CURLcode dstack_curl_set_tls_hook(CURL *easy, const dstack_curl_tls_hook *hook);

/// Calls `body` with the chain that the peer of the current transfer presented, leaf first. Works only inside a
/// callback of that transfer. False if the connection is not TLS or has no peer certificate.
bool dstack_curl_peer_chain(CURL *easy, void *context,
                            void (*body)(void *context, const dstack_curl_certificate *chain, size_t count));

#pragma clang assume_nonnull end

#endif
