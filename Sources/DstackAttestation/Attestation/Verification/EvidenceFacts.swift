public import DstackEncoding

/// What the evidence beside the quote says, once replayed. To be believed only under an accepted verdict.
public struct EvidenceFacts: Sendable {
    /// The event log.
    public let replayed: ReplayedEventLog
    /// Who the application is; nil if its events do not say so.
    public internal(set) var identity: ApplicationIdentity?
    /// What authorizers know it by; nil without an identity.
    public internal(set) var measurements: ApplicationMeasurements?
    /// All of it in the form that agents and certificates use; nil without an identity.
    public internal(set) var appInfo: AppInfo?
    /// The OS image, if its measurements were found in the quote.
    public internal(set) var osImageHash: FixedBytes<32>?
    /// Whether the content of the ACPI tables was verified, and not only their digests.
    public internal(set) var areACPITablesVerified = false
    /// What this evidence could not show.
    public internal(set) var notChecked: [String] = []

    init(_ replayed: ReplayedEventLog) { self.replayed = replayed }

    func write(to object: inout JSONWriter.Object) {
        if let appInfo {
            object.raw("app_info", Array(appInfo.json.utf8))
        } else {
            object.null("app_info")
        }
        if let provider = identity?.keyProvider {
            object.object("key_provider") { item in
                item.member("name", provider.kind.rawValue)
                item.member("id", Hex.encode(provider.id))
            }
        } else {
            object.null("key_provider")
        }
        object.object("event_log") { log in
            for register in RTMR.allCases {
                // What a log does not tell must not be taken for what it leads to.
                log.member(
                    "rtmr\(register.rawValue)",
                    replayed.tells(register) ? replayed.registers[register].hex : String?.none)
            }
            log.member("events", replayed.log.events.count)
            log.array("runtime_events") { array in
                for event in replayed.runtimeEvents {
                    array.object { item in
                        item.member("event", event.name)
                        item.member("payload", Hex.encode(event.payload))
                    }
                }
            }
        }
        object.member("os_image_hash_verified", osImageHash != nil)
        object.member("acpi_tables_verified", areACPITablesVerified)
    }
}
