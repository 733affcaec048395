import COpenSSL
import DstackCrypto
import DstackEncoding
import TestKit
import Testing

/// OpenSSL's own reading and verification of certificates, in this process.
enum X509Oracle {
    static func parse(_ der: [UInt8]) -> OpaquePointer? {
        der.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            let certificate = d2i_X509(nil, &position, buffer.count)
            if let certificate, position != buffer.baseAddress.map({ $0 + buffer.count }) {
                X509_free(certificate)
                return nil
            }
            return certificate
        }
    }

    static func encode(_ certificate: OpaquePointer) -> [UInt8] {
        var output: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509(certificate, &output)
        guard let output, count > 0 else { return [] }
        defer { CRYPTO_free(output, #file, #line) }
        return [UInt8](UnsafeBufferPointer(start: output, count: Int(count)))
    }

    /// X509_V_OK (0), or the number of the error, for a leaf directly under a trusted root.
    static func verify(_ leaf: [UInt8], root: [UInt8], at time: Int64) -> Int32? {
        guard let leaf = parse(leaf), let root = parse(root), let store = X509_STORE_new(),
            let context = X509_STORE_CTX_new()
        else { return nil }
        defer {
            X509_STORE_CTX_free(context)
            X509_STORE_free(store)
            X509_free(root)
            X509_free(leaf)
        }
        X509_STORE_add_cert(store, root)
        guard X509_STORE_CTX_init(context, store, leaf, nil) == 1 else { return nil }
        let parameters = X509_STORE_CTX_get0_param(context)
        X509_VERIFY_PARAM_set_time(parameters, Int(time))
        X509_VERIFY_PARAM_set_flags(parameters, UInt(X509_V_FLAG_X509_STRICT))
        return X509_verify_cert(context) == 1 ? 0 : X509_STORE_CTX_get_error(context)
    }
}

@Suite("Certificates against OpenSSL's own reading")
struct CertificateOracleTests {
    static let start: Int64 = 1_700_000_000
    static let end: Int64 = 1_900_000_000
    static let rootName = X509.Name(.commonName("Root"))

    private static func root<Key: CertificateSigner & ~Copyable>(_ key: borrowing Key) throws -> [UInt8] {
        try CertificateBuilder(
            subject: rootName, publicKey: key.subjectPublicKeyInfo, notBefore: .seconds(start), notAfter: .seconds(end),
            extensions: [
                .basicConstraints(isAuthority: true), .keyUsage([.keyCertSign, .cRLSign]), .subjectKeyIdentifier([7]),
            ]
        ).signed(by: key)
    }

    private static func leaf(_ publicKey: [UInt8]) -> CertificateBuilder {
        CertificateBuilder(
            subject: X509.Name(.commonName("Leaf")), issuer: rootName, publicKey: publicKey, notBefore: .seconds(start),
            notAfter: .seconds(end),
            extensions: [.basicConstraints(isAuthority: false), .authorityKeyIdentifier([7])])
    }

    private static func checkChain<Key: CertificateSigner & ~Copyable>(_ key: borrowing Key) throws {
        let root = try root(key)
        let leaf = try leaf(P256.PrivateKey().publicKey.spki).signed(by: key)
        #expect(X509Oracle.verify(leaf, root: root, at: start) == 0)
        // OpenSSL lets a certificate end with the second before notAfter.
        #expect(X509Oracle.verify(leaf, root: root, at: end - 1) == 0)
        #expect(X509Oracle.verify(leaf, root: root, at: start - 1) == X509_V_ERR_CERT_NOT_YET_VALID)
        #expect(X509Oracle.verify(leaf, root: root, at: end + 1) == X509_V_ERR_CERT_HAS_EXPIRED)
    }

    @Test("chains under roots of every kind of key verify, within their dates to the second")
    func chains() throws {
        try Self.checkChain(P256.PrivateKey())
        try Self.checkChain(P384.PrivateKey())
        try Self.checkChain(Ed25519.PrivateKey())
    }

    @Test("what a builder is told to spoil is spoilt")
    func spoilt() throws {
        let key = P256.PrivateKey()
        let root = try Self.root(key)
        let good = Self.leaf(P256.PrivateKey().publicKey.spki)
        func verdict(_ change: (inout CertificateBuilder) -> Void) throws -> Int32? {
            var builder = good
            change(&builder)
            return X509Oracle.verify(try builder.signed(by: key), root: root, at: Self.start)
        }
        #expect(try verdict { _ in } == 0)
        #expect(try verdict { $0.innerAlgorithm = .ecdsaWithSHA384 } != 0)
        #expect(try verdict { $0.outerAlgorithm = .ecdsaWithSHA384 } != 0)
        #expect(try verdict { $0.issuer = X509.Name(.commonName("Other")) } != 0)
        #expect(
            try verdict {
                $0.extensions.append(
                    X509.Extension(ObjectIdentifier(1, 3, 6, 1, 4, 1, 62397, 99), critical: true, value: DER.null))
            } == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION)
        #expect(try verdict { $0.extensions[1] = .authorityKeyIdentifier([8]) } != 0)
        let unsigned = try good.assembled(algorithm: .ecdsaWithSHA256, signature: DER.null)
        #expect(X509Oracle.verify(unsigned, root: root, at: Self.start) != 0)
        let stolen = try good.signed(by: P256.PrivateKey())
        #expect(X509Oracle.verify(stolen, root: root, at: Self.start) == X509_V_ERR_CERT_SIGNATURE_FAILURE)
    }

    @Test("our certificates are read the same by both parsers, and by OpenSSL byte for byte")
    func bothParsers() throws {
        let key = P256.PrivateKey()
        let certificates = [try Self.root(key), try Self.leaf(key.publicKey.spki).signed(by: key)]
        for der in certificates {
            let ours = try Certificate(der: der)
            let theirs = try #require(X509Oracle.parse(der))
            defer { X509_free(theirs) }
            #expect(X509Oracle.encode(theirs) == der)
            #expect(ours.notBefore == Self.start)
            #expect(ours.notAfter == Self.end)
            #expect(X509_get_version(theirs) == 2)
            let signed = [UInt8](ours.toBeSigned)
            let signature = try P256.Signature(der: [UInt8](ours.signature))
            #expect(key.publicKey.isValidSignature(signature, for: signed))
            #expect(
                CertificatePublicKey.p256(key.publicKey)
                    .isValidSignature([UInt8](ours.signature), algorithm: .ecdsaWithSHA256, over: signed))
        }
    }

    /// Names, keys and algorithms are opaque to the strict parser (they are compared as bytes later), so damage goes
    /// elsewhere.
    @Test("whatever the strict parser takes after random damage, OpenSSL takes too")
    func damaged() throws {
        let key = P256.PrivateKey(random: PredictableBytesForTests("damage"))
        var builder = Self.leaf(key.publicKey.spki)
        builder.extensions.append(.keyUsage([.digitalSignature]))
        builder.extensions.append(.crlDistributionPoints(["https://example/crl"]))
        builder.serialNumber = DER.integer(UInt64(1) << 60)
        let signature = DER.sequence(DER.integer(UInt64.max), DER.integer(UInt64.max))
        let der = try builder.assembled(algorithm: .ecdsaWithSHA256, signature: signature)
        let opaque = [builder.issuer.der, builder.subject.der, builder.publicKey, X509.Algorithm.ecdsaWithSHA256.der]
            .flatMap { der.ranges(of: $0) }
        let positions = der.indices.filter { index in !opaque.contains { $0.contains(index) } }
        #expect(opaque.count == 5)
        let source = PredictableBytesForTests("damage positions")
        var taken = 0
        for _ in 0..<4000 {
            let random = source.bytes(8)
            var changed = der
            for edit in 0..<(1 + Int(random[7] % 2)) {
                let position = positions[(Int(random[3 * edit]) << 8 | Int(random[3 * edit + 1])) % positions.count]
                changed[position] ^= 1 << (random[3 * edit + 2] & 7)
            }
            guard (try? Certificate(der: changed)) != nil else { continue }
            taken += 1
            let theirs = X509Oracle.parse(changed)
            X509_free(theirs)
            #expect(theirs != nil, "\(Hex.encode(changed))")
        }
        #expect(taken > 100)
    }
}

@Suite("Vectors of certificates", .needsVectors("keys/kdf.json"))
struct CertificateVectorTests {
    /// What all seven kinds of the vectors have in common (serial, key identifier, order of extensions) is rebuilt from
    /// the parsed parts; the bytes must come out the same.
    @Test("the signed part of every kind of certificate is reproduced byte for byte")
    func reproduced() throws {
        let file = try Vectors.object("keys/certs.json")
        for row in try file.rows("tbs") {
            let key = try P256.PrivateKey(scalar: secret(row.text("key_scalar")))
            let expected = try row.bytes("tbs_der")
            var reader = DERReader(expected.span.bytes)
            var fields = try reader.constructed(.sequence, "tbs")
            _ = try fields.any("version")
            _ = try fields.any("serial")
            _ = try fields.any("algorithm")
            let issuer = [UInt8](copying: try fields.any("issuer").encoding)
            _ = try fields.any("validity")
            let subject = [UInt8](copying: try fields.any("subject").encoding)
            _ = try fields.any("key")
            var wrapped = try fields.any("extensions").reader
            var list = try wrapped.constructed(.sequence, "extensions")
            var extensions = [X509.Extension]()
            while !list.isAtEnd {
                var parts = try list.constructed(.sequence, "extension")
                let identifier = try parts.objectIdentifier("extension")
                let isCritical = parts.nextTag == .boolean ? try parts.boolean("critical") : false
                let value = try parts.content(.octetString, "value").bytes
                extensions.append(X509.Extension(identifier, critical: isCritical, value: value))
            }
            var serial = [UInt8](SHA256.hash(key.publicKey.uncompressed).bytes.prefix(20))
            serial[0] &= 0x7F
            let start = try #require(row["not_before"] as? Int64)
            let end = try #require(row["not_after"] as? Int64)
            let builder = CertificateBuilder(
                subject: X509.Name(der: subject), issuer: X509.Name(der: issuer), publicKey: key.publicKey.spki,
                notBefore: .seconds(start), notAfter: .seconds(end), serialNumber: serial, extensions: extensions)
            #expect(try Hex.encode(builder.tbs(algorithm: .ecdsaWithSHA256)) == row.text("tbs_der"))
        }
    }

    @Test("the root certificate is written from its description alone")
    func root() throws {
        let rows = try Vectors.object("keys/certs.json").rows("tbs")
        let row = try #require(rows.first { $0["what"] as? String == "root CA" })
        let key = try P256.PrivateKey(scalar: secret(row.text("key_scalar")))
        var serial = [UInt8](SHA256.hash(key.publicKey.uncompressed).bytes.prefix(20))
        serial[0] &= 0x7F
        let builder = CertificateBuilder(
            subject: X509.Name(.organization("Dstack"), .commonName("Dstack KMS CA")), publicKey: key.publicKey.spki,
            notBefore: .seconds(157_766_400), notAfter: .seconds(2_000_000_000), serialNumber: serial,
            extensions: [
                .keyUsage(bits: [0x86, 0], unusedBits: 7),
                .subjectKeyIdentifier([UInt8](SHA256.hash(key.publicKey.spki).bytes.prefix(20))),
                .basicConstraints(isAuthority: true, pathLength: 1),
            ])
        #expect(try Hex.encode(builder.tbs(algorithm: .ecdsaWithSHA256)) == row.text("tbs_der"))
    }
}
