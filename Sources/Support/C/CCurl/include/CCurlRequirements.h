/// Says which package brings what is missing, before the compiler says that a file is.
#ifndef DSTACK_CCURL_REQUIREMENTS_H
#define DSTACK_CCURL_REQUIREMENTS_H

#if !__has_include(<curl/curl.h>)
#error "the headers of libcurl are missing: install the Debian package libcurl4-openssl-dev, or run Scripts/setup, which installs all that are needed"
#endif

#endif
