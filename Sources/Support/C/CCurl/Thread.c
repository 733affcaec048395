#define _GNU_SOURCE
#include "Thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

int dstack_curl_open_wake(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void dstack_curl_prepare_thread(const char *name) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), name);
}
