#define _GNU_SOURCE
#include "Secrets.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <unistd.h>

// Whole pages for `size` bytes, 0 if that is not a number.
static size_t mapped_size(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size == 0) size = 1;
    if (size > SIZE_MAX - page) return 0;
    return (size + page - 1) / page * page;
}

void *dstack_secret_allocate(size_t size) {
    size_t length = mapped_size(size);
    if (length == 0) return NULL;
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    (void)mlock(memory, length);
    (void)madvise(memory, length, MADV_DONTDUMP);
    return memory;
}

void dstack_secret_release(void *memory, size_t size) {
    if (!memory) return;
    OPENSSL_cleanse(memory, size);
    munmap(memory, mapped_size(size));
}

int dstack_random(uint8_t *bytes, size_t count, int secret) {
    while (count > 0) {
        int part = count > INT_MAX ? INT_MAX : (int)count;
        if ((secret ? RAND_priv_bytes(bytes, part) : RAND_bytes(bytes, part)) != 1) return 0;
        bytes += part;
        count -= (size_t)part;
    }
    return 1;
}
