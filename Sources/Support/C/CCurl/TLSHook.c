#include "CCurlRequirements.h"
#include "TLSHook.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// More certificates than this in one chain have no honest use (libcurl's OpenSSL also limits their total size).
#define MAXIMUM_CHAIN 16

static int hook_index = -1;
static int connection_index = -1;
static pthread_once_t hook_index_once = PTHREAD_ONCE_INIT;

static void release_hook(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    dstack_curl_tls_hook *hook = data;
    if (!hook) return;
    hook->release(hook->context);
    free(hook);
}

/// What stays with one connection.
struct kept {
    void *connection;
    void (*release)(void *connection);
};

static void release_kept(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    struct kept *kept = data;
    if (!kept) return;
    kept->release(kept->connection);
    free(kept);
}

static void make_hook_index(void) {
    hook_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, release_hook);
    connection_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, release_kept);
}

/// Takes the connection over, also where it fails.
static bool keep(SSL *tls, void *connection, void (*release)(void *connection)) {
    struct kept *kept = malloc(sizeof *kept);
    if (!kept || !tls || SSL_get_ex_data(tls, connection_index) || SSL_set_ex_data(tls, connection_index, kept) != 1) {
        free(kept);
        release(connection);
        return false;
    }
    *kept = (struct kept){connection, release};
    return true;
}

struct verification {
    const dstack_curl_tls_hook *hook;
    SSL *tls;
};

static bool call_verify(void *context, const dstack_curl_certificate *chain, size_t count) {
    struct verification *call = context;
    void *connection = NULL;
    const char *version = call->tls ? SSL_get_version(call->tls) : "";
    bool accepted = call->hook->verify(call->hook->context, chain, count, version, &connection);
    if (connection && !keep(call->tls, connection, call->hook->release_connection)) return false;
    return accepted;
}

/// Encodes a chain and hands it on. False if it has no certificate, too many, or one that cannot be encoded.
static bool with_encoded(X509 *leaf, STACK_OF(X509) *certificates, void *context,
                         bool (*body)(void *, const dstack_curl_certificate *, size_t)) {
    dstack_curl_certificate encoded[MAXIMUM_CHAIN];
    size_t count = 0;
    bool result = false;
    int number = certificates ? sk_X509_num(certificates) : 0;
    if (number == 0 && leaf) number = 1;
    if (number <= 0 || number > MAXIMUM_CHAIN) return false;
    for (; count < (size_t)number; count++) {
        X509 *certificate = certificates && sk_X509_num(certificates) > 0
                                ? sk_X509_value(certificates, (int)count) : leaf;
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

static int verify_certificates(X509_STORE_CTX *store, void *argument) {
    dstack_curl_tls_hook *hook = argument;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    if (hook->checks_chain) {
        if (X509_verify_cert(store) != 1) {
            int error = X509_STORE_CTX_get_error(store);
            hook->chain_refused(hook->context, X509_verify_cert_error_string(error));
            return 0;
        }
        chain = X509_STORE_CTX_get0_chain(store);
    }
    struct verification call = {hook, X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())};
    if (hook->verify && !with_encoded(X509_STORE_CTX_get0_cert(store), chain, &call, call_verify)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    // libcurl looks at the stored result once more after the handshake.
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static CURLcode install(CURL *easy, void *ssl_ctx, void *argument) {
    (void)easy;
    const dstack_curl_tls_hook *hook = argument;
    SSL_CTX *ctx = ssl_ctx;
    pthread_once(&hook_index_once, make_hook_index);
    if (hook_index < 0 || connection_index < 0) return CURLE_ABORTED_BY_CALLBACK;

    dstack_curl_tls_hook *copy = malloc(sizeof *copy);
    if (!copy) return CURLE_OUT_OF_MEMORY;
    *copy = *hook;
    // The SSL_CTX owns the copy from here on; its end releases it.
    copy->retain(copy->context);
    if (SSL_CTX_set_ex_data(ctx, hook_index, copy) != 1) {
        copy->release(copy->context);
        free(copy);
        return CURLE_OUT_OF_MEMORY;
    }
    // A peer must not be able to change its certificate in the middle of a connection.
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    // A client certificate goes out as it was given, not with whatever the trusted authorities can add to it.
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_cert_verify_callback(ctx, verify_certificates, copy);
    if (copy->configure && !copy->configure(copy->context, ctx)) return CURLE_ABORTED_BY_CALLBACK;
    return CURLE_OK;
}

CURLcode dstack_curl_set_tls_hook(CURL *easy, const dstack_curl_tls_hook *hook) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, install);
    if (code != CURLE_OK) return code;
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, (void *)hook);
}

struct chain_body {
    void *context;
    void (*body)(void *, const dstack_curl_certificate *, size_t);
};

static bool call_chain_body(void *context, const dstack_curl_certificate *chain, size_t count) {
    struct chain_body *call = context;
    call->body(call->context, chain, count);
    return true;
}

/// The transfer's connection; null if it is not TLS.
static SSL *tls_of(CURL *easy) {
    const struct curl_tlssessioninfo *info = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info) return NULL;
    return info->backend == CURLSSLBACKEND_OPENSSL ? info->internals : NULL;
}

bool dstack_curl_peer_chain(CURL *easy, void *context,
                            void (*body)(void *context, const dstack_curl_certificate *chain, size_t count)) {
    SSL *tls = tls_of(easy);
    if (!tls) return false;
    struct chain_body call = {context, body};
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(tls);
    return chain && with_encoded(NULL, chain, &call, call_chain_body);
}

void *dstack_curl_connection(CURL *easy) {
    SSL *tls = tls_of(easy);
    struct kept *kept = tls && connection_index >= 0 ? SSL_get_ex_data(tls, connection_index) : NULL;
    return kept ? kept->connection : NULL;
}

bool dstack_curl_export(CURL *easy, const char *label, unsigned char *material, size_t count) {
    SSL *tls = tls_of(easy);
    if (!tls || SSL_version(tls) != TLS1_3_VERSION) return false;
    // In TLS 1.3 no context and an empty one are the same.
    return SSL_export_keying_material(tls, material, count, label, strlen(label), NULL, 0, 1) == 1;
}

static int before_request(void *context, char *peer, char *local, int peer_port, int local_port) {
    (void)peer, (void)local, (void)peer_port, (void)local_port;
    const dstack_curl_admission *admission = context;
    return admission->admits(admission->context) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

CURLcode dstack_curl_set_before_request(CURL *easy, const dstack_curl_admission *admission) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    if (code != CURLE_OK) return code;
    return curl_easy_setopt(easy, CURLOPT_PREREQDATA, (void *)admission);
}
