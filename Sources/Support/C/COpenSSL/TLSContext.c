#include "COpenSSLRequirements.h"
#include "TLSConnection.h"
#include "TLSContext.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// More certificates than this in one chain have no honest use (OpenSSL also limits their total size).
#define MAXIMUM_CHAIN 16

// Of TLS 1.2, as OpenSSL writes lists: authenticated encryption with forward secrecy only (RFC 9325, section 4.2). CBC
// suites, those whose keys the certificate's key gives away later, and those without encryption are never offered. TLS 1.3
// has no others.
#define SUITES_OF_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20"

// MARK: Indices

static int verifier_index = -1;
static int server_index = -1;

static void release_verifier(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    dstack_tls_verifier *verifier = data;
    if (!verifier) return;
    if (verifier->release) verifier->release(verifier->object);
    free(verifier);
}

static void release_server(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp);

__attribute__((constructor)) static void make_indices(void) {
    verifier_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, release_verifier);
    server_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, release_server);
}

// MARK: Identities

struct dstack_tls_identity {
    EVP_PKEY *key;
    X509 *leaf;
    STACK_OF(X509) *above;
};

/// Encrypted keys are refused, instead of asking for a password on the terminal.
static int no_password(char *buffer, int size, int is_writing, void *context) {
    (void)buffer, (void)size, (void)is_writing, (void)context;
    return -1;
}

static X509 *read_certificate(const dstack_certificate *certificate) {
    const uint8_t *end = certificate->bytes;
    if (certificate->count > LONG_MAX) return NULL;
    X509 *result = d2i_X509(NULL, &end, (long)certificate->count);
    if (result && end != certificate->bytes + certificate->count) {
        X509_free(result);
        return NULL;
    }
    return result;
}

static const char *read_identity(dstack_tls_identity *identity, BIO *text, const dstack_certificate *chain, size_t count) {
    identity->key = PEM_read_bio_PrivateKey(text, NULL, no_password, NULL);
    if (!identity->key) return "the key cannot be read";
    if (count == 0) return "there is no certificate";
    identity->leaf = read_certificate(&chain[0]);
    if (!identity->leaf) return "the certificate cannot be read";
    if (X509_check_private_key(identity->leaf, identity->key) != 1) return "the certificate is for another key";
    for (size_t index = 1; index < count; index++) {
        X509 *certificate = read_certificate(&chain[index]);
        if (!certificate) return "a certificate above the first cannot be read";
        if (sk_X509_push(identity->above, certificate) == 0) {
            X509_free(certificate);
            return "memory is short";
        }
    }
    return NULL;
}

dstack_tls_identity *dstack_tls_identity_new(
    const uint8_t *key_pem, size_t key_length, const dstack_certificate *chain, size_t count, char *error,
    size_t error_size) {
    ERR_clear_error();
    dstack_tls_identity *identity = calloc(1, sizeof *identity);
    // BIO_new_mem_buf reads in place, so that no copy of the key's text is left behind.
    BIO *text = key_length > 0 && key_length <= INT_MAX ? BIO_new_mem_buf(key_pem, (int)key_length) : NULL;
    if (identity) identity->above = sk_X509_new_null();
    const char *problem = key_length == 0 ? "there is no key"
                          : !text || !identity || !identity->above ? "memory is short"
                                                                   : read_identity(identity, text, chain, count);
    BIO_free(text);
    ERR_clear_error();
    if (!problem) return identity;
    snprintf(error, error_size, "%s", problem);
    dstack_tls_identity_free(identity);
    return NULL;
}

void dstack_tls_identity_free(dstack_tls_identity *identity) {
    if (!identity) return;
    sk_X509_pop_free(identity->above, X509_free);
    X509_free(identity->leaf);
    EVP_PKEY_free(identity->key);
    free(identity);
}

bool dstack_tls_use_identity(SSL_CTX *context, const dstack_tls_identity *identity) {
    // All of it or nothing; the last argument replaces what was there.
    bool used = SSL_CTX_use_cert_and_key(context, identity->leaf, identity->key, identity->above, 1) == 1;
    ERR_clear_error();
    return used;
}

// MARK: Rules

bool dstack_tls_set_rules(SSL_CTX *context, int minimum_version) {
    if (minimum_version < TLS1_2_VERSION) minimum_version = TLS1_2_VERSION;
    // Renegotiation would let a peer change its certificate in the middle of a connection.
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // What was received stays in OpenSSL's buffer otherwise until more comes, and keys come over such connections.
    SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
    bool set = SSL_CTX_set_min_proto_version(context, minimum_version) == 1 &&
               SSL_CTX_set_cipher_list(context, SUITES_OF_TLS12) == 1;
    ERR_clear_error();
    return set;
}

void dstack_tls_refuse_resumption(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
}

// MARK: Peers

bool dstack_tls_with_encoded(X509 *leaf, STACK_OF(X509) *others, void *context,
                             bool (*body)(void *, const dstack_certificate *, size_t)) {
    dstack_certificate encoded[MAXIMUM_CHAIN];
    size_t count = 0;
    bool result = false;
    size_t before = leaf ? 1 : 0;
    size_t total = before + (others ? (size_t)sk_X509_num(others) : 0);
    if (total == 0 || total > MAXIMUM_CHAIN) return false;
    for (; count < total; count++) {
        unsigned char *bytes = NULL;
        int length = i2d_X509(count < before ? leaf : sk_X509_value(others, (int)(count - before)), &bytes);
        if (length <= 0) goto done;
        encoded[count].bytes = bytes;
        encoded[count].count = (size_t)length;
    }
    result = body(context, encoded, count);
done:
    while (count > 0) OPENSSL_free((void *)encoded[--count].bytes);
    return result;
}

struct verification {
    const dstack_tls_verifier *verifier;
    SSL *connection;
};

static bool call_verify(void *context, const dstack_certificate *chain, size_t count) {
    struct verification *call = context;
    return call->verifier->verify(call->verifier->object, call->connection, chain, count);
}

static int verify_peer(X509_STORE_CTX *store, void *argument) {
    const dstack_tls_verifier *verifier = argument;
    // On both sides these begin with the leaf.
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    if (verifier->checks_chain) {
        if (X509_verify_cert(store) != 1) {
            const char *reason = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
            if (verifier->chain_refused) verifier->chain_refused(verifier->object, reason);
            return 0;
        }
        chain = X509_STORE_CTX_get0_chain(store);
    }
    X509 *leaf = chain && sk_X509_num(chain) > 0 ? NULL : X509_STORE_CTX_get0_cert(store);
    struct verification call = {verifier, X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())};
    if (verifier->verify && !dstack_tls_with_encoded(leaf, chain, &call, call_verify)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    // Looked at once more after the handshake, by libcurl for example.
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

bool dstack_tls_set_verifier(SSL_CTX *context, const dstack_tls_verifier *verifier) {
    dstack_tls_verifier *copy = malloc(sizeof *copy);
    dstack_tls_verifier *old = verifier_index >= 0 ? SSL_CTX_get_ex_data(context, verifier_index) : NULL;
    if (!copy || verifier_index < 0 || SSL_CTX_set_ex_data(context, verifier_index, copy) != 1) {
        if (verifier->release) verifier->release(verifier->object);
        free(copy);
        return false;
    }
    *copy = *verifier;
    SSL_CTX_set_cert_verify_callback(context, verify_peer, copy);
    // Setting an index does not release what was at it.
    release_verifier(NULL, old, NULL, 0, 0, NULL);
    return true;
}

// MARK: Servers

/// An identity by name.
struct named {
    char *name;
    EVP_PKEY *key;
    X509 *leaf;
    STACK_OF(X509) *above;
};

struct server {
    unsigned char *protocols;
    unsigned int protocols_count;
    bool requires_protocol;
    struct named *named;
    size_t named_count;
};

static void release_server(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    struct server *server = data;
    if (!server) return;
    for (size_t place = 0; place < server->named_count; place++) {
        free(server->named[place].name);
        EVP_PKEY_free(server->named[place].key);
        X509_free(server->named[place].leaf);
        sk_X509_pop_free(server->named[place].above, X509_free);
    }
    free(server->named);
    free(server->protocols);
    free(server);
}

static int choose_protocol(SSL *connection, const unsigned char **chosen, unsigned char *length,
                           const unsigned char *offered, unsigned int offered_length, void *context) {
    (void)connection;
    const struct server *server = context;
    unsigned char *match = NULL;
    if (SSL_select_next_proto(&match, length, server->protocols, server->protocols_count, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return server->requires_protocol ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
    *chosen = match;
    return SSL_TLSEXT_ERR_OK;
}

static const struct named *find(const struct server *server, const char *name) {
    for (size_t place = 0; place < server->named_count; place++) {
        if (strcmp(server->named[place].name, name) == 0) return &server->named[place];
    }
    return NULL;
}

/// Called when a certificate is about to be chosen, in full handshakes only: what was asked for is known by then.
static int choose_identity(SSL *connection, void *context) {
    const struct server *server = context;
    const char *asked = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
    if (!asked) return 1;
    // OpenSSL has made sure that it has at most 255 bytes and no zero among them (RFC 6066 section 3).
    char name[256];
    size_t count = strlen(asked);
    if (count == 0 || count >= sizeof name) return 1;
    for (size_t index = 0; index <= count; index++) {
        char byte = asked[index];
        name[index] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
    }
    if (name[count - 1] == '.') name[count - 1] = 0;
    const struct named *found = find(server, name);
    if (!found) {
        // One label, and not an empty one, for the star.
        char *dot = strchr(name, '.');
        if (!dot || dot == name) return 1;
        dot[-1] = '*';
        found = find(server, dot - 1);
    }
    if (!found) return 1;
    // One of another key type would stand beside the first, and a client could be shown either.
    SSL_certs_clear(connection);
    return SSL_use_cert_and_key(connection, found->leaf, found->key, found->above, 1) == 1;
}

SSL_CTX *dstack_tls_server_new(const dstack_tls_server_settings *settings) {
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct server *server = calloc(1, sizeof *server);
    if (!context || !server || server_index < 0 || SSL_CTX_set_ex_data(context, server_index, server) != 1) {
        free(server);
        SSL_CTX_free(context);
        return NULL;
    }
    // From here on the context's end releases the rest.
    server->requires_protocol = settings->requires_protocol;
    if (settings->protocols_count > 0) {
        server->protocols = malloc(settings->protocols_count);
        if (!server->protocols) {
            SSL_CTX_free(context);
            return NULL;
        }
        memcpy(server->protocols, settings->protocols, settings->protocols_count);
        server->protocols_count = (unsigned int)settings->protocols_count;
        SSL_CTX_set_alpn_select_cb(context, choose_protocol, server);
    }
    if (!dstack_tls_set_rules(context, settings->minimum_version)) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    // Tickets carry the sessions, if any; a store of them here would only take memory.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (!settings->resumes) dstack_tls_refuse_resumption(context);
    SSL_CTX_set_cert_cb(context, choose_identity, server);
    return context;
}

bool dstack_tls_add_identity(SSL_CTX *context, const dstack_tls_identity *identity, const char *name) {
    struct server *server = SSL_CTX_get_ex_data(context, server_index);
    if (!server) return false;
    if (find(server, name)) return true;
    struct named *named = realloc(server->named, (server->named_count + 1) * sizeof *named);
    if (!named) return false;
    server->named = named;
    struct named new = {strdup(name), NULL, NULL, X509_chain_up_ref(identity->above)};
    if (!new.name || !new.above) {
        free(new.name);
        sk_X509_pop_free(new.above, X509_free);
        return false;
    }
    EVP_PKEY_up_ref(identity->key);
    X509_up_ref(identity->leaf);
    new.key = identity->key;
    new.leaf = identity->leaf;
    named[server->named_count++] = new;
    return true;
}

static bool add_authorities(SSL_CTX *server, const void *authorities, size_t count) {
    BIO *pem = count <= INT_MAX ? BIO_new_mem_buf(authorities, (int)count) : NULL;
    if (!pem) return false;
    X509 *authority;
    int added = 0;
    bool failed = false;
    while (!failed && (authority = PEM_read_bio_X509(pem, NULL, no_password, NULL))) {
        failed = X509_STORE_add_cert(SSL_CTX_get_cert_store(server), authority) != 1 ||
                 SSL_CTX_add_client_CA(server, authority) != 1;
        X509_free(authority);
        added++;
    }
    BIO_free(pem);
    // The end of the text is reported as an error of its own.
    ERR_clear_error();
    return added > 0 && !failed;
}

bool dstack_tls_ask_client(SSL_CTX *server, bool required, const void *authorities, size_t authorities_count) {
    if (authorities_count > 0 && !add_authorities(server, authorities, authorities_count)) return false;
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    // A resumed session would carry what an earlier handshake found, not what this one would.
    dstack_tls_refuse_resumption(server);
    return true;
}
