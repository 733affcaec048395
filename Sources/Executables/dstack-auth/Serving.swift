import DstackAuthorization
import DstackCommandLine
import DstackHTTPServer
import DstackNetwork
import DstackService
import DstackSystem

/// Where a command listens, and how it serves until it is asked to end.
struct Serving {
    let host: Option<String>
    let port: Option<Int>

    /// - Parameters: what upstream's program of the kind presets.
    init(host: String, port: Int) {
        self.host = Option(
            "host", .text("ADDRESS"), environment: "HOST", default: host, "the address to listen at")
        self.port = Option(
            "port", .integer("PORT", in: 0...65_535), environment: "PORT", default: port, shown: "\(port)",
            "the port to listen at, 0 for any free one")
    }

    var declarations: [any ArgumentDeclaration] { [host, port] }

    static let notes = [
        "It answers POST /bootAuth/app, POST /bootAuth/kms and GET /, and asks nobody who they are: let only the KMS reach it. "
            + "Each decision is one line of the log. SIGTERM lets questions under way finish."
    ]

    func run(
        _ authorizer: any BootAuthorizer, _ arguments: Arguments, _ console: Console,
        upkeep: [@Sendable () async -> Void] = []
    ) async throws -> ExitStatus {
        let inherited = SocketActivation.descriptors()
        let listeners =
            inherited.isEmpty
            ? [HTTPListener("http", .tcp(host: arguments[host], port: UInt16(truncatingIfNeeded: arguments[port])))]
            : inherited.map { HTTPListener("http", .descriptor($0)) }
        let service = AuthorizationService(authorizer)
        let server = HTTPServer(
            service.configuration(listeners: listeners), handler: service.routes.respond)
        try await Service(
            "auth", server, drainingWithin: .seconds(15),
            reload: .nothing("nothing to read again: files are in force as soon as they are written"), upkeep: upkeep
        ).run { bound in
            console.note("listening on " + bound.map(\.description).joined(separator: ", "))
        }
        return .done
    }
}

extension ArgumentType<String> {
    /// The path of a file that is read as often as it changes, so that standard input would not do.
    static var watchedFile: ArgumentType {
        ArgumentType("FILE", expecting: "the path of a file", completion: .files) {
            $0.isEmpty || $0 == StandardInput.name ? nil : $0
        }
    }
}
