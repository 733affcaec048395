import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// A quote of a simulated platform with its collateral, honest until a test changes something, and the verification of
/// both under the platform's own root.
struct MockEvidence {
    /// The time at which evidence is made and verified.
    static let issued: Int64 = 1_790_000_000

    let tee: TEEType
    var platform: MockPlatform
    /// The root that the verifier trusts; stays the honest one when certificates are issued again.
    var anchor: [UInt8]
    var policy = VerificationPolicy.standard
    /// When the evidence is verified.
    var now = Self.issued
    var domain: MockTrustDomain
    var version: UInt16?
    var certification = MockCertification.chain
    private var quoteEdits: [(inout MockQuote) throws -> Void] = []
    private var collateralEdits: [(inout MockCollateral) throws -> Void] = []

    init(_ tee: TEEType, _ configuration: MockPlatform.Configuration = .init()) throws {
        self.tee = tee
        platform = try MockPlatform(seed: FixedBytes(repeating: 0xA7), configuration)
        anchor = platform.rootCertificate
        domain = MockTrustDomain(on: platform)
    }

    /// Another platform of the same configuration under a root of its own.
    func stranger() throws -> MockPlatform {
        try MockPlatform(seed: FixedBytes(repeating: 0x5F), platform.configuration)
    }

    // MARK: Changes

    /// Changes what is to be certified; all certificates are issued again.
    mutating func certificates(_ edit: (inout MockCertificates) throws -> Void) throws {
        var failure: (any Error)?
        platform = try platform.reissued { certificates in
            do { try edit(&certificates) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Changes the quote before it is signed; its `tampering` members change it afterwards.
    mutating func quote(_ edit: @escaping (inout MockQuote) throws -> Void) { quoteEdits.append(edit) }

    /// Changes the collateral before it is signed; its `tampering` members change it afterwards.
    mutating func collateral(_ edit: @escaping (inout MockCollateral) throws -> Void) { collateralEdits.append(edit) }

    /// Changes the fields of a TD report before the quote is signed.
    mutating func report(_ edit: @escaping (inout TDReport) -> Void) {
        quote { quote in
            switch quote.body {
            case .sgxEnclave: break
            case .td10(var report):
                edit(&report)
                quote.body = .td10(report)
            case .td15(var report):
                edit(&report.base)
                quote.body = .td15(report)
            case .td15Extended(var report):
                edit(&report.base.base)
                quote.body = .td15Extended(report)
            }
        }
    }

    /// Changes the fields of an enclave's report before the quote is signed.
    mutating func enclave(_ edit: @escaping (inout EnclaveReport) -> Void) {
        quote { quote in
            guard case .sgxEnclave(var report) = quote.body else { return }
            edit(&report)
            quote.body = .sgxEnclave(report)
        }
    }

    /// Puts another PCK chain into the quote, leaf first.
    mutating func chain(_ certificates: [[UInt8]]) { chain(text: MockPlatform.pem(certificates)) }

    mutating func chain(text: String) {
        quote { $0.certificationData = CertificationData(type: 5, data: Array(text.utf8)) }
    }

    // MARK: Verification

    func quoteBytes() throws -> [UInt8] {
        let data = FixedBytes<64>(repeating: 0x3C)
        let body = tee == .sgx ? .sgxEnclave(platform.enclaveReport(reportData: data)) : domain.report(reportData: data)
        var failure: (any Error)?
        let bytes = try platform.quote(body, version: version, certification: certification) { quote in
            do { for edit in quoteEdits { try edit(&quote) } } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    func collateralValue() throws -> QuoteCollateral {
        var failure: (any Error)?
        let collateral = try platform.collateral(for: tee, at: Self.issued) { collateral in
            do { for edit in collateralEdits { try edit(&collateral) } } catch { failure = error }
        }
        if let failure { throw failure }
        return collateral
    }

    /// Verifies with collateral from bytes, with prepared collateral that has not seen the platform, and with prepared
    /// collateral that has; all three must agree.
    func verified(sourceLocation: SourceLocation = #_sourceLocation) throws -> VerificationReport {
        let (quote, collateral) = (try quoteBytes(), try collateralValue())
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: anchor))
        let report = verifier.verify(quote, collateral: collateral, policy: policy, at: now)
        let prepared = verifier.prepare(collateral)
        for _ in 0..<2 {
            let other = prepared.verify(quote, policy: policy, at: now)
            #expect(
                other.failure == report.failure && other.status == report.status
                    && other.advisoryIDs == report.advisoryIDs,
                "prepared collateral gives another answer", sourceLocation: sourceLocation)
        }
        return report
    }
}

extension VerificationReport {
    /// Asserts that the evidence was accepted, with a status if one is given.
    func expectAccepted(_ status: TCBStatus? = nil, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(verdict == .accepted, "\(failure?.description ?? "")", sourceLocation: sourceLocation)
        #expect(verifiedQuote != nil, sourceLocation: sourceLocation)
        if let status { #expect(self.status == status, sourceLocation: sourceLocation) }
    }

    /// Asserts that the evidence was refused, and why.
    func expectRefused(
        _ check: CheckID, _ code: FailureCode, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(verdict == .rejected, "the attack was accepted", sourceLocation: sourceLocation)
        #expect(verifiedQuote == nil && validUntil == nil, sourceLocation: sourceLocation)
        #expect(
            failure?.check == check && failure?.code == code,
            """
            refused for another reason: \(failure.map { "\($0.check.name), \($0.code.rawValue), \($0.message)" } ?? "none") \
            instead of \(check.name), \(code.rawValue)
            """, sourceLocation: sourceLocation)
    }
}

/// A change to honest evidence that must have it refused, by one check and for one reason.
struct Attack: Sendable, CustomTestStringConvertible {
    let name: String
    let tee: TEEType
    let check: CheckID
    let code: FailureCode
    let edit: @Sendable (inout MockEvidence) throws -> Void

    var testDescription: String { "\(name) (\(tee.name))" }

    /// The same attack on quotes of both TEEs.
    static func both(
        _ name: String, _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void
    ) -> [Attack] {
        TEEType.allCases.map { Attack(name: name, tee: $0, check: check, code: code, edit: edit) }
    }

    static func tdx(
        _ name: String, _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void
    ) -> [Attack] {
        [Attack(name: name, tee: .tdx, check: check, code: code, edit: edit)]
    }

    static func sgx(
        _ name: String, _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void
    ) -> [Attack] {
        [Attack(name: name, tee: .sgx, check: check, code: code, edit: edit)]
    }

    /// Carries the attack out and asserts why it fails.
    func run(sourceLocation: SourceLocation = #_sourceLocation) throws {
        var evidence = try MockEvidence(tee)
        try edit(&evidence)
        try evidence.verified(sourceLocation: sourceLocation)
            .expectRefused(check, code, sourceLocation: sourceLocation)
    }
}

/// Something unusual that is no attack: a check that refuses it would refuse honest evidence.
struct Harmless: Sendable, CustomTestStringConvertible {
    let name: String
    let tee: TEEType
    var status = TCBStatus.upToDate
    let edit: @Sendable (inout MockEvidence) throws -> Void

    var testDescription: String { "\(name) (\(tee.name))" }

    static func both(
        _ name: String, _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void = { _ in }
    ) -> [Harmless] {
        TEEType.allCases.map { Harmless(name: name, tee: $0, edit: edit) }
    }

    static func tdx(
        _ name: String, _ status: TCBStatus = .upToDate,
        _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void = { _ in }
    ) -> [Harmless] {
        [Harmless(name: name, tee: .tdx, status: status, edit: edit)]
    }

    static func sgx(
        _ name: String, _ status: TCBStatus = .upToDate,
        _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void = { _ in }
    ) -> [Harmless] {
        [Harmless(name: name, tee: .sgx, status: status, edit: edit)]
    }

    func run(sourceLocation: SourceLocation = #_sourceLocation) throws {
        var evidence = try MockEvidence(tee)
        try edit(&evidence)
        try evidence.verified(sourceLocation: sourceLocation).expectAccepted(status, sourceLocation: sourceLocation)
    }
}

/// Puts tables of attacks together, one statement a row or group of rows (long sums of arrays take the compiler minutes).
@resultBuilder
enum Rows<Row> {
    static func buildExpression(_ rows: [Row]) -> [Row] { rows }
    static func buildBlock(_ parts: [Row]...) -> [Row] { Array(parts.joined()) }
    static func buildArray(_ parts: [[Row]]) -> [Row] { Array(parts.joined()) }
}
