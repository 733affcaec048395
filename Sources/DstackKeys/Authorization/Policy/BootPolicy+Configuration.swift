package import DstackConfiguration
import DstackCrypto
import DstackEncoding

extension BootPolicy {
    /// Reads a policy's TOML.
    ///
    /// ```toml
    /// gateway_app_id = "0x…"
    ///
    /// [defaults]
    /// os_images = ["…"]
    /// any_device = true
    ///
    /// [[rule]]
    /// name = "shop"
    /// for = "app"
    /// apps = ["…"]
    /// compose_hashes = ["…"]
    /// ```
    ///
    /// - Throws: everything that is wrong: keys that are not known, values of another length, lists without entries, what a
    ///   rule must state and does not.
    package init(parsing toml: String, source: String) throws(ConfigurationError) {
        self = try Configuration(.text(toml, source: source)).read { BootPolicy($0) }
    }

    private init(_ reader: ConfigurationReader) {
        let gateway = reader.optional("gateway_app_id", .hex(bytes: 20))
        let isAnyGateway = reader.value("any_gateway", .boolean, default: false)
        if gateway != nil, isAnyGateway { reader.reject("any_gateway", "excludes gateway_app_id: keep one of them") }
        gatewayAppID = isAnyGateway ? "any" : gateway.map { "0x" + Hex.encode($0) } ?? ""
        let defaults = reader.table("defaults") { StatedConditions($0) }
        var names: Set<String> = []
        rules = reader.tables("rule") { table in
            let name = table.value("name", .nonEmptyString)
            if !name.isEmpty, !names.insert(name).inserted {
                table.reject("name", "there is a rule of that name before it")
            }
            let subject = table.value("for", .choice(standIn: BootSubject.app))
            return Rule(
                name: name, subject: subject,
                conditions: StatedConditions(table, isRule: true).conditions(for: subject, defaults, table))
        }
        if rules.isEmpty { reader.reject("rule", "is missing: without any [[rule]] nothing could boot") }
    }
}

/// The conditions that a table of the policy states.
private struct StatedConditions {
    private var stated: [BootCondition.Fact: BootCondition.Accepted] = [:]

    /// - Parameter isRule: what only a rule can say makes no sense for all of them.
    init(_ reader: ConfigurationReader, isRule: Bool = false) {
        state(.teeVariant, reader, "tee_variants", .nonEmptyString, nil)
        state(.tcbStatus, reader, "tcb_statuses", .nonEmptyString, nil)
        state(.osImage, reader, "os_images", .digest, nil)
        state(.device, reader, "devices", .device, "any_device")
        state(.keyProvider, reader, "key_providers", .keyProvider, nil)
        // The one list that may be empty: it says that no advisory is accepted.
        let isAnyAdvisory = reader.value("any_advisory", .boolean, default: false)
        if reader.has("advisories") {
            if isAnyAdvisory { reader.reject("any_advisory", "excludes advisories: keep one of them") }
            stated[.advisories] = .only(reader.values("advisories", .nonEmptyString))
        } else if isAnyAdvisory {
            stated[.advisories] = .any
        }
        guard isRule else { return }
        state(.mrAggregated, reader, "mr_aggregated", .digest, nil)
        state(.mrSystem, reader, "mr_system", .digest, nil)
        state(.app, reader, "apps", .identifier, "any_app")
        state(.composeHash, reader, "compose_hashes", .digest, "any_compose_hash")
        state(.instance, reader, "instances", .identifier, nil)
    }

    private mutating func state(
        _ fact: BootCondition.Fact, _ reader: ConfigurationReader, _ list: String,
        _ type: ConfigurationType<String>, _ waiver: String?
    ) {
        let values = reader.restriction(list, type)
        let isAny = waiver.map { reader.value($0, .boolean, default: false) } ?? false
        if let waiver, isAny, reader.has(list) { reader.reject(waiver, "excludes \(list): keep one of them") }
        if isAny { stated[fact] = .any } else if reader.has(list) { stated[fact] = .only(values) }
    }

    /// What a rule must say something about, itself or by the defaults, and how it could.
    private static func required(_ subject: BootSubject) -> [(fact: BootCondition.Fact, key: String, how: String)] {
        let own: [(BootCondition.Fact, String, String)] =
            switch subject {
            case .kms: [(.mrAggregated, "mr_aggregated", "list what is accepted")]
            case .app:
                [
                    (.app, "apps", "list what is accepted, or say any_app = true"),
                    (.composeHash, "compose_hashes", "list what is accepted, or say any_compose_hash = true"),
                ]
            }
        return own + [
            (.osImage, "os_images", "list what is accepted"),
            (.device, "devices", "list what is accepted, or say any_device = true"),
        ]
    }

    /// The conditions of a rule: its own, and the defaults for what it says nothing about.
    func conditions(
        for subject: BootSubject, _ defaults: StatedConditions, _ reader: ConfigurationReader
    ) -> [BootCondition] {
        var all = defaults.stated.merging(stated) { $1 }
        for (fact, key, how) in Self.required(subject) where all[fact] == nil {
            reader.reject(key, "is missing: \(how)")
        }
        all[.tcbStatus] = all[.tcbStatus] ?? .only(["UpToDate"])
        all[.advisories] = all[.advisories] ?? .only([])
        return BootCondition.Fact.allCases.compactMap { fact in
            all[fact].map { BootCondition(fact: fact, accepted: $0) }
        }
    }
}

extension ConfigurationType<String> {
    fileprivate static var digest: ConfigurationType { fixed(32, "32 bytes in hexadecimal (64 digits)") }
    fileprivate static var identifier: ConfigurationType { fixed(20, "20 bytes in hexadecimal (40 digits)") }

    /// A device by its hash, or an SNP chip's identifier as it is.
    fileprivate static var device: ConfigurationType {
        .text(
            expecting: "32 bytes in hexadecimal (64 digits), or the 64 bytes of an SNP chip's identifier", standIn: ""
        ) { text in
            guard let bytes = try? Hex.decode(text, prefix: .optional, subject: "device") else { return nil }
            return switch bytes.count {
            // What all Nitro enclaves have in common names no device.
            case 32: bytes == DeviceIdentifier.ofAllEnclaves.bytes ? nil : Hex.encode(bytes)
            case 64: SHA256.hash(bytes).hex
            default: nil
            }
        }
    }

    fileprivate static var keyProvider: ConfigurationType {
        .text(expecting: "\"none\", a name such as \"kms\", or a name and an id such as \"kms:3059…\"", standIn: "") {
            let parts = $0.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first, !name.isEmpty else { return nil }
            guard parts.count == 2 else { return $0 }
            return parts[1].isEmpty ? nil : "\(name):\(parts[1].lowercased())"
        }
    }

    private static func fixed(_ count: Int, _ expectation: String) -> ConfigurationType {
        .text(expecting: expectation, standIn: "") { text in
            guard let bytes = try? Hex.decode(text, prefix: .optional, subject: "bytes"), bytes.count == count else {
                return nil
            }
            return Hex.encode(bytes)
        }
    }
}
