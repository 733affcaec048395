import DstackEncoding

/// What the host told this instance (`.sys-config.json`). Nobody signed it: addresses in it are where to ask, never whom
/// to believe.
struct SystemConfiguration: Sendable {
    /// The file's exact text, which is in the evidence.
    let text: String
    /// JSON text, passed on as it is.
    let vmConfig: String
    let kmsURLs: [String]
    /// Where the host listens, for what it is told; empty for nowhere.
    let hostAPIURL: String

    static let maximumByteCount = 1 << 20

    /// - Throws: ``GuestError/Code/invalidFile`` naming the member that is missing or not of its type.
    init(contentsOf path: String) throws(GuestError) {
        self = try GuestFileReading.read(
            path, limit: Self.maximumByteCount, what: "system configuration", setting: "core.sys_config_file"
        ) { (bytes) throws(DecodingFailure) in try SystemConfiguration(parsing: bytes) }
    }

    init(parsing bytes: [UInt8]) throws(DecodingFailure) {
        let root = try JSONDocument(parsing: bytes, subject: "sys-config", maximumValues: 1 << 16).root
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        text = String(decoding: bytes, as: UTF8.self)
        vmConfig = try root.member("vm_config").string()
        hostAPIURL = try root.optionalMember("host_api_url")?.string() ?? ""
        var urls: [String] = []
        if let list = try root.optionalMember("kms_urls") {
            for element in try list.array() { urls.append(try element.string()) }
        }
        kmsURLs = urls
    }
}
