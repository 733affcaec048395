import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

@Suite("Forms of collateral")
struct CollateralFormTests {
    private static let vm = Result { try SimulatedVM() }

    private static func quoted(_ text: String) -> String {
        var writer = JSONWriter()
        writer.object { $0.member("x", text) }
        return String(writer.text.dropFirst(5).dropLast())
    }

    /// Collateral with the JSON of one member replaced.
    private static func json(_ collateral: QuoteCollateral, _ name: String, _ value: String) throws -> [UInt8] {
        var writer = JSONWriter()
        let root = try JSONDocument(parsing: collateral.json, subject: "collateral").root
        writer.object { object in
            for member in root.members {
                object.raw(member.name, member.name == name ? Array(value.utf8) : member.value.rawBytes)
            }
        }
        return writer.bytes
    }

    @Test("revocation lists are taken as hexadecimal, base64, PEM and numbers, and issuer chains percent-encoded")
    func members() throws {
        let collateral = try Self.vm.get().collateral()
        for (name, der) in [("root_ca_crl", collateral.rootCACRL), ("pck_crl", collateral.pckCRL)] {
            let hex = Hex.encode(der)
            let pem = PEM.encode("X509 CRL", der)
            let numbers = "[" + der.map(String.init).joined(separator: ",") + "]"
            let rows = [
                Self.quoted(hex), Self.quoted(hex.uppercased()), Self.quoted("0x" + hex), Self.quoted("0X" + hex),
                Self.quoted(hex + "\n"), Self.quoted(" " + hex), Self.quoted(pem), Self.quoted("list of today\n" + pem),
                Self.quoted(pem.replacing("\n", with: "\r\n")), Self.quoted(Hex.encode(Array(pem.utf8))),
                Self.quoted(Base64.encode(der)), Self.quoted(Base64.encode(der, alphabet: .urlSafe, padding: false)),
                Self.quoted(Base64.encode(Array(pem.utf8))), numbers,
                "[" + Array(pem.utf8).map(String.init).joined(separator: ", ") + "]",
            ]
            for row in rows {
                #expect(
                    try QuoteCollateral(parsingJSON: Self.json(collateral, name, row)) == collateral,
                    "\(row.prefix(40))")
            }
        }
        for name in ["tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_crl_issuer_chain"] {
            let chain =
                try JSONDocument(parsing: collateral.json, subject: "c").root.member(named: name)?.string() ?? ""
            let encoded = chain.replacing("\n", with: "%0A").replacing(" ", with: "%20")
            #expect(try QuoteCollateral(parsingJSON: Self.json(collateral, name, Self.quoted(encoded))) == collateral)
        }
        for name in ["tcb_info_signature", "qe_identity_signature"] {
            let hex = Hex.encode(
                name == "tcb_info_signature" ? collateral.tcbInfoSignature : collateral.qeIdentitySignature)
            #expect(try QuoteCollateral(parsingJSON: Self.json(collateral, name, "\"0x\(hex)\"")) == collateral)
        }
    }

    @Test("escapes and white space in hexadecimal are taken in revocation lists and refused in signatures")
    func escapes() throws {
        let collateral = try Self.vm.get().collateral()
        func escaped(_ hex: String) -> String {
            "\"\\u00\(String(hex.utf8.first ?? 0, radix: 16))" + hex.dropFirst() + "\""
        }
        for (name, bytes) in [("root_ca_crl", collateral.rootCACRL), ("pck_crl", collateral.pckCRL)] {
            let value = escaped(Hex.encode(bytes))
            #expect(try QuoteCollateral(parsingJSON: Self.json(collateral, name, value)) == collateral)
        }
        for (name, bytes) in [
            ("tcb_info_signature", collateral.tcbInfoSignature),
            ("qe_identity_signature", collateral.qeIdentitySignature),
        ] {
            for value in [escaped(Hex.encode(bytes)), "\" \(Hex.encode(bytes))\"", "\"\(Hex.encode(bytes))\\n\""] {
                #expect(throws: AttestationError.self, "\(value.prefix(20))") {
                    try QuoteCollateral(parsingJSON: Self.json(collateral, name, value))
                }
            }
        }
    }

    @Test("the object is taken behind a mark, within another and as a string")
    func objects() throws {
        let collateral = try Self.vm.get().collateral()
        let text = String(decoding: collateral.json, as: UTF8.self)
        for row in [
            "\u{FEFF}" + text, "\r\n" + text, Self.quoted(text), #"{"collateral":\#(text)}"#,
            #"{"quote":"00","collateral":\#(text)}"#, #"{"collateral":\#(Self.quoted(text))}"#,
            Base64.encode(Array(text.utf8)),
        ] {
            #expect(try QuoteCollateral(parsingJSON: Array(row.utf8)) == collateral, "\(row.prefix(40))")
        }
    }

    @Test("what Intel signs is taken as the signed text alone, and other files are named")
    func refused() throws {
        let vm = try Self.vm.get()
        let collateral = try vm.collateral()
        let rows: [([UInt8], String)] = [
            (try Self.json(collateral, "tcb_info", collateral.tcbInfo), "the signature is over them"),
            (try Self.json(collateral, "qe_identity", collateral.qeIdentity), "the signature is over them"),
            (try Self.json(collateral, "root_ca_crl", "\"\""), "empty"),
            (try Self.json(collateral, "pck_crl", "1"), "found the number"),
            (
                try Self.json(collateral, "pck_crl", Self.quoted(MockPlatform.pem([vm.platform.rootCertificate]))),
                "a certificate"
            ),
            (try Self.json(collateral, "pck_crl", "\"<html>\""), "an HTML page where DER"),
            (try Self.json(collateral, "root_ca_crl", "\"zz\""), "neither DER nor PEM nor hexadecimal text"),
            (Array("<html>".utf8), "an HTML or XML page"), (try vm.quote(ReportData(FixedBytes())), "this is a quote"),
            (Array(#"{"tcbInfo":{},"signature":"00"}"#.utf8), "one of the documents"),
            ([0xFF, 0xFE, 0x7B, 0], "UTF-16"),
            (Array(#"{"error":"not found"}"#.utf8), "not found"), ([], "empty"), (Array("null".utf8), "null"),
        ]
        for (content, words) in rows {
            let error = #expect(throws: AttestationError.self) { try QuoteCollateral(parsingJSON: content) }
            #expect(
                error?.code == .invalidCollateral && error?.reason.contains(words) == true,
                "\(words): \(error?.reason ?? "")")
        }
    }

    @Test("a prefix in a document that is signed stays a mistake: its text has one form")
    func signed() throws {
        let vm = try Self.vm.get()
        let collateral = try vm.collateral()
        var altered = collateral
        altered.tcbInfo = collateral.tcbInfo.replacing(#""fmspc":""#, with: #""fmspc":"0x"#)
        #expect(altered != collateral)
        let report = try vm.verifier().verify(
            vm.quote(ReportData(FixedBytes())), collateral: altered, at: SimulatedVM.now)
        let format = try #require(report.checks.first { $0.id == .tcbInfoFormat })
        #expect(format.message.contains("hexadecimal digits expected"), "\(format.message)")
    }

    @Test("a policy takes 0x before every value, and a policy file its mark")
    func policies() throws {
        let vm = try Self.vm.get()
        let hash = vm.composeHash.description
        for prefix in ["", "0x", "0X"] {
            let text =
                #"{"expected_compose_hash":"\#(prefix)\#(hash)","accepted_ppids":["\#(prefix)\#(hash.prefix(32))"]}"#
            for mark in ["", "\u{FEFF}"] {
                let policy = try VerificationPolicy(parsingJSON: Array((mark + text).utf8))
                #expect(policy.expected.composeHash == vm.composeHash.bytes && policy.acceptedPlatforms?.count == 1)
            }
        }
        for text in ["0x0x", "0x", "x", "0x 00", "0"] {
            #expect(throws: AttestationError.self) {
                try VerificationPolicy(
                    parsingJSON: Array(#"{"expected_compose_hash":"\#(text)\#(hash.dropFirst(2))"}"#.utf8))
            }
        }
        let error = #expect(throws: AttestationError.self) { try VerificationPolicy(parsingJSON: Array("<html>".utf8)) }
        #expect(error?.reason == "this is an HTML or XML page; a policy is a JSON object")
        #expect(AppID(hex: "0x\(vm.appID)") == vm.appID && AppID(hex: "0x0x\(vm.appID)") == nil)
    }
}
