import DstackAttestation
import DstackConfiguration
import DstackHTTPClient
import DstackKMS
import DstackNetwork
import DstackSystem

extension ConfigurationReader {
    /// Says of each of some keys that is there why it is without effect.
    func note(_ keys: [String], _ message: String, to note: (ConfigurationProblem) -> Void) {
        let present = presentKeys
        for key in keys where has(key) {
            if let problem = present.first(where: { $0.key == key })?.problem(message) { note(problem) }
        }
    }

    /// Says of a path that is not where the file is that it is without effect.
    func notePath(_ key: String, _ path: String, to note: (ConfigurationProblem) -> Void) {
        guard let given = optional(key, .path), given != path else { return }
        self.note([key], "has no effect: the file is \(path), by core.cert_dir", to: note)
    }

    /// Threads, timers and levels of upstream's web framework: there are none such here.
    func noteFrameworkKeys(to note: (ConfigurationProblem) -> Void) {
        let keys = [
            "workers", "max_blocking", "temp_dir", "keep_alive", "log_level", "limits", "cli_colors", "shutdown",
            "ip_header", "proxy_proto_header", "secret_key", "http_versions",
        ]
        self.note(keys, "has no effect: there is no such thing here", to: note)
    }

    /// Refuses what said in other releases who gets keys: without it, whoever it kept out might have some. Of a name that nobody
    /// knows, one that allows, denies or requires something is taken for such.
    ///
    /// - Parameter known: keys of today.
    func refuseFormerRestrictions(but known: Set<String>) {
        for (key, _) in presentKeys where Self.mayRestrict(key) && !known.contains(key) {
            _ = has(key)
            reject(key, "restricts nothing here: who may boot is decided by core.auth_api alone; say it there")
        }
    }

    private static func mayRestrict(_ key: String) -> Bool {
        if key == "boot_authority" || key == "upgrade_registry_dir" { return true }
        let words: Set = [
            "allow", "allows", "allowed", "deny", "denied", "require", "requires", "required", "forbid", "forbidden",
            "restrict", "restricted",
        ]
        return key.lowercased().split(whereSeparator: { $0 == "_" || $0 == "-" }).contains { words.contains("\($0)") }
    }

    /// Where a listener listens.
    func address(_ presetAddress: String, _ presetPort: UInt16) -> (String, UInt16) {
        (
            value("address", .ipAddress, default: presetAddress),
            UInt16(clamping: value("port", .integer(in: 0...65_535), default: Int(presetPort)))
        )
    }

    /// URLs, one or several. What stands in them is not repeated: some have keys in their paths.
    func addresses(_ key: String, schemes: Set<String>, _ expectation: String) -> [String] {
        let urls = oneOrMore(key, .secret)
        for url in urls {
            do throws(HTTPClientError) {
                let origin = try HTTPOrigin(of: url)
                if !schemes.contains(origin.scheme) || url.contains(where: { "?#@".contains($0) }) {
                    reject(key, "expected \(expectation), without user, query and fragment")
                }
            } catch {
                reject(key, "expected \(expectation): \(error.reason)")
            }
        }
        return urls
    }
}

extension String {
    /// The path of a directory without slashes at its end.
    var withoutSlash: String {
        var path = self[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }
}

extension ConfigurationType<String> {
    static var ipAddress: ConfigurationType {
        .text(expecting: "an IP address such as 127.0.0.1 or ::1", standIn: "127.0.0.1") { text in
            InternetAddress(text) == nil ? nil : text
        }
    }

    /// The address pattern of images.
    static var imageURL: ConfigurationType {
        .text(expecting: "an http or https URL with {OS_IMAGE_HASH} in it", standIn: "") { text in
            let isHTTP = text.hasPrefix("http://") || text.hasPrefix("https://")
            return isHTTP && text.contains("{OS_IMAGE_HASH}") ? text : nil
        }
    }

    /// What can be sent as a header's value.
    static var headerValue: ConfigurationType {
        .text(expecting: "a line of ASCII text", standIn: "") { text in
            text.utf8.allSatisfy { (0x20...0x7E).contains($0) } && !text.isEmpty ? text : nil
        }
    }

    /// The name of a host, or nothing.
    static var domainOrEmpty: ConfigurationType {
        .text(expecting: "the DNS name of a host, at most 253 bytes", standIn: "") { text in
            text.isEmpty || (try? KMSDomainName(text)) != nil ? text : nil
        }
    }
}

extension ConfigurationType<CertificateNamePattern> {
    /// What names are compared with.
    static var namePattern: ConfigurationType {
        .text(
            expecting: "a pattern of names: *, a host, *. and a host, an address, or a network such as 10.0.0.0/8",
            standIn: .any
        ) { text in try? CertificateNamePattern(text) }
    }
}

extension ConfigurationType<[CollateralEndpoint]> {
    /// Services, several with commas or white space between them.
    static var collateralServices: ConfigurationType {
        .text(expecting: "an http or https URL such as https://pccs.phala.network", standIn: []) { text in
            try? CollateralEndpoint.list(text)
        }
    }
}

extension ConfigurationType<Duration> {
    /// More than nothing: a time of zero would be over before it begins.
    static var positiveDuration: ConfigurationType {
        .text(expecting: "a duration of more than nothing, such as 30s, 5m or 90d", standIn: .seconds(1)) { text in
            DurationText.parse(text).flatMap { $0 > .zero ? $0 : nil }
        }
    }
}
