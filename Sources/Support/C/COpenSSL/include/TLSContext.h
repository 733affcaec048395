#ifndef DSTACK_TLS_CONTEXT_H
#define DSTACK_TLS_CONTEXT_H

#include "COpenSSLRequirements.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

// What an application's own SSL_CTX is given.

/// One certificate, DER.
typedef struct {
    const uint8_t *bytes;
    size_t count;
} dstack_certificate;

/// Makes key and certificates, leaf first, those that a context presents, in place of what it had. 1 on success. 0 if a
/// text cannot be read or key and leaf are no pair, -1 on failure of the library; the context is then as it was.
int dstack_ssl_use_identity(
    SSL_CTX *context, const uint8_t *key_pem, size_t key_length, const dstack_certificate *chain, size_t count);

#endif
