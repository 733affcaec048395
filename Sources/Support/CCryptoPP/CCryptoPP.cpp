#include "CCryptoPP.h"

#include <cryptopp/keccak.h>

namespace {
template <typename Hash>
int digest_of(const uint8_t *data, size_t length, uint8_t *digest) {
    Hash hash;
    hash.CalculateDigest(digest, data, length);
    return 0;
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
