import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

/// A server that ends with the test, and clients for it.
final class HTTPServerFixture: Sendable {
    let server: HTTPServer
    let bound: [HTTPBoundListener]
    let directory: ScratchDirectory
    let events: Recorder

    final class Recorder: Sendable {
        private let events = Mutex<[HTTPServerEvent]>([])

        func add(_ event: HTTPServerEvent) { events.withLock { $0.append(event) } }
        var all: [HTTPServerEvent] { events.withLock { $0 } }

        var handshakeFailures: [String] {
            all.compactMap { if case .handshakeFailed(_, _, let reason) = $0 { reason } else { nil } }
        }
    }

    var port: UInt16 { UInt16(bound.compactMap(\.port).first ?? 0) }
    var url: String { "http://127.0.0.1:\(port)" }
    var tlsURL: String { "https://127.0.0.1:\(port)" }
    var socketPath: String { directory.path("s") }

    /// Over a Unix socket and TCP, the latter with TLS if there are settings for it.
    init(
        tls: HTTPServerTLS? = nil, configure change: (inout HTTPServerConfiguration) -> Void = { _ in },
        immediate: (@Sendable (HTTPServerRequest) -> HTTPServerResponse?)? = nil,
        handler: @escaping @Sendable (HTTPServerRequest) async -> HTTPServerResponse
    ) async throws {
        directory = try ScratchDirectory()
        let events = Recorder()
        self.events = events
        var configuration = HTTPServerConfiguration(
            listeners: [
                HTTPListener("tcp", .tcp(host: "127.0.0.1", port: 0), tls: tls),
                HTTPListener("unix", .unix(path: directory.path("s"))),
            ], observer: { events.add($0) })
        // A loaded machine is slow; tests that are about time set their own.
        configuration.limits.headerTimeout = .seconds(300)
        configuration.limits.bodyTimeout = .seconds(300)
        configuration.limits.idleTimeout = .seconds(300)
        configuration.limits.handshakeTimeout = .seconds(60)
        configuration.limits.minimumBytesPerSecond = 0
        change(&configuration)
        server = HTTPServer(configuration, immediate: immediate, handler: handler)
        bound = try await server.start()
    }

    /// Answers with what was asked.
    static func echoing(
        tls: HTTPServerTLS? = nil, _ change: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) async throws -> HTTPServerFixture {
        try await HTTPServerFixture(tls: tls, configure: change, handler: echo)
    }

    /// Method, path, query and body, so that a test sees what the server understood.
    static let echo: @Sendable (HTTPServerRequest) async -> HTTPServerResponse = { request in
        var text = "\(request.method) \(request.path)"
        if let query = request.query { text += "?\(query)" }
        text += " on \(request.listener): "
        var response = HTTPServerResponse(200, headers: ["X-Seen": request.headers["X-Ask"] ?? "none"])
        response.body = .bytes(Array(text.utf8) + request.body)
        return response
    }

    /// Sends bytes over a fresh TCP connection and returns everything that comes until the server closes (or the
    /// patience ends).
    func raw(_ text: String, halfClose: Bool = false, fromHost host: UInt8 = 1) async throws -> String {
        let connection = try RawConnection(port: port, fromHost: host)
        connection.send(text)
        if halfClose { connection.endWriting() }
        return await connection.readToEnd()
    }
}

/// Runs something that blocks on a thread of its own: the tasks of the server under test need the shared ones.
func offPool<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}

/// Runs a program and returns what it wrote; nil where it is missing.
func runProgram(_ path: String, _ arguments: [String]) async -> String? {
    guard FileManager.default.isExecutableFile(atPath: path) else { return nil }
    return await offPool {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        do { try process.run() } catch { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
