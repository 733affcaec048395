#define OPENSSL_SUPPRESS_DEPRECATED
#include "COpenSSLRequirements.h"
#include "ECKeys.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

// Made once and read only afterwards.
static EC_GROUP *p256, *p384;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void) {
    p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    p384 = EC_GROUP_new_by_curve_name(NID_secp384r1);
}

static const EC_GROUP *group_of(int curve) {
    pthread_once(&once, set_up);
    return curve == 256 ? p256 : curve == 384 ? p384 : NULL;
}

// What a failed call left in OpenSSL's queue must not be found by the next reader of that queue (TLS looks there).
static int answer(int result) {
    ERR_clear_error();
    return result;
}

// The number of a private scalar, or NULL; *valid says whether it is in range.
static BIGNUM *private_number(const EC_GROUP *group, const uint8_t *scalar, size_t size, int *valid) {
    BIGNUM *number = BN_secure_new();
    *valid = -1;
    if (number && BN_bin2bn(scalar, (int)size, number)) {
        BN_set_flags(number, BN_FLG_CONSTTIME);
        *valid = !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0;
    }
    if (*valid == 1) return number;
    BN_clear_free(number);
    return NULL;
}

// A key with this private scalar (checked) and no public point, or NULL. Signing and key agreement do not look at the
// point, and to compute it costs as much as a signature.
static EC_KEY *private_key(const EC_GROUP *group, const uint8_t *scalar, size_t size) {
    int valid;
    BIGNUM *number = private_number(group, scalar, size, &valid);
    EC_KEY *key = number ? EC_KEY_new() : NULL;
    int ok = key && EC_KEY_set_group(key, group) && EC_KEY_set_private_key(key, number);
    BN_clear_free(number);
    if (ok) return key;
    EC_KEY_free(key);  // clears the scalar
    return NULL;
}

static int write_point(const EC_GROUP *group, const EC_POINT *point, size_t size, uint8_t *encoded) {
    return EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded, 1 + 2 * size, NULL) == 1 + 2 * size;
}

int dstack_ec_public_point(int curve, const uint8_t *scalar, uint8_t *encoded) {
    const EC_GROUP *group = group_of(curve);
    size_t size = (size_t)curve / 8;
    int valid;
    if (!group) return -1;
    BIGNUM *number = private_number(group, scalar, size, &valid);
    if (!number) return answer(valid == 0 ? 0 : -1);
    EC_POINT *point = EC_POINT_new(group);
    int ok = point && EC_POINT_mul(group, point, number, NULL, NULL, NULL) && write_point(group, point, size, encoded);
    BN_clear_free(number);
    EC_POINT_free(point);
    return answer(ok ? 1 : -1);
}

int dstack_ec_generate(int curve, uint8_t *scalar, uint8_t *point) {
    const EC_GROUP *group = group_of(curve);
    size_t size = (size_t)curve / 8;
    EC_KEY *key = EC_KEY_new();
    int ok = group && key && EC_KEY_set_group(key, group) && EC_KEY_generate_key(key) &&
             BN_bn2binpad(EC_KEY_get0_private_key(key), scalar, (int)size) == (int)size &&
             write_point(group, EC_KEY_get0_public_key(key), size, point);
    EC_KEY_free(key);
    return answer(ok ? 1 : -1);
}

int dstack_ec_read_point(int curve, const uint8_t *encoded, size_t length, uint8_t *point) {
    const EC_GROUP *group = group_of(curve);
    size_t size = (size_t)curve / 8;
    if (!group) return -1;
    // OpenSSL also reads the hybrid form (0x06, 0x07) and infinity (0x00); nobody here writes either.
    if (!((length == 1 + 2 * size && encoded[0] == 4) ||
          (length == 1 + size && (encoded[0] == 2 || encoded[0] == 3))))
        return 0;
    EC_POINT *read = EC_POINT_new(group);
    if (!read) return -1;
    // EC_POINT_oct2point checks that the coordinates are below p and that the point is on the curve.
    int ok = EC_POINT_oct2point(group, read, encoded, length, NULL) && !EC_POINT_is_at_infinity(group, read) &&
             write_point(group, read, size, point);
    EC_POINT_free(read);
    return answer(ok ? 1 : 0);
}

int dstack_ec_sign(int curve, const uint8_t *scalar, const uint8_t *digest, size_t length, uint8_t *signature) {
    const EC_GROUP *group = group_of(curve);
    size_t size = (size_t)curve / 8;
    if (!group || length > 64) return -1;
    EC_KEY *key = private_key(group, scalar, size);
    if (!key) return answer(-1);
    ECDSA_SIG *made = ECDSA_do_sign(digest, (int)length, key);
    int ok = made && BN_bn2binpad(ECDSA_SIG_get0_r(made), signature, (int)size) == (int)size &&
             BN_bn2binpad(ECDSA_SIG_get0_s(made), signature + size, (int)size) == (int)size;
    ECDSA_SIG_free(made);
    EC_KEY_free(key);
    return answer(ok ? 1 : -1);
}

// A key with only a public point, or NULL if that is not one.
static EC_KEY *public_key(const EC_GROUP *group, const uint8_t *encoded, size_t size) {
    EC_KEY *key = EC_KEY_new();
    EC_POINT *point = EC_POINT_new(group);
    if (key && point && encoded[0] == 4 && EC_KEY_set_group(key, group) &&
        EC_POINT_oct2point(group, point, encoded, 1 + 2 * size, NULL) && EC_KEY_set_public_key(key, point)) {
        EC_POINT_free(point);
        return key;
    }
    EC_POINT_free(point);
    EC_KEY_free(key);
    return NULL;
}

int dstack_ec_verify(
    int curve, const uint8_t *point, const uint8_t *digest, size_t length, const uint8_t *signature) {
    const EC_GROUP *group = group_of(curve);
    size_t size = (size_t)curve / 8;
    if (!group || length > 64) return -1;
    EC_KEY *key = public_key(group, point, size);
    ECDSA_SIG *read = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, (int)size, NULL), *s = BN_bin2bn(signature + size, (int)size, NULL);
    int result = -1;
    if (key && read && r && s && ECDSA_SIG_set0(read, r, s)) {
        r = s = NULL;  // now the signature's
        // OpenSSL refuses r and s outside 1 ..< n, sometimes as an error: both are "no".
        result = ECDSA_do_verify(digest, (int)length, read, key) == 1 ? 1 : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(read);
    EC_KEY_free(key);
    return answer(result);
}

int dstack_ec_agree(int curve, const uint8_t *scalar, const uint8_t *point, uint8_t *shared) {
    const EC_GROUP *group = group_of(curve);
    size_t size = (size_t)curve / 8;
    if (!group) return -1;
    EC_KEY *mine = private_key(group, scalar, size), *theirs = public_key(group, point, size);
    int ok = mine && theirs &&
             ECDH_compute_key(shared, size, EC_KEY_get0_public_key(theirs), mine, NULL) == (int)size;
    EC_KEY_free(mine);
    EC_KEY_free(theirs);
    return answer(ok ? 1 : -1);
}

// The EC key inside a PKCS#8 or SEC 1 structure, or NULL.
static EC_KEY *decode(int form, const uint8_t *der, size_t length) {
    const uint8_t *end = der;
    if (length > LONG_MAX) return NULL;
    if (form == 1) {
        EC_KEY *key = d2i_ECPrivateKey(NULL, &end, (long)length);
        if (key && end == der + length) return key;
        EC_KEY_free(key);
        return NULL;
    }
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &end, (long)length);
    EVP_PKEY *wrapped = info && end == der + length ? EVP_PKCS82PKEY(info) : NULL;
    EC_KEY *key = wrapped && EVP_PKEY_get_base_id(wrapped) == EVP_PKEY_EC ? EVP_PKEY_get1_EC_KEY(wrapped) : NULL;
    EVP_PKEY_free(wrapped);
    PKCS8_PRIV_KEY_INFO_free(info);  // clears the key octets
    return key;
}

int dstack_ec_read_private_key(int curve, int form, const uint8_t *der, size_t length, uint8_t *scalar) {
    const EC_GROUP *group = group_of(curve);
    size_t size = (size_t)curve / 8;
    if (!group) return -1;
    EC_KEY *key = decode(form, der, length);
    // A curve given by explicit numbers is refused even where they are those of the right curve: telling them apart is
    // what CVE-2020-0601 was about, and nobody needs it.
    const EC_GROUP *found = key ? EC_KEY_get0_group(key) : NULL;
    const BIGNUM *number = key ? EC_KEY_get0_private_key(key) : NULL;
    int ok = found && number && EC_GROUP_get_asn1_flag(found) == OPENSSL_EC_NAMED_CURVE &&
             EC_GROUP_get_curve_name(found) == EC_GROUP_get_curve_name(group) && !BN_is_zero(number) &&
             !BN_is_negative(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0 && EC_KEY_check_key(key) &&
             BN_bn2binpad(number, scalar, (int)size) == (int)size;
    EC_KEY_free(key);
    return answer(ok ? 1 : 0);
}
