#ifndef DSTACK_CCRYPT_H
#define DSTACK_CCRYPT_H

#include <stdbool.h>
#include <stddef.h>

// bcrypt, over libcrypt.

/// With the NUL at the end.
#define DSTACK_BCRYPT_SIZE 61

/// Hashes a password as a setting says: `$2b$`, the cost, `$` and 22 characters of salt; a hash is one, too.
///
/// Takes as long as the cost says. False for a setting that is none, and for a password with a NUL in it or too long for the
/// library; `hash` is an empty text then. Nothing of the password is left in memory.
bool dstack_bcrypt(const void *password, size_t count, const char *setting, char hash[DSTACK_BCRYPT_SIZE]);

/// Has the calling thread, and no other, stand back for the rest of the process.
void dstack_crypt_stand_back(void);

#endif
