#ifndef DSTACK_CCRYPTOPP_H
#define DSTACK_CCRYPTOPP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The original Keccak (padding 0x01), as Ethereum uses it; not SHA-3. `bits` is 256, 384 or 512 and `digest` has room
/// for bits/8 bytes. Returns 0, or -1 for another size or on failure.
int dstack_keccak(int bits, const uint8_t *data, size_t length, uint8_t *digest);

/// BLAKE2b without key (RFC 7693), `size` from 1 to 64 bytes. Returns 0, or -1 on failure.
int dstack_blake2b(const uint8_t *data, size_t length, uint8_t *digest, size_t size);

/// HSalsa20 with a zero input: how NaCl's crypto_box turns the X25519 secret into a key. Returns 0, or -1 on failure.
int dstack_box_key(const uint8_t shared[32], uint8_t key[32]);

/// NaCl's crypto_secretbox, XSalsa20 with Poly1305: the tag (16 bytes) and the encrypted text are given apart. Sealing
/// returns 0, or -1 on failure; opening 1, 0 if the tag does not match (`text` is then not written), or -1.
int dstack_secretbox_seal(
    const uint8_t key[32], const uint8_t nonce[24], const uint8_t *text, size_t length, uint8_t tag[16],
    uint8_t *sealed);
int dstack_secretbox_open(
    const uint8_t key[32], const uint8_t nonce[24], const uint8_t *sealed, size_t length, const uint8_t tag[16],
    uint8_t *text);

#ifdef __cplusplus
}
#endif

#endif
