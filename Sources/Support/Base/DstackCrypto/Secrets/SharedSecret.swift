/// A secret with several holders, wiped when the last of them lets go.
package final class SharedSecret: Sendable {
    private let secret: SecretBytes

    package init(_ secret: consuming SecretBytes) { self.secret = secret }

    /// A copy of bytes that live elsewhere; wiping those is the caller's duty.
    package convenience init(copying bytes: RawSpan) { self.init(SecretBytes(copying: bytes)) }

    /// Moves bytes in: the array is wiped in place and left empty. Copies that were made of it before are not reached.
    package convenience init(absorbing bytes: inout [UInt8]) { self.init(SecretBytes(absorbing: &bytes)) }

    package var count: Int { secret.count }

    /// Calls `body` with the bytes in place; the pointer must not leave it.
    package func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try secret.withUnsafeBytes(body)
    }

    /// Calls `body` with the bytes in place.
    package func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try secret.withUnsafeBytes { (bytes) throws(Failure) in try body(bytes.bytes) }
    }

    /// A second secret with the same bytes, for one holder.
    package func duplicate() -> SecretBytes { secret.duplicate() }

    /// Whether both hold the same bytes. The time depends on the lengths only.
    package func isEqual(to other: SharedSecret) -> Bool { secret.isEqual(to: other.secret) }

    /// A copy in ordinary memory, which nothing wipes.
    package func copiedToUnprotectedMemory() -> [UInt8] { secret.copiedToUnprotectedMemory() }
}
