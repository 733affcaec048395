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
    /// If set, any advisory that is not listed rejects; an empty list rejects all.
    @Restriction public var allowedAdvisoryIDs: [String]?
    /// How long an outdated platform is still accepted after its TCB date.
    public var platformGracePeriod: GracePeriod = 0
    /// How long an outdated quoting enclave is still accepted after its TCB date.
    public var qeGracePeriod: GracePeriod = 0
    /// The least `tcbEvaluationDataNumber` of TCB info and QE identity; 0 for any. Keeps out collateral from before a TCB
    /// recovery that has not expired yet.
    public var minimumEvaluationDataNumber: UInt32 = 0
    /// Whether platforms are accepted to which packages can be added later.
    public var allowsDynamicPlatform = false
    /// Whether platforms are accepted whose root keys Intel keeps.
    public var allowsCachedKeys = false
    /// Whether platforms with simultaneous multithreading are accepted.
    public var allowsSMT = false
    /// SGX types (0 standard, 1 scalable, 2 scalable with integrity) that are accepted; any if unset, none if empty.
    @Restriction public var acceptedSGXTypes: [UInt8]?
    /// Whether debug and profiling attributes are accepted. No preset accepts them.
    public var allowsDebug = false
    /// Whether a bound service TD is accepted. No preset accepts it.
    public var allowsServiceTD = false
    /// Seconds since the issue date of TCB info, QE identity and revocation lists; as long as they are valid if unset.
    @Restriction public var maximumCollateralAge: Int64?
    /// PPIDs of the platforms that are accepted; any if unset, none if empty. The only software answer to a stolen platform
    /// key.
    @Restriction public var acceptedPlatforms: [FixedBytes<16>]?
    /// What is wanted of the OS image.
    public var osImage = OSImageRequirement.required
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
        policy.platformGracePeriod = .unlimited
        policy.qeGracePeriod = .unlimited
        policy.osImage = .optional
        policy.allowsDynamicPlatform = true
        policy.allowsCachedKeys = true
        policy.allowsSMT = true
        return policy
    }()

    /// The default: up to date, or needing only mitigations in software. Dynamic platforms, cached keys and
    /// multithreading pass and are reported. An OS image must be verified where evidence names one; a quote alone, of a trust
    /// domain or an enclave, passes.
    public static let standard: VerificationPolicy = {
        var policy = VerificationPolicy(name: "standard", allowedStatuses: [.upToDate, .swHardeningNeeded])
        policy.osImage = .ifNamed
        policy.allowsDynamicPlatform = true
        policy.allowsCachedKeys = true
        policy.allowsSMT = true
        return policy
    }()

    /// Up to date only; no dynamic platform, no cached keys, no multithreading; and the OS image must be there and verified.
    public static let strict = VerificationPolicy(name: "strict", allowedStatuses: [.upToDate])

    /// The preset of a name: `authentic`, `standard` or `strict`.
    public static func preset(named name: String) -> VerificationPolicy? {
        [authentic, standard, strict].first { $0.name == name }
    }

    /// The name under which the policy is shown: a preset's only where the values are the preset's, whatever is expected
    /// beside them. A policy that was relaxed must not be reported as what it was made from.
    var shownName: String {
        guard let preset = Self.preset(named: name) else { return name }
        return hasValues(of: preset) ? name : "custom"
    }

    func hasValues(of other: VerificationPolicy) -> Bool {
        var policy = self
        policy.name = other.name
        policy.expected = other.expected
        return policy == other
    }

    /// The restrictions whose value is lost (``Restriction``), by the names of a policy file, with the check that each fails.
    var lostRestrictions: [(name: String, check: CheckID)] {
        let own: [(String, CheckID, Bool)] = [
            ("allowed_advisory_ids", .policyAdvisories, $allowedAdvisoryIDs),
            ("accepted_sgx_types", .policySGXType, $acceptedSGXTypes),
            ("max_collateral_age_secs", .policyCollateralAge, $maximumCollateralAge),
            ("accepted_ppids", .policyPlatforms, $acceptedPlatforms),
        ]
        return own.filter(\.2).map { ($0.0, $0.1) }
            + expected.values.filter(\.isLost).map { ("expected_\($0.name)", $0.check) }
            + expected.lostNumbers.map { ($0, .expectedMeasurements) }
    }
}

/// Values that a relying party expects. Only those that are set are compared, always whole. One that nil is assigned to
/// rejects everything (``Restriction``); an own ``init()`` expects nothing.
public struct ExpectedValues: Hashable, Sendable {
    /// All 64 bytes of report data.
    @Restriction public var reportData: FixedBytes<64>?
    /// Virtual firmware.
    @Restriction public var mrTd: Measurement384?
    /// Firmware configuration.
    @Restriction public var rtMr0: Measurement384?
    /// Kernel.
    @Restriction public var rtMr1: Measurement384?
    /// Command line and initial RAM disk.
    @Restriction public var rtMr2: Measurement384?
    /// Application events.
    @Restriction public var rtMr3: Measurement384?
    /// Launch configuration.
    @Restriction public var mrConfigId: Measurement384?
    /// Owner.
    @Restriction public var mrOwner: Measurement384?
    /// Owner's configuration.
    @Restriction public var mrOwnerConfig: Measurement384?
    /// TDX module.
    @Restriction public var mrSeam: Measurement384?
    /// Attributes of the trust domain, all eight bytes.
    @Restriction public var tdAttributes: FixedBytes<8>?
    /// Extended features of the trust domain, all eight bytes.
    @Restriction public var xfam: FixedBytes<8>?
    /// Enclave.
    @Restriction public var mrEnclave: FixedBytes<32>?
    /// Enclave's signer.
    @Restriction public var mrSigner: FixedBytes<32>?
    /// Product of the enclave's signer.
    @Restriction public var isvProdId: UInt16?
    /// Least security version of the enclave.
    @Restriction public var minimumIsvSvn: UInt16?
    /// SHA-256 of the measured app-compose.json, from the event log.
    @Restriction public var composeHash: FixedBytes<32>?
    /// Application identifier, from the event log.
    @Restriction public var appID: FixedBytes<20>?
    /// Instance identifier, from the event log.
    @Restriction public var instanceID: FixedBytes<20>?
    /// OS image, once its measurements were found in the quote.
    @Restriction public var osImageHash: FixedBytes<32>?
    /// `mr_aggregated` of the running application.
    @Restriction public var mrAggregated: FixedBytes<32>?
    /// `mr_system` of the running application.
    @Restriction public var mrSystem: FixedBytes<32>?

    /// Nothing is expected.
    public init() {}

    /// One expected value that has a hexadecimal form.
    struct Named {
        /// The name of a policy file, without its prefix.
        let name: String
        /// Nil if it is not set, or lost.
        let hex: String?
        /// Whether nil was assigned.
        let isLost: Bool
        /// The check that compares it.
        let check: CheckID
    }

    /// All of them but the numbers, set or not.
    var values: [Named] {
        func named<let count: Int>(
            _ name: String, _ value: FixedBytes<count>?, _ isLost: Bool, _ check: CheckID = .expectedMeasurements
        ) -> Named { Named(name: name, hex: value?.hex, isLost: isLost, check: check) }
        return [
            named("report_data", reportData, $reportData, .expectedReportData), named("mr_td", mrTd, $mrTd),
            named("rt_mr0", rtMr0, $rtMr0), named("rt_mr1", rtMr1, $rtMr1), named("rt_mr2", rtMr2, $rtMr2),
            named("rt_mr3", rtMr3, $rtMr3), named("mr_config_id", mrConfigId, $mrConfigId),
            named("mr_owner", mrOwner, $mrOwner), named("mr_owner_config", mrOwnerConfig, $mrOwnerConfig),
            named("mr_seam", mrSeam, $mrSeam), named("td_attributes", tdAttributes, $tdAttributes),
            named("xfam", xfam, $xfam), named("mr_enclave", mrEnclave, $mrEnclave),
            named("mr_signer", mrSigner, $mrSigner),
            named("compose_hash", composeHash, $composeHash, .expectedApplication),
            named("app_id", appID, $appID, .expectedApplication),
            named("instance_id", instanceID, $instanceID, .expectedApplication),
            named("os_image_hash", osImageHash, $osImageHash, .osImage),
            named("mr_aggregated", mrAggregated, $mrAggregated, .expectedApplication),
            named("mr_system", mrSystem, $mrSystem, .expectedApplication),
        ]
    }

    /// The numbers that nil was assigned to, by the names of a policy file.
    var lostNumbers: [String] {
        ($isvProdId ? ["expected_isv_prod_id"] : []) + ($minimumIsvSvn ? ["min_isv_svn"] : [])
    }

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
