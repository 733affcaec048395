#define OPENSSL_SUPPRESS_DEPRECATED
#include "COpenSSLRequirements.h"
#include "Symmetric.h"

#include "Digests.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
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

// HMAC-SHA256 (RFC 2104) from the bare hash: `HMAC` of OpenSSL 3.0 looks the algorithm up by name at every call, which
// costs several times the hashing. Both states are as good as the key; `hmac_end` and `hmac_wipe` wipe them.
struct hmac {
    SHA256_CTX inner, outer;
};

static void hmac_begin(struct hmac *hmac, const uint8_t *key, size_t key_length) {
    uint8_t block[SHA256_CBLOCK] = {0}, pad[SHA256_CBLOCK];
    if (key_length > sizeof block) {
        dstack_sha256(key, key_length, block);
    } else if (key_length > 0) {
        memcpy(block, key, key_length);
    }
    for (size_t i = 0; i < sizeof block; i++) pad[i] = block[i] ^ 0x36;
    SHA256_Init(&hmac->inner);
    SHA256_Update(&hmac->inner, pad, sizeof pad);
    for (size_t i = 0; i < sizeof block; i++) pad[i] = block[i] ^ 0x5c;
    SHA256_Init(&hmac->outer);
    SHA256_Update(&hmac->outer, pad, sizeof pad);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(pad, sizeof pad);
}

static void hmac_wipe(struct hmac *hmac) { OPENSSL_cleanse(hmac, sizeof *hmac); }

static void hmac_end(struct hmac *hmac, uint8_t code[SHA256_DIGEST_LENGTH]) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_Final(digest, &hmac->inner);
    SHA256_Update(&hmac->outer, digest, sizeof digest);
    SHA256_Final(code, &hmac->outer);
    OPENSSL_cleanse(digest, sizeof digest);
    hmac_wipe(hmac);
}

int dstack_hmac(
    int bits, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *code) {
    const EVP_MD *algorithm = sha2(bits);
    if (!algorithm || key_length > INT_MAX) return -1;
    if (bits == 256) {
        struct hmac hmac;
        hmac_begin(&hmac, key, key_length);
        if (length > 0) SHA256_Update(&hmac.inner, data, length);
        hmac_end(&hmac, code);
        return 1;
    }
    // A null key means "the one of before" to OpenSSL, not the empty one.
    static const uint8_t empty = 0;
    return answer(HMAC(algorithm, key ? key : &empty, (int)key_length, data, length, code, NULL) ? 1 : -1);
}

int dstack_hkdf_expand_sha256(
    const uint8_t *key, size_t key_length, const uint8_t *info, size_t info_length, uint8_t *okm, size_t count) {
    if (!key || count > 255 * SHA256_DIGEST_LENGTH) return -1;
    struct hmac keyed, hmac;
    uint8_t block[SHA256_DIGEST_LENGTH];
    hmac_begin(&keyed, key, key_length);
    for (uint8_t number = 1; count > 0; number++) {
        // T(n) = HMAC(key, T(n-1) | info | n)
        hmac = keyed;
        if (number > 1) SHA256_Update(&hmac.inner, block, sizeof block);
        if (info_length > 0) SHA256_Update(&hmac.inner, info, info_length);
        SHA256_Update(&hmac.inner, &number, 1);
        hmac_end(&hmac, block);
        size_t part = count < sizeof block ? count : sizeof block;
        memcpy(okm, block, part);
        okm += part;
        count -= part;
    }
    OPENSSL_cleanse(block, sizeof block);
    hmac_wipe(&keyed);
    return 1;
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
