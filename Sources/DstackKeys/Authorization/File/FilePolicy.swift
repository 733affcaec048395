package import DstackEncoding
import DstackSystem

/// The rules of upstream's auth-simple, as its `auth-config.json` has them.
package struct FilePolicy: Sendable {
    /// On which devices something may run.
    struct Devices: Sendable {
        var allowsAny = false
        var listed = AllowedHex(bytes: 32)
    }

    struct App: Sendable {
        /// As it is compared: lower case, with prefix.
        let id: String
        let composeHashes: AllowedHex
        let devices: Devices
    }

    var gatewayAppID = ""
    var kmsContractAddress = AuthorizerInfo.noContract
    var appImplementation = AuthorizerInfo.noContract
    var chainID: UInt64 = 0
    var osImages = AllowedHex(bytes: 32)
    var allowedTCBStatuses: Set<String> = ["UpToDate"]
    var allowedAdvisoryIDs: Set<String> = []
    var kmsMeasurements = AllowedHex(bytes: 32)
    var kmsDevices = Devices()
    /// In the order of the file: of two that mean the same, the first counts.
    var apps: [App] = []
    /// Upstream's reading of an empty device list, which opens what somebody meant to list. A key of our own asks for it.
    var emptyDevicesMeanAny = false
    /// What whoever wrote the file should know.
    var remarks: [String] = []

    /// What no file says, and one that cannot be used: everything is denied.
    init() {}

    // MARK: Deciding

    /// In upstream's order and words; the first test that fails denies.
    func decision(on info: BootInfo, as subject: BootSubject) -> BootDecision {
        switch denial(of: info, as: subject) {
        case let reason?: .denied(reason, gatewayAppID: gatewayAppID)
        case nil: .allowed(gatewayAppID: gatewayAppID)
        }
    }

    private func denial(of info: BootInfo, as subject: BootSubject) -> String? {
        if !allowedTCBStatuses.contains(info.tcbStatus) { return "TCB status is not allowed" }
        if !allowedAdvisoryIDs.isSuperset(of: info.advisoryIDs) { return "advisory ID is not allowed" }
        guard let image = info.osImageHash, osImages.contains(image) else { return "OS image is not allowed" }
        switch subject {
        case .kms:
            if !kmsMeasurements.contains(info.mrAggregated) { return "aggregated MR not allowed" }
            return allows(info.deviceID, kmsDevices) ? nil : "KMS is not allowed to boot on this device"
        case .app:
            let id = "0x" + info.appID.hex
            guard let app = apps.first(where: { $0.id == id }) else { return "app not registered" }
            if !app.composeHashes.contains(info.composeHash) { return "compose hash not allowed" }
            return allows(info.deviceID, app.devices) ? nil : "app is not allowed to boot on this device"
        }
    }

    private func allows(_ device: FixedBytes<32>, _ devices: Devices) -> Bool {
        devices.allowsAny || (devices.listed.isEmpty && emptyDevicesMeanAny) || devices.listed.contains(device)
    }

    // MARK: Reading

    /// Reads a file's JSON. Keys that are not known are ignored, as upstream does, and remarked upon.
    ///
    /// - Throws: for a text that is no such object, or a known key of another type.
    package init(parsingJSON bytes: [UInt8], subject: String) throws(DecodingFailure) {
        let root = try JSONDocument(parsing: bytes, subject: subject, maximumDepth: 16).root
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        remark(
            unknownIn: root, "",
            known: [
                "gatewayAppId", "kmsContractAddr", "appImplementation", "chainId", "osImages", "allowedTcbStatuses",
                "allowedAdvisoryIds", "kms", "apps", "emptyDevicesMeanAny",
            ])
        if let node = root["gatewayAppId"] { gatewayAppID = try node.string() }
        if let node = root["kmsContractAddr"] { kmsContractAddress = try node.string() }
        if let node = root["appImplementation"] { appImplementation = try node.string() }
        if let node = root["chainId"] { chainID = try node.integer() }
        if let node = root["emptyDevicesMeanAny"] { emptyDevicesMeanAny = try node.bool() }
        osImages = try hexes(root["osImages"], "osImages")
        if let node = root["allowedTcbStatuses"] { allowedTCBStatuses = Set(try node.strings()) }
        if let node = root["allowedAdvisoryIds"] { allowedAdvisoryIDs = Set(try node.strings()) }
        if let kms = root["kms"] {
            guard kms.kind == .object else { throw kms.failure("an object expected, found \(kms.kindName)") }
            remark(unknownIn: kms, "kms.", known: ["mrAggregated", "devices", "allowAnyDevice"])
            kmsMeasurements = try hexes(kms["mrAggregated"], "kms.mrAggregated")
            kmsDevices = try devices(kms, "kms")
        }
        if let node = root["apps"] { try readApps(node) }
        if emptyDevicesMeanAny { remarks.append("emptyDevicesMeanAny: an empty device list allows any device") }
    }

    private mutating func readApps(_ node: JSONNode) throws(DecodingFailure) {
        guard node.kind == .object else { throw node.failure("an object expected, found \(node.kindName)") }
        for (id, app) in node.members {
            guard app.kind == .object else { throw app.failure("an object expected, found \(app.kindName)") }
            let name = "apps.\(SafeText.line(id, limit: 80))"
            remark(unknownIn: app, name + ".", known: ["composeHashes", "devices", "allowAnyDevice"])
            let read = App(
                id: AllowedHex.normalized(id),
                composeHashes: try hexes(app["composeHashes"], name + ".composeHashes"),
                devices: try devices(app, name))
            if FixedBytes<20>(hex: id) == nil { remarks.append("\(name): no id of 20 bytes, which matches nothing") }
            if apps.contains(where: { $0.id == read.id }) {
                remarks.append("\(name): there is the same id before it, which counts")
            }
            apps.append(read)
        }
    }

    private mutating func devices(_ node: JSONNode, _ name: String) throws(DecodingFailure) -> Devices {
        let read = Devices(
            allowsAny: try node["allowAnyDevice"]?.bool() ?? false,
            listed: try hexes(node["devices"], name + ".devices", areDevices: true))
        if read.listed.isEmpty, !read.allowsAny, !emptyDevicesMeanAny {
            remarks.append(
                "\(name).devices is empty, which allows no device: list some, or say allowAnyDevice")
        }
        return read
    }

    private mutating func hexes(
        _ node: JSONNode?, _ name: String, areDevices: Bool = false
    ) throws(DecodingFailure) -> AllowedHex {
        let list = AllowedHex(try node?.strings() ?? [], bytes: 32, areDevices: areDevices)
        for place in list.useless {
            remarks.append(
                "\(name)[\(place)] matches nothing: \(areDevices ? "no single device has it" : "it is no 32 bytes")")
        }
        return list
    }

    private mutating func remark(unknownIn node: JSONNode, _ path: String, known: [String]) {
        for (name, _) in node.members where !known.contains(name) {
            let suggestion = Suggestion.closest(to: name, among: known).map { ": did you mean \($0)?" } ?? ""
            remarks.append("\(path)\(SafeText.line(name, limit: 80)) is not known and ignored\(suggestion)")
        }
    }
}

extension JSONNode {
    fileprivate func strings() throws(DecodingFailure) -> [String] {
        var strings: [String] = []
        for element in try array() { strings.append(try element.string()) }
        return strings
    }
}
