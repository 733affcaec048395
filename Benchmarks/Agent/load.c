// The load generator of `Benchmarks/agent`: keeps a number of connections to a Unix socket busy, one request at a time on
// each, all from one thread. It does as little as a client can, so that it is not what is measured: a request is a fixed
// text, and of a response only status and Content-Length are read. C, because Swift does not see epoll.
//
//     agent-load SOCKET REQUEST-FILE CONNECTIONS MILLISECONDS
//
// A run of `#` in the request is replaced with a number that no request had before. Prints one line: requests, of these
// refused (a status that is not 200), nanoseconds in all, and the latencies at the 50th and the 99th percentile, in
// nanoseconds. A fifth of the time before it is warm-up, which is not counted.

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what, int number) {
    fprintf(stderr, "agent-load: %s%s%s\n", what, number ? ": " : "", number ? strerror(number) : "");
    exit(3);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Latencies are counted in buckets whose width is at most 1/64 of their value.
enum { LINEAR_BITS = 6, BUCKETS = (64 - LINEAR_BITS + 1) << LINEAR_BITS };
static uint64_t buckets[BUCKETS];
static uint64_t measured, refused;

static void record(uint64_t value) {
    unsigned bucket = (unsigned)value;
    if (value >> LINEAR_BITS) {
        int shift = 63 - __builtin_clzll(value) - LINEAR_BITS;
        bucket = (((unsigned)shift + 1) << LINEAR_BITS) + (unsigned)(value >> shift) - (1u << LINEAR_BITS);
    }
    buckets[bucket]++;
    measured++;
}

static uint64_t percentile(double share) {
    uint64_t wanted = (uint64_t)((double)measured * share), seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        seen += buckets[bucket];
        if (seen <= wanted) continue;
        if (bucket < 1u << LINEAR_BITS) return bucket;
        unsigned shift = (bucket >> LINEAR_BITS) - 1, step = bucket & ((1u << LINEAR_BITS) - 1);
        return ((uint64_t)(step + (1u << LINEAR_BITS) + 1) << shift) - 1;
    }
    return 0;
}

struct connection {
    int descriptor;
    int status;
    uint64_t started;
    size_t received, expected;
};

static char request[1 << 16];
static size_t request_length;
static char *number, *number_end;
static char buffer[256 << 10];

static int open_connection(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail("the socket's path is too long", 0);
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address)) fail(path, errno);
    return descriptor;
}

// Requests are far smaller than a socket's buffer, so that one write takes all.
static void send_request(struct connection *connection) {
    if (number) {
        char *digit = number_end - 1;
        while (digit >= number && *digit == '9') *digit-- = '0';
        if (digit >= number) ++*digit;
    }
    connection->received = connection->expected = 0;
    connection->started = now();
    ssize_t count = write(connection->descriptor, request, request_length);
    if (count != (ssize_t)request_length) fail("a request was not taken", errno);
}

static void read_head(struct connection *connection, size_t count) {
    char *end = memmem(buffer, count, "\r\n\r\n", 4);
    if (!end || count < 16) fail("a response's head came in pieces", 0);
    connection->status = atoi(buffer + 9);
    size_t head = (size_t)(end - buffer) + 4;
    for (char *line = buffer; (line = memchr(line, '\r', (size_t)(end - line))); line++) {
        if (strncasecmp(line, "\r\ncontent-length: ", 18) == 0) {
            connection->expected = head + strtoul(line + 18, NULL, 10);
            return;
        }
    }
    fail("a response without Content-Length", 0);
}

// Whether the response is complete.
static int receive(struct connection *connection) {
    ssize_t count = read(connection->descriptor, buffer, sizeof buffer);
    if (count <= 0) fail("a connection ended in the middle", count ? errno : 0);
    if (connection->received == 0) read_head(connection, (size_t)count);
    connection->received += (size_t)count;
    if (connection->received > connection->expected) fail("more than one response to a request", 0);
    return connection->received == connection->expected;
}

int main(int count, char **arguments) {
    if (count != 5) fail("usage: agent-load SOCKET REQUEST-FILE CONNECTIONS MILLISECONDS", 0);
    FILE *file = fopen(arguments[2], "rb");
    if (!file) fail(arguments[2], errno);
    request_length = fread(request, 1, sizeof request, file);
    fclose(file);
    number = memchr(request, '#', request_length);
    if (number) {
        // Begins with the time, so that no earlier run had these numbers.
        uint64_t value = now() / 1000;
        for (number_end = number; *number_end == '#'; number_end++) {}
        for (char *digit = number_end - 1; digit >= number; digit--, value /= 10) *digit = (char)('0' + value % 10);
    }

    int connections = atoi(arguments[3]), poll = epoll_create1(0);
    uint64_t duration = strtoull(arguments[4], NULL, 10) * 1000000u;
    if (poll < 0 || connections < 1 || duration == 0) fail("connections and milliseconds must be above zero", 0);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    if (!all) fail("memory", errno);
    for (int index = 0; index < connections; index++) {
        all[index].descriptor = open_connection(arguments[1]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[index]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[index].descriptor, &event)) fail("epoll", errno);
    }
    uint64_t begin = now() + duration / 5, time = 0;
    int warm = 0;
    for (int index = 0; index < connections; index++) send_request(&all[index]);
    while (time < begin + duration) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, 5000);
        if (ready <= 0) fail("no answer within 5 seconds", ready ? errno : 0);
        for (int position = 0; position < ready; position++) {
            struct connection *connection = events[position].data.ptr;
            if (!receive(connection)) continue;
            if (warm) {
                record(now() - connection->started);
                refused += connection->status != 200;
            }
            send_request(connection);
        }
        time = now();
        warm = time >= begin;
    }
    printf("%llu %llu %llu %llu %llu\n", (unsigned long long)measured, (unsigned long long)refused,
        (unsigned long long)(time - begin), (unsigned long long)percentile(0.5), (unsigned long long)percentile(0.99));
    return 0;
}
