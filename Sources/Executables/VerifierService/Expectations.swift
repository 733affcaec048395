internal import DstackAttestation
internal import DstackEncoding

// Expected values by their names in policy files, for requests that state them and answers that say how each came out.
extension ExpectedValues {
    /// Reads members of a policy file that state expected values.
    ///
    /// - Parameter members: names, and values as JSON text.
    init(members: [(name: String, json: [UInt8])]) throws(AttestationError) {
        var writer = JSONWriter()
        writer.object { object in
            for (name, json) in members { object.raw(name, json) }
        }
        self = try VerificationPolicy(parsingJSON: writer.bytes).expected
    }

    /// These values and those of another side.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_policy` where both sides want something else of the same value:
    ///   neither may overrule the other, and no evidence can satisfy both.
    func merged(with other: ExpectedValues) throws(AttestationError) -> ExpectedValues {
        var result = policyMembers
        for member in other.policyMembers {
            guard let same = result.first(where: { $0.name == member.name }) else {
                result.append(member)
                continue
            }
            guard same.json == member.json else {
                throw AttestationError(
                    .invalidPolicy, subject: member.name,
                    reason:
                        "the request expects \(String(decoding: member.json, as: UTF8.self)), the verifier's policy "
                        + String(decoding: same.json, as: UTF8.self))
            }
        }
        return try ExpectedValues(members: result)
    }

    /// Whether a quote and what explains it have the expected value of a name.
    ///
    /// - Parameter evidence: what was replayed and verified to belong to the quote; nil if nothing was.
    func isMet(_ name: String, by body: QuoteBody, _ evidence: EvidenceFacts?) -> Bool {
        let td = body.tdReport
        let enclave = body.enclaveReport
        return switch name {
        case "expected_report_data": reportData == body.reportData
        case "expected_mr_td": isMet(mrTd, td?.mrTd)
        case "expected_rt_mr0": isMet(rtMr0, td?.rtMr0)
        case "expected_rt_mr1": isMet(rtMr1, td?.rtMr1)
        case "expected_rt_mr2": isMet(rtMr2, td?.rtMr2)
        case "expected_rt_mr3": isMet(rtMr3, td?.rtMr3)
        case "expected_mr_config_id": isMet(mrConfigId, td?.mrConfigId)
        case "expected_mr_owner": isMet(mrOwner, td?.mrOwner)
        case "expected_mr_owner_config": isMet(mrOwnerConfig, td?.mrOwnerConfig)
        case "expected_mr_seam": isMet(mrSeam, td?.mrSeam)
        case "expected_td_attributes": isMet(tdAttributes, td?.tdAttributes)
        case "expected_xfam": isMet(xfam, td?.xfam)
        case "expected_mr_enclave": isMet(mrEnclave, enclave?.mrEnclave)
        case "expected_mr_signer": isMet(mrSigner, enclave?.mrSigner)
        case "expected_isv_prod_id": isMet(isvProdId, enclave?.isvProdId)
        case "min_isv_svn": minimumIsvSvn.flatMap { minimum in enclave.map { $0.isvSvn >= minimum } } ?? false
        case "expected_compose_hash": isMet(composeHash, evidence?.identity?.composeHash.bytes)
        case "expected_app_id": isMet(appID, evidence?.identity?.appID.bytes)
        case "expected_instance_id": isMet(instanceID, evidence?.identity?.instanceID?.bytes)
        case "expected_os_image_hash": isMet(osImageHash, evidence?.osImageHash)
        case "expected_mr_aggregated": isMet(mrAggregated, evidence?.measurements?.mrAggregated)
        case "expected_mr_system": isMet(mrSystem, evidence?.measurements?.mrSystem)
        // A name that is expected and not known here has not been compared.
        default: false
        }
    }

    private func isMet<Value: Equatable>(_ expected: Value?, _ found: Value?) -> Bool {
        guard let expected, let found else { return false }
        return expected == found
    }
}
