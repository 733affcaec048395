/// The verification of COpenSSL by its plain path, which needs nothing that OpenSSL deprecates.
#ifndef DSTACK_PLAIN_P256_H
#define DSTACK_PLAIN_P256_H

#include <stdint.h>

/// Whether `signature` (r‖s) over `digest` is by the key X‖Y: 1 yes, 0 no, -1 where that is no key or on failure.
/// `wants_table`: asks for a table of the key first, which this path has none of.
int plain_p256_verify_once(
    const uint8_t point[64], const uint8_t digest[32], const uint8_t signature[64], int wants_table);

#endif
