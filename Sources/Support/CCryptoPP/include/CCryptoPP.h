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

#ifdef __cplusplus
}
#endif

#endif
