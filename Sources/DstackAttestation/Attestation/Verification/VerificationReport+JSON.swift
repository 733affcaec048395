import DstackCrypto
package import DstackEncoding

extension VerificationReport {
    /// The report as one JSON object: verdict, reason, status and advisories first, then everything they rest on.
    ///
    /// Field names follow DCAP tools where these have a field (`status`, `advisory_ids`, `report`, `claims`); bytes are
    /// lower-case hexadecimal, times RFC 3339, and `claims` has Unix seconds and arrays of numbers as its format wants.
    ///
    /// - Parameter pretty: whether to indent.
    public func json(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.object { write(to: &$0) }
        return writer.bytes
    }

    package func write(to object: inout JSONWriter.Object) {
        object.answer(verdict.rawValue, reason)
        object.member("status", status?.rawValue)
        object.member("advisory_ids", advisoryIDs)
        object.member("simulated", isSimulated)
        object.member("notes", notes)
        object.member("binding", binding?.rawValue)
        object.member("verified_at", RFC3339.format(time))
        object.member("valid_until", validUntil.map { RFC3339.format($0) })
        object.member("tee", quote?.header.teeType?.name)
        if let quote {
            object.object("header") { quote.header.write(to: &$0) }
            object.object("report") { report in report.object(quote.body.jsonName) { quote.body.write(to: &$0) } }
        } else {
            object.null("header")
            object.null("report")
        }
        object.member("ppid", platform?.ppid.hex)
        writeComponentStatus("qe_status", qeStatus, facts.qeLevel?.advisoryIDs ?? [], to: &object)
        writeComponentStatus("platform_status", platformStatus, facts.tcb?.platformAdvisoryIDs ?? [], to: &object)
        object.array("tcb_shortfalls") { array in
            for shortfall in tcbShortfalls { array.object { shortfall.write(to: &$0) } }
        }
        evidence?.write(to: &object)
        object.object("policy") { policy.write(to: &$0) }
        object.object("trust_anchor") { anchor in
            anchor.member("name", trustAnchor.name)
            anchor.member("intel", trustAnchor.isIntel)
            anchor.member("simulated", trustAnchor.isSimulated)
            anchor.member("public_key_sha256", trustAnchor.publicKeyDigest.hex)
            anchor.member("certificate_sha256", trustAnchor.certificate.fingerprint.hex)
        }
        writeCollateral(to: &object)
        writeClaims(to: &object)
        object.array("checks") { array in
            for check in checks { array.object { write(check, to: &$0) } }
        }
        object.member("not_checked", notChecked)
    }

    private func writeComponentStatus(
        _ name: String, _ status: TCBStatus?, _ advisoryIDs: [String], to object: inout JSONWriter.Object
    ) {
        guard let status else { return object.null(name) }
        object.object(name) { item in
            item.member("status", status.rawValue)
            item.member("advisory_ids", advisoryIDs)
        }
    }

    private func write(_ check: VerificationCheck, to object: inout JSONWriter.Object) {
        object.member("check", check.id.name)
        if let number = check.id.intelNumber { object.member("intel", number) }
        object.member("title", check.id.title)
        switch check.outcome {
        case .passed: object.member("outcome", "passed")
        case .failed(let code):
            object.member("outcome", "failed")
            object.member("code", code.rawValue)
            object.member("message", check.message)
        case .notApplicable(let reason):
            object.member("outcome", "not_applicable")
            object.member("because", reason)
        case .notReached: object.member("outcome", "not_reached")
        }
        if !check.found.isEmpty { object.member("found", check.found) }
        if !check.expected.isEmpty { object.member("expected", check.expected) }
    }

    private func writeCollateral(to object: inout JSONWriter.Object) {
        let decoded = facts.collateral.decoded
        let source = decoded.source
        object.object("collateral") { item in
            item.object("tcb_info") { document in
                document.member("sha256", SHA256.hash(Array(source.tcbInfo.utf8)).hex)
                if let tcbInfo = facts.collateral.tcbInfo {
                    document.member("fmspc", Hex.encodeUppercase(tcbInfo.fmspc.bytes))
                    document.member("tcb_evaluation_data_number", tcbInfo.evaluationDataNumber)
                    document.member("issue_date", RFC3339.format(tcbInfo.issueDate))
                    document.member("next_update", RFC3339.format(tcbInfo.nextUpdate))
                }
            }
            item.object("qe_identity") { document in
                document.member("sha256", SHA256.hash(Array(source.qeIdentity.utf8)).hex)
                if let identity = facts.collateral.qeIdentity {
                    document.member("tcb_evaluation_data_number", identity.evaluationDataNumber)
                    document.member("issue_date", RFC3339.format(identity.issueDate))
                    document.member("next_update", RFC3339.format(identity.nextUpdate))
                }
            }
            for (name, bytes, list) in [
                ("root_ca_crl", source.rootCACRL, decoded.rootCRL), ("pck_crl", source.pckCRL, decoded.pckCRL),
            ] {
                item.object(name) { entry in
                    entry.member("sha256", SHA256.hash(bytes).hex)
                    if let list = try? list.get() {
                        entry.member("number", list.numberValue)
                        entry.member("this_update", RFC3339.format(list.thisUpdate))
                        entry.member("next_update", list.nextUpdate.map { RFC3339.format($0) })
                        entry.member("revoked_certificates", list.revokedCount)
                    }
                }
            }
            item.array("replaced") { array in
                for document in replacedDocuments {
                    array.object { entry in
                        entry.member("document", document.name)
                        entry.member("given", document.given)
                        entry.member("used", document.used)
                    }
                }
            }
        }
    }

    /// The relying party's claims, version 1; null where the TCB was not reached.
    private func writeClaims(to object: inout JSONWriter.Object) {
        guard let status, let quote, let tcb = facts.tcb, let level = tcb.platformLevel, let qeLevel = facts.qeLevel,
            let pck = platform, let tcbInfo = facts.collateral.tcbInfo, let identity = facts.collateral.qeIdentity
        else { return object.null("claims") }
        object.object("claims") { claims in
            claims.member("claims_version", 1)
            claims.member("tee_type", quote.header.teeTypeValue)
            claims.object("header") { quote.header.write(to: &$0) }
            claims.object("tcb") { item in
                item.member("status", status.rawValue)
                item.member("advisory_ids", advisoryIDs)
                item.member("eval_data_number", facts.evaluationDataNumber)
            }
            claims.object("platform") { item in
                item.object("tcb_level") {
                    level.write(to: &$0, status: tcb.platformStatus, date: tcb.platformDate, module: tcb.moduleLevel)
                }
                item.member("tcb_date_tag", tcb.platformDate)
                if let current = tcb.currentLevel {
                    item.object("current_tcb_level") {
                        current.write(
                            to: &$0,
                            status: tcb.currentModuleLevel.map { current.status.converged(with: $0.status) },
                            date: tcb.currentModuleLevel.map { min(current.date, $0.date) },
                            module: tcb.currentModuleLevel)
                    }
                } else {
                    item.null("current_tcb_level")
                }
                item.object("pck") { pck.writeClaim(to: &$0) }
                item.numbers("root_key_id", trustAnchor.rootKeyID.bytes)
                item.member("pck_crl_num", (try? facts.collateral.decoded.pckCRL.get())?.numberValue)
                item.member("root_ca_crl_num", (try? facts.collateral.decoded.rootCRL.get())?.numberValue)
            }
            claims.object("qe") { item in
                item.object("tcb_level") { qeLevel.write(to: &$0) }
                item.object("report") { quote.signature.qeReport.write(to: &$0) }
                item.member("tcb_eval_data_number", identity.evaluationDataNumber)
            }
            claims.member("tcb_info_eval_data_number", tcbInfo.evaluationDataNumber)
            let windows = facts.windows
            claims.member("earliest_issue_date", windows.map(\.notBefore).min())
            claims.member("latest_issue_date", windows.map(\.notBefore).max())
            claims.member("earliest_expiration_date", windows.map(\.expiration).min())
            let qeWindows = windows.filter(\.isOfQEIdentity)
            claims.member("qe_iden_earliest_issue_date", qeWindows.map(\.notBefore).min())
            claims.member("qe_iden_latest_issue_date", qeWindows.map(\.notBefore).max())
            claims.member("qe_iden_earliest_expiration_date", qeWindows.map(\.expiration).min())
            claims.object("report") { report in report.object(quote.body.jsonName) { quote.body.write(to: &$0) } }
        }
    }

    /// What no verification of this kind can show, or what this one was not asked to show.
    public var notChecked: [String] {
        var items: [String] = []
        if trustAnchor.isSimulated {
            items.append("hardware: the trust anchor is a simulated TEE's, so nothing about hardware is proven")
        }
        if policy.expected.reportData == nil {
            items.append("report data: not compared with anything, so the quote may be old or made for somebody else")
        }
        if binding == .keyBound {
            items.append(
                "where the connection ends: evidence about a certificate key can be relayed by whoever has the key "
                    + "(CVE-2026-33697); session-bound evidence cannot")
        }
        for check in checks {
            guard case .notApplicable(let reason) = check.outcome else { continue }
            switch check.id {
            case .eventLogReplay: items.append("event log: \(reason), so the application is not identified")
            case .osImage: items.append("OS image: \(reason)")
            case .composeHash where evidence != nil: items.append("compose file: \(reason)")
            case .expectedMeasurements where evidence == nil: items.append("measurements: \(reason)")
            default: break
            }
        }
        items += evidence?.notChecked ?? []
        items.append("whether newer collateral has been published since this was issued")
        items.append("physical attacks on the host (memory interposers), which attestation does not exclude")
        return items
    }
}

extension JSONWriter.Object {
    fileprivate mutating func numbers(_ name: String, _ bytes: [UInt8]) {
        array(name) { array in for byte in bytes { array.element(byte) } }
    }
}

extension PCKExtension {
    /// The members of the claim: bytes as arrays of numbers.
    fileprivate func writeClaim(to object: inout JSONWriter.Object) {
        object.numbers("ppid", ppid.bytes)
        object.numbers("cpu_svn", cpuSvn.bytes)
        object.member("pce_svn", pceSvn)
        object.numbers("pce_id", pceId.bytes)
        object.numbers("fmspc", fmspc.bytes)
        object.member("sgx_type", sgxType)
        if let platformInstanceId {
            object.numbers("platform_instance_id", platformInstanceId.bytes)
        } else {
            object.null("platform_instance_id")
        }
        object.member("dynamic_platform", Self.flag(dynamicPlatform))
        object.member("cached_keys", Self.flag(cachedKeys))
        object.member("smt_enabled", Self.flag(smtEnabled))
        object.null("platform_provider_id")
    }
}

extension TCBLevel {
    /// The level with what the TDX module makes of it.
    fileprivate func write(
        to object: inout JSONWriter.Object, status: TCBStatus?, date: Int64?, module: SVNLevel?
    ) {
        object.object("tcb") { tcb in
            tcb.components("sgxtcbcomponents", sgxComponents)
            tcb.components("tdxtcbcomponents", tdxComponents)
            tcb.member("pcesvn", pceSvn)
        }
        object.member("tcbDate", RFC3339.format(date ?? self.date))
        object.member("tcbStatus", (status ?? self.status).rawValue)
        var advisoryIDs = self.advisoryIDs
        for advisory in module?.advisoryIDs ?? [] where !advisoryIDs.contains(advisory) { advisoryIDs.append(advisory) }
        object.member("advisoryIDs", advisoryIDs)
    }
}

extension SVNLevel {
    fileprivate func write(to object: inout JSONWriter.Object) {
        object.object("tcb") { $0.member("isvsvn", isvSvn) }
        object.member("tcbDate", RFC3339.format(date))
        object.member("tcbStatus", status.rawValue)
        object.member("advisoryIDs", advisoryIDs)
    }
}

extension JSONWriter.Object {
    /// An empty list for components that the document does not have.
    fileprivate mutating func components(_ name: String, _ components: FixedBytes<16>?) {
        array(name) { array in
            for component in components?.bytes ?? [] { array.object { $0.member("svn", component) } }
        }
    }
}
