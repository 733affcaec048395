import DstackNetwork
import Glibc

/// A client's configuration with what is made of it once: its identity, and the bytes that libcurl reads in place.
///
/// Lives on the client's thread, as long as its transfers.
final class TransferSettings {
    let configuration: HTTPClientConfiguration
    let authorities: PinnedBytes?
    /// Whom servers may ask for.
    let identity: TLSIdentityHandle?
    /// Why there is none although there should be one.
    let identityProblem: String?

    init(_ configuration: HTTPClientConfiguration) {
        self.configuration = configuration
        if case .pem(let bytes) = configuration.trust.authorities {
            authorities = PinnedBytes(bytes)
        } else {
            authorities = nil
        }
        do throws(TLSFailure) {
            identity = try configuration.clientIdentity?.load()
            identityProblem = nil
        } catch {
            identity = nil
            identityProblem = error.reason
        }
    }
}

/// Bytes that stay where they are and are wiped when they go.
final class PinnedBytes {
    let buffer: UnsafeMutableRawBufferPointer
    let count: Int

    convenience init(_ bytes: [UInt8]) { self.init(bytes.withUnsafeBytes { Self.copy($0) }, bytes.count) }

    convenience init(_ bytes: UnsafeRawBufferPointer) { self.init(Self.copy(bytes), bytes.count) }

    private static func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
        buffer.copyMemory(from: bytes)
        return buffer
    }

    private init(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int) {
        self.buffer = buffer
        self.count = count
    }

    deinit {
        if let start = buffer.baseAddress { explicit_bzero(start, buffer.count) }
        buffer.deallocate()
    }
}
