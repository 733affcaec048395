/// How current a platform, a quoting enclave or a TDX module is, in Intel's words.
public enum TCBStatus: String, Hashable, Sendable, CaseIterable {
    /// Everything Intel knows to be needed is in place.
    case upToDate = "UpToDate"
    /// Current, but the attested software must mitigate something itself.
    case swHardeningNeeded = "SWHardeningNeeded"
    /// Current, but the platform may need another configuration.
    case configurationNeeded = "ConfigurationNeeded"
    /// Both of the two before.
    case configurationAndSWHardeningNeeded = "ConfigurationAndSWHardeningNeeded"
    /// Security updates are missing.
    case outOfDate = "OutOfDate"
    /// Security updates are missing and the configuration may be wrong.
    case outOfDateConfigurationNeeded = "OutOfDateConfigurationNeeded"
    /// The platform's keys are not to be trusted.
    case revoked = "Revoked"
    /// Computed: launched on an outdated platform that has been updated since; relaunching makes it current.
    case tdRelaunchAdvised = "TDRelaunchAdvised"
    /// Computed: as before, and the configuration may be wrong.
    case tdRelaunchAdvisedConfigurationNeeded = "TDRelaunchAdvisedConfigurationNeeded"

    /// The statuses that a signed document may contain; the others are computed by the verifier.
    static let documented: Set<TCBStatus> = [
        .upToDate, .swHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded, .outOfDate,
        .outOfDateConfigurationNeeded, .revoked,
    ]

    /// Whether security updates are missing.
    var isOutOfDate: Bool { self == .outOfDate || self == .outOfDateConfigurationNeeded }

    /// Whether the configuration may be wrong.
    var needsConfiguration: Bool {
        switch self {
        case .configurationNeeded, .configurationAndSWHardeningNeeded, .outOfDateConfigurationNeeded,
            .tdRelaunchAdvisedConfigurationNeeded:
            true
        default: false
        }
    }

    /// The platform's status with that of one of its components, the TDX module or the quoting enclave.
    ///
    /// A component never makes a platform better. Beyond Intel's table, a component that needs configuration makes an
    /// otherwise current platform need it too, so that the remark is not lost.
    func converged(with component: TCBStatus) -> TCBStatus {
        if self == .revoked || component == .revoked { return .revoked }
        let isOutOfDate = self.isOutOfDate || component.isOutOfDate
        let needsConfiguration = self.needsConfiguration || component.needsConfiguration
        if isOutOfDate { return needsConfiguration ? .outOfDateConfigurationNeeded : .outOfDate }
        let needsHardening = [self, component].contains {
            $0 == .swHardeningNeeded || $0 == .configurationAndSWHardeningNeeded
        }
        switch (needsConfiguration, needsHardening) {
        case (false, false): return .upToDate
        case (false, true): return .swHardeningNeeded
        case (true, false): return .configurationNeeded
        case (true, true): return .configurationAndSWHardeningNeeded
        }
    }
}
