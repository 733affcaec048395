#include "COpenSSLRequirements.h"
#include "TLSContext.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/// Encrypted keys are refused, instead of asking for a password on the terminal.
static int no_password(char *buffer, int size, int is_writing, void *context) {
    (void)buffer, (void)size, (void)is_writing, (void)context;
    return 0;
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

int dstack_ssl_use_identity(
    SSL_CTX *context, const uint8_t *key_pem, size_t key_length, const dstack_certificate *chain, size_t count) {
    int result = -1;
    X509 *leaf = NULL;
    EVP_PKEY *key = NULL;
    // BIO_new_mem_buf reads in place, so that no copy of the key's text is left behind.
    BIO *text = key_length <= INT_MAX ? BIO_new_mem_buf(key_pem, (int)key_length) : NULL;
    STACK_OF(X509) *above = sk_X509_new_null();
    if (!text || !above) goto done;
    result = 0;
    key = PEM_read_bio_PrivateKey(text, NULL, no_password, NULL);
    if (!key || count == 0) goto done;
    leaf = read_certificate(&chain[0]);
    if (!leaf || X509_check_private_key(leaf, key) != 1) goto done;
    for (size_t index = 1; index < count; index++) {
        X509 *certificate = read_certificate(&chain[index]);
        if (!certificate) goto done;
        if (sk_X509_push(above, certificate) == 0) {
            X509_free(certificate);
            result = -1;
            goto done;
        }
    }
    // All of it or nothing; the last argument replaces what was there.
    result = SSL_CTX_use_cert_and_key(context, leaf, key, above, 1) == 1 ? 1 : -1;
done:
    sk_X509_pop_free(above, X509_free);
    X509_free(leaf);
    EVP_PKEY_free(key);
    BIO_free(text);
    ERR_clear_error();
    return result;
}
