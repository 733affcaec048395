import DstackSystem

/// Where a TDX guest finds what evidence is made of. The defaults are those of Linux and dstack.
public struct TDXPlatformPaths: Sendable, Hashable {
    /// The request's directory of configfs-tsm.
    public var quoteEntry = ConfigFSQuoteProvider.defaultEntry
    /// Whether ``quoteEntry`` was chosen by somebody, so that no other source may take its place.
    public var isQuoteEntryChosen = false
    /// The device.
    public var device = "/dev/tdx_guest"
    /// Intel's configuration file, with the port of the quote generation service.
    public var serviceConfiguration = "/etc/tdx-attest.conf"
    /// RTMR3, or the directory with a file `rtmr3:sha384`.
    public var register = "/sys/devices/virtual/misc/tdx_guest/measurements"
    /// The firmware's event log.
    public var bootLog = "/sys/firmware/acpi/tables/data/CCEL"
    /// Directory of the record of runtime events and its lock.
    public var runtimeLogDirectory = "/run/log/dstack"

    /// The defaults.
    public init() {}

    /// The defaults, with what upstream's environment variables change: `DCAP_TDX_QUOTE_CONFIGFS_PATH`,
    /// `DCAP_TDX_RTMR_SYSFS_PATH` and `DSTACK_CCEL_FILE`. All are absolute paths; one that is set and is none is an error,
    /// because falling back silently would take evidence from where the operator did not want it.
    ///
    /// - Parameter environment: variables by name.
    /// - Throws: ``AttestationError/Code/quoteUnavailable`` naming the variable.
    public init(environment: [String: String]) throws(AttestationError) {
        if let path = environment["DCAP_TDX_QUOTE_CONFIGFS_PATH"] {
            // Intel's library keeps it in a buffer of 240 bytes.
            guard Self.isAbsolute(path), path.utf8.count < 240 else {
                throw AttestationError(
                    .quoteUnavailable, subject: "DCAP_TDX_QUOTE_CONFIGFS_PATH",
                    reason: "invalid configfs path from env: \(Self.shown(path))",
                    hint: "an absolute path of less than 240 bytes is needed")
            }
            quoteEntry = path
            isQuoteEntryChosen = true
        }
        if let path = try Self.path("DCAP_TDX_RTMR_SYSFS_PATH", in: environment) { register = path }
        if let path = try Self.path("DSTACK_CCEL_FILE", in: environment) { bootLog = path }
    }

    private static func path(
        _ name: String, in environment: [String: String]
    ) throws(AttestationError) -> String? {
        guard let path = environment[name] else { return nil }
        guard isAbsolute(path) else {
            throw AttestationError(
                .quoteUnavailable, subject: name, reason: "an absolute path is needed, found \(shown(path))")
        }
        return path
    }

    private static func isAbsolute(_ path: String) -> Bool {
        path.utf8.first == UInt8(ascii: "/") && path.utf8.count > 1 && !path.utf8.contains(0)
    }

    private static func shown(_ path: String) -> String { SafeText.line(String(path.prefix(240))) }
}
