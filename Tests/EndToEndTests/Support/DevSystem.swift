import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import Foundation
import TestKit
import Testing

/// A directory in which `dstack dev` runs, ended with the test whatever happens in it.
final class DevSystem: Sendable {
    let scratch: ScratchDirectory
    var path: String { scratch.path("dev") }

    static let isThere = ["dstack", "dstack-simulator", "attested-service"].allSatisfy { Program.path($0) != nil }
    static let absence: Testing.Comment = "needs dstack, dstack-simulator and attested-service built with the tests"

    /// Whether what takes minutes runs too.
    static let isSoak = ProcessInfo.processInfo.environment["DSTACK_SOAK"] == "1"

    init() throws { scratch = try ScratchDirectory() }

    deinit {
        for id in processes { kill(id, SIGKILL) }
    }

    func dev(_ command: String, _ arguments: String...) async throws -> Program.Output {
        try await Program.run("dstack", ["dev", command, "--dir", path] + arguments)
    }

    /// Where the application listens.
    func url() async throws -> String {
        let object = try await dev("status", "--json").object()
        let running = try #require(object["running"] as? [[String: Any]])
        return try #require(running.compactMap { $0["address"] as? String }.first)
    }

    /// Verifies what runs with the files of this system, or others.
    func verify(_ url: String, _ arguments: [String]? = nil) async throws -> Program.Output {
        let own = ["--app-compose", path + "/app-compose.json", "--trust-root", path + "/guest/root.pem"]
        return try await Program.run(
            "dstack", ["verify", url, "--collateral", path + "/guest/collateral.json"] + (arguments ?? own))
    }

    /// Asks the agent, JSON in and out.
    func agent(_ method: String, _ body: [String: Any]) async throws -> [String: Any] {
        let client = HTTPClient(HTTPClientConfiguration(transport: .unix(path: path + "/guest/dstack.sock")))
        let response = try await client.send(
            HTTPRequest(
                .post, "http://agent/\(method)", headers: ["Content-Type": "application/json"],
                body: Array(try JSONSerialization.data(withJSONObject: body))))
        try #require(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
        return try #require(try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any])
    }

    /// All processes of the machine that have this directory in their command line or environment: what runs in it.
    var processes: [Int32] {
        let needle = Data(path.utf8)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { id in
            guard id != getpid(), !isZombie(id) else { return false }
            return ["cmdline", "environ"].contains { file in
                FileManager.default.contents(atPath: "/proc/\(id)/\(file)")?.range(of: needle) != nil
            }
        }
    }

    private func isZombie(_ id: Int32) -> Bool {
        let stat = String(decoding: FileManager.default.contents(atPath: "/proc/\(id)/stat") ?? Data(), as: UTF8.self)
        return stat.lastIndex(of: ")").map { stat[$0...].hasPrefix(") Z") } ?? true
    }
}
