#ifndef DSTACK_CCurl
#define DSTACK_CCurl
#include <curl/curl.h>
#endif
