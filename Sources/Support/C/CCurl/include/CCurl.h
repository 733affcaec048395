/// libcurl as Swift can call it.
///
/// `curl_easy_setopt` and its relatives take their argument through `...`, which Swift cannot call; each function here
/// fixes one type of argument. `TLSHook.h` has its callbacks around connections.
#ifndef DSTACK_CCURL_H
#define DSTACK_CCURL_H

#include "CCurlRequirements.h"

#include <curl/curl.h>
#include <stddef.h>

#include "TLSHook.h"

#pragma clang assume_nonnull begin

/// For options that take a `long`.
CURLcode dstack_curl_set_long(CURL *easy, CURLoption option, long value);

/// `curl_global_init`, with memory that is wiped when libcurl gives it back.
CURLcode dstack_curl_start(void);

/// For options that take a `curl_off_t`.
CURLcode dstack_curl_set_offset(CURL *easy, CURLoption option, curl_off_t value);

/// For options that take a text, which libcurl copies. Null restores "none".
CURLcode dstack_curl_set_string(CURL *easy, CURLoption option, const char *_Nullable value);

/// For options that take a pointer, which must stay valid as long as the transfer.
CURLcode dstack_curl_set_pointer(CURL *easy, CURLoption option, const void *_Nullable value);

/// For blob options. The bytes are not copied: they must stay valid as long as the transfer.
CURLcode dstack_curl_set_blob(CURL *easy, CURLoption option, const void *bytes, size_t count);

typedef size_t (*dstack_curl_data_function)(char *data, size_t size, size_t count, void *_Nullable context);

/// For `CURLOPT_WRITEFUNCTION` with `CURLOPT_WRITEDATA` and `CURLOPT_HEADERFUNCTION` with `CURLOPT_HEADERDATA`.
CURLcode dstack_curl_set_data_function(CURL *easy, CURLoption function_option, CURLoption context_option,
                                       dstack_curl_data_function function, void *context);

CURLcode dstack_curl_get_long(CURL *easy, CURLINFO info, long *value);
CURLcode dstack_curl_get_offset(CURL *easy, CURLINFO info, curl_off_t *value);

CURLMcode dstack_curl_multi_set_long(CURLM *multi, CURLMoption option, long value);

/// `CURLMOPT_SOCKETFUNCTION` and `CURLMOPT_TIMERFUNCTION`, with the context of both.
CURLMcode dstack_curl_multi_set_callbacks(CURLM *multi, curl_socket_callback socket_changed,
                                          curl_multi_timer_callback timer_changed, void *context);

#pragma clang assume_nonnull end

#endif
