import DstackCrypto
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("Certificate and revocation list builders")
struct CertificateBuilderTests {
    struct PKI: ~Copyable {
        let rootKey = P256.PrivateKey()
        let leafKey = P256.PrivateKey()
        let rootName = X509.Name(.organization("Dstack"), .commonName("Test Root"))
        let start: Int64 = 1_700_000_000
        let end: Int64 = 4_000_000_000

        func root() throws -> [UInt8] {
            var builder = CertificateBuilder(
                subject: rootName, publicKey: rootKey.publicKey.spki, notBefore: .seconds(start),
                notAfter: .seconds(end))
            builder.extensions = [
                .keyUsage([.keyCertSign, .cRLSign]), .basicConstraints(isAuthority: true, pathLength: 1),
                .subjectKeyIdentifier([1, 2, 3]),
            ]
            return try builder.signed(by: rootKey)
        }

        func leafBuilder() -> CertificateBuilder {
            var builder = CertificateBuilder(
                subject: X509.Name(.country("US"), .commonName("leaf.example", .printable)), issuer: rootName,
                publicKey: leafKey.publicKey.spki, notBefore: .seconds(start), notAfter: .seconds(end),
                serialNumber: [0x80, 0, 1])
            builder.extensions = [
                .keyUsage([.digitalSignature]), .basicConstraints(isAuthority: false),
                .extendedKeyUsage([.serverAuth, .clientAuth]),
                .subjectAltName([.dns("leaf.example"), .ip([192, 0, 2, 1])]),
                .authorityKeyIdentifier([1, 2, 3]), .crlDistributionPoints(["https://crl.example/root.crl"]),
                X509.Extension(ObjectIdentifier(1, 3, 6, 1, 4, 1, 62397, 1, 3), value: DER.octetString([1, 2, 3])),
            ]
            return builder
        }
    }

    @Test("openssl reads a certificate as it was meant, and verifies its chain", .needsOpenSSLProgram)
    func chain() throws {
        let directory = try ScratchDirectory()
        let pki = PKI()
        let root = try directory.write([UInt8](PEM.encode("CERTIFICATE", pki.root()).utf8), "root.pem")
        let leaf = try directory.write(
            [UInt8](PEM.encode("CERTIFICATE", pki.leafBuilder().signed(by: pki.rootKey)).utf8), "leaf.pem")
        let text = try OpenSSLProgram.run("x509", "-in", leaf, "-noout", "-text").output
        for expected in [
            "Version: 3 (0x2)", "Serial Number: 8388609 (0x800001)", "Issuer: O = Dstack, CN = Test Root",
            "Not Before: Nov 14 22:13:20 2023 GMT", "Not After : Oct  2 07:06:40 2096 GMT",
            "Subject: C = US, CN = leaf.example", "CA:FALSE", "TLS Web Server Authentication, TLS Web Client",
            "DNS:leaf.example, IP Address:192.0.2.1", "URI:https://crl.example/root.crl",
            "X509v3 Key Usage: critical", "01:02:03", "1.3.6.1.4.1.62397.1.3",
        ] {
            #expect(text.contains(expected), "\(expected) in \(text)")
        }
        let verdict = try OpenSSLProgram.run("verify", "-x509_strict", "-CAfile", root, leaf)
        #expect(verdict.status == 0, "\(verdict.output)")
    }

    @Test("openssl refuses a chain whose leaf was signed by another key", .needsOpenSSLProgram)
    func wrongSigner() throws {
        let directory = try ScratchDirectory()
        let pki = PKI()
        let root = try directory.write([UInt8](PEM.encode("CERTIFICATE", pki.root()).utf8), "root.pem")
        let leaf = try directory.write(
            [UInt8](PEM.encode("CERTIFICATE", pki.leafBuilder().signed(by: pki.leafKey)).utf8), "leaf.pem")
        #expect(try OpenSSLProgram.run("verify", "-CAfile", root, leaf).status != 0)
    }

    @Test("openssl obeys a revocation list that was built here", .needsOpenSSLProgram)
    func revocation() throws {
        let directory = try ScratchDirectory()
        let pki = PKI()
        let root = try directory.write([UInt8](PEM.encode("CERTIFICATE", pki.root()).utf8), "root.pem")
        let leaf = try directory.write(
            [UInt8](PEM.encode("CERTIFICATE", pki.leafBuilder().signed(by: pki.rootKey)).utf8), "leaf.pem")
        var builder = RevocationListBuilder(
            issuer: pki.rootName, thisUpdate: .seconds(pki.start), nextUpdate: .seconds(pki.end))
        let clean = try directory.write(
            [UInt8](PEM.encode("X509 CRL", builder.signed(by: pki.rootKey)).utf8), "clean.pem")
        builder.revoked = [
            .init(serialNumber: [0x80, 0, 1], date: .seconds(pki.start), extensions: [.revocationReason(1)])
        ]
        builder.extensions = [.authorityKeyIdentifier([1, 2, 3]), .crlNumber(7)]
        let revoking = try directory.write(
            [UInt8](PEM.encode("X509 CRL", builder.signed(by: pki.rootKey)).utf8), "revoking.pem")

        let text = try OpenSSLProgram.run("crl", "-in", revoking, "-noout", "-text").output
        for expected in [
            "Version 2 (0x1)", "Last Update: Nov 14 22:13:20 2023 GMT", "Serial Number: 800001", "Key Compromise",
            "X509v3 CRL Number: \n                7",
        ] {
            #expect(text.contains(expected), "\(expected) in \(text)")
        }
        #expect(
            try OpenSSLProgram.run("verify", "-crl_check", "-CAfile", root, "-CRLfile", clean, leaf).status == 0)
        let refused = try OpenSSLProgram.run("verify", "-crl_check", "-CAfile", root, "-CRLfile", revoking, leaf)
        #expect(refused.status != 0)
        #expect(refused.output.contains("certificate revoked"))
    }

    @Test("dates use UTCTime from 1950 to 2049 and GeneralizedTime around it")
    func times() throws {
        func dates(_ seconds: Int64) throws -> String {
            let builder = CertificateBuilder(
                subject: .empty, publicKey: DER.null, notBefore: .seconds(seconds), notAfter: .utcTime("x"))
            let tbs = try builder.tbs(algorithm: .ecdsaWithSHA256)
            return String(decoding: tbs.map { (0x20...0x7E).contains($0) ? $0 : 0x20 }, as: UTF8.self)
        }
        #expect(try dates(157_766_400).contains(" 750101000000Z"))
        #expect(try dates(2_524_607_999).contains(" 491231235959Z"))
        #expect(try dates(2_524_608_000).contains(" 20500101000000Z"))
        #expect(try dates(-631_152_000).contains(" 500101000000Z"))
        #expect(try dates(-631_152_001).contains(" 19491231235959Z"))
        #expect(throws: CryptoFailure.self) { try dates(253_402_300_800) }
        #expect(throws: CryptoFailure.self) { try dates(.max) }
        #expect(throws: CryptoFailure.self) { try dates(.min) }
    }

    @Test("inner and outer algorithm, serial number, version and signature can each be overridden")
    func overrides() throws {
        let pki = PKI()
        var builder = pki.leafBuilder()
        builder.version = 1
        builder.serialNumber = DER.encode(.integer, [0, 0, 5])
        builder.innerAlgorithm = .sha256WithRSA
        builder.outerAlgorithm = .ecdsaWithSHA384
        let der = try builder.assembled(algorithm: .ecdsaWithSHA256, signature: [1, 2, 3])
        var outer = DERReader(der.span.bytes)
        var certificate = try outer.constructed(.sequence, "certificate")
        var tbs = try certificate.constructed(.sequence, "tbs")
        let serial = try tbs.any("serial").bytes
        #expect(serial == [0, 0, 5])
        let inner = [UInt8](copying: try tbs.any("algorithm").encoding)
        #expect(inner == X509.Algorithm.sha256WithRSA.der)
        let outerAlgorithm = [UInt8](copying: try certificate.any("algorithm").encoding)
        #expect(outerAlgorithm == X509.Algorithm.ecdsaWithSHA384.der)
        let signature = try certificate.any("signature").bytes
        #expect(signature == [0, 1, 2, 3])
    }

    static let usages: [(Set<X509.KeyUsage>, String)] = [
        ([.digitalSignature], "03020780"),
        ([.keyCertSign, .cRLSign], "03020106"),
        ([.digitalSignature, .keyCertSign, .cRLSign], "03020186"),
        ([.decipherOnly], "0303070080"),
        ([], "030100"),
    ]

    @Test("key usage is the shortest bit string", arguments: usages)
    func keyUsage(usages: Set<X509.KeyUsage>, expected: String) {
        #expect(X509.Extension.keyUsage(usages).value == hex(expected))
    }
}
