import DstackGuest
import DstackSystem
import Foundation
import TestKit
import Testing

/// A nerdctl for tests, with containers in a namespace of their own: the real one, or the one in Peers that stands in for
/// it, which is asked the same way.
///
/// Debian 12 has no nerdctl. Where a machine has one, with containerd and as root, the same tests run against it.
final class NerdctlPeer: Sendable, CustomTestStringConvertible {
    let program: String
    let directory: String
    let namespace = "tests-\(UUID().uuidString.prefix(8).lowercased())"
    let testDescription: String
    private let image: String

    /// For tests of failures that the real one cannot be made to have.
    static func standIn() throws -> NerdctlPeer {
        let peers = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let directory = try scratch()
        let program = "\(directory)/nerdctl"
        let script = peers.appendingPathComponent("Peers/nerdctl_stand_in.py").path
        try "#!/bin/sh\nexec python3 -I -S '\(script)' '\(directory)/state' \"$@\"\n"
            .write(toFile: program, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        return NerdctlPeer(program, directory, image: "none", "the stand-in")
    }

    /// Those that this machine has.
    static let all = Task<[NerdctlPeer], Never> {
        var peers: [NerdctlPeer] = []
        do {
            peers.append(try standIn())
            if RunningProgram.isInstalled("nerdctl"), let real = try await real() { peers.append(real) }
        } catch {
            print("nerdctl for tests: \(error)")
        }
        return peers
    }

    /// Nil where containerd does not answer.
    private static func real() async throws -> NerdctlPeer? {
        let peer = NerdctlPeer("nerdctl", try scratch(), image: "docker.io/library/dstack-tests:1", "nerdctl")
        guard (try? await peer.run("ps")) != nil else { return nil }
        try await peer.loadImage()
        return peer
    }

    private static func scratch() throws -> String {
        let directory = Scratch.path("nerdctl")
        try FileManager.default.createDirectory(atPath: "\(directory)/state", withIntermediateDirectories: true)
        return directory
    }

    private init(_ program: String, _ directory: String, image: String, _ description: String) {
        self.program = program
        self.directory = directory
        self.image = image
        testDescription = description
    }

    var isReal: Bool { program == "nerdctl" }

    func engine(
        scope: ContainerScope = .project("dstack"), maximumStreams: Int = 16, logPatience: Duration = .seconds(600)
    ) -> NerdctlEngine {
        NerdctlEngine(
            program, namespace: namespace, scope: scope, maximumStreams: maximumStreams, logPatience: logPatience)
    }

    @discardableResult
    func run(_ arguments: String...) async throws -> String {
        let output = try await ProgramOutput.of(
            program, ["--namespace", namespace] + arguments, limit: 1 << 24, patience: .seconds(120))
        return String(decoding: output.output, as: UTF8.self)
    }

    /// Starts a container that runs a shell script, up to the first step that fails.
    func start(
        _ name: String, project: String? = "dstack", options: [String] = [], script: String
    ) async throws {
        var labels: [String] = []
        if let project {
            labels = [
                "--label", "com.docker.compose.project=\(project)", "--label", "com.docker.compose.service=\(name)",
            ]
        }
        _ = try await ProgramOutput.of(
            program,
            ["--namespace", namespace, "run", "-d", "--pull", "never", "--net", "none", "--name", name]
                + labels + options + [image, "sh", "-ec", script],
            limit: 1 << 20, patience: .seconds(120))
    }

    /// Waits until a container has ended, with the status that is expected.
    func waitForEnd(of name: String, status: Int = 0) async throws {
        let answer = try await run("wait", name).trimmingCharacters(in: .whitespacesAndNewlines)
        guard answer == "\(status)" else {
            throw Problem(description: "\(name) ended with \(answer) where \(status) was due")
        }
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    func remove(_ names: String...) async throws {
        for name in names { try await run("rm", "-f", name) }
    }

    /// The layout that `docker save` writes, of one layer with busybox in it.
    private func loadImage() async throws {
        let script = """
            set -e
            cd "$1"
            mkdir -p fs/bin fs/tmp
            cp "$(command -v busybox)" fs/bin/
            for name in sh sleep seq cat head touch tr true test yes; do ln -sf busybox fs/bin/$name; done
            tar --numeric-owner --owner=0 --group=0 -C fs -cf layer.tar .
            digest=$(sha256sum layer.tar | cut -d' ' -f1)
            printf '{"architecture":"amd64","os":"linux","created":"2025-01-01T00:00:00Z","config":{"Env":["PATH=/bin"]},\
            "rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$digest" >config.json
            printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$2" >manifest.json
            tar -cf image.tar manifest.json config.json layer.tar
            """
        _ = try await ProgramOutput.of(
            "sh", ["-c", script, "sh", directory, image], limit: 1 << 20, patience: .seconds(60))
        try await run("load", "-i", "\(directory)/image.tar")
    }
}
