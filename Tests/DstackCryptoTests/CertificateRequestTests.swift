import DstackCrypto
import DstackEncoding
import TestKit
import Testing

@Suite("Certificate requests")
struct CertificateRequestTests {
    static let subject = X509.Name(.organization("Dstack"), .commonName("app.example"))
    static let extensions: [X509.Extension] = [
        .subjectAltName([.dns("app.example"), .dns("*.app.example")]), .keyUsage([.digitalSignature]),
    ]

    private static func check<Key: CertificateSigner & ~Copyable>(_ key: borrowing Key) throws {
        let der = try CertificateRequestBuilder(subject: subject, extensions: extensions).signed(by: key)
        let request = try CertificateRequest(der: der)
        #expect(request.subject == subject)
        #expect(request.subjectPublicKeyInfo == key.subjectPublicKeyInfo)
        #expect(request.extensions == extensions)
        #expect(request.value(of: .subjectAlternativeName) == extensions[0].value)
        #expect(request.value(of: .basicConstraints) == nil)
        #expect(request.isSignatureValid)
    }

    @Test("a request reads back as it was written, for every kind of key")
    func roundTrip() throws {
        try Self.check(P256.PrivateKey())
        try Self.check(P384.PrivateKey())
        try Self.check(Ed25519.PrivateKey())
    }

    @Test("a request without extensions has none")
    func bare() throws {
        let request = try CertificateRequest(
            der: CertificateRequestBuilder(subject: .empty).signed(by: P256.PrivateKey()))
        #expect(request.extensions.isEmpty)
        #expect(request.isSignatureValid)
    }

    @Test("a request for somebody else's key is not valid")
    func stolenKey() throws {
        var builder = CertificateRequestBuilder(subject: Self.subject)
        builder.publicKey = P256.PrivateKey().publicKey.spki
        #expect(try !CertificateRequest(der: builder.signed(by: P256.PrivateKey())).isSignatureValid)
    }

    @Test(
        "an algorithm that is not the signature's makes the request invalid",
        arguments: [
            X509.Algorithm.ecdsaWithSHA384, .ecdsaWithSHA1, .ed25519, .sha256WithRSA,
            X509.Algorithm(.ecdsaWithSHA256, parameters: DER.null),
        ])
    func wrongAlgorithm(algorithm: X509.Algorithm) throws {
        var builder = CertificateRequestBuilder(subject: Self.subject)
        builder.algorithm = algorithm
        #expect(try !CertificateRequest(der: builder.signed(by: P256.PrivateKey())).isSignatureValid)
    }

    @Test("two requests for extensions, or one extension twice, are refused")
    func duplicates() throws {
        var builder = CertificateRequestBuilder(subject: Self.subject, extensions: [.keyUsage([]), .keyUsage([])])
        let key = P256.PrivateKey()
        let twice = try builder.signed(by: key)
        #expect(throws: DecodingFailure.self) { try CertificateRequest(der: twice) }
        builder.extensions = Self.extensions
        builder.attributes = [
            DER.sequence(
                DER.objectIdentifier(ObjectIdentifier(1, 2, 840, 113549, 1, 9, 14)),
                DER.set(of: [DER.sequence(Self.extensions[1].der)]))
        ]
        let two = try builder.signed(by: key)
        #expect(throws: DecodingFailure.self) { try CertificateRequest(der: two) }
        builder.version = 2
        builder.attributes = []
        let version = try builder.signed(by: key)
        #expect(throws: DecodingFailure.self) { try CertificateRequest(der: version) }
    }

    @Test("every truncation is refused, and no flipped byte stays valid")
    func mutation() throws {
        let der = try CertificateRequestBuilder(subject: Self.subject, extensions: Self.extensions)
            .signed(by: P256.PrivateKey())
        for end in der.indices {
            #expect(throws: DecodingFailure.self) { try CertificateRequest(der: [UInt8](der[..<end])) }
        }
        #expect(throws: DecodingFailure.self) { try CertificateRequest(der: der + [0]) }
        for index in der.indices {
            for bit: UInt8 in [0x01, 0x20, 0x80] {
                var changed = der
                changed[index] ^= bit
                let isValid = (try? CertificateRequest(der: changed))?.isSignatureValid ?? false
                #expect(!isValid, "bit \(bit) of byte \(index)")
            }
        }
    }

    @Test("openssl reads and verifies our requests, and we its own", .needsOpenSSLProgram)
    func program() throws {
        let directory = try ScratchDirectory()
        let key = P256.PrivateKey()
        let der = try CertificateRequestBuilder(subject: Self.subject, extensions: Self.extensions).signed(by: key)
        let file = try directory.write([UInt8](PEM.encode("CERTIFICATE REQUEST", der).utf8), "csr.pem")
        let text = try OpenSSLProgram.run("req", "-in", file, "-noout", "-text", "-verify")
        #expect(text.status == 0)
        for expected in [
            "self-signature verify OK", "Subject: O = Dstack, CN = app.example", "DNS:app.example, DNS:*.app.example",
            "Digital Signature",
        ] {
            #expect(text.output.contains(expected), "\(expected) in \(text.output)")
        }
        let made = try OpenSSLProgram.run(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            directory.path("key.pem"), "-subj", "/O=Other/CN=other.example", "-addext",
            "subjectAltName=DNS:other.example", "-out", directory.path("theirs.pem"))
        #expect(made.status == 0, "\(made.output)")
        let theirs = try #require(try PEM.decode(directory.read("theirs.pem"), label: "CERTIFICATE REQUEST").first)
        let request = try CertificateRequest(der: theirs)
        #expect(request.isSignatureValid)
        #expect(
            request.value(of: .subjectAlternativeName)
                == X509.Extension.subjectAltName([.dns("other.example")]).value)
    }
}
