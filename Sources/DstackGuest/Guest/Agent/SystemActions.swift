import DstackHTTPClient
import DstackRPC
import DstackSystem

/// Turns the machine off for real: tells the host, then asks systemd.
package struct SystemActions: GuestActions {
    private let hostAPIURL: String

    /// - Parameter files: say where the host listens.
    package init(_ files: GuestFiles) { hostAPIURL = files.system.hostAPIURL }

    package func shutDown() async {
        let log = Log("guest.shutdown")
        log.info("powering off: the host asked for it")
        if let client = Self.client(hostAPIURL) {
            let message = HostAPIRPC.Notification.with {
                $0.event = "shutdown.progress"
                $0.payload = "powering off"
            }
            // Best effort: a host that cannot be told finds out anyway.
            do {
                _ = try await client.call(HostAPIRPC.HostApi.notify, message, timeout: .seconds(2))
            } catch {
                log.warn("the host could not be told", ["error": "\(error)"])
            }
        }
        do {
            _ = try await ProgramOutput.of("systemctl", ["poweroff"], limit: 64 << 10, patience: .seconds(30))
        } catch {
            log.error("the machine does not power off", ["error": "\(error)"])
        }
    }

    /// `vsock://2:12000/api`, or an HTTP address; nil for none.
    static func client(_ url: String) -> RPCClient? {
        guard !url.isEmpty else { return nil }
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        let prefix = "vsock://"
        guard url.hasPrefix(prefix) else { return RPCClient(HTTPClient(configuration), at: url) }
        let rest = url.dropFirst(prefix.count)
        let authority = rest.prefix { $0 != "/" }
        let parts = authority.split(separator: ":")
        guard parts.count == 2, let cid = UInt32(parts[0]), let port = UInt32(parts[1]) else { return nil }
        configuration.transport = .vsock(cid: cid, port: port)
        return RPCClient(HTTPClient(configuration), at: "http://host\(rest.dropFirst(authority.count))")
    }
}
