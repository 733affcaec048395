#if !__has_include(<cryptopp/keccak.h>)
#error "the headers of Crypto++ are missing: install the Debian package libcrypto++-dev, or run Scripts/setup, which installs all that are needed"
#endif

#include "CCryptoPP.h"

#include <cryptopp/blake2.h>
#include <cryptopp/keccak.h>
#include <cryptopp/misc.h>
#include <cryptopp/poly1305.h>
#include <cryptopp/salsa.h>
#include <cryptopp/secblock.h>

#include <cstring>

namespace {
template <typename Hash>
int digest_of(const uint8_t *data, size_t length, uint8_t *digest) {
    Hash hash;
    hash.CalculateDigest(digest, data, length);
    return 0;
}

// The stream of crypto_secretbox. Its first 32 bytes are the key of the authenticator, the text comes after them.
struct SecretBox {
    CryptoPP::XSalsa20::Encryption stream;
    CryptoPP::SecByteBlock authenticator_key;

    SecretBox(const uint8_t *key, const uint8_t *nonce) : authenticator_key(32) {
        stream.SetKeyWithIV(key, 32, nonce, 24);
        std::memset(authenticator_key, 0, 32);
        stream.ProcessData(authenticator_key, authenticator_key, 32);
    }

    void authenticate(const uint8_t *sealed, size_t length, uint8_t *tag) const {
        CryptoPP::Poly1305TLS authenticator(authenticator_key, 32);
        authenticator.CalculateDigest(tag, sealed, length);
    }
};

uint32_t little_endian(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}
}  // namespace

// No C++ exception may cross into Swift.
extern "C" int dstack_keccak(int bits, const uint8_t *data, size_t length, uint8_t *digest) {
    try {
        switch (bits) {
            case 256: return digest_of<CryptoPP::Keccak_256>(data, length, digest);
            case 384: return digest_of<CryptoPP::Keccak_384>(data, length, digest);
            case 512: return digest_of<CryptoPP::Keccak_512>(data, length, digest);
            default: return -1;
        }
    } catch (...) {
        return -1;
    }
}

extern "C" int dstack_blake2b(const uint8_t *data, size_t length, uint8_t *digest, size_t size) {
    if (size < 1 || size > 64) return -1;
    try {
        CryptoPP::BLAKE2b hash(false, (unsigned int)size);
        hash.CalculateDigest(digest, data, length);
        return 0;
    } catch (...) {
        return -1;
    }
}

extern "C" int dstack_box_key(const uint8_t shared[32], uint8_t key[32]) {
    try {
        // A block of Salsa20 is its input added to the mixed input; HSalsa20 is eight words of the mixed input alone.
        // Those eight are where the input is public (the constant and a zero nonce and counter), so subtracting it from
        // the block of the plain cipher gives HSalsa20.
        static const struct { int word; uint32_t input; } words[8] = {
            {0, 0x61707865}, {5, 0x3320646e}, {10, 0x79622d32}, {15, 0x6b206574}, {6, 0}, {7, 0}, {8, 0}, {9, 0}};
        const uint8_t nonce[8] = {0};
        CryptoPP::SecByteBlock block(64);
        std::memset(block, 0, 64);
        CryptoPP::Salsa20::Encryption stream;
        stream.SetKeyWithIV(shared, 32, nonce, sizeof nonce);
        stream.ProcessData(block, block, 64);
        for (int index = 0; index < 8; index++) {
            uint32_t value = little_endian(block + 4 * words[index].word) - words[index].input;
            for (int byte = 0; byte < 4; byte++) key[4 * index + byte] = (uint8_t)(value >> (8 * byte));
        }
        return 0;
    } catch (...) {
        return -1;
    }
}

extern "C" int dstack_secretbox_seal(
    const uint8_t key[32], const uint8_t nonce[24], const uint8_t *text, size_t length, uint8_t tag[16],
    uint8_t *sealed) {
    try {
        SecretBox box(key, nonce);
        if (length > 0) box.stream.ProcessData(sealed, text, length);
        box.authenticate(sealed, length, tag);
        return 0;
    } catch (...) {
        return -1;
    }
}

extern "C" int dstack_secretbox_open(
    const uint8_t key[32], const uint8_t nonce[24], const uint8_t *sealed, size_t length, const uint8_t tag[16],
    uint8_t *text) {
    try {
        SecretBox box(key, nonce);
        uint8_t expected[16];
        box.authenticate(sealed, length, expected);
        // Constant time: how far a forged tag is right must not show.
        if (!CryptoPP::VerifyBufsEqual(expected, tag, sizeof expected)) return 0;
        if (length > 0) box.stream.ProcessData(text, sealed, length);
        return 1;
    } catch (...) {
        return -1;
    }
}
