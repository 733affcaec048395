#include "CCurlRequirements.h"
#include "TLSHook.h"

static CURLcode install(CURL *easy, void *ssl_ctx, void *argument) {
    (void)easy;
    const dstack_curl_tls_hook *hook = argument;
    return hook->configure(hook->context, ssl_ctx) ? CURLE_OK : CURLE_ABORTED_BY_CALLBACK;
}

CURLcode dstack_curl_set_tls_hook(CURL *easy, const dstack_curl_tls_hook *hook) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, install);
    if (code != CURLE_OK) return code;
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, (void *)hook);
}

struct ssl_st *dstack_curl_connection(CURL *easy) {
    const struct curl_tlssessioninfo *info = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info) return NULL;
    return info->backend == CURLSSLBACKEND_OPENSSL ? info->internals : NULL;
}

static int before_request(void *context, char *peer, char *local, int peer_port, int local_port) {
    (void)peer, (void)local, (void)peer_port, (void)local_port;
    const dstack_curl_admission *admission = context;
    return admission->admits(admission->context) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

CURLcode dstack_curl_set_before_request(CURL *easy, const dstack_curl_admission *admission) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    if (code != CURLE_OK) return code;
    return curl_easy_setopt(easy, CURLOPT_PREREQDATA, (void *)admission);
}

static curl_socket_t open_connected(void *context, curlsocktype purpose, struct curl_sockaddr *unused) {
    (void)purpose, (void)unused;
    const dstack_curl_opener *opener = context;
    int descriptor = opener->open(opener->context);
    return descriptor < 0 ? CURL_SOCKET_BAD : descriptor;
}

static int already_connected(void *context, curl_socket_t descriptor, curlsocktype purpose) {
    (void)context, (void)descriptor, (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

CURLcode dstack_curl_set_opener(CURL *easy, const dstack_curl_opener *opener) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_connected);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, opener);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, already_connected);
    return code;
}
