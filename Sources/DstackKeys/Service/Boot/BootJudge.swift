package import DstackAttestation
package import DstackAuthorization
package import DstackSystem

/// Decides who gets keys: from accepted evidence by way of the authorizer to an ``AdmittedCaller``.
///
/// In upstream's order: what the evidence says, whether that may boot, whether the image is the one that was decided about.
/// The last comes last because only an image that is wanted is worth its verification; nothing leaves before all three.
///
/// Verification accepts TDX alone. Where it comes to accept SEV-SNP or NitroTPM, their gates (`sev_snp_key_release`,
/// `aws_nitro_tpm_key_release`) belong at the end of ``admit(_:as:)``, behind the authorizer's decision.
///
/// What an admission costs beside the authorizer's answer, for a caller whose image was verified before: the digest of
/// `vm_config` (some KiB) and a look-up; where the moment is the boot, one more reading of some ten events and two digests. No
/// signature, no JSON.
package struct BootJudge: Sendable {
    package let authorizer: any BootAuthorizer
    package let images: ImageVerifier
    let log: LimitedLog

    package init(
        _ authorizer: any BootAuthorizer, images: ImageVerifier, log: LimitedLog = LimitedLog(Log("kms.boot"))
    ) {
        self.authorizer = authorizer
        self.images = images
        self.log = log
    }

    package init(
        _ authorizer: any BootAuthorizer, images: ImageRules, log: LimitedLog = LimitedLog(Log("kms.boot"))
    ) {
        self.init(authorizer, images: ImageVerifier(images), log: log)
    }

    /// Reads what accepted evidence says of a caller. Asks nobody.
    ///
    /// - Parameters:
    ///   - report: of evidence that was verified by ``policy``, or a stricter one, as being about the caller's key.
    ///   - moment: up to which events count.
    ///   - vmConfiguration: as the request has it, else "".
    ///   - ownConfiguration: that of the evidence, asked for where the request has none and the report does not know the
    ///     image either.
    /// - Throws: ``KMSServiceError``: `notAttested`, `invalidRequest`.
    package func examine(
        _ report: VerificationReport, at moment: MeasurementMoment, vmConfiguration: String,
        ownConfiguration: () -> String = { "" }
    ) throws(KMSServiceError) -> ExaminedCaller {
        let evidence = try AcceptedEvidence(report)
        var image = ImageClaim.absent
        if !vmConfiguration.isEmpty { image = try images.examine(vmConfiguration, evidence.report, evidence.log) }
        if case .absent = image {
            if let hash = report.evidence?.osImageHash {
                image = .verified(hash)
            } else {
                let own = ownConfiguration()
                if !own.isEmpty { image = try images.examine(own, evidence.report, evidence.log) }
            }
        }
        return ExaminedCaller(
            boot: try evidence.bootInfo(at: moment, osImageHash: image.osImageHash), appInfo: evidence.appInfo,
            image: image, platformID: evidence.quote.platform.ppid.bytes)
    }

    /// Reads what the evidence of the other end of a connection says of it, as of now. Asks nobody.
    ///
    /// - Parameter vmConfiguration: as the request has it, else "".
    /// - Throws: as ``examine(_:at:vmConfiguration:ownConfiguration:)``.
    package func examine(
        _ peer: AttestedPeer, vmConfiguration: String = ""
    ) throws(KMSServiceError) -> ExaminedCaller {
        try examine(
            peer.report, at: .runtime, vmConfiguration: vmConfiguration, ownConfiguration: { peer.ownVMConfiguration })
    }

    /// Lets a caller in, or says why not.
    ///
    /// - Throws: ``KMSServiceError``: `denied` with the authorizer's reason, `imageNotVerified`; `unavailable` where nobody
    ///   decided, which is no decision.
    package func admit(
        _ caller: ExaminedCaller, as subject: BootSubject
    ) async throws(KMSServiceError) -> AdmittedCaller {
        let gatewayAppID = try await permission(for: caller.boot, as: subject) { reason in
            KMSServiceError(.denied, subject.refusal, "Boot denied: \(reason)")
        }
        let appInfo = try verifiedInfo(caller)
        return AdmittedCaller(
            boot: caller.boot, appID: AppID(caller.boot.appID), instanceID: caller.boot.instanceID.map(InstanceID.init),
            appInfo: appInfo, gatewayAppID: gatewayAppID, auditSubject: caller.auditSubject(as: subject))
    }

    /// What certificates may say. An image that was not verified, because none has to be, is left out: a certificate is the
    /// word of this service, and what a host stated is not.
    private func verifiedInfo(_ caller: ExaminedCaller) throws(KMSServiceError) -> AppInfo {
        var info = caller.appInfo
        info.osImageHash = try images.verify(caller.image)
        return info
    }
}

extension BootSubject {
    /// What a refusal begins with.
    fileprivate var refusal: String {
        switch self {
        case .app: "App not allowed"
        case .kms: "KMS not allowed"
        }
    }
}

extension AttestedPeer {
    /// `vm_config` as the evidence in the certificate has it, JSON; "" where it has none.
    package var ownVMConfiguration: String {
        guard let leaf = certificates.first, let attestation = (try? RATLSCertificate(parsing: leaf))?.attestation
        else {
            return ""
        }
        return attestation.ownVMConfiguration
    }
}

extension Attestation {
    /// `vm_config`, JSON; "" where there is none that can be read, which verification refuses.
    package var ownVMConfiguration: String { (try? configuration())?.vmConfig ?? "" }
}
