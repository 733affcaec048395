internal import DstackCrypto
public import DstackEncoding

/// What version 3 of ``MRConfigID`` pins, as a JSON document. On SEV-SNP its hash is HOST_DATA.
///
/// Members that are absent are not pinned.
public struct MRConfigDocument: Sendable, Hashable {
    /// What is run.
    public var composeHash: ComposeHash
    /// What kind of key provider is used.
    public var keyProvider: KeyProviderInfo.Kind
    /// Which application it is.
    public var appID: AppID?
    /// The policy for GPUs; written for launches with GPUs.
    public var gpuPolicyHash: FixedBytes<32>?
    /// Which key provider is used.
    public var keyProviderID: [UInt8]?
    /// Which instance it is.
    public var instanceID: InstanceID?
    /// The init scripts in the order in which they run; an empty list pins that there are none.
    public var initScriptHashes: [FixedBytes<32>]?

    /// A document from what every one has; other members can be set afterwards.
    public init(composeHash: ComposeHash, keyProvider: KeyProviderInfo.Kind) {
        self.composeHash = composeHash
        self.keyProvider = keyProvider
    }

    /// The hash of a document's text, exactly as it was received: readers never write it anew.
    public static func hash(_ document: String) -> FixedBytes<32> {
        SHA256.hash(Array("dstack-mr-config-v3:".utf8) + [0] + document.utf8)
    }

    /// Reads a document.
    ///
    /// - Throws: ``AttestationError/Code/invalidIdentity`` for unknown members, another version and values of the wrong
    ///   length.
    public init(parsing document: String) throws(AttestationError) {
        self = try AttestationError.decoding(.invalidIdentity) { () throws(DecodingFailure) in
            try MRConfigDocument(JSONDocument(parsing: document, subject: "mr_config", maximumDepth: 8).root)
        }
    }

    private init(_ root: JSONNode) throws(DecodingFailure) {
        try root.expectOnlyMembers([
            "version", "app_id", "compose_hash", "gpu_policy_hash", "key_provider", "key_provider_id", "instance_id",
            "init_script_hashes",
        ])
        if let version = try root.optionalMember("version"), try version.integer(UInt32.self) != 3 {
            throw version.failure("3 is needed", .unsupported)
        }
        let providerNode = try root.member("key_provider")
        guard let provider = KeyProviderInfo.Kind(configurationName: try providerNode.string()) else {
            throw providerNode.failure("known are none, local, kms and tpm", .unsupported)
        }
        composeHash = ComposeHash(try root.member("compose_hash").fixedHex(prefix: .none))
        keyProvider = provider
        if let node = try root.optionalMember("app_id") { appID = AppID(try node.fixedHex(prefix: .none)) }
        if let node = try root.optionalMember("gpu_policy_hash") { gpuPolicyHash = try node.fixedHex(prefix: .none) }
        keyProviderID = try root.optionalMember("key_provider_id")?.hexBytes(prefix: .none)
        if let node = try root.optionalMember("instance_id") {
            instanceID = InstanceID(try node.fixedHex(prefix: .none))
        }
        if let node = try root.optionalMember("init_script_hashes") {
            var hashes: [FixedBytes<32>] = []
            for element in try node.array() { hashes.append(try element.fixedHex(prefix: .none)) }
            initScriptHashes = hashes
        }
    }

    /// The document as hosts write it: RFC 8785, i.e. members sorted and no space. Absent members are left out, and so
    /// is a key provider's id of no bytes.
    public var canonicalText: String {
        var members: [String] = []
        func add(_ name: String, _ hex: String?) {
            if let hex { members.append("\"\(name)\":\"\(hex)\"") }
        }
        add("app_id", appID?.description)
        add("compose_hash", composeHash.description)
        add("gpu_policy_hash", gpuPolicyHash?.hex)
        if let initScriptHashes {
            let list = initScriptHashes.map { "\"\($0.hex)\"" }.joined(separator: ",")
            members.append("\"init_script_hashes\":[\(list)]")
        }
        add("instance_id", instanceID?.description)
        add("key_provider", keyProvider.configurationName)
        if let keyProviderID, !keyProviderID.isEmpty { add("key_provider_id", Hex.encode(keyProviderID)) }
        members.append("\"version\":3")
        return "{" + members.joined(separator: ",") + "}"
    }

    /// Checks that an instance is what the document pins.
    func check(_ identity: ApplicationIdentity) throws(AttestationError) {
        func compare(_ field: String, _ pinned: String?, _ found: String?) throws(AttestationError) {
            guard let pinned, pinned != found else { return }
            throw MRConfigID.mismatch(field, pinned, found ?? "none")
        }
        try compare("compose_hash", composeHash.description, identity.composeHash.description)
        try compare("app_id", appID?.description, identity.appID.description)
        try compare("instance_id", instanceID?.description, identity.instanceID?.description)
        try compare("gpu_policy_hash", gpuPolicyHash?.hex, identity.gpuPolicyHash?.hex)
        func list(_ hashes: [FixedBytes<32>]) -> String { hashes.map { $0.hex }.joined(separator: " ") }
        try compare("init_script_hashes", initScriptHashes.map(list), list(identity.initScriptHashes))
        // At boot time there is no key provider yet; the guest itself compares it before it goes on.
        guard identity.moment == .runtime else { return }
        try compare("key_provider", keyProvider.rawValue, identity.keyProvider?.kind.rawValue)
        if let keyProviderID, !keyProviderID.isEmpty {
            try compare(
                "key_provider_id", Hex.encode(keyProviderID), (identity.keyProvider?.id).map { Hex.encode($0) })
        }
    }
}
