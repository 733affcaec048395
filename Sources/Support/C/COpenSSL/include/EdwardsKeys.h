#ifndef DSTACK_EDWARDS_KEYS_H
#define DSTACK_EDWARDS_KEYS_H

#include <stddef.h>
#include <stdint.h>

// Ed25519 (RFC 8032) and X25519 (RFC 7748) from 32-byte strings. 1 for success or yes, 0 for no, -1 on failure of the
// library, which a caller must treat as no.

int dstack_ed25519_public(const uint8_t seed[32], uint8_t point[32]);
int dstack_ed25519_sign(const uint8_t seed[32], const uint8_t *message, size_t length, uint8_t signature[64]);
int dstack_ed25519_verify(
    const uint8_t point[32], const uint8_t *message, size_t length, const uint8_t signature[64]);

int dstack_x25519_public(const uint8_t secret[32], uint8_t point[32]);
/// 0 if the result is all zero: the peer's point has a small order and the secret does not depend on ours.
int dstack_x25519_agree(const uint8_t secret[32], const uint8_t point[32], uint8_t shared[32]);

#endif
