#include "CBuildInfo.h"

#include <stddef.h>

// Written by the Makefile: #define DSTACK_COMMIT "…"
#if __has_include("commit.h")
#include "commit.h"
#endif

const char *dstack_build_commit(void) {
#ifdef DSTACK_COMMIT
    return DSTACK_COMMIT;
#else
    return NULL;
#endif
}
