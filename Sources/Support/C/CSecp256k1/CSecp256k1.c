#if !__has_include(<secp256k1_recovery.h>)
#error "the headers of libsecp256k1 are missing: install the Debian package libsecp256k1-dev, or run Scripts/setup, which installs all that are needed"
#endif

#include "CSecp256k1.h"

#include <pthread.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <string.h>
#include <sys/random.h>

// Made once and read only afterwards, so threads may share it.
static secp256k1_context *context;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void) {
    secp256k1_context *made = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    unsigned char seed[32];
    // Blinds the multiplication of secrets against side channels.
    if (made && getentropy(seed, sizeof seed) == 0 && secp256k1_context_randomize(made, seed)) {
        context = made;
    } else if (made) {
        secp256k1_context_destroy(made);
    }
    explicit_bzero(seed, sizeof seed);
}

static int ready(void) {
    pthread_once(&once, set_up);
    return context != NULL;
}

static int write_point(const secp256k1_pubkey *key, uint8_t point[65]) {
    size_t length = 65;
    return secp256k1_ec_pubkey_serialize(context, point, &length, key, SECP256K1_EC_UNCOMPRESSED) && length == 65;
}

int dstack_k256_public(const uint8_t secret[32], uint8_t point[65]) {
    secp256k1_pubkey key;
    if (!ready()) return -1;
    if (!secp256k1_ec_seckey_verify(context, secret)) return 0;
    return secp256k1_ec_pubkey_create(context, &key, secret) && write_point(&key, point) ? 1 : -1;
}

int dstack_k256_read_point(const uint8_t *encoded, size_t length, uint8_t point[65]) {
    secp256k1_pubkey key;
    if (!ready()) return -1;
    // The library also reads the hybrid form (0x06, 0x07); nobody here writes it.
    if (!((length == 65 && encoded[0] == 4) || (length == 33 && (encoded[0] == 2 || encoded[0] == 3)))) return 0;
    return secp256k1_ec_pubkey_parse(context, &key, encoded, length) && write_point(&key, point);
}

int dstack_k256_sign(const uint8_t secret[32], const uint8_t digest[32], uint8_t signature[65]) {
    secp256k1_ecdsa_recoverable_signature made;
    int recovery = 0;
    if (!ready() ||
        !secp256k1_ecdsa_sign_recoverable(context, &made, digest, secret, secp256k1_nonce_function_rfc6979, NULL) ||
        !secp256k1_ecdsa_recoverable_signature_serialize_compact(context, signature, &recovery, &made))
        return -1;
    signature[64] = (uint8_t)recovery;
    return 1;
}

int dstack_k256_verify(const uint8_t point[65], const uint8_t digest[32], const uint8_t signature[64]) {
    secp256k1_pubkey key;
    secp256k1_ecdsa_signature read;
    if (!ready()) return -1;
    return secp256k1_ec_pubkey_parse(context, &key, point, 65) &&
           secp256k1_ecdsa_signature_parse_compact(context, &read, signature) &&
           secp256k1_ecdsa_verify(context, &read, digest, &key);
}

int dstack_k256_recover(const uint8_t signature[65], const uint8_t digest[32], uint8_t point[65]) {
    secp256k1_pubkey key;
    secp256k1_ecdsa_signature plain;
    secp256k1_ecdsa_recoverable_signature read;
    if (!ready()) return -1;
    if (signature[64] > 3 || !secp256k1_ecdsa_signature_parse_compact(context, &plain, signature) ||
        secp256k1_ecdsa_signature_normalize(context, NULL, &plain) ||
        !secp256k1_ecdsa_recoverable_signature_parse_compact(context, &read, signature, signature[64]))
        return 0;
    return secp256k1_ecdsa_recover(context, &key, &read, digest) && write_point(&key, point);
}
