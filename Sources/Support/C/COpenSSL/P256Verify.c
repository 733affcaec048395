// Tables of a key, and reading coordinates without dividing, need functions that OpenSSL deprecates. Where a build of it has
// them no more, or with DSTACK_P256_PLAIN, every verification takes the way of a key without a table: the same answers, later.
#ifndef DSTACK_P256_PLAIN
#define OPENSSL_SUPPRESS_DEPRECATED
#endif
#include "COpenSSLRequirements.h"
#include "P256Verify.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(OPENSSL_NO_DEPRECATED_3_0) && !defined(DSTACK_P256_PLAIN)
#define DSTACK_P256_PLAIN
#endif

struct dstack_p256_key {
    EC_POINT *point;       // on `curve`
    EC_GROUP *table;       // the curve with `point` for its generator, or NULL
};

// The curve with its standard generator, and its constants. Read-only once made.
static EC_GROUP *curve;
static const BIGNUM *order;
static BIGNUM *field;
static BN_MONT_CTX *field_mont;
static BN_MONT_CTX *order_mont;
static uint8_t order_bytes[32];
static pthread_once_t once = PTHREAD_ONCE_INIT;

// What a thread computes with, kept from one verification to the next: numbers and points then have their memory already,
// which is a fifth of a verification under a key with a table.
struct scratch {
    BN_CTX *ctx;
    EC_POINT *sum, *part;
};
static pthread_key_t scratch_key;

static void scratch_free(void *value) {
    struct scratch *scratch = value;
    if (!scratch) return;
    EC_POINT_free(scratch->sum);
    EC_POINT_free(scratch->part);
    BN_CTX_free(scratch->ctx);
    free(scratch);
}

static void set_up(void) {
    BN_CTX *ctx = BN_CTX_new();
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    field = BN_new();
    field_mont = BN_MONT_CTX_new();
    order_mont = BN_MONT_CTX_new();
    if (ctx && group && field && pthread_key_create(&scratch_key, scratch_free) == 0 && field_mont && order_mont &&
        EC_GROUP_get_curve(group, field, NULL, NULL, ctx) &&
        BN_MONT_CTX_set(field_mont, field, ctx) &&
        BN_MONT_CTX_set(order_mont, EC_GROUP_get0_order(group), ctx) &&
        BN_bn2binpad(EC_GROUP_get0_order(group), order_bytes, sizeof order_bytes) == sizeof order_bytes) {
        order = EC_GROUP_get0_order(group);
        curve = group;
    }
    BN_CTX_free(ctx);
}

static int ready(void) {
    pthread_once(&once, set_up);
    return curve != NULL;
}

// This thread's, or NULL without memory.
static struct scratch *scratch_get(void) {
    struct scratch *scratch = pthread_getspecific(scratch_key);
    if (scratch) return scratch;
    scratch = calloc(1, sizeof *scratch);
    if (!scratch) return NULL;
    scratch->ctx = BN_CTX_new();
    scratch->sum = EC_POINT_new(curve);
    scratch->part = EC_POINT_new(curve);
    if (!scratch->ctx || !scratch->sum || !scratch->part || pthread_setspecific(scratch_key, scratch) != 0) {
        scratch_free(scratch);
        return NULL;
    }
    return scratch;
}

dstack_p256_key *dstack_p256_key_new(const uint8_t point[64]) {
    if (!ready()) return NULL;
    struct scratch *scratch = scratch_get();
    if (!scratch) return NULL;
    dstack_p256_key *key = calloc(1, sizeof *key);
    if (!key) return NULL;
    uint8_t encoded[65];
    encoded[0] = 4;
    memcpy(encoded + 1, point, 64);
    key->point = EC_POINT_new(curve);
    // EC_POINT_oct2point checks that the coordinates are below p and that the point is on the curve.
    if (!key->point || !EC_POINT_oct2point(curve, key->point, encoded, sizeof encoded, scratch->ctx)) {
        dstack_p256_key_free(key);
        return NULL;
    }
    return key;
}

void dstack_p256_key_free(dstack_p256_key *key) {
    if (!key) return;
    EC_POINT_free(key->point);
    EC_GROUP_free(key->table);
    free(key);
}

#ifdef DSTACK_P256_PLAIN
int dstack_p256_key_precompute(dstack_p256_key *key) {
    (void)key;
    return 0;
}
#else
int dstack_p256_key_precompute(dstack_p256_key *key) {
    if (key->table) return 1;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    if (!group) return 0;
    if (!EC_GROUP_set_generator(group, key->point, order, BN_value_one()) ||
        !EC_GROUP_precompute_mult(group, NULL) || !EC_GROUP_have_precompute_mult(group)) {
        EC_GROUP_free(group);
        return 0;
    }
    key->table = group;
    return 1;
}
#endif

static int in_range(const BIGNUM *number) {
    return !BN_is_zero(number) && BN_cmp(number, order) < 0;
}

static int bytes_in_range(const uint8_t number[32]) {
    static const uint8_t zero[32];
    return memcmp(number, zero, 32) != 0 && memcmp(number, order_bytes, 32) < 0;
}

int dstack_p256_scalars_in_range(const uint8_t signature[64]) {
    return ready() && bytes_in_range(signature) && bytes_in_range(signature + 32);
}

int dstack_p256_invert(const uint8_t *numbers, size_t count, uint8_t *inverses) {
    if (!ready()) return 0;
    if (count == 0) return 1;
    if (count > 4096) return 0;
    struct scratch *scratch = scratch_get();
    if (!scratch) return 0;
    BN_CTX *ctx = scratch->ctx;
    BN_CTX_start(ctx);
    int ok = 0;
    // value[i] is the number, prefix[i] the product of the first i + 1 of them, all in Montgomery form.
    BIGNUM **value = calloc(count, sizeof *value), **prefix = calloc(count, sizeof *prefix);
    BIGNUM *inverse = BN_CTX_get(ctx), *one = BN_CTX_get(ctx);
    if (!value || !prefix || !one) goto done;
    for (size_t i = 0; i < count; i++) {
        value[i] = BN_CTX_get(ctx);
        prefix[i] = BN_CTX_get(ctx);
        if (!prefix[i] || !BN_bin2bn(numbers + 32 * i, 32, value[i]) || !in_range(value[i])) goto done;
        if (!BN_to_montgomery(value[i], value[i], order_mont, ctx)) goto done;
        if (i == 0) {
            if (!BN_copy(prefix[0], value[0])) goto done;
        } else if (!BN_mod_mul_montgomery(prefix[i], prefix[i - 1], value[i], order_mont, ctx)) {
            goto done;
        }
    }
    // The product leaves Montgomery form, is inverted, and enters it again.
    if (!BN_from_montgomery(inverse, prefix[count - 1], order_mont, ctx) ||
        !BN_mod_inverse(inverse, inverse, order, ctx) || !BN_to_montgomery(inverse, inverse, order_mont, ctx))
        goto done;
    for (size_t i = count; i-- > 0;) {
        if (i > 0) {
            if (!BN_mod_mul_montgomery(one, inverse, prefix[i - 1], order_mont, ctx) ||
                !BN_mod_mul_montgomery(inverse, inverse, value[i], order_mont, ctx))
                goto done;
        } else if (!BN_copy(one, inverse)) {
            goto done;
        }
        if (!BN_from_montgomery(one, one, order_mont, ctx) || BN_bn2binpad(one, inverses + 32 * i, 32) != 32) goto done;
    }
    ok = 1;
done:
    free(value);
    free(prefix);
    BN_CTX_end(ctx);
    return ok;
}

#ifdef DSTACK_P256_PLAIN
// Whether the affine x coordinate of `point`, reduced modulo the order, is r; -1 on failure.
static int x_is(const EC_POINT *point, const BIGNUM *r, BN_CTX *ctx) {
    if (EC_POINT_is_at_infinity(curve, point)) return 0;
    BN_CTX_start(ctx);
    BIGNUM *x = BN_CTX_get(ctx);
    int result = -1;
    if (x && EC_POINT_get_affine_coordinates(curve, point, x, NULL, ctx) && BN_nnmod(x, x, order, ctx))
        result = BN_cmp(x, r) == 0;
    BN_CTX_end(ctx);
    return result;
}
#else
// Whether the affine x coordinate of `point`, reduced modulo the order, is r. Compares X with r·Z² (and with (r + n)·Z²
// where r + n is still below p) instead of dividing by Z².
static int x_is(const EC_POINT *point, const BIGNUM *r, BN_CTX *ctx) {
    if (EC_POINT_is_at_infinity(curve, point)) return 0;
    BN_CTX_start(ctx);
    BIGNUM *x = BN_CTX_get(ctx), *y = BN_CTX_get(ctx), *z = BN_CTX_get(ctx), *candidate = BN_CTX_get(ctx),
           *product = BN_CTX_get(ctx);
    int result = -1;
    if (!product || !EC_POINT_get_Jprojective_coordinates_GFp(curve, point, x, y, z, ctx)) goto done;
    // z becomes Z² in Montgomery form; multiplying a plain number by it leaves Montgomery form again.
    if (!BN_to_montgomery(z, z, field_mont, ctx) || !BN_mod_mul_montgomery(z, z, z, field_mont, ctx)) goto done;
    if (!BN_mod_mul_montgomery(product, r, z, field_mont, ctx)) goto done;
    result = BN_cmp(product, x) == 0;
    if (!result) {
        if (!BN_add(candidate, r, order)) {
            result = -1;
        } else if (BN_cmp(candidate, field) < 0) {
            result = BN_mod_mul_montgomery(product, candidate, z, field_mont, ctx) ? BN_cmp(product, x) == 0 : -1;
        }
    }
done:
    BN_CTX_end(ctx);
    return result;
}
#endif

int dstack_p256_verify(
    const dstack_p256_key *key, const uint8_t digest[32], const uint8_t signature[64], const uint8_t *inverse) {
    if (!ready()) return -1;
    if (!bytes_in_range(signature) || !bytes_in_range(signature + 32)) return 0;
    struct scratch *scratch = scratch_get();
    if (!scratch) return -1;
    BN_CTX *ctx = scratch->ctx;
    BN_CTX_start(ctx);
    int result = -1;
    BIGNUM *r = BN_CTX_get(ctx), *s = BN_CTX_get(ctx), *w = BN_CTX_get(ctx), *e = BN_CTX_get(ctx),
           *u1 = BN_CTX_get(ctx), *u2 = BN_CTX_get(ctx);
    EC_POINT *sum = scratch->sum, *part = scratch->part;
    if (!u2 || !BN_bin2bn(signature, 32, r) || !BN_bin2bn(signature + 32, 32, s) || !BN_bin2bn(digest, 32, e))
        goto done;
    if (inverse ? !BN_bin2bn(inverse, 32, w) : !BN_mod_inverse(w, s, order, ctx)) goto done;
    // u1 = e·s⁻¹, u2 = r·s⁻¹ (mod n). w enters Montgomery form, so that each product leaves it.
    if (!BN_nnmod(e, e, order, ctx) || !BN_to_montgomery(w, w, order_mont, ctx) ||
        !BN_mod_mul_montgomery(u1, e, w, order_mont, ctx) || !BN_mod_mul_montgomery(u2, r, w, order_mont, ctx))
        goto done;
    if (key->table) {
        // Both groups are the same curve over the same field; only their generators differ, so points of one are
        // points of the other.
        if (!EC_POINT_mul(curve, sum, u1, NULL, NULL, ctx) ||
            !EC_POINT_mul(key->table, part, u2, NULL, NULL, ctx) || !EC_POINT_add(curve, sum, sum, part, ctx))
            goto done;
    } else if (!EC_POINT_mul(curve, sum, u1, key->point, u2, ctx)) {
        goto done;
    }
    result = x_is(sum, r, ctx);
done:
    BN_CTX_end(ctx);
    return result;
}
