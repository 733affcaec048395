/// Decompression by zlib, within a limit.
#ifndef DSTACK_CZLIB_H
#define DSTACK_CZLIB_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    /// The whole input was one gzip member and has been decompressed.
    DSTACK_GUNZIP_DONE = 0,
    /// Not gzip, or its checksum or length is wrong.
    DSTACK_GUNZIP_MALFORMED = 1,
    /// The input ends before the member does.
    DSTACK_GUNZIP_TRUNCATED = 2,
    /// There is more output than room for it.
    DSTACK_GUNZIP_TOO_LARGE = 3,
    /// Bytes are left after the member.
    DSTACK_GUNZIP_TRAILING = 4,
    /// No memory.
    DSTACK_GUNZIP_FAILED = 5,
} dstack_gunzip_result;

/// Decompresses one gzip member (RFC 1952), checksum and length included. At most `capacity` bytes are written, whatever
/// the input claims; `*written` says how many were.
dstack_gunzip_result dstack_gunzip(
    const uint8_t *source, size_t length, uint8_t *target, size_t capacity, size_t *written);

#endif
