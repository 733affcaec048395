#define _GNU_SOURCE
#include "CCurl.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

// libcurl's memory, wiped when it is given back: what was sent and received passes through its buffers, keys too.

static void wipe_and_free(void *memory) {
    if (!memory) return;
    explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

static void *wiping_realloc(void *memory, size_t size) {
    if (!memory) return malloc(size);
    size_t present = malloc_usable_size(memory);
    if (size > 0 && size <= present && size >= present / 2) return memory;
    void *moved = malloc(size);
    if (!moved) return NULL;
    memcpy(moved, memory, present < size ? present : size);
    wipe_and_free(memory);
    return moved;
}

CURLcode dstack_curl_start(void) {
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_and_free, wiping_realloc, strdup, calloc);
}

CURLcode dstack_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

CURLcode dstack_curl_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

CURLcode dstack_curl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

CURLcode dstack_curl_set_pointer(CURL *easy, CURLoption option, const void *value) {
    return curl_easy_setopt(easy, option, value);
}

CURLcode dstack_curl_set_blob(CURL *easy, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {.data = (void *)bytes, .len = count, .flags = CURL_BLOB_NOCOPY};
    return curl_easy_setopt(easy, option, &blob);
}

CURLcode dstack_curl_set_data_function(CURL *easy, CURLoption function_option, CURLoption context_option,
                                       dstack_curl_data_function function, void *context) {
    CURLcode code = curl_easy_setopt(easy, function_option, function);
    if (code != CURLE_OK) return code;
    return curl_easy_setopt(easy, context_option, context);
}

CURLcode dstack_curl_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}

CURLcode dstack_curl_get_offset(CURL *easy, CURLINFO info, curl_off_t *value) {
    return curl_easy_getinfo(easy, info, value);
}

CURLMcode dstack_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

CURLMcode dstack_curl_multi_set_callbacks(CURLM *multi, curl_socket_callback socket_changed,
                                          curl_multi_timer_callback timer_changed, void *context) {
    CURLMcode code = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    if (code == CURLM_OK) code = curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
    if (code == CURLM_OK) code = curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    if (code == CURLM_OK) code = curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
    return code;
}
