#ifndef DSTACK_SYMMETRIC_H
#define DSTACK_SYMMETRIC_H

#include <stddef.h>
#include <stdint.h>

// Message authentication, key derivation and authenticated encryption. Functions return 1 on success and -1 on failure of
// the library unless they say more.

/// SHA-3 (FIPS 202); `bits` is 256, 384 or 512 and `digest` has room for bits/8 bytes.
int dstack_sha3(int bits, const uint8_t *data, size_t length, uint8_t *digest);

/// HMAC (RFC 2104) with SHA-256, SHA-384 or SHA-512 by `bits`; `code` has room for bits/8 bytes.
int dstack_hmac(
    int bits, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *code);

/// HKDF-Expand (RFC 5869 section 2.3) with SHA-256. `count` is at most 255 · 32. OpenSSL's own HKDF takes no more than
/// 1024 bytes of info, and paths of derived keys may be longer.
int dstack_hkdf_expand_sha256(
    const uint8_t *key, size_t key_length, const uint8_t *info, size_t info_length, uint8_t *okm, size_t count);

enum { dstack_aes_256_gcm = 1, dstack_chacha20_poly1305 = 2 };

/// Encrypts `length` bytes (below 2³¹) with a 32-byte key and a 12-byte nonce; the tag has 16 bytes.
int dstack_aead_seal(
    int cipher, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_length, const uint8_t *text,
    size_t length, uint8_t *sealed, uint8_t *tag);

/// The reverse. 0 if the tag does not match; `text` then holds bytes that must be thrown away.
int dstack_aead_open(
    int cipher, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_length, const uint8_t *sealed,
    size_t length, const uint8_t *tag, uint8_t *text);

#endif
