import DstackEncoding

/// What Ed25519 and X25519 share: keys that are plain strings of 32 bytes, and their encodings (RFC 8410), which differ
/// in the last arc of the algorithm only: 1.3.101.110 is X25519, 1.3.101.112 Ed25519.
enum RawKey {
    static let x25519: UInt8 = 110
    static let ed25519: UInt8 = 112

    static func publicKey(
        _ name: String, of secret: borrowing SecretBytes,
        by compute: (UnsafePointer<UInt8>?, UnsafeMutablePointer<UInt8>) -> CInt
    ) -> FixedBytes<32> {
        FixedBytes<32> { point in
            let status = secret.withUnsafeBytes { compute($0.baseAddress?.assumingMemoryBound(to: UInt8.self), point) }
            // Every secret has a public key, so only a failed allocation gets here.
            precondition(status == 1, "\(name) failed")
        }
    }

    /// SEQUENCE { SEQUENCE { OID }, BIT STRING }
    private static func spkiPrefix(_ arc: UInt8) -> [UInt8] {
        [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, arc, 0x03, 0x21, 0x00]
    }

    /// SEQUENCE { INTEGER 0, SEQUENCE { OID }, OCTET STRING { OCTET STRING } }
    private static func pkcs8Prefix(_ arc: UInt8) -> [UInt8] {
        [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, arc, 0x04, 0x22, 0x04, 0x20]
    }

    static func spki(_ arc: UInt8, _ point: FixedBytes<32>) -> [UInt8] { spkiPrefix(arc) + point.bytes }

    static func readSPKI(_ arc: UInt8, _ name: String, _ der: [UInt8]) throws(CryptoFailure) -> FixedBytes<32> {
        // DER has one form for it, so comparing is parsing.
        guard der.starts(with: spkiPrefix(arc)), let point = FixedBytes<32>(der.dropFirst(12)) else {
            throw CryptoFailure(.malformed, "\(name) public key", "not a SubjectPublicKeyInfo of this algorithm")
        }
        return point
    }

    static func pkcs8(_ arc: UInt8, _ secret: borrowing SecretBytes) -> SecretBytes {
        let prefix = pkcs8Prefix(arc)
        return SecretBytes(count: prefix.count + secret.count) { (buffer: UnsafeMutableRawBufferPointer) in
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<prefix.count]).copyBytes(from: prefix)
            secret.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: buffer[prefix.count...]).copyMemory(from: $0)
            }
        }
    }

    static func readPKCS8(_ arc: UInt8, _ name: String, _ der: RawSpan) throws(CryptoFailure) -> SecretBytes {
        let prefix = pkcs8Prefix(arc)
        let isKey =
            der.byteCount == prefix.count + 32
            && prefix.indices.allSatisfy { der.unsafeLoad(fromByteOffset: $0, as: UInt8.self) == prefix[$0] }
        guard isKey else {
            throw CryptoFailure(
                .malformed, "\(name) private key", "not a PKCS#8 structure of this algorithm without optional fields")
        }
        return SecretBytes(copying: der.extracting(prefix.count..<der.byteCount))
    }
}
