package import DstackAttestation
package import DstackEncoding

/// What the verifier service answers; ``json`` is upstream's form.
package struct VerifierResponse: Sendable {
    /// Whether everything that was asked for holds: the quote is genuine, the event log belongs to it, the OS image is
    /// verified, and policy and expectations are satisfied.
    package let isValid: Bool
    /// Why not; nil if valid.
    package let reason: String?
    /// What was found on the way, as far as it came.
    package let details: Details
    /// Whether the evidence has each value that the request expected, by name; false also for what was not reached.
    package internal(set) var expectations: [(name: String, isMet: Bool)] = []
    /// The policy that the request named, and whether it is satisfied; nil if it named none.
    package internal(set) var policy: (name: String, isSatisfied: Bool)?
    /// The whole report, if the request wanted it and there is one.
    package internal(set) var report: VerificationReport?
    /// What whoever runs the service should know (``VerificationReport/notes``). Clients see it in the report, if they want it.
    package internal(set) var notes: [String] = []
    /// Whether there is no verdict because too many requests wait for collateral already; later there may be one.
    package internal(set) var isBusy = false

    init(isValid: Bool, reason: String?, details: Details) {
        self.isValid = isValid
        self.reason = reason
        self.details = details
    }

    /// A "no" with its reason.
    static func invalid(_ reason: String, _ details: Details = Details()) -> VerifierResponse {
        VerifierResponse(isValid: false, reason: reason, details: details)
    }

    /// The answer to a request that could not be read.
    package static func unanswered(_ reason: String) -> VerifierResponse { .invalid("Internal error: \(reason)") }

    /// What was found. Each member is set only once the steps before it have passed.
    package struct Details: Sendable {
        /// The quote is genuine, not of a debug VM, and registers and report data are those of the evidence around it.
        package internal(set) var isQuoteVerified = false
        /// The event log identifies one application, the one that the host pinned if it pinned any.
        package internal(set) var isEventLogVerified = false
        /// The quoted boot registers are those of ``osImageHash``.
        package internal(set) var isOSImageVerified = false
        /// The content of the ACPI tables was verified too.
        package internal(set) var areACPITablesVerified = false
        /// The platform's name.
        package internal(set) var teeVariant: String?
        /// What the VM had quoted.
        package internal(set) var reportData: FixedBytes<64>?
        /// How current the platform is.
        package internal(set) var tcbStatus: TCBStatus?
        /// Intel's advisories that apply.
        package internal(set) var advisoryIDs: [String] = []
        /// What of the platform is older than an acceptable one's.
        package internal(set) var tcbShortfalls: [TCBShortfall] = []
        /// Who the application is.
        package internal(set) var appInfo: AppInfo?
        /// Where its keys come from.
        package internal(set) var keyProvider: KeyProviderInfo?
        /// Registers that are not those of the OS image, explained; nil unless asked for.
        var registerMismatches: [RegisterMismatch]?
        /// Whether the evidence is of a simulated TEE (``VerificationReport/isSimulated``).
        package internal(set) var isSimulated = false

        /// The verified OS image; nil unless ``isOSImageVerified``.
        package internal(set) var osImageHash: FixedBytes<32>?

        init() {}
    }
}

// MARK: - JSON

extension VerifierResponse {
    /// The answer as upstream's clients know it.
    ///
    /// Members of ours are there only where a client asked for them, or where it must not miss them: `expected` (name to
    /// boolean), `policy`, `report`, `details.tcb_shortfalls` of an outdated platform, and `details.simulated` of a
    /// simulated TEE.
    ///
    /// - Parameter pretty: whether to indent.
    package func json(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.object { object in
            object.member("is_valid", isValid)
            object.object("details") { details.write(to: &$0) }
            object.member("reason", reason)
            if !expectations.isEmpty {
                object.object("expected") { item in
                    for (name, isMet) in expectations { item.member(name, isMet) }
                }
            }
            if let policy {
                object.object("policy") { item in
                    item.member("name", policy.name)
                    item.member("satisfied", policy.isSatisfied)
                }
            }
            if let report { object.object("report") { report.write(to: &$0) } }
        }
        return writer.bytes
    }
}

extension VerifierResponse.Details {
    fileprivate func write(to object: inout JSONWriter.Object) {
        object.member("quote_verified", isQuoteVerified)
        object.member("event_log_verified", isEventLogVerified)
        object.member("os_image_hash_verified", isOSImageVerified)
        object.member("acpi_tables_verified", areACPITablesVerified)
        // Known from the image's own metadata only, which this service does not download.
        object.null("os_image_is_dev")
        object.null("os_image_version")
        object.member("tee_variant", teeVariant)
        object.member("report_data", reportData?.hex)
        object.member("tcb_status", tcbStatus?.rawValue)
        object.member("advisory_ids", advisoryIDs)
        if let keyProvider {
            object.object("key_provider") { item in
                item.member("name", keyProvider.kind.rawValue)
                item.member("id", Hex.encode(keyProvider.id))
            }
        } else {
            object.null("key_provider")
        }
        if let appInfo {
            object.raw("app_info", Array(appInfo.json.utf8))
            object.object("boot_info") { writeBootInfo(appInfo, to: &$0) }
        } else {
            object.null("app_info")
        }
        if let registerMismatches {
            object.array("rtmr_debug") { array in
                for mismatch in registerMismatches { array.object { mismatch.write(to: &$0) } }
            }
        }
        if !tcbShortfalls.isEmpty {
            object.array("tcb_shortfalls") { array in
                for shortfall in tcbShortfalls { array.object { shortfall.write(to: &$0) } }
            }
        }
        if isSimulated { object.member("simulated", true) }
    }

    /// What boot authorization is asked about, in its own spelling.
    private func writeBootInfo(_ info: AppInfo, to object: inout JSONWriter.Object) {
        object.member("teeVariant", teeVariant)
        object.member("mrAggregated", info.mrAggregated.hex)
        object.member("osImageHash", info.osImageHash?.hex ?? "")
        object.member("mrSystem", info.mrSystem.hex)
        object.member("appId", info.appID.description)
        object.member("composeHash", info.composeHash.description)
        object.member("instanceId", info.instanceID?.description ?? "")
        object.member("deviceId", info.deviceID.description)
        object.member("keyProviderInfo", Hex.encode(info.keyProviderInfo))
        object.member("tcbStatus", tcbStatus?.rawValue ?? "")
        object.member("advisoryIds", advisoryIDs)
    }
}
