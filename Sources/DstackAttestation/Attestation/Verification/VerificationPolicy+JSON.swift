package import DstackEncoding

extension VerificationPolicy {
    /// The members of a policy file.
    static let members = [
        "name", "allowed_statuses", "rejected_advisory_ids", "allowed_advisory_ids", "platform_grace_period_secs",
        "qe_grace_period_secs", "min_tcb_eval_data_number", "allow_dynamic_platform", "allow_cached_keys", "allow_smt",
        "accepted_sgx_types", "allow_debug", "allow_service_td", "max_collateral_age_secs", "accepted_ppids",
        "require_os_image",
        "expected_report_data", "expected_mr_td", "expected_rt_mr0", "expected_rt_mr1", "expected_rt_mr2",
        "expected_rt_mr3", "expected_mr_config_id", "expected_mr_owner", "expected_mr_owner_config", "expected_mr_seam",
        "expected_td_attributes", "expected_xfam",
        "expected_mr_enclave", "expected_mr_signer", "expected_isv_prod_id", "min_isv_svn", "expected_compose_hash",
        "expected_app_id", "expected_instance_id", "expected_os_image_hash", "expected_mr_aggregated",
        "expected_mr_system",
    ]

    /// Reads a policy file: a JSON object of known members, all optional. What is absent is as in ``strict``: only
    /// `UpToDate`, no grace, no relaxation, an OS image required.
    ///
    /// What ``json(pretty:)`` writes reads back as the same policy.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_policy` for an unknown member, a null where a restriction stands, or a
    ///   value that makes no sense; a policy that is not fully understood must not be applied.
    public init(parsingJSON bytes: [UInt8]) throws(AttestationError) {
        guard !bytes.isEmpty else {
            throw AttestationError(
                .invalidPolicy, subject: "policy", reason: "empty; a JSON object is needed, {} for the strictest one")
        }
        do throws(DecodingFailure) {
            let text = EvidenceRecognition.withoutMark(bytes)
            if text.first(where: { !EvidenceRecognition.isSpace($0) }) != UInt8(ascii: "{") {
                let file = EvidenceFile(recognising: bytes)
                throw DecodingFailure(.malformed, "policy", "this is \(file.described); a policy is a JSON object")
            }
            let root = try JSONDocument(parsing: text, subject: "policy", maximumDepth: 4).root
            // The answer of an agent has members enough for a list of unknown ones.
            let file = EvidenceFile(recognising: text)
            if ![.object, .text].contains(file.kind) {
                throw DecodingFailure(.malformed, "policy", "this is \(file.described); a policy is needed")
            }
            try Self.expectOnlyMembers(of: root)
            try self.init(root)
        } catch {
            throw AttestationError(.invalidPolicy, error)
        }
    }

    private static func expectOnlyMembers(of root: JSONNode) throws(DecodingFailure) {
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        for (name, value) in root.members where !members.contains(name) {
            let meant = RestrictionNames.policyMember(meantBy: name)
            throw value.failure(
                "unknown member; "
                    + (meant.map { "did you mean \($0)?" } ?? "known are \(members.joined(separator: ", "))"),
                .unsupported)
        }
    }

    private init(_ root: JSONNode) throws(DecodingFailure) {
        self.init(allowedStatuses: [.upToDate])
        if let node = try root.restriction("allowed_statuses") {
            var statuses: Set<TCBStatus> = []
            for element in try node.array() {
                guard let status = TCBStatus(rawValue: try element.string()), status != .revoked else {
                    throw element.failure(
                        "a TCB status other than Revoked expected: "
                            + TCBStatus.allCases.filter { $0 != .revoked }.map(\.rawValue).joined(separator: ", "))
                }
                statuses.insert(status)
            }
            // As upstream has it: an empty list is the strict one.
            if !statuses.isEmpty { allowedStatuses = statuses }
        }
        rejectedAdvisoryIDs = try root.strings("rejected_advisory_ids") ?? []
        if let list = try root.strings("allowed_advisory_ids") { allowedAdvisoryIDs = list }
        platformGracePeriod = try root.gracePeriod("platform_grace_period_secs")
        qeGracePeriod = try root.gracePeriod("qe_grace_period_secs")
        minimumEvaluationDataNumber = try root.restriction("min_tcb_eval_data_number")?.integer() ?? 0
        allowsDynamicPlatform = try root.restriction("allow_dynamic_platform")?.bool() ?? false
        allowsCachedKeys = try root.restriction("allow_cached_keys")?.bool() ?? false
        allowsSMT = try root.restriction("allow_smt")?.bool() ?? false
        allowsDebug = try root.restriction("allow_debug")?.bool() ?? false
        allowsServiceTD = try root.restriction("allow_service_td")?.bool() ?? false
        osImage = try root.osImageRequirement("require_os_image")
        if let node = try root.restriction("max_collateral_age_secs") { maximumCollateralAge = try node.seconds() }
        // The one member that upstream's own files have as null: any type.
        if let node = try root.optionalMember("accepted_sgx_types") {
            var types: [UInt8] = []
            for element in try node.array() { types.append(try element.integer()) }
            acceptedSGXTypes = types
        }
        if let node = try root.restriction("accepted_ppids") {
            var platforms: [FixedBytes<16>] = []
            for element in try node.array() { platforms.append(try element.fixedHex()) }
            acceptedPlatforms = platforms
        }
        expected = try ExpectedValues(root)
        if let node = try root.restriction("name") { try setName(node) }
    }

    /// A file may say what its policy is called; a preset's name only where it is the preset.
    private mutating func setName(_ node: JSONNode) throws(DecodingFailure) {
        let text = try node.string()
        guard 1...64 ~= text.utf8.count, text.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) else {
            throw node.failure("1 to 64 printable ASCII characters expected")
        }
        if let preset = Self.preset(named: text), !hasValues(of: preset) {
            throw node.failure("the name of a preset whose values these are not; choose another name")
        }
        name = text
    }

    /// The policy as a file that ``init(parsingJSON:)`` reads.
    ///
    /// - Parameter pretty: whether to indent.
    public func json(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.object { write(to: &$0) }
        return writer.bytes
    }

    /// The policy as a JSON object with the members of a policy file. Restrictions that are not set are absent; one whose
    /// value is lost is null, which no reader takes.
    package func write(to object: inout JSONWriter.Object) {
        object.member("name", shownName)
        object.member("allowed_statuses", TCBStatus.allCases.filter(allowedStatuses.contains).map(\.rawValue))
        object.member("rejected_advisory_ids", rejectedAdvisoryIDs)
        if let allowedAdvisoryIDs { object.member("allowed_advisory_ids", allowedAdvisoryIDs) }
        object.gracePeriod("platform_grace_period_secs", platformGracePeriod)
        object.gracePeriod("qe_grace_period_secs", qeGracePeriod)
        object.member("min_tcb_eval_data_number", minimumEvaluationDataNumber)
        object.member("allow_dynamic_platform", allowsDynamicPlatform)
        object.member("allow_cached_keys", allowsCachedKeys)
        object.member("allow_smt", allowsSMT)
        object.member("allow_debug", allowsDebug)
        object.member("allow_service_td", allowsServiceTD)
        if let maximumCollateralAge { object.member("max_collateral_age_secs", maximumCollateralAge) }
        object.raw("require_os_image", osImage.json)
        if let acceptedSGXTypes {
            object.array("accepted_sgx_types") { array in for type in acceptedSGXTypes { array.element(type) } }
        } else if $acceptedSGXTypes {
            // Null would be any type.
            object.member("accepted_sgx_types", [])
        }
        if let acceptedPlatforms { object.member("accepted_ppids", acceptedPlatforms.map { $0.hex }) }
        expected.write(to: &object)
        for (name, _) in lostRestrictions where name != "accepted_sgx_types" { object.null(name) }
    }
}

extension ExpectedValues {
    /// Reads the members of a policy file that state expected values.
    fileprivate init(_ root: JSONNode) throws(DecodingFailure) {
        self.init()
        func read<let count: Int>(_ name: StaticString) throws(DecodingFailure) -> FixedBytes<count>? {
            try root.restriction(name)?.fixedHex()
        }
        // Assigned only where there is a value, since nil that is assigned is a restriction that is lost.
        if let value: FixedBytes<64> = try read("expected_report_data") { reportData = value }
        if let value: Measurement384 = try read("expected_mr_td") { mrTd = value }
        if let value: Measurement384 = try read("expected_rt_mr0") { rtMr0 = value }
        if let value: Measurement384 = try read("expected_rt_mr1") { rtMr1 = value }
        if let value: Measurement384 = try read("expected_rt_mr2") { rtMr2 = value }
        if let value: Measurement384 = try read("expected_rt_mr3") { rtMr3 = value }
        if let value: Measurement384 = try read("expected_mr_config_id") { mrConfigId = value }
        if let value: Measurement384 = try read("expected_mr_owner") { mrOwner = value }
        if let value: Measurement384 = try read("expected_mr_owner_config") { mrOwnerConfig = value }
        if let value: Measurement384 = try read("expected_mr_seam") { mrSeam = value }
        if let value: FixedBytes<8> = try read("expected_td_attributes") { tdAttributes = value }
        if let value: FixedBytes<8> = try read("expected_xfam") { xfam = value }
        if let value: FixedBytes<32> = try read("expected_mr_enclave") { mrEnclave = value }
        if let value: FixedBytes<32> = try read("expected_mr_signer") { mrSigner = value }
        if let value: FixedBytes<32> = try read("expected_compose_hash") { composeHash = value }
        if let value: FixedBytes<20> = try read("expected_app_id") { appID = value }
        if let value: FixedBytes<20> = try read("expected_instance_id") { instanceID = value }
        if let value: FixedBytes<32> = try read("expected_os_image_hash") { osImageHash = value }
        if let value: FixedBytes<32> = try read("expected_mr_aggregated") { mrAggregated = value }
        if let value: FixedBytes<32> = try read("expected_mr_system") { mrSystem = value }
        if let value = try root.restriction("expected_isv_prod_id") { isvProdId = try value.integer() }
        if let value = try root.restriction("min_isv_svn") { minimumIsvSvn = try value.integer() }
    }

    /// The values that are set, as JSON by the names of a policy file. Those whose value is lost are null.
    package var policyMembers: [(name: String, json: [UInt8])] {
        var result: [(name: String, json: [UInt8])] = []
        for value in values where value.hex != nil || value.isLost {
            result.append(("expected_\(value.name)", Array((value.hex.map { "\"\($0)\"" } ?? "null").utf8)))
        }
        if let isvProdId { result.append(("expected_isv_prod_id", Array("\(isvProdId)".utf8))) }
        if let minimumIsvSvn { result.append(("min_isv_svn", Array("\(minimumIsvSvn)".utf8))) }
        return result + lostNumbers.map { ($0, Array("null".utf8)) }
    }

    fileprivate func write(to object: inout JSONWriter.Object) {
        for value in values { if let hex = value.hex { object.member("expected_" + value.name, hex) } }
        if let isvProdId { object.member("expected_isv_prod_id", isvProdId) }
        if let minimumIsvSvn { object.member("min_isv_svn", minimumIsvSvn) }
    }
}

extension JSONWriter.Object {
    fileprivate mutating func gracePeriod(_ name: String, _ period: GracePeriod) {
        if let seconds = period.seconds { member(name, seconds) } else { member(name, "unlimited") }
    }
}

extension JSONNode {
    fileprivate func strings(_ name: StaticString) throws(DecodingFailure) -> [String]? {
        guard let node = try restriction(name) else { return nil }
        var result: [String] = []
        for element in try node.array() { result.append(try element.string()) }
        return result
    }

    fileprivate func seconds() throws(DecodingFailure) -> Int64 {
        let value: Int64 = try integer()
        guard value >= 0, value <= 1 << 40 else { throw failure("seconds from 0 to 2^40 expected") }
        return value
    }

    fileprivate func gracePeriod(_ name: StaticString) throws(DecodingFailure) -> GracePeriod {
        guard let node = try restriction(name) else { return 0 }
        return node.equals("unlimited") ? .unlimited : .seconds(try node.seconds())
    }

    fileprivate func osImageRequirement(_ name: StaticString) throws(DecodingFailure) -> OSImageRequirement {
        guard let node = try restriction(name) else { return .required }
        switch node.kind {
        case .boolTrue: return .required
        case .boolFalse: return .optional
        default:
            guard node.equals("if_named") else { throw node.failure("true, false or \"if_named\" expected") }
            return .ifNamed
        }
    }
}
