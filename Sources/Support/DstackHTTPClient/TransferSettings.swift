import Glibc

/// A client's configuration with the bytes that libcurl reads in place (certificates and keys) at fixed addresses.
///
/// Lives on the client's thread, as long as its transfers.
final class TransferSettings {
    let configuration: HTTPClientConfiguration
    let authorities: PinnedBytes?
    let certificateChain: PinnedBytes?
    let privateKey: PinnedBytes?

    init(_ configuration: HTTPClientConfiguration) {
        self.configuration = configuration
        if case .pem(let bytes) = configuration.trust.authorities {
            authorities = PinnedBytes(bytes)
        } else {
            authorities = nil
        }
        certificateChain = configuration.clientIdentity.map { PinnedBytes($0.certificateChain) }
        privateKey = configuration.clientIdentity.map { PinnedBytes($0.privateKey) }
    }
}

/// Bytes that stay where they are and are wiped when they go.
final class PinnedBytes {
    let buffer: UnsafeMutableRawBufferPointer

    init(_ bytes: [UInt8]) {
        buffer = .allocate(byteCount: max(bytes.count, 1), alignment: 1)
        count = bytes.count
        buffer.copyBytes(from: bytes)
    }

    let count: Int

    deinit {
        if let start = buffer.baseAddress { explicit_bzero(start, buffer.count) }
        buffer.deallocate()
    }
}
