#define _GNU_SOURCE
#include "Thread.h"

#include <pthread.h>
#include <sys/eventfd.h>

int dstack_curl_open_wake(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void dstack_curl_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
