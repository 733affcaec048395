#define _GNU_SOURCE
#include "COpenSSLRequirements.h"
#include "Secrets.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// A page for every secret would cost four system calls each, more time than the arithmetic of a signature takes, and would
// use up RLIMIT_MEMLOCK (8 MiB, usually) after two thousand secrets, from where on they could be swapped out. So small
// secrets share regions that are locked as long as they live: blocks of one size, taken and given back. They are no less
// apart for that: a block is wiped before anyone else can have it; a region is unlocked as a whole and only when it is
// empty, so that nobody's lock goes with another's; and untouchable pages lie before and behind it, so that what runs over
// its end stops there.
enum {
    REGION = 16384,  // a power of two; on a machine with larger pages a page
    SMALLEST = 64,
    SIZES = 6,
    LARGEST = SMALLEST << (SIZES - 1),  // larger secrets are rare and get pages of their own
};

// At the beginning of a region, in the place of its first block.
struct region {
    struct region *next, *previous;  // among those of the same block size that have a free block
    void *mapping;
    uint32_t size_class, taken_count;
    uint64_t taken[REGION / SMALLEST / 64];  // a bit for every block; the one of this header is set
};
_Static_assert(sizeof(struct region) <= SMALLEST, "the header fits into a block");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct region *open_regions[SIZES];

static size_t page_size(void) {
    static size_t known;
    size_t size = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (size == 0) __atomic_store_n(&known, size = (size_t)sysconf(_SC_PAGESIZE), __ATOMIC_RELAXED);
    return size;
}

// Whole pages for `size` bytes, 0 if that is not a number.
static size_t mapped_size(size_t size) {
    size_t page = page_size();
    if (size > SIZE_MAX - page) return 0;
    return (size + page - 1) / page * page;
}

static void keep_in_memory(void *memory, size_t length) {
    (void)mlock(memory, length);
    (void)madvise(memory, length, MADV_DONTDUMP);
}

static void *allocate_pages(size_t size) {
    size_t length = mapped_size(size);
    if (length == 0) return NULL;
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    keep_in_memory(memory, length);
    return memory;
}

static size_t region_size(void) { return page_size() > REGION ? page_size() : REGION; }

// Enough to have an aligned region and a page on both sides of it.
static size_t reserved_size(void) { return 2 * region_size() + 2 * page_size(); }

static unsigned class_of(size_t size) {
    unsigned size_class = 0;
    while ((size_t)SMALLEST << size_class < size) size_class++;
    return size_class;
}

static struct region *make_region(unsigned size_class) {
    void *mapping = mmap(NULL, reserved_size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return NULL;
    uintptr_t start = ((uintptr_t)mapping + page_size() + region_size() - 1) & ~(uintptr_t)(region_size() - 1);
    struct region *region = (struct region *)start;
    if (mprotect(region, region_size(), PROT_READ | PROT_WRITE) != 0) {
        munmap(mapping, reserved_size());
        return NULL;
    }
    keep_in_memory(region, region_size());
    region->mapping = mapping;
    region->size_class = size_class;
    region->taken[0] = 1;
    return region;
}

static unsigned block_count(const struct region *region) { return REGION / (SMALLEST << region->size_class); }

static void open_region(struct region *region) {
    struct region **first = &open_regions[region->size_class];
    region->previous = NULL;
    region->next = *first;
    if (*first) (*first)->previous = region;
    *first = region;
}

static void close_region(struct region *region) {
    if (region->next) region->next->previous = region->previous;
    if (region->previous) {
        region->previous->next = region->next;
    } else {
        open_regions[region->size_class] = region->next;
    }
}

void *dstack_secret_allocate(size_t size) {
    if (size > LARGEST) return allocate_pages(size);
    unsigned size_class = class_of(size);
    void *block = NULL;
    pthread_mutex_lock(&lock);
    struct region *region = open_regions[size_class];
    if (!region && (region = make_region(size_class))) open_region(region);
    if (region) {
        // One of its bits is clear, or it would not be open.
        unsigned word = 0;
        while (region->taken[word] == UINT64_MAX) word++;
        unsigned index = word * 64 + (unsigned)__builtin_ctzll(~region->taken[word]);
        region->taken[word] |= (uint64_t)1 << index % 64;
        if (++region->taken_count == block_count(region) - 1) close_region(region);
        block = (uint8_t *)region + (size_t)index * (SMALLEST << size_class);
    }
    pthread_mutex_unlock(&lock);
    return block;
}

void dstack_secret_release(void *memory, size_t size) {
    if (!memory) return;
    OPENSSL_cleanse(memory, size);
    if (size > LARGEST) {
        munmap(memory, mapped_size(size));
        return;
    }
    // An address that cannot be one of these, and a block that nobody has, mean that secrets are in the wrong hands.
    struct region *region = (struct region *)((uintptr_t)memory & ~(uintptr_t)(region_size() - 1));
    size_t offset = (size_t)((uint8_t *)memory - (uint8_t *)region), block = (size_t)SMALLEST << class_of(size);
    size_t index = offset / block;
    void *unused = NULL;
    pthread_mutex_lock(&lock);
    if (index == 0 || offset % block != 0 || region->size_class != class_of(size) ||
        !(region->taken[index / 64] >> index % 64 & 1))
        abort();
    region->taken[index / 64] &= ~((uint64_t)1 << index % 64);
    if (region->taken_count-- == block_count(region) - 1) open_region(region);
    // One that is empty is kept, or one secret that comes and goes would cost what a page for it did.
    if (region->taken_count == 0 && (region->next || region->previous)) {
        close_region(region);
        unused = region->mapping;
    }
    pthread_mutex_unlock(&lock);
    if (unused) munmap(unused, reserved_size());
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
