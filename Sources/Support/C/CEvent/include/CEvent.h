/// libevent's loop and listeners.
#ifndef DSTACK_CEVENT_H
#define DSTACK_CEVENT_H

#include "CEventRequirements.h"
#include "EventLoop.h"

#endif
