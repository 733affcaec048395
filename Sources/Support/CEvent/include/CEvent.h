#ifndef DSTACK_CEvent
#define DSTACK_CEvent
#include <event2/event.h>
#endif
