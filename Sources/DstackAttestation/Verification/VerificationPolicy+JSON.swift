package import DstackEncoding

extension VerificationPolicy {
    private static let members = [
        "allowed_statuses", "rejected_advisory_ids", "allowed_advisory_ids", "platform_grace_period_secs",
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
    /// `UpToDate`, no grace, no relaxation.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_policy` for an unknown member or a value that makes no sense; a
    ///   policy that is not fully understood must not be applied.
    public init(parsingJSON bytes: [UInt8]) throws(AttestationError) {
        do throws(DecodingFailure) {
            let root = try JSONDocument(parsing: bytes, subject: "policy", maximumDepth: 4).root
            try root.expectOnlyMembers(Self.members)
            try self.init(root)
        } catch {
            throw AttestationError(.invalidPolicy, error)
        }
    }

    private init(_ root: JSONNode) throws(DecodingFailure) {
        self.init(allowedStatuses: [.upToDate])
        if let node = try root.optionalMember("allowed_statuses") {
            var statuses: Set<TCBStatus> = []
            for element in try node.array() {
                guard let status = TCBStatus(rawValue: try element.string()), status != .revoked else {
                    throw element.failure(
                        "a TCB status other than Revoked expected: "
                            + TCBStatus.allCases.filter { $0 != .revoked }.map(\.rawValue).joined(separator: ", "))
                }
                statuses.insert(status)
            }
            if !statuses.isEmpty { allowedStatuses = statuses }
        }
        rejectedAdvisoryIDs = try root.strings("rejected_advisory_ids") ?? []
        allowedAdvisoryIDs = try root.strings("allowed_advisory_ids")
        platformGracePeriod = try root.seconds("platform_grace_period_secs") ?? 0
        qeGracePeriod = try root.seconds("qe_grace_period_secs") ?? 0
        minimumEvaluationDataNumber = try root.optionalMember("min_tcb_eval_data_number")?.integer() ?? 0
        allowsDynamicPlatform = try root.optionalMember("allow_dynamic_platform")?.bool() ?? false
        allowsCachedKeys = try root.optionalMember("allow_cached_keys")?.bool() ?? false
        allowsSMT = try root.optionalMember("allow_smt")?.bool() ?? false
        allowsDebug = try root.optionalMember("allow_debug")?.bool() ?? false
        allowsServiceTD = try root.optionalMember("allow_service_td")?.bool() ?? false
        requiresOSImage = try root.optionalMember("require_os_image")?.bool() ?? true
        maximumCollateralAge = try root.seconds("max_collateral_age_secs")
        if let node = try root.optionalMember("accepted_sgx_types") {
            var types: [UInt8] = []
            for element in try node.array() { types.append(try element.integer()) }
            acceptedSGXTypes = types
        }
        if let node = try root.optionalMember("accepted_ppids") {
            var platforms: [FixedBytes<16>] = []
            for element in try node.array() { platforms.append(try element.fixedHex()) }
            acceptedPlatforms = platforms
        }
        expected.reportData = try root.optionalMember("expected_report_data")?.fixedHex()
        expected.mrTd = try root.optionalMember("expected_mr_td")?.fixedHex()
        expected.rtMr0 = try root.optionalMember("expected_rt_mr0")?.fixedHex()
        expected.rtMr1 = try root.optionalMember("expected_rt_mr1")?.fixedHex()
        expected.rtMr2 = try root.optionalMember("expected_rt_mr2")?.fixedHex()
        expected.rtMr3 = try root.optionalMember("expected_rt_mr3")?.fixedHex()
        expected.mrConfigId = try root.optionalMember("expected_mr_config_id")?.fixedHex()
        expected.mrOwner = try root.optionalMember("expected_mr_owner")?.fixedHex()
        expected.mrOwnerConfig = try root.optionalMember("expected_mr_owner_config")?.fixedHex()
        expected.mrSeam = try root.optionalMember("expected_mr_seam")?.fixedHex()
        expected.tdAttributes = try root.optionalMember("expected_td_attributes")?.fixedHex()
        expected.xfam = try root.optionalMember("expected_xfam")?.fixedHex()
        expected.mrEnclave = try root.optionalMember("expected_mr_enclave")?.fixedHex()
        expected.mrSigner = try root.optionalMember("expected_mr_signer")?.fixedHex()
        expected.isvProdId = try root.optionalMember("expected_isv_prod_id")?.integer()
        expected.minimumIsvSvn = try root.optionalMember("min_isv_svn")?.integer()
        expected.composeHash = try root.optionalMember("expected_compose_hash")?.fixedHex()
        expected.appID = try root.optionalMember("expected_app_id")?.fixedHex()
        expected.instanceID = try root.optionalMember("expected_instance_id")?.fixedHex()
        expected.osImageHash = try root.optionalMember("expected_os_image_hash")?.fixedHex()
        expected.mrAggregated = try root.optionalMember("expected_mr_aggregated")?.fixedHex()
        expected.mrSystem = try root.optionalMember("expected_mr_system")?.fixedHex()
    }

    /// The policy as a JSON object with the members of a policy file and its name.
    package func write(to object: inout JSONWriter.Object) {
        object.member("name", name)
        object.member("allowed_statuses", TCBStatus.allCases.filter(allowedStatuses.contains).map(\.rawValue))
        object.member("rejected_advisory_ids", rejectedAdvisoryIDs)
        if let allowedAdvisoryIDs {
            object.member("allowed_advisory_ids", allowedAdvisoryIDs)
        } else {
            object.null("allowed_advisory_ids")
        }
        object.member("platform_grace_period_secs", platformGracePeriod)
        object.member("qe_grace_period_secs", qeGracePeriod)
        object.member("min_tcb_eval_data_number", minimumEvaluationDataNumber)
        object.member("allow_dynamic_platform", allowsDynamicPlatform)
        object.member("allow_cached_keys", allowsCachedKeys)
        object.member("allow_smt", allowsSMT)
        object.member("allow_debug", allowsDebug)
        object.member("allow_service_td", allowsServiceTD)
        object.member("max_collateral_age_secs", maximumCollateralAge)
        object.member("require_os_image", requiresOSImage)
        if let acceptedSGXTypes {
            object.array("accepted_sgx_types") { array in for type in acceptedSGXTypes { array.element(type) } }
        } else {
            object.null("accepted_sgx_types")
        }
        if let acceptedPlatforms { object.member("accepted_ppids", acceptedPlatforms.map { $0.hex }) }
        for (name, value) in expected.members { object.member("expected_" + name, value) }
        if let number = expected.isvProdId { object.member("expected_isv_prod_id", number) }
        if let number = expected.minimumIsvSvn { object.member("min_isv_svn", number) }
    }
}

extension ExpectedValues {
    /// The values that are set, by the names of a policy file without their prefix.
    var members: [(name: String, value: String)] {
        let all: [(String, String?)] = [
            ("report_data", reportData?.hex), ("mr_td", mrTd?.hex), ("rt_mr0", rtMr0?.hex), ("rt_mr1", rtMr1?.hex),
            ("rt_mr2", rtMr2?.hex), ("rt_mr3", rtMr3?.hex), ("mr_config_id", mrConfigId?.hex),
            ("mr_owner", mrOwner?.hex), ("mr_owner_config", mrOwnerConfig?.hex), ("mr_seam", mrSeam?.hex),
            ("td_attributes", tdAttributes?.hex), ("xfam", xfam?.hex),
            ("mr_enclave", mrEnclave?.hex), ("mr_signer", mrSigner?.hex), ("compose_hash", composeHash?.hex),
            ("app_id", appID?.hex), ("instance_id", instanceID?.hex), ("os_image_hash", osImageHash?.hex),
            ("mr_aggregated", mrAggregated?.hex), ("mr_system", mrSystem?.hex),
        ]
        return all.compactMap { name, value in value.map { (name, $0) } }
    }
}

extension JSONNode {
    fileprivate func strings(_ name: StaticString) throws(DecodingFailure) -> [String]? {
        guard let node = try optionalMember(name) else { return nil }
        var result: [String] = []
        for element in try node.array() { result.append(try element.string()) }
        return result
    }

    fileprivate func seconds(_ name: StaticString) throws(DecodingFailure) -> Int64? {
        guard let node = try optionalMember(name) else { return nil }
        let value: Int64 = try node.integer()
        guard value >= 0, value <= 1 << 40 else { throw node.failure("seconds from 0 to 2^40 expected") }
        return value
    }
}
