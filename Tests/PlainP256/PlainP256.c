#define DSTACK_P256_PLAIN
// What the plain path must do without is not declared then.
#define OPENSSL_NO_DEPRECATED

#define dstack_p256_key plain_p256_key
#define dstack_p256_key_new plain_p256_key_new
#define dstack_p256_key_free plain_p256_key_free
#define dstack_p256_key_precompute plain_p256_key_precompute
#define dstack_p256_invert plain_p256_invert
#define dstack_p256_scalars_in_range plain_p256_scalars_in_range
#define dstack_p256_verify plain_p256_verify

#include "../../Sources/Support/C/COpenSSL/P256Verify.c"

#include "PlainP256.h"

int plain_p256_verify_once(
    const uint8_t point[64], const uint8_t digest[32], const uint8_t signature[64], int wants_table) {
    dstack_p256_key *key = dstack_p256_key_new(point);
    if (!key) return -1;
    int result = -1;
    if (!wants_table || dstack_p256_key_precompute(key) == 0)
        result = dstack_p256_verify(key, digest, signature, NULL);
    dstack_p256_key_free(key);
    return result;
}
