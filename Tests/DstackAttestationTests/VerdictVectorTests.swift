import DstackAttestation
import DstackEncoding
import TestKit
import Testing

/// The verdicts of real, Intel-signed evidence at both ends of its validity and one second outside.
@Suite("Verification: real quotes", .enabled(if: Vectors.areAvailable, Vectors.absence))
struct VerdictVectorTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let quote: String
        let collateral: String
        let time: Int64
        let status: TCBStatus?
        var advisories: [String] = []
        var check: CheckID?

        var testDescription: String { "\(quote), \(collateral), \(time)" }
    }

    static let old = "tdx_quote_collateral.json"
    static let new = "collateral_tdx_B0C06F_2026-10.json"
    static let sgx = "sgx_quote_collateral.json"
    static let outdated = ["INTEL-SA-01192", "INTEL-SA-01245", "INTEL-SA-01312", "INTEL-SA-01313"]
    static let hardening = ["INTEL-SA-00289", "INTEL-SA-00615"]

    static let rows: [Row] = [
        Row(quote: "tdx_quote", collateral: old, time: 1_750_329_147, status: .upToDate),
        Row(quote: "tdx_quote", collateral: old, time: 1_751_624_190, status: .upToDate),
        Row(quote: "tdx_quote", collateral: old, time: 1_752_919_234, status: .upToDate),
        Row(quote: "tdx_quote", collateral: old, time: 1_750_329_146, status: nil, check: .qeIdentityIssueDate),
        Row(quote: "tdx_quote", collateral: old, time: 1_752_919_235, status: nil, check: .pckCRLValidity),
        Row(quote: "tdx_quote", collateral: new, time: 1_792_714_008, status: .outOfDate, advisories: outdated),
        Row(
            quote: "sgx_quote", collateral: sgx, time: 1_750_330_571, status: .configurationAndSWHardeningNeeded,
            advisories: hardening),
        Row(
            quote: "sgx_quote", collateral: sgx, time: 1_752_919_278, status: .configurationAndSWHardeningNeeded,
            advisories: hardening),
        Row(quote: "sgx_quote", collateral: sgx, time: 1_750_330_570, status: nil, check: .tcbInfoIssueDate),
        Row(quote: "sgx_quote", collateral: sgx, time: 1_752_919_279, status: nil, check: .qeIdentityNextUpdate),
        Row(quote: "ratls_asset_tdx_quote", collateral: old, time: 1_751_624_190, status: nil, check: .tcbLevel),
        Row(quote: "ratls_asset_tdx_quote", collateral: new, time: 1_792_714_008, status: nil, check: .tcbLevel),
        Row(quote: "simulator", collateral: new, time: 1_791_419_306, status: .upToDate),
        Row(quote: "simulator", collateral: new, time: 1_794_008_711, status: .upToDate),
        // Stricter than others: a revocation list from the future is refused.
        Row(quote: "simulator", collateral: new, time: 1_791_419_305, status: nil, check: .pckCRLValidity),
        Row(quote: "simulator", collateral: new, time: 1_794_008_712, status: nil, check: .qeIdentityNextUpdate),
        Row(quote: "simulator", collateral: old, time: 1_751_624_190, status: nil, check: .pckChainValidity),
        Row(quote: "sgx_quote", collateral: old, time: 1_751_624_190, status: nil, check: .qeIdentityType),
        Row(quote: "tdx_quote", collateral: sgx, time: 1_751_624_190, status: nil, check: .qeIdentityType),
    ]

    static func quote(_ name: String) throws -> [UInt8] {
        guard name == "simulator" else { return try Vectors.read("attestation/\(name)") }
        // Byte 2 of the envelope begins the quote: a SCALE length of two bytes, then 5,010 bytes.
        let envelope = try Vectors.read("attestation/simulator_attestation.bin")
        return Array(envelope[4..<4 + 5_010])
    }

    static func collateral(_ name: String) throws -> QuoteCollateral {
        try QuoteCollateral(parsingJSON: Vectors.read("attestation/\(name)"))
    }

    @Test("every row of the verdict table has its verdict, status and advisories", arguments: rows)
    func verdict(row: Row) throws {
        let quote = try Self.quote(row.quote)
        let collateral = try Self.collateral(row.collateral)
        let prepared = QuoteVerifier().prepare(collateral)
        for report in [
            QuoteVerifier().verify(quote, collateral: collateral, policy: .authentic, at: row.time),
            prepared.verify(quote, policy: .authentic, at: row.time),
            prepared.verify(quote, policy: .authentic, at: row.time),
        ] {
            #expect(
                report.verdict == (row.check == nil ? .accepted : .rejected), "\(String(describing: report.failure))")
            #expect(report.failure?.check == row.check)
            #expect(report.status == row.status)
            #expect(report.advisoryIDs == row.advisories)
            #expect((report.verifiedQuote == nil) == (row.check != nil))
        }
    }

    @Test("under the default policy other statuses are rejected for their status alone", arguments: rows)
    func standardPolicy(row: Row) throws {
        guard let status = row.status else { return }
        let report = QuoteVerifier().verify(
            try Self.quote(row.quote), collateral: try Self.collateral(row.collateral), at: row.time)
        let isAccepted = status == .upToDate || status == .swHardeningNeeded
        #expect(report.verdict == (isAccepted ? .accepted : .rejected))
        #expect(report.status == status)
        #expect(report.failure?.check == (isAccepted ? nil : .policyTCBStatus))
    }

    @Test("policies decide as documented on real evidence")
    func policies() throws {
        let quote = try Self.quote("tdx_quote")
        let collateral = try Self.collateral(Self.old)
        func check(_ policy: VerificationPolicy) -> CheckID? {
            QuoteVerifier().verify(quote, collateral: collateral, policy: policy, at: 1_751_624_190).failure?.check
        }
        #expect(check(.strict) == .policyDynamicPlatform)
        var policy = VerificationPolicy.strict
        policy.allowsDynamicPlatform = true
        policy.allowsCachedKeys = true
        policy.allowsSMT = true
        #expect(check(policy) == .osImage)
        policy.osImage = .ifNamed
        #expect(check(policy) == nil)
        policy.minimumEvaluationDataNumber = 18
        #expect(check(policy) == .policyEvaluationDataNumber)
        policy.minimumEvaluationDataNumber = 17
        policy.acceptedSGXTypes = [0]
        #expect(check(policy) == .policySGXType)
    }

    @Test("zeros behind a quote are accepted, other bytes are not")
    func padding() throws {
        for (name, file) in [("tdx_quote", Self.old), ("sgx_quote", Self.sgx)] {
            let quote = try Self.quote(name)
            let collateral = try Self.collateral(file)
            func verify(_ tail: [UInt8]) -> VerificationReport {
                QuoteVerifier().verify(quote + tail, collateral: collateral, policy: .authentic, at: 1_751_624_190)
            }
            #expect(verify([UInt8](repeating: 0, count: 3_000)).verdict == .accepted)
            #expect(verify([0, 0, 1]).failure?.check == .quoteLayout)
        }
    }
}
