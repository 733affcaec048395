package import DstackCrypto
package import DstackSystem
import Glibc

/// Whole files with secrets.
package enum SecretFile {
    /// The bytes of a file, read straight into memory that is wiped.
    ///
    /// - Throws: ``SystemError``: `EFBIG` where there are more bytes than `limit`, else what the system says.
    package static func read(_ path: String, limit: Int) throws(SystemError) -> SecretBytes {
        let file = try FileDescriptor(opening: path, flags: O_RDONLY)
        var count = 0
        // One byte more than allowed, to tell "exactly the limit" from "over it".
        let buffer = try SecretBytes(count: limit + 1) { (buffer: UnsafeMutableRawBufferPointer) throws(SystemError) in
            while count < buffer.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
                let done = retryingInterrupts { Glibc.read(file.number, rest.baseAddress, rest.count) }
                guard done >= 0 else { throw .last("read", path) }
                if done == 0 { break }
                count += done
            }
        }
        guard count <= limit, let bytes = buffer.part(0..<count) else {
            throw SystemError(
                "read", path, code: EFBIG, reason: "it is larger than the \(limit) bytes that are allowed here")
        }
        return bytes
    }
}
