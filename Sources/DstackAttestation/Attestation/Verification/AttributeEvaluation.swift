import DstackEncoding

/// The checks of what the attested code may be exposed to: debugging, profiling, migration.
enum AttributeEvaluation {
    private static let tdChecks: [CheckID] = [
        .serviceTD, .tdProfiling, .tdReservedAttributes, .tdMigration, .tdServiceTDExtension, .tdSeptVEDisable,
    ]

    static func record(_ body: QuoteBody, policy: VerificationPolicy, in checks: inout CheckList) {
        switch body {
        case .sgxEnclave(let report):
            for check in tdChecks { checks.skip(check, "SGX quote") }
            recordDebug(report.isDebug, policy, .hex(report.attributes), &checks)
        case .td10, .td15, .td15Extended:
            if let report = body.tdReport { record(report, body.tdReport15, body.serviceTDs, policy, &checks) }
        }
    }

    private static func recordDebug(
        _ isDebug: Bool, _ policy: VerificationPolicy, _ found: Fact, _ checks: inout CheckList
    ) {
        checks.require(
            .debug, !isDebug || policy.allowsDebug, .notAcceptable,
            "debug mode is enabled: the host can read and change everything inside", found: found,
            expected: policy.allowsDebug ? .literal("debug allowed by the policy") : .literal("debug off"))
    }

    private static func record(
        _ report: TDReport, _ report15: TDReport15?, _ serviceTDs: [Measurement384], _ policy: VerificationPolicy,
        _ checks: inout CheckList
    ) {
        let attributes = TDAttributes(report.tdAttributes)
        let found = Fact.hex(report.tdAttributes)
        if !serviceTDs.isEmpty {
            let bound = serviceTDs.first { !$0.isZero }
            checks.require(
                .serviceTD, bound == nil || policy.allowsServiceTD, .notAcceptable,
                "a service TD is bound, which can act on this one", found: .hex(bound ?? FixedBytes()),
                expected: policy.allowsServiceTD ? .literal("service TD allowed by the policy") : .literal("zeros"))
        } else {
            checks.skip(.serviceTD, "a TDX 1.0 report does not know service TDs")
        }
        recordDebug(attributes.contains(.debug), policy, found, &checks)
        checks.require(
            .tdProfiling, attributes.isDisjoint(with: .profiling) || policy.allowsDebug, .notAcceptable,
            "profiling is enabled (attribute bits 4 to 6)", found: found)
        checks.require(
            .tdReservedAttributes, attributes.isDisjoint(with: .reserved), .unsupported,
            "reserved attribute bits are set", found: found)
        checks.require(
            .tdMigration, !attributes.contains(.migratable), .notAcceptable, "migration is enabled (attribute bit 29)",
            found: found)
        checks.require(
            .tdServiceTDExtension,
            !attributes.contains(.serviceTDExtension) || (report15 != nil && policy.allowsServiceTD), .notAcceptable,
            "service-TD extensions are enabled (attribute bit 17)", found: found)
        checks.require(
            .tdSeptVEDisable, attributes.contains(.septVEDisable), .notAcceptable,
            "SEPT_VE_DISABLE (attribute bit 28) is off", found: found)
    }
}

extension QuoteBody {
    /// Every place in which the report may name a service TD; empty for reports that know none. The extended form has two
    /// more: the one that was bound at initialisation, which acted on the domain then, and the one bound now.
    fileprivate var serviceTDs: [Measurement384] {
        switch self {
        case .sgxEnclave, .td10: []
        case .td15(let report): [report.mrServiceTd]
        case .td15Extended(let report): [report.base.mrServiceTd, report.initServiceTdHash, report.curServiceTdHash]
        }
    }
}
