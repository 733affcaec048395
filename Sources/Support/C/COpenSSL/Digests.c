#define OPENSSL_SUPPRESS_DEPRECATED
#include "COpenSSLRequirements.h"
#include "Digests.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

void dstack_sha1(const void *data, size_t length, uint8_t digest[20]) { SHA1(data, length, digest); }

void dstack_sha256(const void *data, size_t length, uint8_t digest[32]) {
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, data, length);
    SHA256_Final(digest, &context);
    // What was hashed may be a secret, and then the digest is one, which the context still holds.
    OPENSSL_cleanse(&context, sizeof context);
}

void dstack_sha384(const void *data, size_t length, uint8_t digest[48]) {
    SHA512_CTX context;
    SHA384_Init(&context);
    SHA384_Update(&context, data, length);
    SHA384_Final(digest, &context);
    OPENSSL_cleanse(&context, sizeof context);
}

void dstack_sha512(const void *data, size_t length, uint8_t digest[64]) {
    SHA512_CTX context;
    SHA512_Init(&context);
    SHA512_Update(&context, data, length);
    SHA512_Final(digest, &context);
    OPENSSL_cleanse(&context, sizeof context);
}
