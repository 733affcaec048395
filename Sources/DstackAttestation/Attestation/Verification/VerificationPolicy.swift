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
}
