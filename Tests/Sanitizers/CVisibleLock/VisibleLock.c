// The slow path of Synchronization.Mutex, for builds with ThreadSanitizer alone (Scripts/sanitize).
//
// A mutex that is free is taken and let go by atomic operations which the compiler puts into our own code, where the sanitizer
// sees them. One that another thread has is waited for in the toolchain's library, by a futex: the sanitizer sees neither the
// waiting nor who handed over, and reports a race for everything that such a mutex protects. So both functions are defined
// here as well. The linker takes a program's own before a library's, and these do the same by atomic operations that are seen.
// Their names and calling conventions are a part of the library's stable interface; if they ever change, the canary of
// Scripts/sanitize says so before anything else runs.

#include "CVisibleLock.h"

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

// The handle is one word: the number of the thread that has it, 0 for none. It comes in the register of `self`.
__attribute__((swiftcall)) void dstack_lock_slow(
    uint32_t thread, __attribute__((swift_context)) uint32_t *handle) __asm__(LOCK_SLOW);
__attribute__((swiftcall)) void dstack_unlock_slow(__attribute__((swift_context)) uint32_t *handle) __asm__(UNLOCK_SLOW);

__attribute__((swiftcall)) void dstack_lock_slow(uint32_t thread, __attribute__((swift_context)) uint32_t *handle) {
    for (;;) {
        uint32_t found = 0;
        if (__atomic_compare_exchange_n(handle, &found, thread, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
        // As the library does where a thread would wait for itself.
        if (found == thread) abort();
        sched_yield();
    }
}

// Called where the word is not the thread's number: where the kernel has noted who waits. Nobody waits in the kernel here.
__attribute__((swiftcall)) void dstack_unlock_slow(__attribute__((swift_context)) uint32_t *handle) {
    (void)handle;
    abort();
}
