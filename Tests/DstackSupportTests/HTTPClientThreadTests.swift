import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import Foundation
import Testing

@Suite("HTTP client: one thread", .timeLimit(.minutes(2)))
struct HTTPClientThreadTests {
    private var threads: Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return names.count {
            (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)) == "http-client\n"
        }
    }

    @Test("all clients of a process share a thread, and one that waits keeps no other waiting")
    func shared() async throws {
        let fixture = try await HTTPServerFixture { request in
            if request.path == "/slow" { try? await Task.sleep(for: .seconds(2)) }
            return .text(200, request.path)
        }
        let clients = (0..<20).map { _ in directClient() }
        let slow = Task { try await directClient().send(HTTPRequest(.get, fixture.url + "/slow")).status }
        let began = ContinuousClock.now
        for client in clients {
            for _ in 0..<2 { #expect(try await client.send(HTTPRequest(.get, fixture.url + "/x")).status == 200) }
        }
        #expect(threads == 1)
        #expect(ContinuousClock.now - began < .seconds(60))
        #expect(try await slow.value == 200)
        withExtendedLifetime(clients) {}
        await fixture.server.stop()
    }
}
