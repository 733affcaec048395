#ifndef DSTACK_TLS_CONNECTION_H
#define DSTACK_TLS_CONNECTION_H

#include "COpenSSLRequirements.h"
#include "TLSContext.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One connection. None of these functions may be called for one connection from two threads.

// Of either side

/// Attaches an object to a connection, which releases it at its end, in place of one that is there. It is taken over, also
/// where it fails (memory).
bool dstack_tls_keep(SSL *connection, void *object, void (*release)(void *object));
/// The attached object, null if there is none.
void *dstack_tls_kept(SSL *connection);

/// Calls `body` with the peer's certificates, leaf first. False if it presented none.
bool dstack_tls_peer_chain(SSL *connection, void *context,
                           bool (*body)(void *context, const dstack_certificate *chain, size_t count));

/// Calls `body` with the SubjectPublicKeyInfo (DER) of the certificate that this side presented in the connection, which
/// need not be the context's of today; not at all if memory is short.
void dstack_tls_local_key(SSL *connection, void *context,
                          void (*body)(void *context, const uint8_t *key, size_t count));

/// Exported keying material (RFC 5705, RFC 8446 section 7.5) with an empty context. False before the end of the handshake,
/// and if the connection is not of TLS 1.3: older exporters do not cover the handshake unless an extension says so.
bool dstack_tls_export(SSL *connection, const char *label, uint8_t *material, size_t count);

// Of a server, over a non-blocking socket

/// The server side of a connection that was just accepted; null if memory is short. The descriptor stays the caller's.
SSL *dstack_tls_accept(SSL_CTX *server, int descriptor);

/// Results of the functions below that are not a number of bytes.
enum {
    DSTACK_TLS_CLOSED = 0,
    DSTACK_TLS_WANTS_READ = -1,
    DSTACK_TLS_WANTS_WRITE = -2,
    DSTACK_TLS_FAILED = -3,
};

/// 1 when the handshake is through, else a result above.
long dstack_tls_handshake(SSL *connection);
/// Takes a bounded amount from the socket, whatever the peer sends, and fails a connection that sends much and hardly any
/// data. "Wants read" may be said while there is more to read: wait for the socket, which is ready then.
long dstack_tls_read(SSL *connection, void *buffer, size_t count);
long dstack_tls_write(SSL *connection, const void *bytes, size_t count);

/// Tells the peer that nothing more follows, as far as that goes without waiting.
void dstack_tls_close(SSL *connection);

/// Why the last call of this thread failed.
void dstack_tls_last_error(char *error, size_t error_size);

#endif
