internal import COpenSSL

/// Bytes that must not outlive their use: a private key, a shared secret, a decrypted text.
///
/// The memory is wiped when the value goes, locked against swapping and left out of core dumps as far as the system
/// allows. The type cannot be copied, printed or encoded, and compares in constant time. Whatever has to leave says so
/// in the name of the method.
package struct SecretBytes: ~Copyable, Sendable {
    /// Written only while the value is made; one owner, so no other thread can see it change.
    private nonisolated(unsafe) let start: UnsafeMutableRawPointer
    package let count: Int

    /// `count` bytes that `body` fills in; they are zero before.
    package init<Failure: Error>(
        count: Int, filling body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        self.init(zeros: count)
        try body(UnsafeMutableRawBufferPointer(start: start, count: count))
    }

    private init(zeros count: Int) {
        guard let start = dstack_secret_allocate(count) else {
            // As everywhere in Swift, memory that cannot be had ends the process.
            preconditionFailure("out of memory for a secret")
        }
        self.start = start
        self.count = count
    }

    /// A copy of bytes that live elsewhere; wiping those is the caller's duty.
    package init(copying bytes: RawSpan) {
        self.init(zeros: bytes.byteCount)
        bytes.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(start: start, count: count).copyMemory(from: source)
        }
    }

    /// A copy of bytes that live elsewhere; wiping those is the caller's duty.
    package init(copying bytes: [UInt8]) {
        self.init(copying: bytes.span.bytes)
    }

    /// Moves bytes in: the array is wiped in place and left empty. Copies that were made of it before are not reached.
    package init(absorbing bytes: inout [UInt8]) {
        self.init(copying: bytes.span.bytes)
        bytes.withUnsafeMutableBytes { wipe($0) }
        bytes = []
    }

    /// Random bytes.
    package init(random count: Int, from source: some RandomBytes = SystemRandom()) {
        self.init(zeros: count)
        source.fill(UnsafeMutableRawBufferPointer(start: start, count: count), secret: true)
    }

    deinit { dstack_secret_release(start, count) }

    /// The bytes, as long as the secret lives.
    package var bytes: RawSpan {
        @_lifetime(borrow self)
        borrowing get {
            let buffer = UnsafeRawBufferPointer(start: start, count: count)
            return unsafe _overrideLifetime(RawSpan(_unsafeBytes: buffer), borrowing: self)
        }
    }

    /// Calls `body` with the bytes in place; the pointer must not leave it.
    package borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// Whether both hold the same bytes. The time depends on the lengths only.
    package borrowing func isEqual(to other: borrowing SecretBytes) -> Bool {
        isEqual(to: other.bytes)
    }

    /// Whether these are the given bytes. The time depends on the lengths only.
    package borrowing func isEqual(to other: RawSpan) -> Bool {
        guard other.byteCount == count else { return false }
        return other.withUnsafeBytes { CRYPTO_memcmp(start, $0.baseAddress ?? UnsafeRawPointer(start), count) == 0 }
    }

    /// A second secret with the same bytes.
    package borrowing func duplicate() -> SecretBytes { SecretBytes(copying: bytes) }

    /// A part, as a secret of its own; nil if the range leaves the bytes.
    package borrowing func part(_ range: Range<Int>) -> SecretBytes? {
        guard range.lowerBound >= 0, range.upperBound <= count else { return nil }
        return SecretBytes(copying: bytes.extracting(range))
    }

    /// A copy in ordinary memory, which nothing wipes. For the wire and for files only, at the last moment.
    package borrowing func copiedToUnprotectedMemory() -> [UInt8] {
        withUnsafeBytes { [UInt8]($0) }
    }
}

/// Overwrites memory with secrets in it, also where nothing reads it any more.
package func wipe(_ memory: UnsafeMutableRawBufferPointer) { OPENSSL_cleanse(memory.baseAddress, memory.count) }

/// Whether two byte strings are equal, in a time that depends on their lengths only.
package func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return left.withUnsafeBytes { left in
        right.withUnsafeBytes { right in
            guard let leftStart = left.baseAddress, let rightStart = right.baseAddress else { return true }
            return CRYPTO_memcmp(leftStart, rightStart, left.count) == 0
        }
    }
}
