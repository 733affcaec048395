/// What a thread that runs transfers needs and Swift's Glibc module does not show.
#ifndef DSTACK_CCURL_THREAD_H
#define DSTACK_CCURL_THREAD_H

#pragma clang assume_nonnull begin

/// A non-blocking, close-on-exec eventfd; -1 if there is none to be had.
int dstack_curl_open_wake(void);

/// Names the calling thread, for `ps` and debuggers; at most 15 bytes.
void dstack_curl_name_thread(const char *name);

#pragma clang assume_nonnull end

#endif
