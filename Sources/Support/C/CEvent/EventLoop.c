#define _GNU_SOURCE
#include "CEventRequirements.h"
#include "EventLoop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

// libevent calls back with a descriptor and flags that the context knows already. One allocation holds the event and
// what it calls.
struct call {
    dstack_event_callback callback;
    void *context;
};

static void on_event(evutil_socket_t descriptor, short what, void *argument) {
    (void)descriptor, (void)what;
    // Copied: the callback may free the event.
    struct call call = *(struct call *)argument;
    call.callback(call.context);
}

// So many callbacks run before the system is asked again what is ready.
#define CALLS_PER_TURN 64

struct event_base *dstack_loop_new(void) {
    struct event_config *config = event_config_new();
    if (!config) return NULL;
    // One thread alone touches the loop.
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    // Events that trigger themselves again are ready at once; without a bound those that wait for the system would never be.
    event_config_set_max_dispatch_interval(config, NULL, CALLS_PER_TURN, 0);
    struct event_base *loop = event_base_new_with_config(config);
    event_config_free(config);
    return loop;
}

void dstack_loop_free(struct event_base *loop) { event_base_free(loop); }

void dstack_loop_run(struct event_base *loop) { event_base_dispatch(loop); }

void dstack_loop_break(struct event_base *loop) { event_base_loopbreak(loop); }

struct event *dstack_event_new(struct event_base *loop, enum dstack_event_kind kind, int descriptor,
                               dstack_event_callback callback, void *context) {
    struct call *call = malloc(sizeof *call);
    if (!call) return NULL;
    *call = (struct call){callback, context};
    short what = EV_PERSIST;
    if (kind == DSTACK_EVENT_READ) what |= EV_READ;
    if (kind == DSTACK_EVENT_WRITE) what |= EV_WRITE;
    struct event *event = event_new(loop, kind == DSTACK_EVENT_TIMER ? -1 : descriptor, what, on_event, call);
    if (!event) free(call);
    return event;
}

void dstack_event_free(struct event *event) {
    struct call *call = event_get_callback_arg(event);
    event_free(event);
    free(call);
}

bool dstack_event_add(struct event *event, uint32_t interval_microseconds) {
    struct timeval interval = {
        .tv_sec = interval_microseconds / 1000000,
        .tv_usec = interval_microseconds % 1000000,
    };
    return event_add(event, interval_microseconds > 0 ? &interval : NULL) == 0;
}

bool dstack_event_remove(struct event *event) { return event_del(event) == 0; }

void dstack_event_trigger(struct event *event) { event_active(event, EV_READ, 0); }

// So many connections are taken in one go, before those that are there get their turn: a crowd that keeps connecting must
// not keep the loop to itself.
#define ACCEPTS_PER_TURN 64

struct dstack_listener {
    struct event *event;
    dstack_accept_callback accepted;
    dstack_event_callback failed;
    void *context;
};

static void on_connection(evutil_socket_t descriptor, short what, void *argument) {
    (void)what;
    struct dstack_listener *listener = argument;
    for (int count = 0; count < ACCEPTS_PER_TURN; count++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int accepted = accept4(descriptor, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            listener->accepted(listener->context, accepted, (struct sockaddr *)&address, (int)length);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return listener->failed(listener->context);
        }
    }
}

struct dstack_listener *dstack_listener_new(struct event_base *loop, int descriptor, dstack_accept_callback accepted,
                                            dstack_event_callback failed, void *context) {
    struct dstack_listener *listener = malloc(sizeof *listener);
    if (!listener) return NULL;
    *listener = (struct dstack_listener){NULL, accepted, failed, context};
    listener->event = event_new(loop, descriptor, EV_READ | EV_PERSIST, on_connection, listener);
    if (!listener->event || event_add(listener->event, NULL) != 0) {
        if (listener->event) event_free(listener->event);
        free(listener);
        return NULL;
    }
    return listener;
}

void dstack_listener_free(struct dstack_listener *listener) {
    event_free(listener->event);
    free(listener);
}

void dstack_listener_set_enabled(struct dstack_listener *listener, bool enabled) {
    if (enabled) {
        event_add(listener->event, NULL);
    } else {
        event_del(listener->event);
    }
}
