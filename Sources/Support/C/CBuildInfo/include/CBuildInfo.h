#ifndef DSTACK_CBUILDINFO_H
#define DSTACK_CBUILDINFO_H

/// The commit that this build was made from, or NULL where the build did not say (`make` does, a bare `swift build` may
/// not).
const char *dstack_build_commit(void);

#endif
