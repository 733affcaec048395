/// Decompression by zlib, within a limit.
#ifndef DSTACK_CZLIB_H
#define DSTACK_CZLIB_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    /// One gzip member (RFC 1952), checksum and length included.
    DSTACK_INFLATE_GZIP,
    /// One zlib stream (RFC 1950), checksum included.
    DSTACK_INFLATE_ZLIB,
} dstack_inflate_format;

typedef enum {
    /// The whole input was of the format and has been decompressed.
    DSTACK_INFLATE_DONE = 0,
    /// Not of the format, or its checksum or length is wrong.
    DSTACK_INFLATE_MALFORMED = 1,
    /// The input ends before its content does.
    DSTACK_INFLATE_TRUNCATED = 2,
    /// There is more output than room for it.
    DSTACK_INFLATE_TOO_LARGE = 3,
    /// Bytes are left after it.
    DSTACK_INFLATE_TRAILING = 4,
    /// No memory.
    DSTACK_INFLATE_FAILED = 5,
} dstack_inflate_result;

/// Decompresses. At most `capacity` bytes are written, whatever the input claims; `*written` says how many were.
dstack_inflate_result dstack_inflate(
    dstack_inflate_format format, const uint8_t *source, size_t length, uint8_t *target, size_t capacity, size_t *written);

#endif
