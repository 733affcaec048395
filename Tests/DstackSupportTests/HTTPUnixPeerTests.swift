import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("HTTP server: Unix sockets and the processes behind them")
struct HTTPUnixPeerTests {
    @Test(
        "a socket has exactly its mode, whatever the umask takes away",
        arguments: [0o777, 0o660, 0o600, 0o000] as [UInt32])
    func modes(mode: UInt32) async throws {
        let fixture = try await HTTPServerFixture(
            configure: { configuration in
                guard case .unix(let path, _) = configuration.listeners[1].endpoint else { return }
                configuration.listeners[1].endpoint = .unix(path: path, mode: mode)
            }, handler: HTTPServerFixture.echo)
        var status = stat()
        #expect(lstat(fixture.socketPath, &status) == 0)
        #expect(status.st_mode == S_IFSOCK | mode)
        await fixture.server.stop(within: .zero)
        #expect(lstat(fixture.socketPath, &status) != 0)
    }

    @Test("a link in the place of a socket is neither followed nor removed, and what it names keeps its mode")
    func links() async throws {
        let directory = try ScratchDirectory()
        let victim = try directory.write("content", "victim")
        #expect(chmod(victim, 0o600) == 0)
        #expect(symlink(victim, directory.path("s")) == 0)
        let server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("unix", .unix(path: directory.path("s"), mode: 0o777))]),
            handler: HTTPServerFixture.echo)
        await #expect(throws: HTTPServerError.self) { _ = try await server.start() }
        var status = stat()
        #expect(stat(victim, &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(lstat(directory.path("s"), &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        // One that leads nowhere makes nothing.
        #expect(unlink(victim) == 0)
        let second = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("unix", .unix(path: directory.path("s"), mode: 0o777))]),
            handler: HTTPServerFixture.echo)
        await #expect(throws: HTTPServerError.self) { _ = try await second.start() }
        #expect(!FileManager.default.fileExists(atPath: victim))
    }

    private final class Seen: Sendable {
        let process = Mutex<PeerProcess?>(nil)
        var value: PeerProcess? { process.withLock { $0 } }
    }

    private func fixture(_ seen: Seen, identifies: Bool = true) async throws -> HTTPServerFixture {
        try await HTTPServerFixture(configure: { $0.listeners[1].identifiesProcesses = identifies }) { request in
            seen.process.withLock { $0 = request.peer.process }
            return HTTPServerResponse(200)
        }
    }

    private func ownGroup() throws -> String {
        let lines = try File.readText("/proc/self/cgroup", limit: 1 << 16).split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("0::") } ?? lines.first)
        return String(line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)[2])
    }

    @Test("a process that connected is known by its control group, where the listener asks for it")
    func groups() async throws {
        let seen = Seen()
        let fixture = try await fixture(seen)
        let connection = try RawConnection(unix: fixture.socketPath)
        connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try await eventually { seen.value != nil })
        let process = try #require(seen.value)
        #expect(!process.isLookedUp)
        #expect(process.controlGroup == (try ownGroup()))
        #expect(process.isLookedUp)

        let unseen = Seen()
        let plain = try await self.fixture(unseen, identifies: false)
        let other = try RawConnection(unix: plain.socketPath)
        other.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(await other.readToEnd().contains("200"))
        #expect(unseen.value == nil)
    }

    @Test("a process that has ended is in no group, whoever has its number now")
    func ended() async throws {
        let seen = Seen()
        let fixture = try await fixture(seen)
        let path = fixture.socketPath
        _ = await runProgram(
            "/usr/bin/curl", ["-s", "--max-time", "20", "--unix-socket", path, "http://localhost/"])
        #expect(try await eventually { seen.value != nil })
        #expect(try #require(seen.value).controlGroup == nil)
        // A number alone, without the process that it was of, is nobody's.
        #expect(PeerProcess(number: getpid(), handle: -1).controlGroup == nil)
    }
}
