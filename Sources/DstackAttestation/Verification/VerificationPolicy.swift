public import DstackEncoding

/// What a relying party accepts, beyond what every genuine quote must fulfil.
///
/// A policy can only be as lax as it says: every relaxation is a value here and appears in the report. Checks of
/// authenticity (signatures, revocation, validity) cannot be turned off.
public struct VerificationPolicy: Hashable, Sendable {
    /// What the policy is called: a preset's name, or "custom".
    public var name: String
    /// TCB statuses that are accepted. `Revoked` is never accepted, whatever stands here.
    public var allowedStatuses: Set<TCBStatus>
    /// Advisories of platform, TDX module, current level or quoting enclave that reject; compared without regard to case.
    public var rejectedAdvisoryIDs: [String] = []
    /// If set, any advisory that is not listed rejects.
    public var allowedAdvisoryIDs: [String]?
    /// Seconds for which an outdated platform is still accepted after its TCB date; nil for any time.
    public var platformGracePeriod: Int64? = 0
    /// Seconds for which an outdated quoting enclave is still accepted after its TCB date; nil for any time.
    public var qeGracePeriod: Int64? = 0
    /// The least `tcbEvaluationDataNumber` of TCB info and QE identity; 0 for any. Keeps out collateral from before a TCB
    /// recovery that has not expired yet.
    public var minimumEvaluationDataNumber: UInt32 = 0
    /// Whether platforms are accepted to which packages can be added later.
    public var allowsDynamicPlatform = false
    /// Whether platforms are accepted whose root keys Intel keeps.
    public var allowsCachedKeys = false
    /// Whether platforms with simultaneous multithreading are accepted.
    public var allowsSMT = false
    /// SGX types (0 standard, 1 scalable, 2 scalable with integrity) that are accepted; nil for any.
    public var acceptedSGXTypes: [UInt8]?
    /// Whether debug and profiling attributes are accepted. No preset accepts them.
    public var allowsDebug = false
    /// Whether a bound service TD is accepted. No preset accepts it.
    public var allowsServiceTD = false
    /// Seconds since the issue date of TCB info, QE identity and revocation lists; nil for as long as they are valid.
    public var maximumCollateralAge: Int64?
    /// PPIDs of the platforms that are accepted; nil for any. The only software answer to a stolen platform key.
    public var acceptedPlatforms: [FixedBytes<16>]?
    /// Whether the OS image must be verified where evidence comes with a VM configuration. Its legacy form, which can only
    /// be recomputed from the image's files, is then refused.
    public var requiresOSImage = true
    /// What the quote must say.
    public var expected = ExpectedValues()

    /// A policy of its own that accepts these statuses and is otherwise as strict as ``strict``.
    public init(name: String = "custom", allowedStatuses: Set<TCBStatus>) {
        self.name = name
        self.allowedStatuses = allowedStatuses
    }

    /// Genuine, not revoked, not debug. Every other TCB status passes and is reported, as does every kind of platform.
    public static let authentic: VerificationPolicy = {
        var policy = VerificationPolicy(
            name: "authentic", allowedStatuses: Set(TCBStatus.allCases).subtracting([.revoked]))
        policy.platformGracePeriod = nil
        policy.qeGracePeriod = nil
        policy.requiresOSImage = false
        policy.allowsDynamicPlatform = true
        policy.allowsCachedKeys = true
        policy.allowsSMT = true
        return policy
    }()

    /// The default: up to date, or needing only mitigations in software. Dynamic platforms, cached keys and
    /// multithreading pass and are reported.
    public static let standard: VerificationPolicy = {
        var policy = VerificationPolicy(name: "standard", allowedStatuses: [.upToDate, .swHardeningNeeded])
        policy.allowsDynamicPlatform = true
        policy.allowsCachedKeys = true
        policy.allowsSMT = true
        return policy
    }()

    /// Up to date only; no dynamic platform, no cached keys, no multithreading.
    public static let strict = VerificationPolicy(name: "strict", allowedStatuses: [.upToDate])

    /// The preset of a name: `authentic`, `standard` or `strict`.
    public static func preset(named name: String) -> VerificationPolicy? {
        [authentic, standard, strict].first { $0.name == name }
    }
}

/// Values that a relying party expects. Only those that are set are compared, always whole.
public struct ExpectedValues: Hashable, Sendable {
    /// All 64 bytes of report data.
    public var reportData: FixedBytes<64>?
    /// Virtual firmware.
    public var mrTd: Measurement384?
    /// Firmware configuration.
    public var rtMr0: Measurement384?
    /// Kernel.
    public var rtMr1: Measurement384?
    /// Command line and initial RAM disk.
    public var rtMr2: Measurement384?
    /// Application events.
    public var rtMr3: Measurement384?
    /// Launch configuration.
    public var mrConfigId: Measurement384?
    /// Owner.
    public var mrOwner: Measurement384?
    /// Owner's configuration.
    public var mrOwnerConfig: Measurement384?
    /// TDX module.
    public var mrSeam: Measurement384?
    /// Attributes of the trust domain, all eight bytes.
    public var tdAttributes: FixedBytes<8>?
    /// Extended features of the trust domain, all eight bytes.
    public var xfam: FixedBytes<8>?
    /// Enclave.
    public var mrEnclave: FixedBytes<32>?
    /// Enclave's signer.
    public var mrSigner: FixedBytes<32>?
    /// Product of the enclave's signer.
    public var isvProdId: UInt16?
    /// Least security version of the enclave.
    public var minimumIsvSvn: UInt16?
    /// SHA-256 of the measured app-compose.json, from the event log.
    public var composeHash: FixedBytes<32>?
    /// Application identifier, from the event log.
    public var appID: FixedBytes<20>?
    /// Instance identifier, from the event log.
    public var instanceID: FixedBytes<20>?
    /// OS image, once its measurements were found in the quote.
    public var osImageHash: FixedBytes<32>?
    /// `mr_aggregated` of the running application.
    public var mrAggregated: FixedBytes<32>?
    /// `mr_system` of the running application.
    public var mrSystem: FixedBytes<32>?

    /// Nothing is expected.
    public init() {}

    /// Whether something is expected that says which code runs. Firmware, kernel and platform do not; and an application or
    /// instance id alone is what whoever starts a machine says that it is.
    var namesCode: Bool {
        composeHash != nil || mrAggregated != nil || rtMr3 != nil || mrConfigId != nil || mrEnclave != nil
    }

    /// Whether something is expected that says which operating system, or enclave, runs. Without it nothing in RTMR3 and
    /// MRCONFIGID is worth anything: an image made for the purpose records any event, and the host sets the other.
    var namesSystem: Bool {
        osImageHash != nil || mrSystem != nil || mrAggregated != nil || mrEnclave != nil
            || (mrTd != nil && rtMr1 != nil && rtMr2 != nil)
    }

    /// Whether something is expected that only an event log can show.
    var needsEventLog: Bool {
        composeHash != nil || appID != nil || instanceID != nil || mrAggregated != nil || mrSystem != nil
    }
}
