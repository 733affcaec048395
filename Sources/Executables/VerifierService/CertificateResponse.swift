package import DstackAttestation
internal import DstackEncoding
internal import DstackMeasurement

/// What a verifier says about an RA-TLS certificate; ``json`` is upstream's form.
package struct CertificateResponse: Sendable {
    /// Whether the certificate stands for itself and its evidence is genuine, acceptable, and about its key.
    package let isValid: Bool
    /// Why not; nil if valid.
    package let reason: String?
    /// The certificate; nil if it could not be read.
    package let certificate: RATLSCertificate?
    /// What was found out about its evidence; nil if it did not come that far.
    package let report: VerificationReport?

    /// Whether the OS image that ``VerificationReport/evidence`` names was found in the quote. It need not be: evidence
    /// in the `legacy` form is genuine also where its image is not at hand.
    package var isOSImageVerified: Bool { report?.evidence?.osImageHash != nil }

    init(
        reason: String?, certificate: RATLSCertificate? = nil, report: VerificationReport? = nil
    ) {
        isValid = reason == nil
        self.reason = reason
        self.certificate = certificate
        self.report = report
    }

    /// The answer as upstream's users know it, which has only the positive case; a negative one has `is_valid` and
    /// `reason`.
    ///
    /// - Parameter pretty: whether to indent.
    package func json(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.object { object in
            object.member("is_valid", isValid)
            guard isValid, let certificate, let report else { return object.member("reason", reason) }
            object.object("details") { details in
                details.member("tee_variant", certificate.attestation?.platform.variant)
                details.member("report_data", report.quote?.body.reportData.hex)
                details.member("public_key_der", Hex.encode(certificate.publicKey))
                if let info = report.evidence?.appInfo {
                    details.object("app_info") { write(info, certificate, to: &$0) }
                } else {
                    details.null("app_info")
                }
                details.member("tcb_status", report.status?.rawValue)
                details.member("advisory_ids", report.advisoryIDs)
                if report.isSimulated { details.member("simulated", true) }
            }
        }
        return writer.bytes
    }

    private func write(_ info: AppInfo, _ certificate: RATLSCertificate, to object: inout JSONWriter.Object) {
        object.member("app_id", info.appID.description)
        object.member("compose_hash", info.composeHash.description)
        object.member("instance_id", info.instanceID?.description ?? "")
        object.member("device_id", info.deviceID.description)
        object.member("mr_system", info.mrSystem.hex)
        object.member("mr_aggregated", info.mrAggregated.hex)
        // What the configuration claims, unless it was verified; the next member tells which.
        object.member("os_image_hash", (info.osImageHash ?? certificate.attestation?.claimedOSImageHash)?.hex ?? "")
        object.member("os_image_hash_verified", isOSImageVerified)
        object.member("key_provider_info", Hex.encode(info.keyProviderInfo))
    }
}

extension VerifierService {
    /// Verifies an RA-TLS certificate: that it stands for itself (``RATLSProfile``), and that its evidence is genuine,
    /// acceptable to the service's policy, and about its key.
    ///
    /// The OS image is reported and not required, unless the policy requires or expects one: whoever relies on it looks at
    /// ``CertificateResponse/isOSImageVerified``.
    ///
    /// - Parameter bytes: DER or PEM.
    package func verify(certificate bytes: [UInt8]) async -> CertificateResponse {
        let certificate: RATLSCertificate
        do throws(AttestationError) {
            certificate = try RATLSCertificate(parsing: bytes)
        } catch {
            return CertificateResponse(reason: "\(error)")
        }
        let now = clock()
        if let finding = certificate.profile(at: now).failure {
            return CertificateResponse(reason: finding.failure, certificate: certificate)
        }
        do {
            guard let attestation = certificate.attestation else { throw certificate.missingEvidence }
            let prepared = try await prepare(for: attestation)
            let report = try prepared.verify(certificate, policy: policy, at: now, floors: floors)
            let expectsImage = Expectation.osImageHash.isStated(in: policy.expected)
            let failure = report.checks.first { check in
                switch check.outcome {
                case .passed, .notApplicable: false
                case .failed, .notReached: check.id != .osImage || expectsImage || policy.osImage == .required
                }
            }
            return CertificateResponse(
                reason: failure.map { "RA-TLS attestation verification failed: \($0.id.name): \($0.message)" },
                certificate: certificate, report: report)
        } catch {
            return CertificateResponse(
                reason: "failed to verify RA-TLS certificate: \(error)", certificate: certificate)
        }
    }
}

extension Attestation {
    /// The OS image that the host's configuration names, which nobody has verified.
    fileprivate var claimedOSImageHash: FixedBytes<32>? {
        guard let text = try? configuration().vmConfig else { return nil }
        return (try? VMConfiguration(decoding: Array(text.utf8)))?.osImageHash
    }
}
