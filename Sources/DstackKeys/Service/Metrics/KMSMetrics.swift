package import DstackAuthorization
import DstackPages
package import DstackRPCServer

/// What a key management service has done since its start.
///
/// Nothing of who asked for what is in it: whoever reaches the listener may read it.
package final class KMSMetrics: Sendable {
    /// Answers of whoever decides which machines may boot.
    package struct Decisions: ~Copyable, Sendable {
        package let allowed = EventCounter()
        package let denied = EventCounter()
        /// There was no answer.
        package let unavailable = EventCounter()
    }

    /// Requests that only attested callers may make, and those of them that were refused or failed.
    package let attestationRequests = EventCounter()
    package let attestationFailures = EventCounter()
    package let applicationDecisions = Decisions()
    package let kmsDecisions = Decisions()
    /// Sets of keys that were handed to an application.
    package let applicationKeys = EventCounter()
    /// Root keys that were handed to another service.
    package let rootKeys = EventCounter()
    package let certificates = EventCounter()
    package let epochAdvances = EventCounter()
    package let epochRetirements = EventCounter()
    /// The newest epoch of all applications.
    package let epoch = Gauge()
    /// Epochs that wait for somebody to store them.
    package let proposedEpochs = Gauge()
    package let auditEntries = EventCounter()
    /// What could not be written to, or read from, the store.
    package let storeFailures = EventCounter()
    /// How often collateral was asked for and could not be had.
    package let collateralFailures = EventCounter()
    /// How many of its settings it announces as insecure.
    package let insecureSettings = Gauge()

    package init() {}

    /// The methods that upstream counts.
    private static func isAttested(_ method: String) -> Bool {
        method == "GetAppKey" || method == "SignCert" || method == "GetKmsKey"
    }

    /// For ``RPCRouter/observer``.
    package func observe(_ outcome: RPCOutcome) {
        guard Self.isAttested(outcome.call.method) else { return }
        attestationRequests.add()
        if outcome.status >= 400 { attestationFailures.add() }
    }

    /// In Prometheus' text format.
    package var text: String {
        var text = PrometheusText()
        text.counter(
            "dstack_kms_attestation_requests_total", "Requests to GetAppKey, GetKmsKey and SignCert.",
            attestationRequests)
        text.counter(
            "dstack_kms_attestation_failures_total", "Those of these requests that were refused or failed.",
            attestationFailures)
        let decisions: StaticString = "dstack_kms_boot_decisions_total"
        text.family(decisions, .counter, "Whether machines may boot: answers of whoever decides.")
        text.decisions(decisions, .app, applicationDecisions)
        text.decisions(decisions, .kms, kmsDecisions)
        let keys: StaticString = "dstack_kms_keys_released_total"
        text.family(keys, .counter, "Sets of keys that were handed out.")
        text.series(keys, [("kind", "app")], applicationKeys.value)
        text.series(keys, [("kind", "root")], rootKeys.value)
        text.counter("dstack_kms_certificates_issued_total", "Certificates that were signed.", certificates)
        let changes: StaticString = "dstack_kms_epoch_changes_total"
        text.family(changes, .counter, "Epochs of keys that were begun or ended.")
        text.series(changes, [("change", "advance")], epochAdvances.value)
        text.series(changes, [("change", "retire")], epochRetirements.value)
        text.gauge("dstack_kms_epoch", "The newest epoch of all applications.", epoch)
        text.gauge(
            "dstack_kms_epochs_proposed", "Epochs that are not in force yet: some service has not stored them.",
            proposedEpochs)
        text.counter("dstack_kms_audit_entries_total", "Entries that were added to the audit log.", auditEntries)
        text.counter("dstack_kms_store_failures_total", "What the store did not do.", storeFailures)
        text.counter(
            "dstack_kms_collateral_failures_total", "Collateral that could not be had.", collateralFailures)
        text.gauge("dstack_kms_insecure_settings", "Settings that are announced as insecure.", insecureSettings)
        return text.text
    }
}

extension PrometheusText {
    fileprivate mutating func counter(_ name: StaticString, _ help: String, _ counter: borrowing EventCounter) {
        family(name, .counter, help)
        series(name, [], counter.value)
    }

    fileprivate mutating func gauge(_ name: StaticString, _ help: String, _ gauge: borrowing Gauge) {
        family(name, .gauge, help)
        series(name, [], gauge.value)
    }

    fileprivate mutating func decisions(
        _ name: StaticString, _ subject: BootSubject, _ decisions: borrowing KMSMetrics.Decisions
    ) {
        series(name, [("subject", subject.rawValue), ("outcome", "allowed")], decisions.allowed.value)
        series(name, [("subject", subject.rawValue), ("outcome", "denied")], decisions.denied.value)
        series(name, [("subject", subject.rawValue), ("outcome", "unavailable")], decisions.unavailable.value)
    }
}

/// Has another authorizer decide, and counts its answers.
package struct CountedAuthorizer: BootAuthorizer {
    private let authorizer: any BootAuthorizer
    private let metrics: KMSMetrics

    package init(_ authorizer: any BootAuthorizer, in metrics: KMSMetrics) {
        self.authorizer = authorizer
        self.metrics = metrics
    }

    package func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
        do throws(AuthorizationError) {
            let decision = try await authorizer.decide(info, as: subject)
            count(subject, decision.isAllowed)
            return decision
        } catch {
            count(subject, nil)
            throw error
        }
    }

    package func info() async throws(AuthorizationError) -> AuthorizerInfo { try await authorizer.info() }

    /// - Parameter isAllowed: nil where there is no answer.
    private func count(_ subject: BootSubject, _ isAllowed: Bool?) {
        switch subject {
        case .app: Self.count(metrics.applicationDecisions, isAllowed)
        case .kms: Self.count(metrics.kmsDecisions, isAllowed)
        }
    }

    private static func count(_ decisions: borrowing KMSMetrics.Decisions, _ isAllowed: Bool?) {
        switch isAllowed {
        case true?: decisions.allowed.add()
        case false?: decisions.denied.add()
        case nil: decisions.unavailable.add()
        }
    }
}
