import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks on TCB info and QE identity as signed documents.
@Suite("Attacks: signed documents")
struct AttackDocumentTests {
    enum Document: String, CaseIterable {
        case tcbInfo = "TCB info"
        case qeIdentity = "QE identity"

        var format: CheckID { self == .tcbInfo ? .tcbInfoFormat : .qeIdentityFormat }
        var signer: CheckID { self == .tcbInfo ? .tcbInfoSigner : .qeIdentitySigner }
        var signature: CheckID { self == .tcbInfo ? .tcbInfoSignature : .qeIdentitySignature }

        func edit(_ collateral: inout MockCollateral, _ change: (inout MockCollateral.Signing) -> Void) {
            switch self {
            case .tcbInfo: change(&collateral.tcbInfoSigning)
            case .qeIdentity: change(&collateral.qeIdentitySigning)
            }
        }
    }

    private static func change(
        _ name: String, _ document: Document, _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockCollateral.Signing) -> Void
    ) -> [Attack] {
        Attack.both("\(name), \(document.rawValue)", check, code) {
            $0.collateral { document.edit(&$0, edit) }
        }
    }

    /// A change to the document as a tree, signed as it should be.
    private static func tree(
        _ name: String, _ document: Document, _ code: FailureCode = .malformed,
        _ edit: @escaping @Sendable (inout MockJSON) -> Void
    ) -> [Attack] {
        change(name, document, document.format, code) { $0.editJSON = edit }
    }

    /// A change to the document's text, signed as it should be.
    private static func text(
        _ name: String, _ document: Document, _ edit: @escaping @Sendable (inout String) -> Void
    ) -> [Attack] {
        change(name, document, document.format, .malformed) { $0.editText = edit }
    }

    @Rows<Harmless> static var controlRows: [Harmless] {
        Harmless.both("nothing changed")
        for document in Document.allCases {
            Harmless.both("members in another order when signed, \(document.rawValue)") {
                $0.collateral { document.edit(&$0) { $0.editJSON = { $0.editMembers { $0.reverse() } } } }
            }
            Harmless.both("unknown members, \(document.rawValue)") {
                $0.collateral {
                    document.edit(&$0) {
                        $0.editJSON = {
                            $0.append(
                                "comment", .array([.raw("null"), .raw("1.5e3"), .object([("id", .string("x"))])]))
                        }
                    }
                }
            }
            Harmless.both("white space when signed, \(document.rawValue)") {
                $0.collateral {
                    document.edit(&$0) { $0.editText = { $0 = " " + $0.replacing(",", with: ",\n") + "\n" } }
                }
            }
            Harmless.both("a high s, \(document.rawValue)") {
                $0.collateral { document.edit(&$0) { $0.editSignature = MockNumbers.negateS } }
            }
        }
        Harmless.both("digits of the other case") {
            $0.collateral {
                $0.tcbInfoSigning.editJSON = { $0["fmspc"] = .string("53494d554c00") }
                $0.qeIdentitySigning.editJSON = { $0["mrsigner"] = .string(String(repeating: "4", count: 64)) }
            }
        }
        Harmless.both("a chain of its own for each document") {
            let signer = try $0.platform.certificates.tcbSigner.issued()
            $0.collateral { $0.qeIdentitySigning.chain = [signer] }
        }
    }

    @Test("unusual but correct documents are accepted", arguments: controlRows)
    func controls(_ control: Harmless) throws { try control.run() }

    // MARK: Signatures

    @Rows<Attack> static var signatureRows: [Attack] {
        for document in Document.allCases {
            change("signed by another key", document, document.signature, .badSignature) { $0.signer = MockKey() }
            Attack.both("signed by the PCK, \(document.rawValue)", document.signature, .badSignature) {
                let key = $0.platform.keys.pck
                $0.collateral { document.edit(&$0) { $0.signer = key } }
            }
            Attack.both("signed by the root, \(document.rawValue)", document.signature, .badSignature) {
                let key = $0.platform.keys.root
                $0.collateral { document.edit(&$0) { $0.signer = key } }
            }
            change("no signature", document, document.signature, .malformed) { $0.editSignature = { $0 = [] } }
            change("63 bytes", document, document.signature, .malformed) { $0.editSignature = { $0.removeLast() } }
            change("65 bytes", document, document.signature, .malformed) { $0.editSignature = { $0.append(0) } }
            change("signature in DER", document, document.signature, .malformed) {
                $0.editSignature = { raw in
                    raw = DER.sequence(DER.integer(magnitude: raw.prefix(32)), DER.integer(magnitude: raw.suffix(32)))
                }
            }
            for (name, edit) in MockNumbers.invalidSignatures {
                change(name, document, document.signature, .badSignature) { $0.editSignature = edit }
            }
        }
        Attack.both("the signatures exchanged", .tcbInfoSignature, .badSignature) {
            $0.collateral { $0.tampering = { swap(&$0.tcbInfoSignature, &$0.qeIdentitySignature) } }
        }
        Attack.both("the documents exchanged", .tcbInfoFormat, .malformed) {
            $0.collateral {
                $0.tampering = {
                    swap(&$0.tcbInfo, &$0.qeIdentity)
                    swap(&$0.tcbInfoSignature, &$0.qeIdentitySignature)
                }
            }
        }
    }

    @Test("TCB info and QE identity that their signer did not sign are refused (V01)", arguments: signatureRows)
    func signatures(_ attack: Attack) throws { try attack.run() }

    @Rows<Attack> static var textRows: [Attack] {
        for document in Document.allCases {
            change("white space added", document, document.signature, .badSignature) { $0.tampering = { $0 += " " } }
            change("pretty-printed", document, document.signature, .badSignature) {
                $0.tampering = { $0 = $0.replacing(",", with: ", ") }
            }
            change("compacted", document, document.signature, .badSignature) {
                $0.editText = { $0 = $0.replacing(",", with: ", ") }
                $0.tampering = { $0 = $0.replacing(", ", with: ",") }
            }
            change("members reordered", document, document.signature, .badSignature) {
                $0.tampering = { text in
                    // The first member moves to the end.
                    guard let comma = text.firstIndex(of: ",") else { return }
                    let first = text[text.index(after: text.startIndex)..<comma]
                    text = "{" + text[text.index(after: comma)...].dropLast() + "," + first + "}"
                }
            }
            change("an escape in place of a letter", document, document.signature, .badSignature) {
                $0.tampering = { $0 = $0.replacing("issueDate", with: #"\u0069ssueDate"#) }
            }
            change("digits of the other case", document, document.signature, .badSignature) {
                $0.tampering = { $0 = $0.replacing("FFFF", with: "ffff").replacing("4D", with: "4d") }
            }
            change("another status", document, document.signature, .badSignature) {
                $0.tampering = { $0 = $0.replacing("OutOfDate", with: "UpToDate") }
            }
            change("a later nextUpdate", document, document.signature, .badSignature) {
                let date = RFC3339.format(MockEvidence.issued + 30 * 86_400)
                $0.tampering = { $0 = $0.replacing(date, with: "2027-10-01T00:00:00Z") }
            }
            change("an unknown member added", document, document.signature, .badSignature) {
                $0.tampering = { $0 = $0.dropLast() + #","x":1}"# }
            }
        }
    }

    @Test("a document changed after it was signed is refused, even to the same value (V21)", arguments: textRows)
    func texts(_ attack: Attack) throws { try attack.run() }

    // MARK: Strict JSON

    @Rows<Attack> static var formRows: [Attack] {
        for document in Document.allCases {
            tree("a member twice", document) { $0.append("issueDate", $0["issueDate"]) }
            tree("a member twice with two values", document) { $0.append("id", .string("TDX")) }
            tree("an unknown member twice", document) {
                $0.append("x", .raw("1"))
                $0.append("x", .raw("2"))
            }
            text("a member twice, once with an escape", document) {
                $0 = $0.dropLast() + #","\u0069d":"TDX"}"#
            }
            tree("a member twice deep inside", document) { json in
                var level = json["tcbLevels"][0]
                level.append("tcbStatus", .string("UpToDate"))
                json["tcbLevels"][0] = level
            }
            for name in ["id", "version", "issueDate", "nextUpdate", "tcbEvaluationDataNumber", "tcbLevels"] {
                tree("without \(name)", document) { $0.remove(name) }
                tree("\(name) in another case", document) {
                    let value = $0[name]
                    $0.remove(name)
                    $0.append(name.uppercased(), value)
                }
                tree("\(name) under another object", document) {
                    let value = $0[name]
                    $0.remove(name)
                    $0.append("tcb", .object([(name, value)]))
                }
                tree("\(name) null", document) { $0[name] = .raw("null") }
                tree("\(name) an array", document) { $0[name] = .array([.raw("[]")]) }
            }
            text("a byte-order mark", document) { $0 = "\u{FEFF}" + $0 }
            text("bytes behind it", document) { $0 += "x" }
            text("a second document behind it", document) { $0 += $0 }
            text("a comma behind the last member", document) { $0 = $0.dropLast() + ",}" }
            text("a comment", document) { $0 = "/* */" + $0 }
            text("a NUL behind it", document) { $0 += "\u{0}" }
            text("cut off", document) { $0 = String($0.dropLast()) }
            text("nothing", document) { $0 = "" }
            text("an array around it", document) { $0 = "[\($0)]" }
            text("a string around it", document) { $0 = "\"\"" }
            text("nesting without end", document) {
                $0 = $0.dropLast() + ",\"x\":" + String(repeating: "[", count: 100_000)
            }
            for number in [
                "3.0", "3e0", "\"3\"", "-1", "+3", "03", "0x3", "256", "99999999999999999999", "true", "NaN",
            ] {
                tree("version \(number)", document) { $0["version"] = .raw(number) }
            }
            for number in ["17.0", "1.7e1", "\"17\"", "-1", "4294967296", "18446744073709551633"] {
                tree("evaluation number \(number)", document) { $0["tcbEvaluationDataNumber"] = .raw(number) }
            }
            for date in [
                "", "2026-09-21", "2026-09-21T00:00:00", "2026-13-21T00:00:00Z", "2026-02-30T00:00:00Z",
                "2026-09-21T24:00:00Z", "1969-12-31T23:59:59Z", "02026-09-21T00:00:00Z", "1790000000",
                "2026-09-21T00:00:00Z ", "2026-09-21T00:00:00+2:00",
            ] {
                tree("issueDate “\(date)”", document) { $0["issueDate"] = .string(date) }
                tree("nextUpdate “\(date)”", document) { $0["nextUpdate"] = .string(date) }
            }
            tree("advisoryIDs null", document) { json in
                var level = json["tcbLevels"][0]
                level.append("advisoryIDs", .raw("null"))
                json["tcbLevels"][0] = level
            }
            for status in ["Fine", "uptodate", "UpToDate ", "", "TDRelaunchAdvised"] {
                tree("status “\(status)”", document, .unsupported) { json in
                    json["tcbLevels"][0]["tcbStatus"] = .string(status)
                }
                tree("status “\(status)” in a level that is not used", document, .unsupported) { json in
                    json["tcbLevels"][1]["tcbStatus"] = .string(status)
                }
            }
        }
        text("the answer of the service in place of the document", .tcbInfo) {
            $0 = #"{"tcbInfo":\#($0),"signature":"00"}"#
        }
        text("the answer of the service in place of the document", .qeIdentity) {
            $0 = #"{"enclaveIdentity":\#($0),"signature":"00"}"#
        }
    }

    @Test(
        "documents that are no strict JSON of the known form are refused, though signed (V22, V23, V34)",
        arguments: formRows)
    func forms(_ attack: Attack) throws { try attack.run() }

    // MARK: Time

    @Test("documents hold from their first to their last second (V24)", arguments: TEEType.allCases, Document.allCases)
    func validity(tee: TEEType, document: Document) throws {
        let now = MockEvidence.issued
        func report(_ first: Int64, _ last: Int64) throws -> VerificationReport {
            var evidence = try MockEvidence(tee)
            evidence.collateral {
                switch document {
                case .tcbInfo: ($0.tcbInfo.issueDate, $0.tcbInfo.nextUpdate) = (first, last)
                case .qeIdentity: ($0.qeIdentity.issueDate, $0.qeIdentity.nextUpdate) = (first, last)
                }
            }
            return try evidence.verified()
        }
        let issue: CheckID = document == .tcbInfo ? .tcbInfoIssueDate : .qeIdentityIssueDate
        let update: CheckID = document == .tcbInfo ? .tcbInfoNextUpdate : .qeIdentityNextUpdate
        try report(now, now).expectAccepted()
        try report(now + 1, now + 9).expectRefused(issue, .notYetValid)
        try report(now - 9, now - 1).expectRefused(update, .expired)
        // Both at once: refused at either end.
        try report(now + 9, now - 9).expectRefused(issue, .notYetValid)
    }

    @Test(
        "a fraction of a second makes no document valid earlier or longer (V24)", arguments: TEEType.allCases,
        Document.allCases)
    func fractions(tee: TEEType, document: Document) throws {
        let text = RFC3339.format(MockEvidence.issued)
        for (member, value, check, code) in [
            (
                "issueDate", text.replacing("Z", with: ".5Z"),
                document == .tcbInfo ? .tcbInfoIssueDate : .qeIdentityIssueDate, .notYetValid
            ),
            (
                "nextUpdate", RFC3339.format(MockEvidence.issued - 1).replacing("Z", with: ".9Z"),
                document == .tcbInfo ? .tcbInfoNextUpdate : .qeIdentityNextUpdate, .expired
            ),
        ] as [(String, String, CheckID, FailureCode)] {
            var evidence = try MockEvidence(tee)
            evidence.collateral { document.edit(&$0) { $0.editJSON = { $0[member] = .string(value) } } }
            try evidence.verified().expectRefused(check, code)
        }
    }

    // MARK: For which platform

    @Rows<Attack> static var identityRows: [Attack] {
        Attack.both("another FMSPC", .fmspc, .mismatch) {
            $0.collateral { $0.tcbInfo.fmspc = FixedBytes(repeating: 0) }
        }
        Attack.both("an FMSPC that differs in the last bit", .fmspc, .mismatch) {
            $0.collateral { $0.tcbInfo.fmspc[5] ^= 1 }
        }
        Attack.both("another PCE identity", .pceID, .mismatch) {
            $0.collateral { $0.tcbInfo.pceId = FixedBytes(repeating: 1) }
        }
        Attack.both("a PCK of another PCE identity", .pceID, .mismatch) {
            try $0.certificates {
                $0.sgx?.others[0] = .init(MockSGXExtension.arc(3), DER.octetString([0, 1]))
            }
        }
        Attack.both("TCB type 1", .tcbInfoType, .mismatch) { $0.collateral { $0.tcbInfo.tcbType = 1 } }
        Attack.both("TCB type −1", .tcbInfoType, .mismatch) { $0.collateral { $0.tcbInfo.tcbType = -1 } }
        tree("an FMSPC of five bytes", .tcbInfo) { $0["fmspc"] = .string("53494D554C") }
        tree("an FMSPC of seven bytes", .tcbInfo) { $0["fmspc"] = .string("53494D554C0000") }
        tree("an FMSPC with a prefix", .tcbInfo) { $0["fmspc"] = .string("0x53494D554C00") }
        tree("an empty FMSPC", .tcbInfo) { $0["fmspc"] = .string("") }
        tree("no FMSPC", .tcbInfo) { $0.remove("fmspc") }
        tree("no PCE identity", .tcbInfo) { $0.remove("pceId") }
        tree("no TCB type", .tcbInfo) { $0.remove("tcbType") }
        Attack.tdx("TCB info of SGX", .tcbInfoType, .mismatch) { evidence in
            let honest = try MockEvidence(.sgx).collateralValue()
            evidence.collateral {
                $0.tampering = { ($0.tcbInfo, $0.tcbInfoSignature) = (honest.tcbInfo, honest.tcbInfoSignature) }
            }
        }
        Attack.sgx("TCB info of TDX", .tcbInfoType, .mismatch) { evidence in
            let honest = try MockEvidence(.tdx).collateralValue()
            evidence.collateral {
                $0.tampering = { ($0.tcbInfo, $0.tcbInfoSignature) = (honest.tcbInfo, honest.tcbInfoSignature) }
            }
        }
        for id in ["TDX ", "tdx", "", "SGX"] {
            Attack.tdx("TCB info “\(id)”", .tcbInfoType, .mismatch) { $0.collateral { $0.tcbInfo.id = id } }
        }
        for version in [0, 1, 2, 4, 255] {
            Attack.tdx("TCB info of version \(version)", .tcbInfoType, .mismatch) {
                $0.collateral { $0.tcbInfo.version = version }
            }
        }
        for version in [0, 1, 4, 255] {
            Attack.sgx("TCB info of version \(version)", .tcbInfoType, .mismatch) {
                $0.collateral { $0.tcbInfo.version = version }
            }
        }
        for id in ["QE", "QVE", "td_qe", "", "TD_QE2"] {
            Attack.tdx("QE identity “\(id)”", .qeIdentityType, .mismatch) { $0.collateral { $0.qeIdentity.id = id } }
        }
        for id in ["TD_QE", "QVE", "qe", ""] {
            Attack.sgx("QE identity “\(id)”", .qeIdentityType, .mismatch) { $0.collateral { $0.qeIdentity.id = id } }
        }
        for version in [0, 1, 4, 255] {
            Attack.both("QE identity of version \(version)", .qeIdentityType, .mismatch) {
                $0.collateral { $0.qeIdentity.version = version }
            }
        }
        Attack.tdx("the QE identity of SGX", .qeIdentityType, .mismatch) { evidence in
            let honest = try MockEvidence(.sgx).collateralValue()
            evidence.collateral {
                $0.tampering = { collateral in
                    collateral.qeIdentity = honest.qeIdentity
                    collateral.qeIdentitySignature = honest.qeIdentitySignature
                }
            }
        }
    }

    @Test("documents of another platform, TEE or version are refused (V25, V26, V27)", arguments: identityRows)
    func identities(_ attack: Attack) throws { try attack.run() }

    @Test("a version 2 document is good for SGX (V26)")
    func version2() throws {
        var evidence = try MockEvidence(.sgx)
        evidence.collateral { $0.tcbInfo.version = 2 }
        try evidence.verified().expectAccepted()
    }
}
