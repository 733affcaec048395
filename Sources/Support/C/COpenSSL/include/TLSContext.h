#ifndef DSTACK_TLS_CONTEXT_H
#define DSTACK_TLS_CONTEXT_H

#include "COpenSSLRequirements.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What every SSL_CTX of this project is given, whoever made it: a server here, libcurl, or an application.

/// One certificate, DER.
typedef struct {
    const uint8_t *bytes;
    size_t count;
} dstack_certificate;

/// A private key with its certificates, read and found to go together. It does not change, so threads may share it.
typedef struct dstack_tls_identity dstack_tls_identity;

/// Reads a key (PEM, unencrypted) and certificates, leaf first. Null with a reason, of `error_size` bytes.
dstack_tls_identity *dstack_tls_identity_new(
    const uint8_t *key_pem, size_t key_length, const dstack_certificate *chain, size_t count, char *error,
    size_t error_size);
void dstack_tls_identity_free(dstack_tls_identity *identity);

/// Makes an identity the one that a context presents in later handshakes, in place of what it had. False if OpenSSL does
/// not take it; the context is then as it was.
bool dstack_tls_use_identity(SSL_CTX *context, const dstack_tls_identity *identity);

/// What this project speaks, at the least: TLS 1.2 (or what `minimum_version` says, if that is more) with authenticated
/// encryption and forward secrecy, no renegotiation, no compression; and the certificates that were given go out, without
/// what trusted authorities could add to them.
bool dstack_tls_set_rules(SSL_CTX *context, int minimum_version);

/// No session is resumed, so that every connection passes the whole handshake and what is checked in it.
void dstack_tls_refuse_resumption(SSL_CTX *context);

/// A say on peers' certificates.
typedef struct {
    /// Passed to the functions. The context holds a reference, which `release` gives back at its end.
    void *object;
    void (*release)(void *object);
    /// Whether OpenSSL's own verification (chain to a trusted authority, dates, purpose) must pass first.
    bool checks_chain;
    /// Called with the certificates leaf first: those of the verified chain if `checks_chain`, else those the peer presented.
    /// False fails the handshake. Null accepts.
    bool (*verify)(void *object, SSL *connection, const dstack_certificate *chain, size_t count);
    /// Called with OpenSSL's reason where its verification failed, before the handshake fails. May be null.
    void (*chain_refused)(void *object, const char *reason);
} dstack_tls_verifier;

/// Makes a verifier decide on the peers of a context, in place of one that is there. Whether peers are asked for
/// certificates is for `SSL_CTX_set_verify` to say. The reference is taken over, also where it fails (memory).
bool dstack_tls_set_verifier(SSL_CTX *context, const dstack_tls_verifier *verifier);

/// Encodes a chain and hands it on; what `body` says. False for none, for more certificates than have an honest use, or one
/// that cannot be encoded. `leaf` stands before `others`; null if these begin with it.
bool dstack_tls_with_encoded(
    X509 *leaf, STACK_OF(X509) *others, void *context, bool (*body)(void *, const dstack_certificate *, size_t));

/// What a server's context is made from.
typedef struct {
    int minimum_version;
    /// The protocols that are taken by ALPN, as on the wire (RFC 7301): each a byte of length and the name, the preferred one
    /// first. None: nothing is selected, whatever a client offers.
    const uint8_t *protocols;
    size_t protocols_count;
    /// Whether a client that offers protocols, and none of these, is refused (as RFC 7301 has it), or served without one.
    bool requires_protocol;
    /// Whether sessions are resumed, by stateless tickets whose keys are the context's own.
    bool resumes;
} dstack_tls_server_settings;

/// A server's context, without an identity yet; null if memory is short.
SSL_CTX *dstack_tls_server_new(const dstack_tls_server_settings *settings);

/// Adds an identity for clients who ask for a name (SNI): lower-case, without a dot at the end; `*.example.org` stands for
/// one label. A name that is there already keeps its identity. The names are copied, and the identity's parts shared.
/// Clients who ask for another name, or none, see the identity that the context uses (``dstack_tls_use_identity``).
bool dstack_tls_add_identity(SSL_CTX *server, const dstack_tls_identity *identity, const char *name);

/// Asks clients for a certificate, and fails the handshake of one that has none if `required`. Sessions are not resumed from
/// then on. Authorities (PEM), if there are any, are those that a verifier with `checks_chain` trusts, and that clients are
/// told of; false if they cannot be read.
bool dstack_tls_ask_client(SSL_CTX *server, bool required, const void *authorities, size_t authorities_count);

#endif
