#ifndef DSTACK_COPENSSL_H
#define DSTACK_COPENSSL_H

#include "COpenSSLRequirements.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "Digests.h"
#include "ECKeys.h"
#include "EdwardsKeys.h"
#include "P256Verify.h"
#include "Secrets.h"
#include "Symmetric.h"
#include "TLSConnection.h"
#include "TLSContext.h"

#endif
