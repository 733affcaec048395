#if !__has_include(<zlib.h>)
#error "the headers of zlib are missing: install the Debian package zlib1g-dev, or run Scripts/setup, which installs all that are needed"
#endif

#include "CZlib.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

dstack_inflate_result dstack_inflate(
    dstack_inflate_format format, const uint8_t *source, size_t length, uint8_t *target, size_t capacity, size_t *written) {
    *written = 0;
    if (length > UINT_MAX || capacity > UINT_MAX) return DSTACK_INFLATE_TOO_LARGE;
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    // 15 is the largest window, which any input may need; 16 more asks for gzip and nothing else.
    if (inflateInit2(&stream, format == DSTACK_INFLATE_GZIP ? 16 + 15 : 15) != Z_OK) return DSTACK_INFLATE_FAILED;
    stream.next_in = (Bytef *)source;
    stream.avail_in = (uInt)length;
    stream.next_out = target;
    stream.avail_out = (uInt)capacity;
    int result = inflate(&stream, Z_FINISH);
    *written = capacity - stream.avail_out;
    size_t rest = stream.avail_in;
    size_t room = stream.avail_out;
    inflateEnd(&stream);
    switch (result) {
    case Z_STREAM_END: return rest == 0 ? DSTACK_INFLATE_DONE : DSTACK_INFLATE_TRAILING;
    case Z_OK:
    case Z_BUF_ERROR: return room == 0 ? DSTACK_INFLATE_TOO_LARGE : DSTACK_INFLATE_TRUNCATED;
    case Z_MEM_ERROR: return DSTACK_INFLATE_FAILED;
    default: return DSTACK_INFLATE_MALFORMED;
    }
}
