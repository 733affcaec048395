#ifndef DSTACK_P256_VERIFY_H
#define DSTACK_P256_VERIFY_H

#include <stddef.h>
#include <stdint.h>

// ECDSA verification on NIST P-256 from raw numbers, with OpenSSL's own arithmetic.
//
// OpenSSL keeps a table of multiples for the generator only, so most of a verification goes into multiplying the public
// key. A group whose generator *is* the public key gets the same table for it; with that, a verification under a known
// key takes half the time. Everything here works on public values, so nothing needs to be constant time.

/// A P-256 public key, checked to be on the curve; with a table once `dstack_p256_key_precompute` has run.
typedef struct dstack_p256_key dstack_p256_key;

/// `point`: X‖Y, 64 bytes big-endian. NULL if it is not a point of the curve (zero and infinity are not).
dstack_p256_key *dstack_p256_key_new(const uint8_t point[64]);
void dstack_p256_key_free(dstack_p256_key *key);

/// Builds the table (some 20 ms). 1 on success; 0 also where OpenSSL has no tables any more. Not to be called while another
/// thread uses the key.
int dstack_p256_key_precompute(dstack_p256_key *key);

/// Inverses modulo the group order of `count` numbers of 32 bytes each, all with one modular inversion (Montgomery's
/// trick). 1 on success; 0 if one of them is zero or not below the order (or on failure), and `inverses` is then
/// unspecified.
int dstack_p256_invert(const uint8_t *numbers, size_t count, uint8_t *inverses);

/// 1 if r and s are both in 1 ..< n.
int dstack_p256_scalars_in_range(const uint8_t signature[64]);

/// Whether `signature` (r‖s) over the 32-byte `digest` is by `key`. `inverse` is s⁻¹ mod n if the caller has it, else
/// NULL. 1 yes, 0 no, -1 on failure (which a caller must treat as no).
int dstack_p256_verify(
    const dstack_p256_key *key, const uint8_t digest[32], const uint8_t signature[64], const uint8_t *inverse);

#endif
