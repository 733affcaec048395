#define OPENSSL_SUPPRESS_DEPRECATED
#include "Symmetric.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static int answer(int result) {
    ERR_clear_error();
    return result;
}

int dstack_sha3(int bits, const uint8_t *data, size_t length, uint8_t *digest) {
    const EVP_MD *algorithm =
        bits == 256 ? EVP_sha3_256() : bits == 384 ? EVP_sha3_384() : bits == 512 ? EVP_sha3_512() : NULL;
    if (!algorithm) return -1;
    return answer(EVP_Digest(data, length, digest, NULL, algorithm, NULL) ? 1 : -1);
}

static const EVP_MD *sha2(int bits) {
    return bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : bits == 512 ? EVP_sha512() : NULL;
}

int dstack_hmac(
    int bits, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *code) {
    const EVP_MD *algorithm = sha2(bits);
    if (!algorithm || key_length > INT_MAX) return -1;
    // A null key means "the one of before" to OpenSSL, not the empty one.
    static const uint8_t empty = 0;
    return answer(HMAC(algorithm, key ? key : &empty, (int)key_length, data, length, code, NULL) ? 1 : -1);
}

int dstack_hkdf_expand(
    int bits, const uint8_t *key, size_t key_length, const uint8_t *info, size_t info_length, uint8_t *okm,
    size_t count) {
    const EVP_MD *algorithm = sha2(bits);
    size_t size = (size_t)bits / 8;
    if (!algorithm || !key || key_length > INT_MAX || count > 255 * size) return -1;
    HMAC_CTX *context = HMAC_CTX_new();
    uint8_t block[64];
    int ok = context && HMAC_Init_ex(context, key, (int)key_length, algorithm, NULL);
    for (uint8_t number = 1; ok && count > 0; number++) {
        // T(n) = HMAC(key, T(n-1) | info | n); the initialisation with no key starts over with the same one.
        ok = (number == 1 || (HMAC_Init_ex(context, NULL, 0, NULL, NULL) && HMAC_Update(context, block, size))) &&
             HMAC_Update(context, info, info_length) && HMAC_Update(context, &number, 1) &&
             HMAC_Final(context, block, NULL);
        size_t part = count < size ? count : size;
        if (ok) memcpy(okm, block, part);
        okm += part;
        count -= part;
    }
    OPENSSL_cleanse(block, sizeof block);
    HMAC_CTX_free(context);
    return answer(ok ? 1 : -1);
}

static const EVP_CIPHER *cipher_of(int cipher) {
    switch (cipher) {
        case dstack_aes_256_gcm: return EVP_aes_256_gcm();
        case dstack_chacha20_poly1305: return EVP_chacha20_poly1305();
        default: return NULL;
    }
}

// A context that has taken key, nonce and associated data, or NULL.
static EVP_CIPHER_CTX *begin(
    int cipher, int encrypt, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_length,
    size_t length) {
    const EVP_CIPHER *algorithm = cipher_of(cipher);
    if (!algorithm || aad_length > INT_MAX || length > INT_MAX) return NULL;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int written;
    if (context && EVP_CipherInit_ex(context, algorithm, NULL, NULL, NULL, encrypt) &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) &&
        EVP_CipherInit_ex(context, NULL, NULL, key, nonce, encrypt) &&
        (aad_length == 0 || EVP_CipherUpdate(context, NULL, &written, aad, (int)aad_length)))
        return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}

int dstack_aead_seal(
    int cipher, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_length, const uint8_t *text,
    size_t length, uint8_t *sealed, uint8_t *tag) {
    EVP_CIPHER_CTX *context = begin(cipher, 1, key, nonce, aad, aad_length, length);
    int written = 0;
    uint8_t rest[EVP_MAX_BLOCK_LENGTH];
    int ok = context && (length == 0 || (EVP_CipherUpdate(context, sealed, &written, text, (int)length) &&
                                         (size_t)written == length)) &&
             EVP_CipherFinal_ex(context, rest, &written) && written == 0 &&
             EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag);
    EVP_CIPHER_CTX_free(context);
    return answer(ok ? 1 : -1);
}

int dstack_aead_open(
    int cipher, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_length, const uint8_t *sealed,
    size_t length, const uint8_t *tag, uint8_t *text) {
    EVP_CIPHER_CTX *context = begin(cipher, 0, key, nonce, aad, aad_length, length);
    int written = 0, result = -1;
    uint8_t rest[EVP_MAX_BLOCK_LENGTH], expected[16];
    memcpy(expected, tag, sizeof expected);
    if (context && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof expected, expected) &&
        (length == 0 || (EVP_CipherUpdate(context, text, &written, sealed, (int)length) && (size_t)written == length)))
        result = EVP_CipherFinal_ex(context, rest, &written) > 0 ? 1 : 0;
    EVP_CIPHER_CTX_free(context);
    return answer(result);
}
