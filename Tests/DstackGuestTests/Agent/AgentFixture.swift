import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackRPC
import DstackSimulation
import Foundation
import TestKit
import Testing

/// An agent in simulation on sockets of its own, that ends with the test.
final class AgentFixture: Sendable {
    let service: GuestService
    let directory: String
    let port: UInt32
    private let folder: ScratchDirectory

    /// The defaults, without a line in the log for every key.
    static var settings: GuestSettings {
        var settings = GuestSettings()
        settings.audit = .off
        return settings
    }

    /// - Parameters:
    ///   - recorded: whether upstream's recorded files are used, in place of a new set.
    ///   - rootKey: replaces the application's root key in the recorded files.
    init(
        recorded: Bool = false, rootKey: String? = nil, compose: String? = nil,
        _ settings: GuestSettings = AgentFixture.settings
    ) async throws {
        folder = try ScratchDirectory()
        directory = folder.path
        if recorded {
            for name in GuestFixture.inputs {
                try Data(try GuestFixture.read(name)).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
            }
            if let rootKey {
                let path = "\(directory)/appkeys.json"
                var keys = try JSONDictionary(
                    JSONSerialization.jsonObject(with: Data(GuestFixture.read("appkeys.json"))))
                keys["k256_key"] = rootKey
                try JSONSerialization.data(withJSONObject: keys.value).write(to: URL(fileURLWithPath: path))
            }
        }
        service = try await .simulated(
            in: directory, settings, appCompose: compose.map { Array($0.utf8) },
            version: GuestVersion(version: "1.2.3", revision: "git:0123456789abcdef0123"))
        let bound = try await service.server.start()
        port = try #require(bound.compactMap(\.port).first)
    }

    func path(_ socket: String) -> String { "\(directory)/\(socket).sock" }
    var url: String { "http://127.0.0.1:\(port)" }

    struct Answer: Sendable {
        let status: Int
        let headers: HTTPHeaders
        let body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        var json: JSONDictionary {
            get throws {
                try JSONDictionary(JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed))
            }
        }
        /// What a call that failed says.
        var error: String? { (try? json)?.optionalText("error") }
    }

    /// A call as the SDKs make it: JSON over a Unix socket.
    func post(_ socket: String, _ path: String, _ body: String = "{}") async throws -> Answer {
        try await send(socket, .post, path, ["Content-Type": "application/json"], Array(body.utf8))
    }

    func post(_ socket: String, _ path: String, _ body: [String: Any]) async throws -> Answer {
        let text = String(decoding: try JSONSerialization.data(withJSONObject: body), as: UTF8.self)
        return try await post(socket, path, text)
    }

    func get(_ socket: String, _ path: String) async throws -> Answer { try await send(socket, .get, path) }

    func send(
        _ socket: String, _ method: HTTPMethod, _ path: String, _ headers: HTTPHeaders = [:], _ body: [UInt8]? = nil
    ) async throws -> Answer {
        let client = HTTPClient(.init(transport: .unix(path: self.path(socket))))
        let response = try await client.send(
            HTTPRequest(method, "http://localhost\(path)", headers: headers, body: body))
        return Answer(status: response.status, headers: response.headers, body: response.body)
    }

    /// A call over TCP, as strangers make it.
    func external(_ path: String, method: HTTPMethod = .get, _ body: [UInt8]? = nil) async throws -> Answer {
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        let response = try await HTTPClient(configuration).send(
            HTTPRequest(method, url + path, headers: ["Content-Type": "application/json"], body: body))
        return Answer(status: response.status, headers: response.headers, body: response.body)
    }

    func client(_ socket: String = "dstack", at path: String = "") -> RPCClient {
        RPCClient(HTTPClient(.init(transport: .unix(path: self.path(socket)))), at: "http://localhost\(path)")
    }

    /// A call to any socket.
    static func post(_ socket: String, _ path: String, _ body: String = "{}") async throws -> Answer {
        let client = HTTPClient(.init(transport: .unix(path: socket)))
        let response = try await client.send(
            HTTPRequest(
                .post, "http://localhost\(path)", headers: ["Content-Type": "application/json"], body: Array(body.utf8))
        )
        return Answer(status: response.status, headers: response.headers, body: response.body)
    }

    static func get(_ url: String) async throws -> Answer {
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        let response = try await HTTPClient(configuration).send(HTTPRequest(.get, url))
        return Answer(status: response.status, headers: response.headers, body: response.body)
    }

    /// The report data in a quote of version 4.
    static func reportData(ofQuote hex: String) throws -> String {
        String(hex.dropFirst(568 * 2).prefix(128))
    }
}

/// A JSON object with typed members.
struct JSONDictionary: @unchecked Sendable {
    // Plain Foundation values that nobody changes once they are read.
    var value: [String: Any]

    init(_ any: Any) throws { value = try #require(any as? [String: Any], "an object expected") }

    subscript(name: String) -> Any? {
        get { value[name] }
        set { value[name] = newValue }
    }

    func text(_ name: String) throws -> String { try #require(value[name] as? String, "\(name) in \(value.keys)") }
    func optionalText(_ name: String) -> String? { value[name] as? String }
    func texts(_ name: String) throws -> [String] { try #require(value[name] as? [String], "\(name)") }
    func flag(_ name: String) throws -> Bool { try #require(value[name] as? Bool, "\(name)") }
    func row(_ name: String) throws -> JSONDictionary { try JSONDictionary(try #require(value[name], "\(name)")) }
    func rows(_ name: String) throws -> [JSONDictionary] {
        try #require(value[name] as? [Any], "\(name)").map { try JSONDictionary($0) }
    }
}

/// Derived values of upstream's fixture.
enum AgentVectors {
    static func load() throws -> JSONDictionary {
        try JSONDictionary(JSONSerialization.jsonObject(with: Data(GuestFixture.read("derived-vectors.json"))))
    }
}

extension PEM {
    /// The certificate of a text that has one.
    static func decode(_ text: String) throws -> [UInt8] {
        try #require(try PEM.decode(Array(text.utf8), label: "CERTIFICATE").first)
    }
}
