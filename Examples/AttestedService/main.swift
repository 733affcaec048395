import Dispatch
// A small HTTPS service that proves what it runs: key, certificate and evidence come from the guest agent, and a client
// that wants to know may ask for fresh evidence about its own connection. Only public API.
//
//     attested-service --listen 127.0.0.1:8443
//
// It finds the agent by itself; outside a TEE, DSTACK_SIMULATOR_ENDPOINT names a simulated one's socket.
import DstackAttestation
import DstackAttestedHTTP
import Glibc

/// Writes a line at once, so that whoever started this program through a pipe reads it.
func say(_ line: String, on descriptor: Int32 = STDOUT_FILENO) {
    var line = line + "\n"
    _ = line.withUTF8 { write(descriptor, $0.baseAddress, $0.count) }
}

func complain(_ line: String) { say("attested-service: \(line)", on: STDERR_FILENO) }

guard let (host, port) = listenAddress(CommandLine.arguments, environment: getenv("LISTEN").map { String(cString: $0) })
else {
    complain("usage: attested-service [--listen HOST:PORT]  (or LISTEN in the environment; port 0 for any free one)")
    exit(2)
}

do {
    let service = try await Service(DstackClient())
    let server = AttestedHTTPServer(
        .init(host: host, port: port), identity: try await service.identity(),
        renewIdentity: { try await service.identity() },
        attestSession: { binding in try await service.agent.attestSession(binding).bytes },
        observer: { event in
            switch event {
            case .handshakeFailed(let peer, let reason): complain("no TLS with \(peer): \(reason)")
            case .handshakeFailuresLeftOut(let count): complain("no TLS with \(count) others either")
            case .evidenceFailed(let peer, let reason): complain("no evidence for \(peer): \(reason)")
            case .renewed(let notAfter): complain("the certificate was renewed; it holds until \(notAfter) (Unix time)")
            case .renewalFailed(let reason): complain("the certificate could not be renewed: \(reason)")
            }
        }
    ) { request in await service.answer(request) }

    // Ends as it should when it is told to: no new connections, and those that are there may finish.
    let running = Task {
        try await server.run { say("listening on \($0.url)") }
    }
    let signals = [SIGTERM, SIGINT].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        // On a queue of its own, hence not on the main actor as all else here.
        source.setEventHandler { @Sendable in running.cancel() }
        source.resume()
        return source
    }
    try await running.value
    withExtendedLifetime(signals) {}
} catch {
    complain("\(error)")
    exit(3)
}

/// Where to listen; nil for arguments that make no sense.
func listenAddress(_ arguments: [String], environment: String?) -> (host: String, port: UInt16)? {
    var text = environment ?? "127.0.0.1:8443"
    switch arguments.count {
    case 1: break
    case 2 where arguments[1].hasPrefix("--listen="): text = String(arguments[1].dropFirst("--listen=".count))
    case 3 where arguments[1] == "--listen": text = arguments[2]
    default: return nil
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    // An IPv6 address stands in brackets: [::1]:8443
    let host = text[..<colon].drop { $0 == "[" }
    return (String(host.last == "]" ? host.dropLast() : host), port)
}
