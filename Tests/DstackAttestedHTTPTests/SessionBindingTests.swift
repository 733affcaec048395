import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import Foundation
import Testing

@Suite("Binding evidence to a connection")
struct SessionBindingTests {
    /// The example of docs/attested-tls.md.
    static let exporter = [UInt8](0x00..<0x20)
    static let nonce = [UInt8](0x80..<0xA0)
    static let publicKeyHex =
        "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a1394"
        + "5d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    static let expected =
        "64737461636b2d73657373696f6e2f31"
        + "b45aff6f5856925a657e9fef1a76871490229858599b374c83c90c495cc0af90466755510dc979407ddc84f5d2f4a38e"

    @Test("report data is the tag and the hash of exporter, nonce and key, each with its length")
    func example() throws {
        let key = try Hex.decode(Self.publicKeyHex, subject: "key")
        let binding = try SessionBinding(exporter: Self.exporter, nonce: Self.nonce, publicKey: key)
        var content: [UInt8] = []
        for part in [Self.exporter, Self.nonce, key] {
            content += [0, 0, 0, UInt8(part.count)] + part
        }
        let byHand = Array("dstack-session/1".utf8) + SHA384.hash(content).bytes
        #expect(binding.reportData.bytes.bytes == byHand)
        #expect(binding.reportData.hex == Self.expected)
        #expect(binding.reportData.isReservedForSessions)
    }

    @Test("the documentation's worked example is this one")
    func documentation() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appendingPathComponent("docs/attested-tls.md"), encoding: .utf8)
        let joined = text.filter { !$0.isWhitespace }
        let key = try Hex.decode(Self.publicKeyHex, subject: "key")
        for value in [Hex.encode(Self.exporter), Hex.encode(Self.nonce), Hex.encode(key), Self.expected] {
            #expect(joined.contains(value), "\(value) is not in the text")
        }
    }

    @Test("every part of the binding changes the report data")
    func parts() throws {
        let (key, other) = (TLSKey().publicKey, TLSKey().publicKey)
        let zeros = [UInt8](repeating: 0, count: 32)
        let one = [1] + [UInt8](repeating: 0, count: 31)
        let all = try [
            SessionBinding(exporter: zeros, nonce: zeros, publicKey: key),
            SessionBinding(exporter: one, nonce: zeros, publicKey: key),
            SessionBinding(exporter: zeros, nonce: one, publicKey: key),
            SessionBinding(exporter: zeros, nonce: zeros, publicKey: other),
        ]
        #expect(Set(all.map { $0.reportData.hex }).count == all.count)
    }

    @Test("parts of another form are refused with the name of the part")
    func malformed() throws {
        let key = TLSKey().publicKey
        let good = [UInt8](repeating: 7, count: 32)
        let cases: [([UInt8], [UInt8], [UInt8], String)] = [
            ([], good, key, "exporter"), (good + [0], good, key, "exporter"),
            (good, Array(good.dropLast()), key, "nonce"),
            (good, good, [], "public_key"), (good, good, key + [0], "public_key"),
            (good, good, Array(key.dropLast()), "public_key"), (good, good, [0x30, 0x00], "public_key"),
            (good, good, [UInt8](repeating: 0x30, count: SessionBinding.maximumKeyByteCount + 1), "public_key"),
        ]
        for (exporter, nonce, key, subject) in cases {
            let error = #expect(throws: AttestationError.self) {
                try SessionBinding(exporter: exporter, nonce: nonce, publicKey: key)
            }
            #expect(error?.code == .invalidReportData)
            #expect(error?.subject.contains(subject) == true, "\(error?.description ?? "")")
        }
    }

    @Test("report data of an application's choice that begins with the tag, of any version, is known as reserved")
    func reserved() throws {
        for text in ["dstack-session/1", "dstack-session/2 and more", "dstack-session/"] {
            #expect(try ReportData(padding: Array(text.utf8)).isReservedForSessions)
        }
        for text in ["", "dstack-session", "Dstack-session/1", " dstack-session/1", "ratls-cert"] {
            #expect(try !ReportData(padding: Array(text.utf8)).isReservedForSessions)
        }
        #expect(!ReportData(raTLSKey: TLSKey().publicKey).isReservedForSessions)
    }

    @Test("messages come back as they were sent, and unknown members are passed over")
    func messages() throws {
        let nonce = FixedBytes<32>(repeating: 0xAB)
        #expect(try SessionEvidence.nonce(in: SessionEvidence.request(nonce: nonce)) == nonce)
        #expect(try SessionEvidence.nonce(in: Array("{\"later\":[1],\"nonce\":\"\(nonce.hex)\"}".utf8)) == nonce)
        let response = try SessionEvidence.response(
            in: SessionEvidence.response(attestation: [1, 2, 3], publicKey: [4, 5]))
        #expect(response.attestation == [1, 2, 3] && response.publicKey == [4, 5])
        #expect(try SessionEvidence.response(in: Array("{\"attestation\":\"00\"}".utf8)).publicKey == nil)
    }

    @Test("truncated, oversize and changed messages are refused or read, and never trap")
    func mutations() throws {
        let request = SessionEvidence.request(nonce: FixedBytes(repeating: 0x5A))
        let response = SessionEvidence.response(attestation: [UInt8](repeating: 9, count: 64), publicKey: [1])
        for message in [request, response] {
            for count in 0..<message.count {
                let part = Array(message.prefix(count))
                #expect(throws: AttestationError.self) { try SessionEvidence.nonce(in: part) }
                #expect(throws: AttestationError.self) { try SessionEvidence.response(in: part) }
            }
        }
        let random = PredictableBytesForTests("session messages")
        var readable = 0
        for _ in 0..<2000 {
            var changed = random.bytes(1)[0] & 1 == 0 ? request : response
            let choice = random.bytes(3)
            changed[(Int(choice[0]) << 8 | Int(choice[1])) % changed.count] = choice[2]
            if (try? SessionEvidence.nonce(in: changed)) != nil { readable += 1 }
            if (try? SessionEvidence.response(in: changed)) != nil { readable += 1 }
        }
        // A digit changed into another digit is readable.
        #expect(readable > 0)
        let long = Array("{\"nonce\":\"\(String(repeating: "0", count: 2000))\"}".utf8)
        #expect(throws: AttestationError.self) { try SessionEvidence.nonce(in: long) }
        let huge = [UInt8](repeating: 0x20, count: SessionEvidence.maximumResponseByteCount + 1)
        #expect(throws: AttestationError.self) { try SessionEvidence.response(in: huge) }
    }
}

@Suite("TLS identities")
struct TLSIdentityTests {
    @Test("key and certificate must belong together, and the key is not shown")
    func matching() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        #expect(try RATLSCertificate(parsing: identity.certificateChain[0]).publicKey == identity.publicKey)
        #expect(!"\(identity)".contains("PRIVATE"))
        let error = #expect(throws: AttestationError.self) {
            try TLSKey().identity(identity.certificateChain)
        }
        #expect(error?.code == .invalidTLSIdentity)
        #expect(error?.reason.contains("another key") == true)
        #expect(throws: AttestationError.self) { try TLSKey().identity([]) }
        #expect(throws: AttestationError.self) { try TLSKey().identity([[1, 2, 3]]) }
        let text = Array(identity.certificateChainPEM.utf8)
        let again = try identity.withUnsafePrivateKeyPEM { (pem: UnsafeRawBufferPointer) throws(AttestationError) in
            try TLSIdentity(privateKeyPEM: pem.bytes, certificateChainPEM: text)
        }
        #expect(again.certificateChain == identity.certificateChain)
        #expect(throws: AttestationError.self) {
            try TLSIdentity(privateKeyPEM: Array("no key".utf8).span.bytes, certificateChainPEM: text)
        }
    }
}
