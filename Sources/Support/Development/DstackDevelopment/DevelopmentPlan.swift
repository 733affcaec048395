import Glibc

/// What a development system consists of, and where in its directory everything lies.
///
/// There is the guest agent of a simulated trust domain and an application that serves attested HTTPS with keys and
/// evidence from it. What else belongs to a whole system is added to ``components(composeHash:)``.
package struct DevelopmentPlan: Sendable {
    package let directory: DevelopmentDirectory
    /// Where the programs are.
    private let programs: String
    /// Where the application listens: address and port, port 0 for any free one; nil for any that it has already.
    private let listenAddress: String?

    package init(_ directory: DevelopmentDirectory, programs: String, listenAddress: String?) {
        self.directory = directory
        self.programs = programs
        self.listenAddress = listenAddress
    }

    /// The operator's copy of the compose file. The guest has one of its own, which nothing is compared with.
    package var appComposePath: String { directory.path + "/app-compose.json" }
    /// The simulated guest's files: keys, evidence, sockets, and the root and collateral of the simulated TEE.
    package var guestPath: String { directory.path + "/guest" }
    package var trustRootPath: String { guestPath + "/root.pem" }
    package var collateralPath: String { guestPath + "/collateral.json" }
    /// Where the agent's page finds the application's address, once there is one.
    package var applicationURLPath: String { guestPath + "/app-url" }
    /// The agent's socket for applications (upstream's name).
    package var agentSocketPath: String { guestPath + "/dstack.sock" }

    /// The component whose address is the system's.
    package static let applicationName = "app"

    /// All components, in the order in which they start.
    ///
    /// - Parameter composeHash: of the application; a running system of another one is not the one that is wanted.
    package func components(composeHash: String) -> [Component] {
        [
            Self.guestAgent(
                programs + "/dstack-simulator", ["--app-compose", appComposePath], in: guestPath,
                revision: composeHash),
            Component(
                name: Self.applicationName, executable: application,
                choices: [listening], environment: ["DSTACK_SIMULATOR_ENDPOINT": agentSocketPath],
                dependencies: ["guest-agent"], readiness: .announces("listening on "), revision: composeHash),
        ]
    }

    /// The example application: beside the programs where they were built, and in a directory of its own where they are
    /// installed, since nobody calls it by its name.
    private var application: String {
        let built = programs + "/attested-service"
        let installed = programs + "/../libexec/dstack/attested-service"
        return access(built, X_OK) != 0 && access(installed, X_OK) == 0 ? installed : built
    }

    private var listening: Component.Choice {
        let address = listenAddress ?? "127.0.0.1:0"
        return Component.Choice(
            "--listen", address, arguments: ["--listen", address], isGiven: listenAddress != nil)
    }

    /// A guest agent in simulation.
    ///
    /// - Parameters:
    ///   - executable: the simulator.
    ///   - arguments: beside the directory.
    ///   - choices: what may be left to one that runs.
    ///   - directory: of the simulated guest.
    ///   - revision: what else decides whether a running one is the one that is wanted.
    package static func guestAgent(
        _ executable: String, _ arguments: [String] = [], choices: [Component.Choice] = [], in directory: String,
        revision: String = ""
    ) -> Component {
        Component(
            name: guestAgentName, executable: executable, arguments: [directory] + arguments,
            choices: choices, readiness: .answers(socket: directory + "/dstack.sock", path: "/Info"),
            pages: dashboardWords,
            revision: revision)
    }

    /// The component whose pages are the dashboard.
    package static let guestAgentName = "guest-agent"
    /// The agent prints its dashboard's address after these words.
    package static let dashboardWords = "dashboard at "

    /// The application of a system for which none was given.
    package static let exampleAppCompose = """
        {
          "manifest_version": 2,
          "name": "attested-service",
          "runner": "docker-compose",
          "docker_compose_file": "services:\\n  web:\\n    image: attested-service\\n    ports:\\n      - \\"443:443\\"\\n    volumes:\\n      - /var/run/dstack.sock:/var/run/dstack.sock\\n",
          "kms_enabled": false,
          "gateway_enabled": false,
          "public_logs": true,
          "public_sysinfo": true
        }

        """
}
