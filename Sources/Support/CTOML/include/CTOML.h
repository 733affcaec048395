#ifndef DSTACK_CTOML_H
#define DSTACK_CTOML_H
#endif
