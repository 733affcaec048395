/// libevent's loop and listeners, and what a server beside them needs from the system and from OpenSSL.
#ifndef DSTACK_CEVENT_H
#define DSTACK_CEVENT_H

#include "CEventRequirements.h"
#include "EventLoop.h"
#include "ServerSocket.h"
#include "ServerTLS.h"

#endif
