import DstackEncoding

/// One thing that a rule wants of a machine: a fact, and the values that are accepted for it.
package struct BootCondition: Sendable, Hashable {
    package enum Fact: String, Sendable, Hashable, CaseIterable {
        case teeVariant = "tee_variant"
        case tcbStatus = "tcb_status"
        case advisories
        case osImage = "os_image"
        case mrAggregated = "mr_aggregated"
        case mrSystem = "mr_system"
        case app
        case composeHash = "compose_hash"
        case instance
        case device
        case keyProvider = "key_provider"

        /// The values of it that a machine has; all of them must be accepted. Empty for what it has not, but for advisories.
        func values(of info: BootInfo) -> [String] {
            switch self {
            case .teeVariant: [info.teeVariant].compactMap { $0 }
            case .tcbStatus: [info.tcbStatus.isEmpty ? BootCondition.none : info.tcbStatus]
            case .advisories: info.advisoryIDs
            case .osImage: [info.osImageHash?.hex].compactMap { $0 }
            case .mrAggregated: [info.mrAggregated.hex]
            case .mrSystem: [info.mrSystem?.hex].compactMap { $0 }
            case .app: [info.appID.hex]
            case .composeHash: [info.composeHash.hex]
            case .instance: [info.instanceID?.hex].compactMap { $0 }
            case .device: [info.deviceID.hex]
            case .keyProvider: [KeyProviderName(info.keyProviderInfo).text]
            }
        }

        /// Whether a machine without any value of it fulfils what is wanted.
        var mayBeAbsent: Bool { self == .advisories }
    }

    package enum Accepted: Sendable, Hashable {
        /// Said in as many words; no list stands for it.
        case any
        case only([String])
    }

    /// How rules name that there is no status, or no key provider.
    static let none = "none"

    package let fact: Fact
    package let accepted: Accepted

    /// What a machine has, and whether that will do.
    func outcome(for info: BootInfo) -> BootExplanation.Condition {
        let found = fact.values(of: info)
        guard case .only(let list) = accepted else {
            return .init(fact: fact, found: found, expected: [], isAnyAccepted: true, holds: true)
        }
        let isThere = !found.isEmpty || fact.mayBeAbsent
        return .init(
            fact: fact, found: found, expected: list, isAnyAccepted: false,
            holds: isThere && found.allSatisfy { value in list.contains { fact.matches($0, value) } })
    }
}

extension BootCondition.Fact {
    /// Whether an accepted value covers one that was found.
    fileprivate func matches(_ accepted: String, _ found: String) -> Bool {
        guard self == .keyProvider, !accepted.contains(":") else { return accepted == found }
        return found == accepted || found.hasPrefix(accepted + ":")
    }
}

/// Where a machine has its keys from, as rules name it: `kms:` and the identifier, `none` where nothing is measured.
struct KeyProviderName {
    let text: String

    init(_ measured: [UInt8]) {
        guard !measured.isEmpty else {
            text = BootCondition.none
            return
        }
        // What is not of the known form is nobody's name.
        guard let root = try? JSONDocument(parsing: measured, subject: "key provider", maximumDepth: 4).root,
            let name = try? root["name"]?.string(), let id = try? root["id"]?.string(),
            !name.isEmpty, !name.contains(":")
        else {
            text = "unknown"
            return
        }
        text = id.isEmpty ? name : "\(name):\(id.lowercased())"
    }
}
