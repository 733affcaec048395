import DstackAttestation
import DstackConfiguration
import DstackHTTPServer
import DstackSystem
import Glibc

/// Settings of the verifier service: upstream's TOML keys, and tables of our own for what upstream has no keys for.
struct VerifierConfiguration {
    /// The address to listen at.
    let address: String
    let port: UInt16
    let limits: HTTPServerLimits
    let policy: Policy
    let collateral: Collateral
    /// Path of another root than Intel's; nil for Intel's.
    let trustRoot: String?
    /// Keys that are there and have no effect here.
    let withoutEffect: [String]

    enum Policy: Equatable {
        case preset(String)
        case file(String)
    }

    struct Collateral {
        /// A file or directory to take collateral from, in place of services.
        let offline: String?
        /// Base URLs of the services that are asked, as ``CollateralEndpoint/list(_:)-(String...)`` reads them; nil for the defaults.
        let service: String?
        /// Where downloads are kept.
        let cacheDirectory: String?
        /// Authorities for the service's own certificate, PEM.
        let tlsAuthorities: String?
    }

    /// The file that is read where none is named, if it is there; upstream's default.
    private static let defaultPath = "dstack-verifier.toml"

    /// Reads the settings: the file, then `DSTACK_VERIFIER_…` variables with `__` between table and key.
    ///
    /// - Throws: ``ConfigurationError`` with everything that is wrong, unknown keys included.
    static func load(
        _ path: String?, environment: Environment = .process
    ) throws(ConfigurationError) -> VerifierConfiguration {
        try Configuration(
            path.map { .file($0) } ?? .file(defaultPath, ifPresent: true),
            .environment(prefix: "DSTACK_VERIFIER_", from: environment)
        ).read { VerifierConfiguration($0, environment) }
    }

    private init(_ reader: ConfigurationReader, _ environment: Environment) {
        address = reader.value("address", .ipAddress, default: "0.0.0.0")
        port = UInt16(truncatingIfNeeded: reader.value("port", .integer(in: 1...65_535), default: 8080))
        var unused: [String] = []
        // Checked as upstream checks them, so that a file that is good there is good here and the other way round.
        if reader.optional("image_cache_dir", .nonEmptyString) != nil { unused.append("image_cache_dir") }
        if reader.optional("image_download_url", .imageURL) != nil { unused.append("image_download_url") }
        if reader.optional("image_download_timeout_secs", .integer(in: 1...Int(Int32.max))) != nil {
            unused.append("image_download_timeout_secs")
        }
        let attestation = reader.table("attestation") { AttestationSettings($0, &unused) }
        trustRoot = attestation.trustRoot
        limits = reader.table("limits") { Self.limits($0) }
        policy = reader.table("policy") { table in
            let preset = table.optional("preset", .choice(["authentic", "standard", "strict"]))
            let file = table.optional("file", .path)
            if preset != nil, file != nil { table.reject("file", "excludes policy.preset: keep one of them") }
            return file.map { .file($0) } ?? .preset(preset ?? "standard")
        }
        // Services that are named are asked alone. A name that got lost would have the default ones asked.
        let service = attestation.pccs ?? environment.variables["PCCS_URL"]
        if service?.isEmpty == true {
            reader.rejectVariable("PCCS_URL", "expected an http or https URL, found nothing: give one, or unset it")
        }
        collateral = reader.table("collateral") { table in
            Collateral(
                offline: table.optional("offline", .path), service: service,
                cacheDirectory: table.optional("cache_dir", .path),
                tlsAuthorities: table.optional("tls_authorities", .path))
        }
        withoutEffect = unused
    }

    private struct AttestationSettings {
        let pccs: String?
        let trustRoot: String?

        init(_ reader: ConfigurationReader, _ unused: inout [String]) {
            let isExternalAllowed = reader.value("insecure_allow_external_trust_anchors", .boolean, default: false)
            var others: [String] = []
            pccs = reader.table("urls") { table in
                if table.optional("amd_kds", .nonEmptyString) != nil { others.append("attestation.urls.amd_kds") }
                return table.optional("pccs", .serviceURL)
            }
            trustRoot = reader.table("root_ca") { table in
                let names = [
                    "gcp_tpm", "aws_nitro_enclave", "aws_nitro_tpm", "sev_snp_milan", "sev_snp_genoa", "sev_snp_turin",
                ]
                for name in names where table.optional(name, .path) != nil {
                    others.append("attestation.root_ca.\(name)")
                }
                // Whoever can place a root decides what is genuine; a second key keeps it from happening in passing.
                for name in ["tdx"] + names where table.has(name) && !isExternalAllowed {
                    table.reject(
                        name, "another trust anchor needs attestation.insecure_allow_external_trust_anchors = true")
                }
                return table.optional("tdx", .path)
            }
            unused += others
        }
    }

    /// Bounds for a service that anybody may ask.
    ///
    /// Real requests have 20 to 400 KB, so that 2 MiB leave room for logs to grow. Reading the densest JSON takes some
    /// fifteen times its size, at once for as many requests as there are cores; one that waits for collateral holds a few
    /// times its size. With 32 under way that stays under 1 GiB. Upstream takes 1 MiB and any number.
    private static func limits(_ reader: ConfigurationReader) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = reader.value("max_body", .byteCount, default: 2 << 20)
        limits.maximumRequestsInFlight = reader.value("max_requests", .integer(in: 1...4096), default: 32)
        limits.maximumConnections = reader.value("max_connections", .integer(in: 1...65_536), default: 1024)
        limits.handlerTimeout = reader.value("request_timeout", .duration, default: .seconds(60))
        limits.bodyTimeout = .seconds(30)
        limits.maximumBufferedBodyBytes = max(64 << 20, limits.maximumBodyBytes)
        return limits
    }
}

extension ConfigurationType<String> {
    /// An IPv4 or IPv6 address.
    fileprivate static var ipAddress: ConfigurationType {
        .text(expecting: "an IP address such as 127.0.0.1 or ::1", standIn: "127.0.0.1") { text in
            var (four, six) = (in_addr(), in6_addr())
            return inet_pton(AF_INET, text, &four) == 1 || inet_pton(AF_INET6, text, &six) == 1 ? text : nil
        }
    }

    /// The address pattern of images.
    fileprivate static var imageURL: ConfigurationType {
        .text(expecting: "an http or https URL with {OS_IMAGE_HASH} in it", standIn: "") { text in
            let isHTTP = text.hasPrefix("http://") || text.hasPrefix("https://")
            return isHTTP && text.contains("{OS_IMAGE_HASH}") ? text : nil
        }
    }

    /// The base URL of a collateral service.
    fileprivate static var serviceURL: ConfigurationType {
        .text(expecting: "an http or https URL such as https://pccs.phala.network", standIn: "") { text in
            (try? CollateralEndpoint.list(text)) == nil ? nil : text
        }
    }
}
