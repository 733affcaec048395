#include "CEventRequirements.h"
#include "ServerTLS.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// More certificates than this in one chain have no honest use.
#define MAXIMUM_CHAIN 16

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

struct client_check {
    bool checks_chain;
    dstack_tls_verify verify;
    void *context;
};

static int check_index = -1;
static int meter_index = -1;

static void release_check(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    free(data);
}

static void release_meter(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    free(data);
}

__attribute__((constructor)) static void make_indices(void) {
    check_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, release_check);
    meter_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, release_meter);
}

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

/// Keeps OpenSSL from asking for a passphrase at the terminal.
static int no_passphrase(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static int choose_protocol(SSL *connection, const unsigned char **chosen, unsigned char *length,
                           const unsigned char *offered, unsigned int offered_length, void *context) {
    (void)connection, (void)context;
    static const unsigned char http11[] = "\x08http/1.1";
    unsigned char *match = NULL;
    if (SSL_select_next_proto(&match, length, http11, sizeof http11 - 1, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *chosen = match;
    return SSL_TLSEXT_ERR_OK;
}

static bool use_chain(SSL_CTX *server, BIO *pem) {
    X509 *leaf = PEM_read_bio_X509_AUX(pem, NULL, no_passphrase, NULL);
    if (!leaf) return false;
    bool used = SSL_CTX_use_certificate(server, leaf) == 1;
    X509_free(leaf);
    X509 *next;
    while (used && (next = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL))) {
        if (SSL_CTX_add0_chain_cert(server, next) != 1) {
            X509_free(next);
            used = false;
        }
    }
    // The end of the text is reported as an error of its own.
    if (used) ERR_clear_error();
    return used;
}

static bool use_key(SSL_CTX *server, BIO *pem) {
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    if (!key) return false;
    bool used = SSL_CTX_use_PrivateKey(server, key) == 1 && SSL_CTX_check_private_key(server) == 1;
    EVP_PKEY_free(key);
    return used;
}

SSL_CTX *dstack_tls_server_new(const void *chain, size_t chain_count, const void *key, size_t key_count,
                               const char *suites, char *error, size_t error_size) {
    ERR_clear_error();
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());
    BIO *chain_text = BIO_new_mem_buf(chain, (int)chain_count);
    BIO *key_text = BIO_new_mem_buf(key, (int)key_count);
    bool made = server && chain_text && key_text && use_chain(server, chain_text) && use_key(server, key_text) &&
                SSL_CTX_set_min_proto_version(server, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(server, suites) == 1;
    BIO_free(chain_text);
    BIO_free(key_text);
    if (!made) {
        dstack_tls_last_error(error, error_size);
        SSL_CTX_free(server);
        return NULL;
    }
    SSL_CTX_set_options(server, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(server, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_alpn_select_cb(server, choose_protocol, NULL);
    // Tickets carry the sessions; a store of them here would only take memory.
    SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
    return server;
}

static bool encode_chain(X509 *leaf, STACK_OF(X509) *others, bool others_have_leaf, void *context,
                         dstack_tls_verify body) {
    dstack_tls_certificate encoded[MAXIMUM_CHAIN];
    size_t count = 0;
    bool result = false;
    int number = others ? sk_X509_num(others) : 0;
    size_t total = others_have_leaf ? (size_t)number : (size_t)number + 1;
    if (total == 0 || total > MAXIMUM_CHAIN) return false;
    for (; count < total; count++) {
        X509 *certificate = others_have_leaf ? sk_X509_value(others, (int)count)
                            : count == 0     ? leaf
                                             : sk_X509_value(others, (int)count - 1);
        unsigned char *bytes = NULL;
        int length = i2d_X509(certificate, &bytes);
        if (length <= 0) goto done;
        encoded[count].bytes = bytes;
        encoded[count].count = (size_t)length;
    }
    result = body(context, encoded, count);
done:
    while (count > 0) OPENSSL_free((void *)encoded[--count].bytes);
    return result;
}

static int verify_client(X509_STORE_CTX *store, void *argument) {
    const struct client_check *check = argument;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    if (check->checks_chain) {
        if (X509_verify_cert(store) != 1) return 0;
        chain = X509_STORE_CTX_get0_chain(store);
    }
    if (check->verify && !encode_chain(NULL, chain, true, check->context, check->verify)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static bool add_authorities(SSL_CTX *server, const void *authorities, size_t count) {
    BIO *pem = BIO_new_mem_buf(authorities, (int)count);
    if (!pem) return false;
    X509 *authority;
    int added = 0;
    bool failed = false;
    while (!failed && (authority = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL))) {
        failed = X509_STORE_add_cert(SSL_CTX_get_cert_store(server), authority) != 1 ||
                 SSL_CTX_add_client_CA(server, authority) != 1;
        X509_free(authority);
        added++;
    }
    BIO_free(pem);
    ERR_clear_error();
    return added > 0 && !failed;
}

bool dstack_tls_server_ask_client(SSL_CTX *server, bool required, const void *authorities, size_t authorities_count,
                                  dstack_tls_verify verify, void *context) {
    struct client_check *check = malloc(sizeof *check);
    if (!check) return false;
    *check = (struct client_check){authorities_count > 0, verify, context};
    if (check_index < 0 || SSL_CTX_set_ex_data(server, check_index, check) != 1) {
        free(check);
        return false;
    }
    if (check->checks_chain && !add_authorities(server, authorities, authorities_count)) return false;
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    SSL_CTX_set_cert_verify_callback(server, verify_client, check);
    SSL_CTX_set_options(server, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(server, 0);
    return true;
}

void dstack_tls_server_free(SSL_CTX *server) { SSL_CTX_free(server); }

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

void dstack_tls_free(SSL *connection) { SSL_free(connection); }

struct chain_body {
    void *context;
    void (*body)(void *, const dstack_tls_certificate *, size_t);
};

static bool call_body(void *context, const dstack_tls_certificate *chain, size_t count) {
    struct chain_body *call = context;
    call->body(call->context, chain, count);
    return true;
}

void dstack_tls_peer_chain(SSL *connection, void *context,
                           void (*body)(void *context, const dstack_tls_certificate *chain, size_t count)) {
    X509 *leaf = SSL_get0_peer_certificate(connection);
    if (!leaf) return;
    struct chain_body call = {context, body};
    // On the server's side OpenSSL keeps the leaf apart from the rest.
    encode_chain(leaf, SSL_get_peer_cert_chain(connection), false, &call, call_body);
}

const char *dstack_tls_server_name(SSL *connection) {
    return SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
}

const char *dstack_tls_version(SSL *connection) { return SSL_get_version(connection); }

bool dstack_tls_export(SSL *connection, const char *label, unsigned char *material, size_t count) {
    if (SSL_version(connection) != TLS1_3_VERSION || !SSL_is_init_finished(connection)) return false;
    ERR_clear_error();
    // In TLS 1.3 no context and an empty one are the same.
    bool exported = SSL_export_keying_material(connection, material, count, label, strlen(label), NULL, 0, 1) == 1;
    ERR_clear_error();
    return exported;
}

void dstack_tls_local_key(SSL *connection, void *context,
                          void (*body)(void *context, const unsigned char *key, size_t count)) {
    X509 *certificate = SSL_get_certificate(connection);
    unsigned char *key = NULL;
    int length = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key) : 0;
    if (length > 0) body(context, key, (size_t)length);
    OPENSSL_free(key);
}
