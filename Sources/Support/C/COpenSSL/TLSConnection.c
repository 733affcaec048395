#include "COpenSSLRequirements.h"
#include "TLSConnection.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What one call may take from the socket. OpenSSL reads a record in two steps, and goes on by itself over records that
// carry no data (key updates, refused renegotiations, warnings, empty records): without this bound, a client that sends
// nothing else would keep one call, and with it the loop, for ever.
#define READS_PER_CALL 16

// What a connection may send beside its data after the handshake: so many bytes, and so many for each byte of data. A record
// of a single byte takes up to 64; a key update takes 27.
#define FREE_OVERHEAD (16 << 10)
#define OVERHEAD_PER_BYTE 64

/// What came over a connection's socket since its handshake, and how much of it was data.
struct meter {
    unsigned reads_left;
    uint64_t received;
    uint64_t data;
};

/// What stays with one connection.
struct kept {
    void *object;
    void (*release)(void *object);
};

static int meter_index = -1;
static int kept_index = -1;

static void release_meter(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    free(data);
}

static void release_kept(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    struct kept *kept = data;
    if (!kept) return;
    kept->release(kept->object);
    free(kept);
}

__attribute__((constructor)) static void make_indices(void) {
    meter_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, release_meter);
    kept_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, release_kept);
}

// MARK: Either side

bool dstack_tls_keep(SSL *connection, void *object, void (*release)(void *object)) {
    struct kept *kept = malloc(sizeof *kept);
    struct kept *old = connection && kept_index >= 0 ? SSL_get_ex_data(connection, kept_index) : NULL;
    if (!kept || !connection || kept_index < 0 || SSL_set_ex_data(connection, kept_index, kept) != 1) {
        free(kept);
        release(object);
        return false;
    }
    *kept = (struct kept){object, release};
    release_kept(NULL, old, NULL, 0, 0, NULL);
    return true;
}

void *dstack_tls_kept(SSL *connection) {
    struct kept *kept = kept_index >= 0 ? SSL_get_ex_data(connection, kept_index) : NULL;
    return kept ? kept->object : NULL;
}

bool dstack_tls_peer_chain(SSL *connection, void *context,
                           bool (*body)(void *context, const dstack_certificate *chain, size_t count)) {
    X509 *leaf = SSL_get0_peer_certificate(connection);
    if (!leaf) return false;
    // On the server's side OpenSSL keeps the leaf apart from the rest.
    return dstack_tls_with_encoded(SSL_is_server(connection) ? leaf : NULL, SSL_get_peer_cert_chain(connection), context,
                                   body);
}

void dstack_tls_local_key(SSL *connection, void *context,
                          void (*body)(void *context, const uint8_t *key, size_t count)) {
    X509 *certificate = SSL_get_certificate(connection);
    unsigned char *key = NULL;
    int length = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key) : 0;
    if (length > 0) body(context, key, (size_t)length);
    OPENSSL_free(key);
}

bool dstack_tls_export(SSL *connection, const char *label, uint8_t *material, size_t count) {
    if (SSL_version(connection) != TLS1_3_VERSION || !SSL_is_init_finished(connection)) return false;
    ERR_clear_error();
    // In TLS 1.3 no context and an empty one are the same.
    bool exported = SSL_export_keying_material(connection, material, count, label, strlen(label), NULL, 0, 1) == 1;
    ERR_clear_error();
    return exported;
}

// MARK: Servers

/// Counts what is read from the socket, and lets it look empty when a call has read enough.
static long count_reads(BIO *socket, int operation, const char *bytes, size_t length, int argi, long argl, int result,
                        size_t *processed) {
    (void)bytes, (void)length, (void)argi, (void)argl;
    struct meter *meter = (struct meter *)BIO_get_callback_arg(socket);
    if (operation == BIO_CB_READ) {
        if (meter->reads_left == 0) {
            BIO_clear_retry_flags(socket);
            BIO_set_retry_read(socket);
            return -1;
        }
        meter->reads_left--;
    } else if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0 && processed) {
        meter->received += *processed;
    }
    return result;
}

void dstack_tls_last_error(char *error, size_t error_size) {
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(error, error_size, "%s", reason ? reason : "the connection was closed");
    ERR_clear_error();
}

SSL *dstack_tls_accept(SSL_CTX *server, int descriptor) {
    ERR_clear_error();
    SSL *connection = SSL_new(server);
    if (!connection) return NULL;
    struct meter *meter = calloc(1, sizeof *meter);
    if (!meter || meter_index < 0 || SSL_set_ex_data(connection, meter_index, meter) != 1) {
        free(meter);
        SSL_free(connection);
        return NULL;
    }
    if (SSL_set_fd(connection, descriptor) != 1) {
        SSL_free(connection);
        return NULL;
    }
    BIO *socket = SSL_get_rbio(connection);
    BIO_set_callback_arg(socket, (char *)meter);
    BIO_set_callback_ex(socket, count_reads);
    SSL_set_accept_state(connection);
    return connection;
}

static long explain(SSL *connection, int result) {
    switch (SSL_get_error(connection, result)) {
        case SSL_ERROR_WANT_READ: return DSTACK_TLS_WANTS_READ;
        case SSL_ERROR_WANT_WRITE: return DSTACK_TLS_WANTS_WRITE;
        case SSL_ERROR_ZERO_RETURN: return DSTACK_TLS_CLOSED;
        default: return DSTACK_TLS_FAILED;
    }
}

long dstack_tls_handshake(SSL *connection) {
    ERR_clear_error();
    struct meter *meter = SSL_get_ex_data(connection, meter_index);
    meter->reads_left = READS_PER_CALL;
    int result = SSL_do_handshake(connection);
    meter->received = 0;
    return result == 1 ? 1 : explain(connection, result);
}

long dstack_tls_read(SSL *connection, void *buffer, size_t count) {
    ERR_clear_error();
    size_t done = 0;
    struct meter *meter = SSL_get_ex_data(connection, meter_index);
    meter->reads_left = READS_PER_CALL;
    int result = SSL_read_ex(connection, buffer, count, &done);
    meter->data += done;
    if (meter->received > FREE_OVERHEAD + meter->data * (1 + OVERHEAD_PER_BYTE)) return DSTACK_TLS_FAILED;
    return result == 1 ? (long)done : explain(connection, result);
}

long dstack_tls_write(SSL *connection, const void *bytes, size_t count) {
    ERR_clear_error();
    size_t done = 0;
    int result = SSL_write_ex(connection, bytes, count, &done);
    return result == 1 ? (long)done : explain(connection, result);
}

void dstack_tls_close(SSL *connection) {
    ERR_clear_error();
    SSL_shutdown(connection);
    ERR_clear_error();
}
