/// A say in libcurl's TLS: settings of the `SSL_CTX` before the handshake, and a verdict on the peer's certificates
/// during it, that is, before a single byte of the request is sent.
#ifndef DSTACK_CCURL_TLS_HOOK_H
#define DSTACK_CCURL_TLS_HOOK_H

#include "CCurlRequirements.h"

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
    /// presented; and with the version of TLS that was agreed. False fails the handshake. What it gives as `connection`
    /// stays with the connection, which releases it with `release_connection` at its end.
    bool (*_Nullable verify)(void *context, const dstack_curl_certificate *chain, size_t count, const char *version,
                             void *_Nullable *_Nonnull connection);
    void (*release_connection)(void *connection);
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

/// What the verifier gave for the connection that the transfer uses at the moment; null without TLS or verifier. Works
/// only inside a callback of that transfer.
void *_Nullable dstack_curl_connection(CURL *easy);

/// Exported keying material of the transfer's connection (RFC 8446 section 7.5), with an empty context. False if the
/// connection is not of TLS 1.3: older exporters do not cover the handshake unless an extension says so. Works only inside
/// a callback of that transfer.
bool dstack_curl_export(CURL *easy, const char *label, unsigned char *material, size_t count);

typedef struct {
    void *context;
    /// Called when the transfer has a connection, new or kept, and before it sends anything over it; also again where
    /// libcurl takes another connection because a kept one turned out to be dead. False ends the transfer.
    bool (*admits)(void *context);
} dstack_curl_admission;

/// The struct must stay valid as long as the transfer.
CURLcode dstack_curl_set_before_request(CURL *easy, const dstack_curl_admission *admission);

#pragma clang assume_nonnull end

#endif
