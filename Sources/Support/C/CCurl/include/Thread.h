/// What a thread that runs transfers needs and Swift's Glibc module does not show.
#ifndef DSTACK_CCURL_THREAD_H
#define DSTACK_CCURL_THREAD_H

#pragma clang assume_nonnull begin

/// A non-blocking, close-on-exec eventfd; -1 if there is none to be had.
int dstack_curl_open_wake(void);

/// Names the calling thread (at most 15 bytes) and keeps signals from being delivered to it; SIGPIPE among them, which
/// libcurl would otherwise raise by writing to a closed connection.
void dstack_curl_prepare_thread(const char *name);

#pragma clang assume_nonnull end

#endif
