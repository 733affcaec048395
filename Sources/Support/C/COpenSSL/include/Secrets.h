#ifndef DSTACK_SECRETS_H
#define DSTACK_SECRETS_H

#include <stddef.h>
#include <stdint.h>

// Memory for secrets, kept out of swap and core dumps where the system allows it: OpenSSL's secure heap, of up to 4 MiB, which
// is made with the first secret; pages that hold nothing else, so that letting one go never unlocks a neighbour (locks do not
// nest), where that has no room for it, or cannot be had. From then on OpenSSL takes its own private numbers from the heap.

/// At least `size` zero bytes, or NULL. Locking is best effort (RLIMIT_MEMLOCK).
void *dstack_secret_allocate(size_t size);

/// Wipes and releases memory of `dstack_secret_allocate`, called with the same size.
void dstack_secret_release(void *memory, size_t size);

/// 1 on success. `secret` selects the generator whose state is kept apart for private values.
int dstack_random(uint8_t *bytes, size_t count, int secret);

#endif
