import Glibc

/// A connected socket by its system calls, blocking. Somebody else closes it.
package struct RawSocket: Sendable {
    package let descriptor: Int32

    package init(descriptor: Int32) { self.descriptor = descriptor }

    /// Reads until the text was seen, or the end; nil at the end.
    package func read(until text: String) -> String? {
        var received = [UInt8]()
        let wanted = Array(text.utf8)
        while true {
            var byte: UInt8 = 0
            guard Glibc.read(descriptor, &byte, 1) == 1 else { return nil }
            received.append(byte)
            if received.suffix(wanted.count).elementsEqual(wanted) {
                return String(decoding: received, as: UTF8.self)
            }
        }
    }

    package func readHead() -> String? { read(until: "\r\n\r\n") }

    @discardableResult
    package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Exactly so many bytes; nil if there are fewer.
    package func read(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count ? bytes : nil
    }

    package func close() { Glibc.close(descriptor) }

    /// Says that nothing more will be sent.
    package func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Waits until the other side has gone.
    package func waitForEnd() {
        var byte: UInt8 = 0
        while Glibc.read(descriptor, &byte, 1) == 1 {}
    }
}
