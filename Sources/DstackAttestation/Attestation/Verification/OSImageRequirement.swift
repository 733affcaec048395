/// What a policy wants of the OS image that evidence names in its VM configuration.
///
/// A configuration is the host's word, and whoever presents evidence can leave it out. Only ``required`` and an expected
/// ``ExpectedValues/osImageHash`` make leaving it out a rejection. And only the latter says *which* image: one that
/// verifies proves that it is the image of its name, and anybody can build an image.
public enum OSImageRequirement: Hashable, Sendable, CaseIterable {
    /// It must be there and verified: evidence without an event log, without a VM configuration, with one that this verifier
    /// cannot check, or of an SGX enclave, is rejected. `true` in a policy file.
    case required
    /// Where evidence names an image, it must be verified; evidence that names none passes, and the report says that nothing
    /// is known of its operating system. `"if_named"` in a policy file.
    case ifNamed
    /// As before; but an image in the `legacy` form, which can only be recomputed from the image's files, passes without
    /// being verified. `false` in a policy file.
    case optional

    /// As a policy file has it.
    var json: [UInt8] {
        switch self {
        case .required: Array("true".utf8)
        case .ifNamed: Array("\"if_named\"".utf8)
        case .optional: Array("false".utf8)
        }
    }
}

/// For how long after its TCB date something outdated is still accepted.
public enum GracePeriod: Hashable, Sendable, ExpressibleByIntegerLiteral {
    /// So many seconds; 0 for none.
    case seconds(Int64)
    /// For ever. `"unlimited"` in a policy file.
    case unlimited

    /// Seconds.
    public init(integerLiteral value: Int64) { self = .seconds(value) }

    /// The seconds; nil if there is no end.
    var seconds: Int64? {
        switch self {
        case .seconds(let seconds): seconds
        case .unlimited: nil
        }
    }
}
