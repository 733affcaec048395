import DstackAttestation
import DstackAuthorization
import DstackEncoding

/// What is read of accepted evidence.
struct AcceptedEvidence: Sendable {
    let quote: VerifiedQuote
    let report: TDReport
    let log: ReplayedEventLog
    /// As of the whole log.
    let identity: ApplicationIdentity
    /// As of the whole log.
    let measurements: ApplicationMeasurements
    /// As of the whole log; its image is the one that the evidence itself names, if verification found that.
    let appInfo: AppInfo

    /// - Throws: ``KMSServiceError/Code/notAttested`` unless the evidence was accepted and is of a trust domain with an event
    ///   log that says which application it runs; ``KMSServiceError/Code/internalFault`` for a report under a policy that
    ///   nobody may get keys by.
    init(_ report: VerificationReport) throws(KMSServiceError) {
        guard let quote = report.verifiedQuote else {
            throw KMSServiceError(.notAttested, "evidence", report.failure?.description ?? "it was not accepted")
        }
        // Not the caller's fault: somebody here verified evidence by another policy than BootJudge's. Keys that went to a
        // domain that can be debugged are lost, and evidence that is not about a key is anybody's who has seen it.
        guard !report.policy.allowsDebug, !report.policy.allowsServiceTD, report.policy.expected.reportData != nil
        else {
            throw KMSServiceError(
                .internalFault, "evidence",
                "it was verified by the policy \(report.policy.name), which is not one to release keys by")
        }
        guard let tdReport = quote.body.tdReport else {
            throw KMSServiceError(.notAttested, "evidence", "a trust domain's is needed, this is of an SGX enclave")
        }
        guard let evidence = report.evidence, let identity = evidence.identity,
            let measurements = evidence.measurements, let appInfo = evidence.appInfo
        else {
            throw KMSServiceError(
                .notAttested, "evidence", "it has no event log, which would say which application runs")
        }
        self.quote = quote
        self.report = tdReport
        log = evidence.replayed
        self.identity = identity
        self.measurements = measurements
        self.appInfo = appInfo
    }

    /// What authorizers decide about.
    ///
    /// Lengths are exact by type: an identifier that is too short, which a backend might pad and take for another, did not
    /// pass verification.
    ///
    /// - Throws: ``KMSServiceError/Code/notAttested`` if the log does not come to the moment.
    func bootInfo(
        at moment: MeasurementMoment, osImageHash: FixedBytes<32>?
    ) throws(KMSServiceError) -> BootInfo {
        var (identity, measurements) = (self.identity, self.measurements)
        if moment == .bootTime {
            // Counted up to boot-mr-done, a certificate request of a running guest has the mr_aggregated of its boot.
            do throws(AttestationError) {
                identity = try ApplicationIdentity(log, at: .bootTime)
                measurements = try ApplicationMeasurements(report, log, at: .bootTime)
            } catch {
                throw KMSServiceError(.notAttested, error.subject, error.reason)
            }
        }
        return BootInfo(
            // The only one that verification accepts.
            teeVariant: "dstack-tdx", mrAggregated: measurements.mrAggregated, osImageHash: osImageHash,
            mrSystem: measurements.mrSystem, appID: identity.appID.bytes, composeHash: identity.composeHash.bytes,
            instanceID: identity.instanceID?.bytes, deviceID: appInfo.deviceID.bytes,
            keyProviderInfo: moment == .bootTime ? [] : identity.keyProvider?.payload ?? [],
            tcbStatus: quote.status.rawValue, advisoryIDs: quote.advisoryIDs)
    }
}
