#include "COpenSSLRequirements.h"

#include <openssl/crypto.h>

// A process may end while threads of these libraries still shake hands or sign. OpenSSL's own clean-up at that moment takes its
// locks away under them, and a program that did all it should ends by SIGSEGV. What is not given back goes with the process.
// The first call of any decides, so this one comes before main.
__attribute__((constructor)) static void keep_until_the_end(void) { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL); }
