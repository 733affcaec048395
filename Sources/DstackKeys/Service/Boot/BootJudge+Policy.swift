package import DstackAttestation

extension BootJudge {
    /// What evidence of callers, of other services and of this one must fulfil before anybody is asked about it.
    ///
    /// Upstream lets pass what is genuine and tells the authorizer how current it is (`tcbStatus`, `advisoryIds`), and
    /// operators write their rules there: auth-simple's `allowedTcbStatuses`, a contract's `requireTcbUpToDate`. A status
    /// that failed here could never be allowed there, and its reason would not be the operator's. Hence all statuses but one
    /// pass, without end of grace: the authorizer, whose default is `UpToDate` alone, decides.
    ///
    /// - `Revoked` never passes: the keys of such a platform are anybody's, and so is what they say. No authorizer can know
    ///   better.
    /// - A debuggable domain never passes, nor one with a service domain, migratable, or without `SEPT_VE_DISABLE`: its
    ///   memory, where the keys would be, is not its own.
    /// - Dynamic platforms, keys that Intel keeps and multithreading pass: the server platforms of today are such, and
    ///   authorizers see nothing of it that they could decide about.
    /// - The image is judged by ``ImageVerifier``, after the authorizer and with the configuration that the request brings.
    ///   `optional` leaves out only what verification of evidence cannot do either, the form that needs the image's files;
    ///   an image in the evidence that can be verified must be, also where none need be.
    /// - The log must replay to the quote's registers, and the identity must be in it: no part of a policy, they always must
    ///   where there is a log, and ``BootJudge`` refuses evidence without one.
    /// - Which report data is expected is added by whoever knows the key that the evidence must be about
    ///   (``AttestedPeerVerifier`` does); a report without is refused.
    package static let policy: VerificationPolicy = {
        var policy = VerificationPolicy(name: "kms", allowedStatuses: Set(TCBStatus.allCases).subtracting([.revoked]))
        policy.platformGracePeriod = .unlimited
        policy.qeGracePeriod = .unlimited
        policy.allowsDynamicPlatform = true
        policy.allowsCachedKeys = true
        policy.allowsSMT = true
        policy.osImage = .optional
        return policy
    }()
}
