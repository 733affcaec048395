import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import DstackRPC
import DstackRPCServer
import Foundation
import Synchronization
import Testing

/// A server with two Unix sockets and a TCP port, as a guest agent has them, that ends with the test.
final class RPCFixture: Sendable {
    let server: HTTPServer
    let directory: String
    let outcomes: Outcomes
    private let port: UInt32

    final class Outcomes: Sendable {
        private let list = Mutex<[RPCOutcome]>([])

        func add(_ outcome: RPCOutcome) { list.withLock { $0.append(outcome) } }
        var all: [RPCOutcome] { list.withLock { $0 } }
    }

    init(receivesSecrets: Bool = false, _ services: (inout RPCRouter) -> Void) async throws {
        // Short: a socket's path has room for 107 bytes.
        directory = NSTemporaryDirectory() + "rpc-\(UUID().uuidString.prefix(13))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let outcomes = Outcomes()
        self.outcomes = outcomes
        var router = RPCRouter()
        router.headers = ["Server": "dstack guest agent"]
        router.observer = { outcomes.add($0) }
        services(&router)
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = router.maximumBodyBytes
        var configuration = HTTPServerConfiguration(
            listeners: [
                HTTPListener("dstack", .unix(path: "\(directory)/dstack.sock")),
                HTTPListener("tappd", .unix(path: "\(directory)/tappd.sock")),
                HTTPListener("external", .tcp(host: "127.0.0.1", port: 0)),
            ], limits: limits)
        configuration.listeners[0].receivesSecrets = receivesSecrets
        server = HTTPServer(configuration, immediate: router.immediate, handler: router.respond)
        port = try await server.start().compactMap(\.port).first ?? 0
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    var url: String { "http://127.0.0.1:\(port)" }

    func client(_ socket: String, at path: String = "") -> RPCClient {
        RPCClient(
            HTTPClient(.init(transport: .unix(path: "\(directory)/\(socket).sock"))), at: "http://localhost\(path)")
    }

    var tcpClient: RPCClient {
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        return RPCClient(HTTPClient(configuration), at: "\(url)/prpc/")
    }

    struct Answer: Equatable {
        var status: Int
        var type: String
        var body: String
    }

    /// One request over a Unix socket by curl, a client of other people's making.
    func curl(_ socket: String, _ path: String, _ arguments: [String] = []) async throws -> Answer {
        let output = await Self.run(
            "/usr/bin/curl",
            [
                "-sS", "-g", "--max-time", "20", "--unix-socket", "\(directory)/\(socket).sock", "-w",
                "\n%{http_code} %{content_type}", "http://localhost\(path)",
            ] + arguments)
        let end = try #require(output.lastIndex(of: UInt8(ascii: "\n")))
        let trailer = text(Array(output[(end + 1)...])).split(separator: " ", maxSplits: 1)
        return Answer(
            status: Int(trailer.first ?? "") ?? 0, type: trailer.count > 1 ? String(trailer[1]) : "",
            body: text(Array(output[..<end])))
    }

    static let hasCurl = FileManager.default.isExecutableFile(atPath: "/usr/bin/curl")

    /// Runs a program, on a thread of its own: the server's tasks need the shared ones.
    private static func run(_ path: String, _ arguments: [String]) async -> [UInt8] {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let process = Process()
                let output = Pipe()
                process.executableURL = URL(fileURLWithPath: path)
                process.arguments = arguments
                process.standardOutput = output
                process.standardError = output
                process.standardInput = FileHandle.nullDevice
                do { try process.run() } catch { return continuation.resume(returning: []) }
                let data = output.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                continuation.resume(returning: [UInt8](data))
            }
        }
    }
}

/// A guest agent in miniature: each answer shows what its method was given.
struct EchoAgent {
    /// Says nothing of itself, so nothing of it may be shown.
    struct Silent: Error { let secret = "hunter2" }

    struct Talkative: Error, CustomStringConvertible { let description = "the quote provider is away: no device" }

    static let infoCalls = Mutex(0)

    static func mount(on router: inout RPCRouter) {
        let preparedInfo = RPCReply<AgentRPC.AppInfo>.prepared(.with { $0.appName = "prepared" })
        var guest = RPCService(AgentRPC.DstackGuest.name)
        guest.on(
            AgentRPC.DstackGuest.getKey,
            immediately: { request, _ in
                request.path == "cached" ? RPCReply(.with { $0.key = RPCSecret(copying: [1, 2, 3]) }) : nil
            }
        ) { request, call in
            .with {
                $0.key = RPCSecret(copying: Array("\(request.path)|\(request.purpose)|\(request.algorithm)".utf8))
                $0.signatureChain = [Array(call.listener.utf8), []]
            }
        }
        guest.on(AgentRPC.DstackGuest.info, immediately: { _, _ in preparedInfo }) { _, _ in .init() }
        guest.on(AgentRPC.DstackGuest.getQuote, limits: .init(maximumBodyBytes: 1_000)) { request, _ in
            guard request.reportData.count <= 64 else { throw RPCError("Report data is too long") }
            return .with { $0.reportData = request.reportData }
        }
        guest.on(AgentRPC.DstackGuest.getTLSKey) { request, _ in
            .with { $0.certificateChain = request.altNames + ["\(request.notBefore.map { "\($0)" } ?? "none")"] }
        }
        guest.on(AgentRPC.DstackGuest.emitEvent) { request, _ in
            switch request.event {
            case "silent": throw Silent()
            case "talkative": throw Talkative()
            case "busy": throw RPCError("too many quotes at once", status: 503)
            case "cancelled": throw CancellationError()
            case "multi": throw RPCError("Failed to sign the CSR: \"KMS\" said:\nnein – 水")
            default: return RPCEmpty()
            }
        }
        guest.on(AgentRPC.DstackGuest.attest, limits: .init(timeout: .milliseconds(50))) { _, _ in
            // Not even cancellation ends it at once.
            let end = ContinuousClock.now + .milliseconds(400)
            while ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(20)) }
            return .init()
        }
        var tappd = RPCService(AgentRPC.Tappd.name)
        tappd.on(AgentRPC.Tappd.deriveKey) { request, _ in .with { $0.key = RPCSecretText(copying: request.path) } }
        tappd.on(AgentRPC.Tappd.info) { _, _ in .with { $0.appName = "tappd" } }
        var worker = RPCService(AgentRPC.Worker.name)
        worker.on(AgentRPC.Worker.version) { _, _ in .with { $0.version = "1.2.3" } }

        router.mount(guest, at: "/", on: ["dstack"])
        router.mount(tappd, at: "/prpc", on: ["tappd"])
        router.mount(guest, at: "/prpc/", on: ["tappd"])
        router.mount(worker, at: "prpc", on: ["external"], unknownMethodStatus: 404)
    }
}
