import Glibc
import Synchronization

/// Where console output and log lines go.
package protocol ByteSink: Sendable {
    /// Writes all bytes, in one piece where the system allows.
    func write(_ bytes: [UInt8]) throws(SystemError)
}

/// Standard output or standard error. Not closed when it goes.
package struct DescriptorSink: ByteSink {
    private let number: Int32
    private let name: String

    package static let standardOutput = DescriptorSink(number: STDOUT_FILENO, name: "standard output")
    package static let standardError = DescriptorSink(number: STDERR_FILENO, name: "standard error")

    package func write(_ bytes: [UInt8]) throws(SystemError) {
        var position = 0
        while position < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                let rest = UnsafeRawBufferPointer(rebasing: buffer[position...])
                return retryingInterrupts { Glibc.write(number, rest.baseAddress, rest.count) }
            }
            if count < 0, errno == EAGAIN {
                // Whoever shares the terminal or pipe has made it non-blocking; wait until it takes more.
                var request = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
                _ = poll(&request, 1, -1)
                continue
            }
            guard count >= 0 else { throw .last("write to", name) }
            position += count
        }
    }
}

/// Keeps what is written; for tests.
package final class MemorySink: ByteSink {
    private let content = Mutex<[UInt8]>([])

    package init() {}

    package func write(_ bytes: [UInt8]) throws(SystemError) {
        content.withLock { $0 += bytes }
    }

    /// Everything written so far, invalid UTF-8 repaired.
    package var text: String {
        content.withLock { String(decoding: $0, as: UTF8.self) }
    }
}
