#ifndef DSTACK_DIGESTS_H
#define DSTACK_DIGESTS_H

#include <stddef.h>
#include <stdint.h>

// SHA-2 in one call. The EVP interface of OpenSSL 3.0 looks its algorithm up by name at every call, which costs more than
// hashing the few hundred bytes that most messages here have.
void dstack_sha1(const void *data, size_t length, uint8_t digest[20]);
void dstack_sha256(const void *data, size_t length, uint8_t digest[32]);
void dstack_sha384(const void *data, size_t length, uint8_t digest[48]);
void dstack_sha512(const void *data, size_t length, uint8_t digest[64]);

#endif
