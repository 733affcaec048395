#ifndef DSTACK_EC_KEYS_H
#define DSTACK_EC_KEYS_H

#include <stddef.h>
#include <stdint.h>

// ECDSA and ECDH on the NIST curves from raw numbers. `curve` is 256 or 384; numbers are big-endian, curve/8 bytes each
// ("size" below); points are uncompressed, 0x04‖X‖Y. Functions answer 1 for yes, 0 for no, -1 on failure of the library,
// which a caller must treat as no.

/// Whether 0 < scalar < n; then writes the public point (1 + 2·size bytes).
int dstack_ec_public_point(int curve, const uint8_t *scalar, uint8_t *point);

/// A scalar and its point, drawn by OpenSSL's generator.
int dstack_ec_generate(int curve, uint8_t *scalar, uint8_t *point);

/// Reads a SEC 1 point, compressed (0x02, 0x03) or uncompressed (0x04) and nothing else, checks that it is on the curve
/// and not infinity, and writes it uncompressed.
int dstack_ec_read_point(int curve, const uint8_t *encoded, size_t length, uint8_t *point);

/// Signs a digest; writes r‖s (2·size bytes).
int dstack_ec_sign(int curve, const uint8_t *scalar, const uint8_t *digest, size_t length, uint8_t *signature);

/// Whether r‖s is a signature over a digest under a point. The point is checked again.
int dstack_ec_verify(
    int curve, const uint8_t *point, const uint8_t *digest, size_t length, const uint8_t *signature);

/// The x coordinate of scalar · point (size bytes).
int dstack_ec_agree(int curve, const uint8_t *scalar, const uint8_t *point, uint8_t *shared);

/// Reads an EC private key, PKCS#8 (`form` 8) or SEC 1 ECPrivateKey (`form` 1), DER without anything after it. Writes the
/// scalar. 0 if it is not a key of this curve, or if it names a public key that is not its own.
int dstack_ec_read_private_key(int curve, int form, const uint8_t *der, size_t length, uint8_t *scalar);

#endif
