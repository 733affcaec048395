import DstackCrypto
import DstackEncoding

/// The checks of a quote by itself: its form, the quoting enclave's report, the attestation key and the signatures.
struct QuoteEvaluation: Sendable {
    let quote: Quote
    private(set) var checks = CheckList()
    /// The level of the quoting enclave that matched, if QE identity has one.
    private(set) var qeLevel: SVNLevel?

    init(_ quote: Quote) {
        self.quote = quote
        let (version, kind) = (quote.header.version, quote.encodedDescription)
        checks.pass(.quoteFormat, found: .text("version \(version), \(kind)"))
        evaluateForm()
    }

    private mutating func evaluateForm() {
        let header = quote.header
        let (version, teeType, bodyType) = (header.version, header.teeTypeValue, quote.body.typeValue)
        checks.require(
            .qeVendor, header.qeVendorId == QuoteHeader.intelVendorID, .mismatch, "the QE vendor is not Intel",
            found: .hex(header.qeVendorId), expected: .hex(QuoteHeader.intelVendorID))
        checks.require(
            .quoteVersion, hasConsistentVersion, .unsupported,
            "SGX quotes have version 3 and an enclave report, TDX quotes version 4 or 5 and a TD report",
            found: .text("version \(version), TEE type 0x\(String(teeType, radix: 16)), body type \(bodyType)"))
        checks.require(
            .attestationKeyType, header.attestationKeyType == QuoteHeader.ecdsaP256KeyType, .unsupported,
            "only ECDSA with P-256 is supported", found: .number(Int64(header.attestationKeyType)),
            expected: .number(Int64(QuoteHeader.ecdsaP256KeyType)))
        if let issue = layoutIssue {
            checks.fail(.quoteLayout, issue)
        } else {
            checks.pass(.quoteLayout, found: .literal("no bytes left over"))
        }
    }

    private var hasConsistentVersion: Bool {
        switch (quote.header.teeType, quote.header.version) {
        case (.sgx, 3): quote.body.enclaveReport != nil
        case (.tdx, 4), (.tdx, 5): quote.body.tdReport != nil
        default: false
        }
    }

    /// Bytes that nothing covers could carry a second meaning for another reader, so there are none, but for zeros behind
    /// the quote, which kernels put there.
    private var layoutIssue: CheckIssue? {
        let signature = quote.signature
        if let outerType = signature.outerType, outerType != 6 {
            return CheckIssue(
                .malformed, "the outer certification data must be a QE report", found: .number(Int64(outerType)),
                expected: .number(6))
        }
        guard signature.certificationTrailing.isEmpty, signature.trailing.isEmpty else {
            return CheckIssue(
                .malformed, "bytes are left over inside the signature data",
                found: .number(Int64(signature.certificationTrailing.count + signature.trailing.count)),
                expected: .number(0))
        }
        guard quote.trailing.allSatisfy({ $0 == 0 }) else {
            return CheckIssue(.malformed, "bytes other than zeros follow the quote")
        }
        guard signature.qeReport.areReservedBytesZero, quote.body.enclaveReport?.areReservedBytesZero != false else {
            return CheckIssue(.malformed, "reserved bytes of an enclave's report are not zero")
        }
        guard signature.qeAuthData.count == 32 else {
            return CheckIssue(
                .malformed, "the QE auth data must have 32 bytes", found: .number(Int64(signature.qeAuthData.count)),
                expected: .number(32))
        }
        return nil
    }

    /// The signatures that ``evaluate(pckKey:identity:tables:batch:provenReports:)`` verifies.
    var signatures: [P256Signature] {
        [P256Signature(raw: quote.signature.qeReportSignature), P256Signature(raw: quote.signature.isvSignature)]
    }

    /// Everything between the PCK and the signed body. Needs the platform's key and Intel's identity of the enclave; what
    /// is missing leaves its checks unreached.
    ///
    /// - Parameter signedBytes: header and body as they came.
    mutating func evaluate(
        signedBytes: RawSpan, pckKey: P256VerifyingKey?, identity: QEIdentity?, tables: P256KeyTables,
        _ batch: SignatureBatch, cache: PlatformCache?
    ) -> [P256VerifyingKey] {
        var keys: [P256VerifyingKey] = []
        let signature = quote.signature
        if let pckKey {
            let isSigned = isReportSigned(by: pckKey, tables, batch, cache, &keys)
            checks.require(
                .qeReportSignature, isSigned, .badSignature,
                "the quoting enclave's report is not signed by the PCK", found: .literal("signed by the PCK"))
        }
        let binding = SHA256.hash(signature.attestationKey.bytes + signature.qeAuthData)
        // All 64 bytes: Intel's enclave leaves the second half zero, and anything else there would be unexplained.
        var expected = FixedBytes<64>()
        for index in 0..<32 { expected[index] = binding[index] }
        let reportData = signature.qeReport.reportData
        checks.require(
            .attestationKeyBinding, reportData == expected, .mismatch,
            "the quoting enclave's report does not bind the attestation key", found: .hex(reportData),
            expected: .hex(expected))
        if let identity { evaluate(identity) }
        guard let key = tables.key(for: signature.attestationKey) else {
            checks.fail(.quoteSignature, .malformed, "the attestation key is not a point of the curve")
            return keys
        }
        keys.append(key)
        let digest = SHA256.hash(signedBytes)
        let isSigned = key.isValid(batch.prepared(P256Signature(raw: signature.isvSignature)), digest: digest)
        checks.require(
            .quoteSignature, isSigned, .badSignature, "header and body are not signed by the attestation key",
            found: isSigned ? .literal("signed by the attestation key") : .none)
        return keys
    }

    /// - Parameter keys: gets the key if it was used.
    private func isReportSigned(
        by pckKey: P256VerifyingKey, _ tables: P256KeyTables, _ batch: SignatureBatch, _ cache: PlatformCache?,
        _ keys: inout [P256VerifyingKey]
    ) -> Bool {
        let report = quote.signature.qeReport.encoded
        let signature = quote.signature.qeReportSignature
        let digest = SHA256.hash(report)
        if let cache, cache.isProven(digest: digest, signature: signature) { return true }
        // A platform that has been known for long may have earned a table since.
        let pckKey = cache == nil ? pckKey : tables.key(for: pckKey.point) ?? pckKey
        keys.append(pckKey)
        guard pckKey.isValid(batch.prepared(P256Signature(raw: signature)), digest: digest) else { return false }
        cache?.setProven(digest: digest, signature: signature)
        return true
    }

    private mutating func evaluate(_ identity: QEIdentity) {
        let report = quote.signature.qeReport
        let isTDX = quote.header.teeType == .tdx
        // Version 1 knows no TDX; later versions than these have not been defined.
        let (id, version) = (identity.id, identity.version)
        let isForTEE =
            isTDX ? identity.id == "TD_QE" && 2...3 ~= identity.version : identity.id == "QE" && identity.version == 2
        checks.require(
            .qeIdentityType, isForTEE, .mismatch, "QE identity is for another enclave or of an unknown version",
            found: .text("\(id) version \(version)"),
            expected: isTDX ? .literal("TD_QE version 2 or 3") : .literal("QE version 2"))
        checks.require(
            .qeSigner, report.mrSigner == identity.mrSigner, .mismatch, "the quoting enclave has another signer",
            found: .hex(report.mrSigner), expected: .hex(identity.mrSigner))
        checks.require(.qeDebug, !report.isDebug, .notAcceptable, "the quoting enclave is in debug mode")
        checks.require(
            .qeProduct, report.isvProdId == identity.isvProdId, .mismatch, "the quoting enclave is another product",
            found: .number(Int64(report.isvProdId)), expected: .number(Int64(identity.isvProdId)))
        var misc = FixedBytes<4>()
        for index in 0..<4 { misc[index] = UInt8(truncatingIfNeeded: report.miscSelect >> UInt32(8 * index)) }
        checks.require(
            .qeMiscSelect, misc.masked(identity.miscSelectMask) == identity.miscSelect.masked(identity.miscSelectMask),
            .mismatch, "the quoting enclave's MISCSELECT differs under its mask", found: .hex(misc),
            expected: .hex(identity.miscSelect))
        checks.require(
            .qeAttributes,
            report.attributes.masked(identity.attributesMask) == identity.attributes.masked(identity.attributesMask),
            .mismatch, "the quoting enclave's attributes differ under their mask", found: .hex(report.attributes),
            expected: .hex(identity.attributes))
        qeLevel = identity.levels.first { $0.isvSvn <= report.isvSvn }
        guard let qeLevel else {
            return checks.fail(
                .qeTCBLevel, .noMatchingLevel, "the quoting enclave is older than every level that Intel knows",
                found: .number(Int64(report.isvSvn)),
                expected: .text(identity.levels.last.map { "at least \($0.isvSvn)" } ?? "a level"))
        }
        let (found, level) = (report.isvSvn, qeLevel)
        let isAllowed = [.upToDate, .outOfDate, .configurationNeeded, .outOfDateConfigurationNeeded, .revoked]
            .contains(qeLevel.status)
        checks.require(
            .qeTCBLevel, isAllowed, .unsupported, "a quoting enclave cannot have the status \(qeLevel.status.rawValue)",
            found: .text("ISVSVN \(found): \(level.status.rawValue)"), expected: .text("at least \(level.isvSvn)"))
    }
}

extension FixedBytes {
    /// Byte by byte, only the bits of the mask.
    func masked(_ mask: Self) -> Self {
        var result = self
        for index in 0..<count { result[index] &= mask[index] }
        return result
    }
}

extension Quote {
    /// "TDX 1.0 trust domain", for people.
    package var encodedDescription: String {
        switch body {
        case .sgxEnclave: "SGX enclave"
        case .td10: "TDX 1.0 trust domain"
        case .td15: "TDX 1.5 trust domain"
        case .td15Extended: "TDX 1.5 trust domain, extended"
        }
    }
}
