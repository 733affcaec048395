internal import DstackEncoding

/// One member of a policy file, but for expected values (``Expectation``): how it is read and written.
///
/// ``all`` is the one list of them: a member that is known is read, and one that is read is written into reports.
struct PolicyMember: Sendable {
    let name: StaticString
    /// Whether null is a value, and no restriction that got lost.
    var isNullable = false
    /// Reads what is there, which is not null.
    let read: @Sendable (JSONNode, inout VerificationPolicy) throws(DecodingFailure) -> Void
    /// Writes it by its name, unless it is not set.
    private let writeMember: @Sendable (VerificationPolicy, String, inout JSONWriter.Object) -> Void
    /// The check that fails because nil was assigned to it (``Restriction``), nil where it was not; nil where that cannot be.
    var lost: (@Sendable (VerificationPolicy) -> CheckID?)?

    func write(_ policy: VerificationPolicy, to object: inout JSONWriter.Object) {
        writeMember(policy, "\(name)", &object)
    }

    /// Those whose value can be lost.
    static let losable = all.filter { $0.lost != nil }

    /// All of them, in the order of reports. What is absent in a file is as ``VerificationPolicy/init(name:allowedStatuses:)``
    /// has it.
    static let all: [PolicyMember] = [
        PolicyMember(
            name: "name",
            read: { node, policy throws(DecodingFailure) in policy.name = try node.policyName() },
            writeMember: { policy, name, object in object.member(name, policy.shownName) }),
        PolicyMember(
            name: "allowed_statuses",
            read: { node, policy throws(DecodingFailure) in
                let statuses = try node.acceptableStatuses()
                // As upstream has it: an empty list is the strict one.
                if !statuses.isEmpty { policy.allowedStatuses = statuses }
            },
            writeMember: { policy, name, object in
                object.member(name, TCBStatus.allCases.filter(policy.allowedStatuses.contains).map(\.rawValue))
            }),
        PolicyMember(
            name: "rejected_advisory_ids",
            read: { node, policy throws(DecodingFailure) in policy.rejectedAdvisoryIDs = try node.strings() },
            writeMember: { policy, name, object in object.member(name, policy.rejectedAdvisoryIDs) }),
        PolicyMember(
            name: "allowed_advisory_ids",
            read: { node, policy throws(DecodingFailure) in policy.allowedAdvisoryIDs = try node.strings() },
            writeMember: { policy, name, object in
                if let list = policy.allowedAdvisoryIDs { object.member(name, list) }
            },
            lost: { $0.$allowedAdvisoryIDs ? .policyAdvisories : nil }),
        gracePeriod("platform_grace_period_secs", \.platformGracePeriod),
        gracePeriod("qe_grace_period_secs", \.qeGracePeriod),
        PolicyMember(
            name: "min_tcb_eval_data_number",
            read: { node, policy throws(DecodingFailure) in policy.minimumEvaluationDataNumber = try node.integer() },
            writeMember: { policy, name, object in
                object.member(name, policy.minimumEvaluationDataNumber)
            }),
        flag("allow_dynamic_platform", \.allowsDynamicPlatform),
        flag("allow_cached_keys", \.allowsCachedKeys),
        flag("allow_smt", \.allowsSMT),
        flag("allow_debug", \.allowsDebug),
        flag("allow_service_td", \.allowsServiceTD),
        PolicyMember(
            name: "max_collateral_age_secs",
            read: { node, policy throws(DecodingFailure) in policy.maximumCollateralAge = try node.seconds() },
            writeMember: { policy, name, object in
                if let age = policy.maximumCollateralAge { object.member(name, age) }
            },
            lost: { $0.$maximumCollateralAge ? .policyCollateralAge : nil }),
        PolicyMember(
            name: "require_os_image",
            read: { node, policy throws(DecodingFailure) in policy.osImage = try node.osImageRequirement() },
            writeMember: { policy, name, object in object.raw(name, policy.osImage.json) }),
        PolicyMember(
            // The one member that upstream's own files have as null: any type.
            name: "accepted_sgx_types", isNullable: true,
            read: { node, policy throws(DecodingFailure) in
                var types: [UInt8] = []
                for element in try node.array() { types.append(try element.integer()) }
                policy.acceptedSGXTypes = types
            },
            writeMember: { policy, name, object in
                if let types = policy.acceptedSGXTypes {
                    object.array(name) { array in for type in types { array.element(type) } }
                } else if policy.$acceptedSGXTypes {
                    // Null would be any type.
                    object.member(name, [])
                }
            },
            lost: { $0.$acceptedSGXTypes ? .policySGXType : nil }),
        PolicyMember(
            name: "accepted_ppids",
            read: { node, policy throws(DecodingFailure) in
                var platforms: [FixedBytes<16>] = []
                for element in try node.array() { platforms.append(try element.fixedHex()) }
                policy.acceptedPlatforms = platforms
            },
            writeMember: { policy, name, object in
                if let platforms = policy.acceptedPlatforms { object.member(name, platforms.map { $0.hex }) }
            },
            lost: { $0.$acceptedPlatforms ? .policyPlatforms : nil }),
    ]

    private static func flag(
        _ name: StaticString, _ path: any WritableKeyPath<VerificationPolicy, Bool> & Sendable
    ) -> PolicyMember {
        PolicyMember(
            name: name,
            read: { node, policy throws(DecodingFailure) in policy[keyPath: path] = try node.bool() },
            writeMember: { policy, name, object in object.member(name, policy[keyPath: path]) })
    }

    private static func gracePeriod(
        _ name: StaticString, _ path: any WritableKeyPath<VerificationPolicy, GracePeriod> & Sendable
    ) -> PolicyMember {
        PolicyMember(
            name: name,
            read: { node, policy throws(DecodingFailure) in
                policy[keyPath: path] = node.equals("unlimited") ? .unlimited : .seconds(try node.seconds())
            },
            writeMember: { policy, name, object in
                if let seconds = policy[keyPath: path].seconds {
                    object.member(name, seconds)
                } else {
                    object.member(name, "unlimited")
                }
            })
    }
}

extension JSONNode {
    /// What a policy is called.
    fileprivate func policyName() throws(DecodingFailure) -> String {
        let text = try string()
        guard 1...64 ~= text.utf8.count, text.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) else {
            throw failure("1 to 64 printable ASCII characters expected")
        }
        return text
    }

    fileprivate func acceptableStatuses() throws(DecodingFailure) -> Set<TCBStatus> {
        var statuses: Set<TCBStatus> = []
        for element in try array() {
            guard let status = TCBStatus(rawValue: try element.string()), status != .revoked else {
                throw element.failure(
                    "a TCB status other than Revoked expected: "
                        + TCBStatus.allCases.filter { $0 != .revoked }.map(\.rawValue).joined(separator: ", "))
            }
            statuses.insert(status)
        }
        return statuses
    }

    fileprivate func strings() throws(DecodingFailure) -> [String] {
        var result: [String] = []
        for element in try array() { result.append(try element.string()) }
        return result
    }

    fileprivate func seconds() throws(DecodingFailure) -> Int64 {
        let value: Int64 = try integer()
        guard value >= 0, value <= 1 << 40 else { throw failure("seconds from 0 to 2^40 expected") }
        return value
    }

    fileprivate func osImageRequirement() throws(DecodingFailure) -> OSImageRequirement {
        switch kind {
        case .boolTrue: return .required
        case .boolFalse: return .optional
        default:
            guard equals("if_named") else { throw failure("true, false or \"if_named\" expected") }
            return .ifNamed
        }
    }
}
