import DstackGuest
import DstackHTTP
import DstackHTTPClient
import Foundation
import Glibc
import TestKit
import Testing

/// A Docker engine of the tests' own, with its own socket and data, and an image made from busybox.
///
/// It ends with the tests, however they end: a shell that starts it waits for the end of its input, which this process
/// holds open.
final class RealEngine: Sendable {
    let socketPath: String
    private let client: HTTPClient
    private let lifeline: Int32

    /// Started at the first use; nil where it cannot be, with the reason printed.
    static let shared = Task<RealEngine?, Never> {
        do {
            let engine = try await RealEngine()
            return engine
        } catch {
            print("no Docker engine for tests: \(error)")
            return nil
        }
    }

    /// Whether tests can use it. Where warnings are errors (`STRICT`) nothing may be missing: then a test that needs it
    /// runs, and fails.
    static func canRun() async -> Bool {
        if ProcessInfo.processInfo.environment["STRICT"] != nil { return true }
        return await shared.value != nil
    }

    static let absence: Comment = "needs a Docker engine, and root to start one; the reason is printed above"

    static func started() async throws -> RealEngine { try #require(await shared.value, "no engine started") }

    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    private init() async throws {
        guard getuid() == 0 else { throw Problem(description: "it needs root") }
        let search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        func find(_ name: String) throws -> String {
            let candidates = search.split(separator: ":").map { "\($0)/\(name)" }
            guard let path = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
                throw Problem(description: "\(name) is missing (Scripts/setup test installs it)")
            }
            return path
        }
        let (dockerd, busybox) = (try find("dockerd"), try find("busybox"))
        // Short: a Unix socket's path has at most 107 bytes, and the engine makes longer ones below it.
        let directory = NSTemporaryDirectory() + "dstack-engine-\(getpid())"
        socketPath = "\(directory)/engine.sock"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let (ours, theirs) = try Spawn.channel()
        defer { close(theirs) }
        // Kept open, and closed by the system at the latest when this process ends.
        lifeline = ours
        _ = try Spawn.start(
            "/bin/sh",
            [
                "-c",
                """
                "$1" --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs --data-root "$2/data" \
                  --exec-root "$2/exec" --host "unix://$2/engine.sock" --pidfile "$2/pid" \
                  --shutdown-timeout 1 >"$2/log" 2>&1 &
                engine=$!
                read -r forever
                kill "$engine"; wait "$engine"
                # What it leaves mounted (its own directory, networks of containers) would keep its files.
                awk -v below="$2/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
                rm -rf "$2"
                """, "engine", dockerd, directory,
            ], descriptors: [0: theirs])
        client = HTTPClient(
            HTTPClientConfiguration(
                transport: .unix(path: socketPath), limits: HTTPClientLimits(totalTimeout: .seconds(120))))
        try await waitUntilReady(directory)
        try await importImage(busybox, directory)
    }

    private func waitUntilReady(_ directory: String) async throws {
        for _ in 0..<300 {
            if let response = try? await client.send(HTTPRequest(.get, "http://engine/_ping")), response.isSuccess {
                return
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        let log = (try? String(contentsOfFile: "\(directory)/log", encoding: .utf8)) ?? ""
        throw Problem(description: "it did not become ready: \(log.suffix(600))")
    }

    private func importImage(_ busybox: String, _ directory: String) async throws {
        let tree = "\(directory)/image"
        try FileManager.default.createDirectory(atPath: tree + "/bin", withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: busybox, toPath: tree + "/bin/busybox")
        for name in ["sh", "sleep", "seq", "cat", "head", "touch", "tr"] {
            try FileManager.default.createSymbolicLink(
                atPath: "\(tree)/bin/\(name)", withDestinationPath: "busybox")
        }
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: busybox)
        tar.arguments = ["tar", "-C", tree, "-cf", "\(directory)/image.tar", "."]
        try tar.run()
        tar.waitUntilExit()
        guard tar.terminationStatus == 0 else { throw Problem(description: "tar: status \(tar.terminationStatus)") }
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory)/image.tar")))
        try await post("/images/create?fromSrc=-&repo=tests&tag=1", bytes, type: "application/x-tar")
    }

    @discardableResult
    private func post(_ path: String, _ body: [UInt8], type: String = "application/json") async throws -> [UInt8] {
        let response = try await client.send(
            HTTPRequest(.post, "http://engine" + path, headers: ["Content-Type": type], body: body))
        guard response.isSuccess || response.status == 304 else {
            throw Problem(description: "\(path): \(response.status) \(response.text)")
        }
        return response.body
    }

    // MARK: Containers

    /// Starts a container that runs a shell script, up to the first step that fails.
    func start(
        _ name: String, project: String? = "dstack", terminal: Bool = false, script: String
    ) async throws {
        var labels: [String: String] = [:]
        if let project { labels = ["com.docker.compose.project": project, "com.docker.compose.service": name] }
        let settings: [String: Any] = [
            "Image": "tests:1", "Cmd": ["/bin/sh", "-ec", script], "Tty": terminal, "Labels": labels,
            "HostConfig": ["NetworkMode": "none"],
        ]
        try await remove(name)
        try await post(
            "/containers/create?name=\(name)", [UInt8](try JSONSerialization.data(withJSONObject: settings)))
        try await post("/containers/\(name)/start", [])
    }

    /// Waits until a container has ended, with the status that is expected.
    func waitForEnd(of name: String, status: Int = 0) async throws {
        let answer = try object(await post("/containers/\(name)/wait", []))
        guard answer["StatusCode"] as? Int == status else {
            let log = try await client.send(
                HTTPRequest(.get, "http://engine/containers/\(name)/logs?stdout=1&stderr=1&tail=20"))
            throw Problem(description: "\(name) ended: \(answer) where \(status) was due. It wrote: \(log.text)")
        }
    }

    /// Runs a shell command in a running container to its end, which must be a good one.
    func execute(_ name: String, _ command: String) async throws {
        let settings: [String: Any] = [
            "Cmd": ["/bin/sh", "-c", command], "AttachStdout": true, "AttachStderr": true,
        ]
        let made = try object(
            await post("/containers/\(name)/exec", [UInt8](try JSONSerialization.data(withJSONObject: settings))))
        let id = made["Id"] as? String ?? ""
        // Answered when the command has ended, with what it wrote.
        let output = try await post("/exec/\(id)/start", Array(#"{"Detach":false,"Tty":false}"#.utf8))
        let end = try object(try await client.send(HTTPRequest(.get, "http://engine/exec/\(id)/json")).body)
        guard end["Running"] as? Bool == false, end["ExitCode"] as? Int == 0 else {
            throw Problem(
                description: "in \(name), \(command): status \(end["ExitCode"] ?? "none"), "
                    + String(decoding: output, as: UTF8.self))
        }
    }

    private func object(_ body: [UInt8]) throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
            throw Problem(description: "no object: \(String(decoding: body, as: UTF8.self))")
        }
        return object
    }

    /// Removes a container, if it is there.
    func remove(_ name: String) async throws {
        let response = try await client.send(HTTPRequest(.delete, "http://engine/containers/\(name)?force=1"))
        guard response.isSuccess || response.status == 404 else {
            throw Problem(description: "removing \(name): \(response.status) \(response.text)")
        }
    }

    func engine(scope: ContainerScope = .project("dstack"), maximumStreams: Int = 64) -> DockerEngine {
        DockerEngine(.unix(path: socketPath), scope: scope, maximumStreams: maximumStreams)
    }
}
