import COpenSSL
import DstackCrypto
import DstackEncoding
package import DstackSystem

/// A certificate with its key: who a server or a client is. Nothing is read before it is used.
package struct TLSCredentials: Sendable {
    private enum Chain: Sendable {
        case pem([UInt8])
        case der([[UInt8]])
    }

    private let chain: Chain
    /// Shows the key (PEM, unencrypted) where it lies.
    private let withPrivateKey: @Sendable ((UnsafeRawBufferPointer) -> Void) -> Void

    /// - Parameters:
    ///   - certificateChain: PEM, leaf first.
    ///   - privateKey: PEM, unencrypted.
    package init(certificateChain: [UInt8], privateKey: [UInt8]) {
        self.init(certificateChain: certificateChain) { body in privateKey.withUnsafeBytes { body($0) } }
    }

    /// - Parameters:
    ///   - certificateChain: PEM, leaf first.
    ///   - withPrivateKey: shows the key (PEM, unencrypted) where it lies, for a key that is kept in memory of its own.
    package init(
        certificateChain: [UInt8], withPrivateKey: @escaping @Sendable ((UnsafeRawBufferPointer) -> Void) -> Void
    ) {
        chain = .pem(certificateChain)
        self.withPrivateKey = withPrivateKey
    }

    /// - Parameters:
    ///   - chain: DER, leaf first.
    ///   - withPrivateKey: shows the key (PEM, unencrypted) where it lies.
    package init(chain: [[UInt8]], withPrivateKey: @escaping @Sendable ((UnsafeRawBufferPointer) -> Void) -> Void) {
        self.chain = .der(chain)
        self.withPrivateKey = withPrivateKey
    }

    /// From files (PEM), which are read now. The key's is read into memory that is wiped.
    ///
    /// - Throws: ``SystemError``.
    package init(certificateFile: String, keyFile: String) throws(SystemError) {
        let chain = try File.read(certificateFile, limit: Self.maximumFileBytes)
        var text = try File.read(keyFile, limit: Self.maximumFileBytes)
        let key = SharedSecret(absorbing: &text)
        self.init(certificateChain: chain) { body in key.withUnsafeBytes { body($0) } }
    }

    /// Chains of 16 certificates have some tens of thousands.
    private static let maximumFileBytes = 1 << 20

    /// Reads them, and finds out whether they go together.
    ///
    /// - Throws: ``TLSFailure``.
    package func load() throws(TLSFailure) -> TLSIdentityHandle {
        let certificates: [[UInt8]]
        switch chain {
        case .der(let chain): certificates = chain
        case .pem(let text):
            do throws(DecodingFailure) {
                certificates = try PEM.decode(text, label: "CERTIFICATE")
            } catch {
                throw TLSFailure("the certificates cannot be read: \(error)")
            }
        }
        var result: Result<TLSIdentityHandle, TLSFailure>?
        withPrivateKey { key in result = Self.load(certificates, key) }
        guard let result else { throw TLSFailure("there is no key") }
        return try result.get()
    }

    private static func load(
        _ chain: [[UInt8]], _ key: UnsafeRawBufferPointer
    ) -> Result<TLSIdentityHandle, TLSFailure> {
        // One buffer for all certificates: their addresses must hold at the same time.
        let all = chain.flatMap { $0 }
        var reason = [CChar](repeating: 0, count: 128)
        let made = all.withUnsafeBufferPointer { bytes in
            var start = bytes.baseAddress
            let certificates = chain.map { certificate in
                defer { start = start?.advanced(by: certificate.count) }
                return dstack_certificate(bytes: start, count: certificate.count)
            }
            return dstack_tls_identity_new(
                key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count, certificates, certificates.count,
                &reason, reason.count)
        }
        guard let made else { return .failure(TLSFailure(characters: reason)) }
        return .success(TLSIdentityHandle(owning: made))
    }
}

/// A key with its certificates, read and found to go together. Contexts share it.
package final class TLSIdentityHandle: Sendable {
    /// A `dstack_tls_identity`, which does not change.
    nonisolated(unsafe) let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { dstack_tls_identity_free(pointer) }

    /// Makes this what a context presents in later handshakes, in place of what it had.
    ///
    /// - Parameter context: an `SSL_CTX *`, used by nobody else during the call.
    /// - Throws: where OpenSSL does not take it; the context is then as it was.
    package func install(in context: OpaquePointer) throws(TLSFailure) {
        guard dstack_tls_use_identity(context, pointer) else {
            throw TLSFailure("OpenSSL does not take the certificate or the key")
        }
    }
}

/// Why a TLS context cannot be made from what was given.
package struct TLSFailure: Error, Sendable, CustomStringConvertible {
    package let reason: String

    init(_ reason: String) { self.reason = reason }

    init(characters: [CChar]) {
        reason = String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package var description: String { reason }
}
