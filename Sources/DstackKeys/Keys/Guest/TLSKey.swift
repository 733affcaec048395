public import DstackAttestation
package import DstackCrypto

/// A P-256 key for TLS. Wiped when it goes.
public struct TLSKey: ~Copyable, Sendable {
    package let key: P256.PrivateKey

    package init(_ key: consuming P256.PrivateKey) { self.key = key }

    /// A new key.
    public init() { self.init(P256.PrivateKey()) }

    /// A new key from the given source.
    package init(random source: some RandomBytes) { self.init(P256.PrivateKey(random: source)) }

    /// Reads the first `PRIVATE KEY` or `EC PRIVATE KEY` block of a PEM text.
    ///
    /// - Throws: ``KeysError/Code/invalidKey`` if there is none, or if it is not a P-256 key.
    public init(pem text: RawSpan) throws(KeysError) {
        do {
            self.init(try P256.PrivateKey(pem: text))
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// The public half: SubjectPublicKeyInfo, DER, 91 bytes.
    public var publicKey: [UInt8] { key.publicKey.spki }

    /// The report data by which evidence is bound to this key.
    public var reportData: ReportData { ReportData(raTLSKey: publicKey) }

    /// Calls `body` with the private key as PEM (PKCS#8, lines of 64 characters, LF) in place; the pointer must not leave
    /// it.
    public borrowing func withUnsafePEM<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try key.pkcs8PEM.withUnsafeBytes(body)
    }
}
