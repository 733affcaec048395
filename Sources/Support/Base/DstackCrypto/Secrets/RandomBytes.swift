internal import COpenSSL
package import DstackEncoding
internal import Synchronization

/// Where randomness comes from; given at initialisation, so that a test can know every key.
package protocol RandomBytes: Sendable {
    /// Fills the buffer. `secret` says that the bytes will never be published, which lets a generator keep such output
    /// apart from nonces and serial numbers.
    func fill(_ buffer: UnsafeMutableRawBufferPointer, secret: Bool)
}

extension RandomBytes {
    /// Bytes that need not be kept secret: serial numbers, identifiers, nonces.
    package func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            fill(UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count), secret: false)
            initialized = count
        }
    }

    /// Bytes that need not be kept secret.
    package func fixed<let count: Int>(_ type: FixedBytes<count>.Type = FixedBytes<count>.self) -> FixedBytes<count> {
        FixedBytes(filling: { fill(UnsafeMutableRawBufferPointer(start: $0, count: count), secret: false) })
    }
}

/// OpenSSL's generator, seeded by the operating system.
package struct SystemRandom: RandomBytes {
    package init() {}

    package func fill(_ buffer: UnsafeMutableRawBufferPointer, secret: Bool) {
        guard let start = buffer.baseAddress, buffer.count > 0 else { return }
        let done = dstack_random(start.assumingMemoryBound(to: UInt8.self), buffer.count, secret ? 1 : 0)
        // A generator that cannot be seeded must not be survived: the alternative is a guessable key.
        precondition(done == 1, "the random generator failed")
    }
}

/// A reproducible stream of bytes for tests and simulations: SHA-256 of a label and a counter. Whoever knows the label
/// knows every byte, hence the name.
package final class PredictableBytesForTests: RandomBytes {
    private let label: [UInt8]
    private let counter = Mutex<UInt64>(0)

    package init(_ label: String) { self.label = [UInt8](label.utf8) }

    package func fill(_ buffer: UnsafeMutableRawBufferPointer, secret: Bool) {
        counter.withLock { counter in
            var position = 0
            while position < buffer.count {
                var input = ByteWriter()
                input.bigEndian(counter)
                input.append(label)
                counter &+= 1
                for byte in SHA256.hash(input.bytes).bytes.prefix(buffer.count - position) {
                    buffer[position] = byte
                    position += 1
                }
            }
        }
    }
}
