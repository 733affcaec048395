#include "COpenSSLRequirements.h"
#include "EdwardsKeys.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

static int answer(int result) {
    ERR_clear_error();
    return result;
}

static int public_of(int type, const uint8_t secret[32], uint8_t point[32]) {
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(type, NULL, secret, 32);
    size_t length = 32;
    int ok = key && EVP_PKEY_get_raw_public_key(key, point, &length) && length == 32;
    EVP_PKEY_free(key);
    return answer(ok ? 1 : -1);
}

int dstack_ed25519_public(const uint8_t seed[32], uint8_t point[32]) {
    return public_of(EVP_PKEY_ED25519, seed, point);
}

int dstack_ed25519_sign(const uint8_t seed[32], const uint8_t *message, size_t length, uint8_t signature[64]) {
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t written = 64;
    int ok = key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) &&
             EVP_DigestSign(context, signature, &written, message, length) && written == 64;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return answer(ok ? 1 : -1);
}

int dstack_ed25519_verify(
    const uint8_t point[32], const uint8_t *message, size_t length, const uint8_t signature[64]) {
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int result = -1;
    // OpenSSL refuses s that is not below the order, as RFC 8032 section 5.1.7 demands.
    if (key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key))
        result = EVP_DigestVerify(context, signature, 64, message, length) == 1 ? 1 : 0;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return answer(result);
}

int dstack_x25519_public(const uint8_t secret[32], uint8_t point[32]) {
    return public_of(EVP_PKEY_X25519, secret, point);
}

int dstack_x25519_agree(const uint8_t secret[32], const uint8_t point[32], uint8_t shared[32]) {
    EVP_PKEY *mine = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, 32);
    EVP_PKEY_CTX *context = mine ? EVP_PKEY_CTX_new(mine, NULL) : NULL;
    size_t length = 32;
    int result = -1;
    if (theirs && context && EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, theirs) == 1) {
        // OpenSSL fails for an all-zero result; looked at here too, so that it does not hang on one version.
        uint8_t any = 0;
        result = EVP_PKEY_derive(context, shared, &length) == 1 && length == 32;
        for (size_t index = 0; index < 32; index++) any |= shared[index];
        if (result == 1 && any == 0) result = 0;
    }
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(mine);
    return answer(result);
}
