/// Says which package brings what is missing, before the compiler says that a file is.
#ifndef DSTACK_CEVENT_REQUIREMENTS_H
#define DSTACK_CEVENT_REQUIREMENTS_H

#if !__has_include(<event2/event.h>)
#error "the headers of libevent are missing: install the Debian package libevent-dev, or run Scripts/setup, which installs all that are needed"
#endif

#endif
