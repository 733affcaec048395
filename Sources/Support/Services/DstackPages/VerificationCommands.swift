package import DstackSystem
import Glibc

/// What a relying party types to check an application. Every text works as it stands where its files are.
package struct VerificationCommands: Sendable, Hashable {
    /// The relying party's own copy of the compose file.
    package var appCompose = "app-compose.json"
    /// The root certificate of a simulated TEE; nil for Intel's, which verifiers have built in.
    package var trustRoot: String?
    /// The simulated TEE's collateral; nil for Intel's, which is fetched.
    package var collateral: String?
    /// Where the programs are that are called; empty where `PATH` has them.
    package var programs = ""

    package init() {}

    /// Of a simulation whose files are in the working directory.
    package static var simulation: VerificationCommands {
        var commands = VerificationCommands()
        commands.trustRoot = "root.pem"
        commands.collateral = "collateral.json"
        return commands
    }

    /// Of a simulation on this machine, with the real paths of its files, and of the programs that lie beside this one where
    /// its `PATH` does not lead to them. Nil where no simulation is in the directory.
    package static func simulation(
        in directory: String, environment: Environment = .process
    ) -> VerificationCommands? {
        guard let path = realPath(directory) else { return nil }
        var commands = VerificationCommands()
        commands.appCompose = path + "/app-compose.json"
        let (root, collateral) = (path + "/root.pem", path + "/collateral.json")
        guard isReadable(commands.appCompose), isReadable(root), isReadable(collateral) else { return nil }
        commands.trustRoot = root
        commands.collateral = collateral
        if !RunningProgram.isInstalled("dstack", environment: environment), let own = realPath("/proc/self/exe"),
            let slash = own.lastIndex(of: "/"), access(own[...slash] + "dstack", X_OK) == 0
        {
            commands.programs = String(own[...slash])
        }
        return commands
    }

    private static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }

    private static func realPath(_ path: String) -> String? {
        guard let text = realpath(path, nil) else { return nil }
        defer { free(text) }
        return String(cString: text)
    }

    // MARK: Commands

    /// Prints the hash of the relying party's copy.
    package var hash: String { "sha256sum \(ShellWord.quoted(appCompose))" }

    /// Checks the application over its own connection.
    ///
    /// - Parameter address: of the application, `https://HOST[:PORT]`.
    package func connection(to address: String) -> String {
        "\(program("dstack")) verify \(ShellWord.quoted(address))\(files)"
    }

    /// Takes evidence from an agent's public port and checks it.
    ///
    /// - Parameter agent: the address of the port, `http://HOST:PORT`.
    package func evidence(from agent: String) -> String {
        let method = agent + "/prpc/Worker.GetAttestationForAppKey?algorithm=ed25519"
        let fetches = collateral == nil ? " --fetch" : ""
        return "curl -sfo quote.json \(ShellWord.quoted(method)) && "
            + "\(program("dstack-verifier")) verify --quote quote.json\(fetches)\(files)"
    }

    private func program(_ name: String) -> String { ShellWord.quoted(programs + name) }

    private var files: String {
        [("--app-compose", appCompose), ("--trust-root", trustRoot), ("--collateral", collateral)]
            .compactMap { option, path in path.map { " \(option) \(ShellWord.quoted($0))" } }.joined()
    }
}

/// The address that a client used, as far as it tells.
package enum PageAddress {
    /// From the `Host` header: nil for anything but a host name or an address with or without a port, since it becomes part
    /// of a command.
    ///
    /// - Parameter isTLS: whether the connection ends here with TLS. Where it does not, a gateway may be in front: it says
    ///   so, or the name has no port, as only a gateway's has.
    package static func url(host: String?, isTLS: Bool, forwardedProtocol: String? = nil) -> String? {
        guard let host, !host.isEmpty, host.utf8.count <= 255,
            host.utf8.allSatisfy({ byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: ".-:[]".utf8.contains(byte)
                }
            })
        else { return nil }
        let isSecure = isTLS || forwardedProtocol == "https" || (forwardedProtocol == nil && !host.contains(":"))
        return (isSecure ? "https://" : "http://") + host
    }
}
