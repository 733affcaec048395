#ifndef DSTACK_CSECP256K1_H
#define DSTACK_CSECP256K1_H

#include <stddef.h>
#include <stdint.h>

// secp256k1 from raw numbers, over libsecp256k1 with one randomised context. Points are uncompressed (0x04‖X‖Y, 65
// bytes), digests 32 bytes, signatures r‖s or r‖s‖recovery id. 1 for success or yes, 0 for no, -1 on failure of the
// library, which a caller must treat as no.

/// Whether 0 < secret < n; then writes the public point.
int dstack_k256_public(const uint8_t secret[32], uint8_t point[65]);

/// Reads a SEC 1 point, compressed or uncompressed and nothing else, and checks that it is on the curve.
int dstack_k256_read_point(const uint8_t *encoded, size_t length, uint8_t point[65]);

/// Signs with the nonce of RFC 6979 (HMAC-SHA256, nothing added); s is at most n/2.
int dstack_k256_sign(const uint8_t secret[32], const uint8_t digest[32], uint8_t signature[65]);

/// Signatures whose s is above n/2 are refused: with them everyone could make a second signature out of one.
int dstack_k256_verify(const uint8_t point[65], const uint8_t digest[32], const uint8_t signature[64]);

/// The point under which the signature verifies; 0 if there is none, also for s above n/2.
int dstack_k256_recover(const uint8_t signature[65], const uint8_t digest[32], uint8_t point[65]);

#endif
