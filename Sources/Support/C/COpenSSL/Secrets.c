#define _GNU_SOURCE
#include "COpenSSLRequirements.h"
#include "Secrets.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

// Small secrets come from OpenSSL's secure heap: one region that is locked in memory, left out of core dumps, with
// untouchable pages on both sides. OpenSSL takes its own private numbers from it, too, and fails when it is full. So half of
// it is left to OpenSSL, which needs little at a time: some hundred bytes for each signature or handshake that is being
// computed. What does not fit into our half, and larger secrets, which are rare, get pages of their own: four system calls
// each, and a page that counts against RLIMIT_MEMLOCK.
enum {
    HEAP = 4 << 20,        // half of what systemd and most systems let a process lock (8 MiB); touched pages alone take memory
    SMALLEST_HEAP = 16384, // less is not worth having
    BLOCK = 64,            // the smallest that it gives out
    LARGEST = 2048,
};

static pthread_once_t heap_made = PTHREAD_ONCE_INIT;
static size_t heap_share; // what of it is ours; 0 where there is none

static void make_heap(void) {
    struct rlimit limit;
    size_t size = HEAP;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
    // The other half is for pages of their own.
    if (limit.rlim_cur != RLIM_INFINITY)
        while (size > limit.rlim_cur / 2) size /= 2;
    // Whoever else has made one knows what it is for.
    if (size < SMALLEST_HEAP || CRYPTO_secure_malloc_initialized()) return;
    // 2 means that it could not be locked, and then pages of their own may still be.
    if (CRYPTO_secure_malloc_init(size, BLOCK) == 1) heap_share = size / 2;
}

static void *allocate_in_heap(size_t size) {
    pthread_once(&heap_made, make_heap);
    // Several threads may see the last room at once; there is the other half for that. Where there is no heap, OpenSSL 3.0
    // must not be asked how much of it is used.
    if (heap_share == 0 || CRYPTO_secure_used() + size > heap_share) return NULL;
    // A failure here is none of whoever looks at OpenSSL's errors next.
    ERR_set_mark();
    void *memory = OPENSSL_secure_zalloc(size);
    ERR_pop_to_mark();
    return memory;
}

// Whole pages for `size` bytes, 0 if that is not a number.
static size_t mapped_size(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size > SIZE_MAX - page) return 0;
    return (size + page - 1) / page * page;
}

static void *allocate_pages(size_t size) {
    size_t length = mapped_size(size);
    if (length == 0) return NULL;
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    (void)mlock(memory, length);
    (void)madvise(memory, length, MADV_DONTDUMP);
    return memory;
}

// An address is asked for even where there is nothing to keep.
static size_t at_least_one(size_t size) { return size == 0 ? 1 : size; }

void *dstack_secret_allocate(size_t size) {
    size = at_least_one(size);
    void *memory = size <= LARGEST ? allocate_in_heap(size) : NULL;
    return memory ? memory : allocate_pages(size);
}

void dstack_secret_release(void *memory, size_t size) {
    if (!memory) return;
    size = at_least_one(size);
    if (CRYPTO_secure_allocated(memory)) {
        OPENSSL_secure_clear_free(memory, size);
        return;
    }
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
