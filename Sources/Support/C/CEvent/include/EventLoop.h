/// libevent's loop, behind declarations of our own: its headers pull in system headers in a form that clashes with the
/// one Swift's Glibc module has.
#ifndef DSTACK_CEVENT_EVENT_LOOP_H
#define DSTACK_CEVENT_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#pragma clang assume_nonnull begin

struct event_base;
struct event;
struct dstack_listener;

typedef void (*dstack_event_callback)(void *context);

struct event_base *_Nullable dstack_loop_new(void);
void dstack_loop_free(struct event_base *loop);
/// Runs until ``dstack_loop_break`` or until no event is left.
void dstack_loop_run(struct event_base *loop);
void dstack_loop_break(struct event_base *loop);

enum dstack_event_kind {
    /// Whenever the descriptor can be read.
    DSTACK_EVENT_READ,
    /// Whenever the descriptor can be written.
    DSTACK_EVENT_WRITE,
    /// Whenever the interval it is added with has passed; without descriptor.
    DSTACK_EVENT_TIMER,
};

/// An event, not added yet; null if memory is short.
struct event *_Nullable dstack_event_new(struct event_base *loop, enum dstack_event_kind kind, int descriptor,
                                         dstack_event_callback callback, void *context);
void dstack_event_free(struct event *event);
/// From now on the callback is called. `interval_microseconds` is for timers.
bool dstack_event_add(struct event *event, uint32_t interval_microseconds);
bool dstack_event_remove(struct event *event);
/// Calls the callback once, after the other events that are ready, also where these trigger themselves again and again.
void dstack_event_trigger(struct event *event);

typedef void (*dstack_accept_callback)(void *context, int descriptor, const struct sockaddr *_Nullable address,
                                       int address_length);

/// Accepts from a socket that listens already and does not block, a bounded number in each turn of the loop. Accepted
/// sockets are non-blocking and close-on-exec. `failed` is called with `errno` set when accepting fails for want of
/// descriptors or memory.
struct dstack_listener *_Nullable dstack_listener_new(struct event_base *loop, int descriptor,
                                                     dstack_accept_callback accepted, dstack_event_callback failed,
                                                     void *context);
/// Does not close the socket.
void dstack_listener_free(struct dstack_listener *listener);
void dstack_listener_set_enabled(struct dstack_listener *listener, bool enabled);

#pragma clang assume_nonnull end

#endif
