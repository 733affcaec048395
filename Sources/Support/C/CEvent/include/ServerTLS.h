/// The server side of TLS over a non-blocking socket: OpenSSL with the choices of this project.
///
/// None of these functions may be called for one connection from two threads.
#ifndef DSTACK_CEVENT_SERVER_TLS_H
#define DSTACK_CEVENT_SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

struct ssl_ctx_st;
struct ssl_st;

/// One certificate, DER.
typedef struct {
    const unsigned char *bytes;
    size_t count;
} dstack_tls_certificate;

typedef bool (*dstack_tls_verify)(void *context, const dstack_tls_certificate *chain, size_t count);

/// A server context: TLS 1.2 and 1.3, HTTP/1.1 by ALPN, no renegotiation, no compression.
///
/// `chain` and `key` are PEM; the key must be unencrypted. `suites` are those of TLS 1.2, as OpenSSL writes lists of them.
/// Null with a reason in `error` (of `error_size` bytes).
struct ssl_ctx_st *_Nullable dstack_tls_server_new(const void *chain, size_t chain_count, const void *key,
                                                   size_t key_count, const char *suites, char *error,
                                                   size_t error_size);

/// Asks clients for a certificate, and fails the handshake of one that has none if `required`.
///
/// A certificate must lead to one of `authorities` (PEM) if there are any, and then satisfy `verify`, if given. Sessions
/// are not resumed from then on, so that every connection passes this check. False if the authorities cannot be read.
bool dstack_tls_server_ask_client(struct ssl_ctx_st *server, bool required, const void *_Nullable authorities,
                                  size_t authorities_count, dstack_tls_verify _Nullable verify,
                                  void *_Nullable context);

void dstack_tls_server_free(struct ssl_ctx_st *server);

/// The server side of a connection that was just accepted; null if memory is short.
struct ssl_st *_Nullable dstack_tls_accept(struct ssl_ctx_st *server, int descriptor);

/// Results of the functions below that are not a number of bytes.
enum {
    DSTACK_TLS_CLOSED = 0,
    DSTACK_TLS_WANTS_READ = -1,
    DSTACK_TLS_WANTS_WRITE = -2,
    DSTACK_TLS_FAILED = -3,
};

/// 1 when the handshake is through, else a result above.
long dstack_tls_handshake(struct ssl_st *connection);
/// Takes a bounded amount from the socket, whatever the client sends, and fails a connection that sends much and hardly any
/// data. "Wants read" may be said while there is more to read: wait for the socket, which is ready then.
long dstack_tls_read(struct ssl_st *connection, void *buffer, size_t count);
long dstack_tls_write(struct ssl_st *connection, const void *bytes, size_t count);

/// Tells the peer that nothing more follows, as far as that goes without waiting.
void dstack_tls_close(struct ssl_st *connection);
void dstack_tls_free(struct ssl_st *connection);

/// Why the last call of this thread failed.
void dstack_tls_last_error(char *error, size_t error_size);

/// Calls `body` with the client's certificates, leaf first; not at all if it sent none.
void dstack_tls_peer_chain(struct ssl_st *connection, void *context,
                           void (*body)(void *context, const dstack_tls_certificate *chain, size_t count));

/// The name the client asked for (SNI), null if none; valid as long as the connection.
const char *_Nullable dstack_tls_server_name(struct ssl_st *connection);

/// "TLSv1.3"
const char *dstack_tls_version(struct ssl_st *connection);

/// Exported keying material (RFC 8446 section 7.5) with an empty context. False if the connection is not of TLS 1.3: older
/// exporters do not cover the handshake unless an extension says so.
bool dstack_tls_export(struct ssl_st *connection, const char *label, unsigned char *material, size_t count);

/// Calls `body` with the SubjectPublicKeyInfo (DER) of the certificate that this side presented in the connection, which
/// need not be the listener's of today; not at all if memory is short.
void dstack_tls_local_key(struct ssl_st *connection, void *context,
                          void (*body)(void *context, const unsigned char *key, size_t count));

#pragma clang assume_nonnull end

#endif
