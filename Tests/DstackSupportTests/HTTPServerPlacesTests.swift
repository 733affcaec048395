import DstackHTTP
import DstackHTTPClient
import DstackNetwork
import Glibc
import Synchronization
import TestKit
import Testing

@testable import DstackHTTPServer

@Suite("HTTP server: whose place goes")
struct PlaceEvictionTests {
    private static func candidate(
        _ slot: Int, _ host: String, _ rank: EvictionCandidate.Rank, late: Int64, since: UInt64 = 0
    ) -> EvictionCandidate {
        EvictionCandidate(
            slot: slot, number: UInt64(slot), holder: .init(.internet(host: host, port: 1)), rank: rank,
            lateness: late, since: since)
    }

    private static func victims(_ candidates: some Sequence<EvictionCandidate>) -> [Int] {
        PlaceEviction.victims(of: Array(candidates)).map(\.slot)
    }

    @Test("slow ones go before idle ones, idle ones before what has just begun, streams last")
    func ranks() {
        let candidates = [
            Self.candidate(1, "192.0.2.1", .streaming, late: 90), Self.candidate(2, "192.0.2.1", .young, late: 80),
            Self.candidate(3, "192.0.2.1", .idle, late: 70), Self.candidate(4, "192.0.2.2", .slow, late: 10),
        ]
        #expect(Self.victims(candidates) == [4])
        #expect(Self.victims(candidates.dropLast()) == [3])
        #expect(Self.victims(candidates.dropLast(2)) == [2])
        #expect(Self.victims(candidates.dropLast(3)) == [1])
        #expect(Self.victims([]) == [])
    }

    @Test("the address that holds most loses first, and its latest")
    func holders() {
        let candidates = [
            Self.candidate(1, "192.0.2.1", .slow, late: 99), Self.candidate(2, "192.0.2.9", .slow, late: 5),
            Self.candidate(3, "192.0.2.9", .slow, late: 7), Self.candidate(4, "192.0.2.2", .slow, late: 98),
            // Many, but of those that are in nobody's way.
            Self.candidate(5, "192.0.2.1", .idle, late: 99), Self.candidate(6, "192.0.2.1", .idle, late: 99),
        ]
        #expect(Self.victims(candidates) == [3])
    }

    @Test(
        "of those that are not late the oldest goes first, so that new ones without end do not push out everybody at once"
    )
    func oldest() {
        let candidates = (0..<128).map { Self.candidate($0, "192.0.2.9", .young, late: 0, since: UInt64(1000 - $0)) }
        #expect(Self.victims(candidates) == [127, 126])
    }

    @Test("of a crowd of one address several go next, and none of them is anybody else's")
    func crowd() {
        var candidates = (0..<640).map { Self.candidate($0, "192.0.2.9", .young, late: Int64($0)) }
        candidates += (640..<700).map { Self.candidate($0, "198.51.100.\($0 - 640)", .young, late: 10_000) }
        #expect(Self.victims(candidates) == Array((630..<640).reversed()))
    }

    @Test(
        "addresses that one customer has are one: the same IPv4 address in either form, the first half of an IPv6 address",
        arguments: [
            ("192.0.2.1", "::ffff:192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false), ("::1", "0:0::1", true), ("::1", "::ffff:0.0.0.1", false),
        ])
    func addresses(one: String, other: String, areOne: Bool) {
        let holders = [one, other].map { HTTPPeer.Identity(.internet(host: $0, port: 1)) }
        #expect((holders[0] == holders[1]) == areOne)
    }

    @Test("processes of one user are one, and machines, and all that nothing is known of; an exact address is exact")
    func identities() {
        func identity(_ address: HTTPPeer.Address) -> String { address.identity.description }
        #expect(identity(.unix(processID: 1, userID: 5, groupID: 0)) == "uid 5")
        #expect(identity(.unix(processID: 2, userID: 5, groupID: 9)) == "uid 5")
        #expect(identity(.vsock(cid: 3, port: 1)) == "vsock:3" && identity(.unknown) == "unknown")
        #expect(identity(.internet(host: "::ffff:192.0.2.1", port: 7)) == "192.0.2.1")
        #expect(identity(.internet(host: "2001:db8:0:2::9", port: 7)) == "2001:db8:0:2:0:0:0:0")
        #expect(InternetAddress("2001:db8::1") != InternetAddress("2001:db8::2") && InternetAddress("a") == nil)
        #expect(InternetAddress("::ffff:10.0.2.2") == InternetAddress("10.0.2.2"))
    }

    @Test("a crowd of as many addresses does not have all connections looked through for each newcomer")
    func manyAddresses() {
        var held = (0..<4096).map { Self.candidate($0, "10.0.\($0 / 256).\($0 % 256)", .slow, late: Int64($0)) }
        var queue = EvictionQueue()
        var (looks, number) = (0, UInt64(5000))
        for newcomer in 0..<640 {
            let slot = queue.next(UInt64(newcomer)) { candidate in
                held[candidate.slot].number == candidate.number ? held[candidate.slot] : nil
            } all: {
                looks += 1
                return held
            }
            // The latest first, each once, and nobody beside.
            #expect(slot == 4095 - newcomer)
            guard let slot else { return }
            number += 1
            held[slot] = EvictionCandidate(
                slot: slot, number: number, holder: held[slot].holder, rank: .young, lateness: 0, since: 0)
        }
        #expect(looks <= 11, "\(looks)")
    }

    @Test("one that is served, gone, or come further by the time its turn comes keeps its place")
    func turns() {
        let held = (0..<640).map { Self.candidate($0, "10.0.0.1", .slow, late: Int64($0)) }
        var queue = EvictionQueue()
        func next(_ now: UInt64, _ current: (EvictionCandidate) -> EvictionCandidate?) -> Int? {
            queue.next(now, current: current) { held }
        }
        #expect(next(0) { $0 } == 639)
        #expect(next(1) { $0.slot > 636 ? nil : $0 } == 636)
        #expect(next(2) { $0.slot > 634 ? Self.candidate($0.slot, "10.0.0.1", .young, late: 0) : $0 } == 634)
        // After a while it is reckoned anew.
        #expect(next(200_000_000) { $0 } == 639)
    }

    @Test("a body that came quickly at first and then stalls is as late as it has stalled")
    func pace() {
        let (second, start) = (UInt64(1_000_000_000), UInt64(50_000_000_000))
        var limits = HTTPServerLimits()
        limits.minimumBytesPerSecond = 1000
        limits.bodyTimeout = .seconds(30)
        var pace = BodyPace()
        #expect(pace.begin(start, limits) == start + second)
        #expect(pace.lateness(start + second / 2, 1_000_000, limits) == 0)
        var now = start + second
        #expect(pace.next(now, start, 1_000_000, limits) == now + second)
        for step in 1...4 {
            now += second
            #expect(pace.next(now, start, 1_000_000, limits) == now + second)
            #expect(pace.lateness(now, 1_000_000, limits) == Int64(step) * Int64(second))
            #expect(pace.isSlow(now, 1_000_000, limits) == (step > 1))
        }
        #expect(pace.next(now + second, start, 1_000_999, limits) == nil)
        // One that keeps coming lives until its time is over.
        pace = BodyPace()
        _ = pace.begin(start, limits)
        for step in 1..<30 {
            #expect(pace.next(start + UInt64(step) * second, start, step * 1000, limits) != nil)
        }
        #expect(pace.next(start + 30 * second, start, 30_000, limits) == nil)
    }

    @Test(
        "a body that keeps just above the least rate is later than a slow handshake; one that comes briskly is never late"
    )
    func stretched() {
        let (second, start) = (UInt64(1_000_000_000), UInt64(50_000_000_000))
        let limits = HTTPServerLimits()
        for (rate, range) in [(1100, 8_500_000_000...Int64.max), (1 << 20, 0...0)] {
            var pace = BodyPace()
            _ = pace.begin(start, limits)
            for step in 1..<10 { _ = pace.next(start + UInt64(step) * second, start, step * rate, limits) }
            let now = start + 9 * second + second / 2
            #expect(!pace.isSlow(now, rate * 19 / 2, limits))
            #expect(range.contains(pace.lateness(now, rate * 19 / 2, limits)))
            #expect(pace.lateness(now, 1 << 30, limits) >= 0)
        }
    }
}

@Suite("HTTP server: whose body goes")
struct BodyEvictionTests {
    private static func holding(
        _ slot: Int, _ host: UInt32, _ bytes: Int, _ rank: EvictionCandidate.Rank? = .young, late: Int64 = 0
    ) -> BodyHolding {
        let holder = HTTPPeer.Identity.machine(host)
        return BodyHolding(
            holder: holder, bytes: bytes,
            arrival: rank.map {
                EvictionCandidate(
                    slot: slot, number: 0, holder: holder, rank: $0, lateness: late, since: UInt64(slot))
            })
    }

    private static func victims(
        _ holdings: [BodyHolding], asker host: UInt32, _ bytes: Int, needed: Int, spare: Int = 0
    ) -> [Int] {
        BodyEviction.victims(of: holdings, asker: (.machine(host), bytes), needed: needed, spare: spare)
    }

    @Test("slow ones go first, whoever holds more")
    func slow() {
        let holdings = [
            Self.holding(1, 1, 90), Self.holding(2, 2, 10, .slow, late: 5), Self.holding(3, 2, 10, .slow, late: 9),
        ]
        #expect(Self.victims(holdings, asker: 3, 10, needed: 10) == [3])
        #expect(Self.victims(holdings, asker: 3, 10, needed: 20) == [3, 2])
        #expect(Self.victims(holdings, asker: 3, 10, needed: 21) == [3, 2, 1])
    }

    @Test("where nobody is slow, the address that holds most loses its latest, and as many as it takes")
    func largestShare() {
        let holdings = [
            Self.holding(1, 1, 30, late: 1), Self.holding(2, 1, 30, late: 7), Self.holding(3, 2, 50, late: 99),
            // Nobody's to be freed while it is being handled, but it counts.
            Self.holding(4, 1, 10, nil), Self.holding(5, 3, 10, late: 99),
        ]
        #expect(Self.victims(holdings, asker: 4, 10, needed: 1) == [2])
        #expect(Self.victims(holdings, asker: 4, 10, needed: 31) == [2, 3])
        #expect(Self.victims(holdings, asker: 4, 10, needed: 81) == [2, 3, 1])
        #expect(Self.victims(holdings, asker: 4, 10, needed: 1, spare: 40) == [2, 3])
    }

    @Test("behind one gateway, bodies sent anew without end push out their like, and not a body that has just begun")
    func churn() {
        let holdings = [Self.holding(9, 1, 1), Self.holding(3, 1, 30), Self.holding(4, 1, 30), Self.holding(7, 1, 30)]
        #expect(Self.victims(holdings, asker: 1, 10, needed: 50) == [3, 4])
    }

    @Test("nobody gains by asking for more than others hold: whoever would hold most is refused, or loses his own")
    func richAsker() {
        let others = [Self.holding(1, 1, 30), Self.holding(2, 2, 30)]
        #expect(Self.victims(others, asker: 3, 31, needed: 10) == [])
        #expect(Self.victims(others, asker: 3, 30, needed: 10) == [])
        #expect(Self.victims(others, asker: 3, 29, needed: 10) == [1])
        #expect(Self.victims(others + [Self.holding(3, 3, 20)], asker: 3, 20, needed: 10) == [3])
        // Not enough, and so nobody goes for nothing.
        #expect(Self.victims(others, asker: 3, 29, needed: 61) == [])
        #expect(Self.victims([Self.holding(1, 1, 30, nil)], asker: 3, 1, needed: 1) == [])
    }
}

@Suite("HTTP server: strangers that fill it")
struct HTTPServerPlacesTests {
    private static let halves = [
        "nothing": "", "half a head": "GET / HTTP/1.1\r\nX: ",
        "half a body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
        "half a chunk": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nx",
    ]

    @Test(
        "who holds every place with half of something keeps nobody out, not even of his own address", arguments: halves)
    func half(name: String, text: String) async throws {
        let fixture = try await HTTPServerFixture.echoing { $0.limits.maximumConnections = 20 }
        var held: [RawConnection] = []
        for round in 0..<60 {
            held.append(try RawConnection(port: fixture.port))
            held.last?.send(text)
            guard round % 10 == 9 else { continue }
            let answer = try await fixture.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(name), after \(round): \(answer)")
        }
        #expect(fixture.server.statistics.connections <= 20)
        #expect(fixture.server.statistics.evictedConnections >= 40)
        await fixture.server.stop()
    }

    @Test("who reads no response keeps nobody out")
    func readers() async throws {
        let large = [UInt8](repeating: 0x61, count: 16 << 20)
        let fixture = try await HTTPServerFixture(configure: { $0.limits.maximumConnections = 8 }) { request in
            request.path == "/large" ? HTTPServerResponse(200, body: large) : .text(200, "served")
        }
        var held: [RawConnection] = []
        for _ in 0..<8 {
            held.append(try RawConnection(port: fixture.port))
            held.last?.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        }
        #expect(try await eventually { fixture.server.statistics.answeredRequests == 8 })
        for _ in 0..<3 {
            let answer = try await fixture.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(answer.hasSuffix("served"))
        }
        await fixture.server.stop()
    }

    @Test("who takes streams for ever keeps nobody out")
    func streams() async throws {
        let fixture = try await HTTPServerFixture(configure: { $0.limits.maximumConnections = 4 }) { request in
            guard request.path == "/stream" else { return .text(200, "served") }
            return HTTPServerResponse(
                200,
                body: .stream { writer in
                    try await writer.write("begun")
                    while true { try await Task.sleep(for: .seconds(60)) }
                })
        }
        var held: [RawConnection] = []
        for _ in 0..<4 {
            held.append(try RawConnection(port: fixture.port))
            held.last?.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await held.last?.read(until: "begun") != nil)
        }
        let answer = try await fixture.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(answer.hasSuffix("served"))
        await fixture.server.stop()
    }

    @Test("one that has been served is turned away only where all others are being served")
    func served() async throws {
        let gate = Mutex<[CheckedContinuation<Void, Never>]>([])
        let fixture = try await HTTPServerFixture(configure: { $0.limits.maximumConnections = 2 }) { _ in
            await withCheckedContinuation { continuation in gate.withLock { $0.append(continuation) } }
            return .text(200, "served")
        }
        let waiting = try (0..<2).map { _ in try RawConnection(port: fixture.port) }
        for connection in waiting { connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
        #expect(try await eventually { gate.withLock { $0.count } == 2 })
        #expect(try await fixture.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n").hasPrefix("HTTP/1.1 503 "))
        for continuation in gate.withLock({ $0 }) { continuation.resume() }
        for connection in waiting { #expect(await connection.read(until: "served") != nil) }
        await fixture.server.stop()
    }

    @Test("a body of a byte now and then ends long before its time")
    func minimumRate() async throws {
        let fixture = try await HTTPServerFixture.echoing { $0.limits.minimumBytesPerSecond = 1000 }
        let answer = try await fixture.raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
        #expect(answer.hasPrefix("HTTP/1.1 408 "))
        await fixture.server.stop()
    }

    @Test("who fills the memory for bodies and then stalls keeps nobody's body out")
    func bodies() async throws {
        let fixture = try await HTTPServerFixture.echoing {
            $0.limits.maximumBufferedBodyBytes = 150_000
            $0.limits.minimumBytesPerSecond = 1000
        }
        let half = try RawConnection(port: fixture.port)
        half.send(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n" + String(repeating: "a", count: 100_000))
        #expect(try await eventually { fixture.server.statistics.bufferedBodyBytes == 100_000 })
        try await Task.sleep(for: .milliseconds(2500))
        let answer = try await fixture.raw(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
                + String(repeating: "b", count: 100_000))
        #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer.prefix(100))")
        #expect(await half.readToEnd().hasPrefix("HTTP/1.1 503 "))
        await fixture.server.stop()
    }

    @Test(
        "who fills the memory for bodies and keeps just above the least rate keeps nobody's body out, not even of his own address",
        arguments: [UInt8(1), 2])
    func pacedBodies(host: UInt8) async throws {
        let fixture = try await HTTPServerFixture.echoing {
            $0.limits.maximumBufferedBodyBytes = 150_000
            $0.limits.minimumBytesPerSecond = 1000
        }
        let held = try (0..<3).map { _ in try RawConnection(port: fixture.port, fromHost: 2) }
        for connection in held {
            connection.send(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n" + String(repeating: "a", count: 45_000))
        }
        #expect(try await eventually { fixture.server.statistics.bufferedBodyBytes == 135_000 })
        for _ in 0..<8 {
            try await Task.sleep(for: .milliseconds(250))
            for connection in held { connection.send(String(repeating: "a", count: 500)) }
        }
        for _ in 0..<3 {
            let answer = try await fixture.raw(
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 40000\r\n\r\n"
                    + String(repeating: "b", count: 40_000), fromHost: host)
            #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer.prefix(100))")
        }
        await fixture.server.stop()
    }

    @Test("a body over the limit of its path is refused before any of it is read", arguments: [true, false])
    func bodyLimit(isChunked: Bool) async throws {
        let fixture = try await HTTPServerFixture.echoing {
            $0.route = { head, listener in
                HTTPRouteRules(maximumBodyBytes: head.path == "/small" && listener == "tcp" ? 10 : nil)
            }
        }
        func ask(_ path: String, _ count: Int) async throws -> String {
            let body = String(repeating: "a", count: count)
            let framed =
                isChunked
                ? "Transfer-Encoding: chunked\r\n\r\n\(String(count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
                : "Content-Length: \(count)\r\n\r\n\(body)"
            return try await fixture.raw("POST \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(framed)")
        }
        #expect(try await ask("/small", 10).hasPrefix("HTTP/1.1 200 "))
        #expect(try await ask("/small", 11).hasPrefix("HTTP/1.1 413 "))
        #expect(try await ask("/large", 11).hasPrefix("HTTP/1.1 200 "))
        if !isChunked {
            // The body is not waited for.
            let answer = try await fixture.raw("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
        }
        await fixture.server.stop()
    }

    @Test("requests of one address without end leave a quarter of the places to the others")
    func requestShare() async throws {
        let gate = Mutex<[CheckedContinuation<Void, Never>]>([])
        let fixture = try await HTTPServerFixture(configure: { $0.limits.maximumRequestsInFlight = 8 }) { request in
            if request.path == "/wait" {
                await withCheckedContinuation { continuation in gate.withLock { $0.append(continuation) } }
            }
            return .text(200, "done")
        }
        let held = try (0..<10).map { _ in
            let connection = try RawConnection(port: fixture.port, fromHost: 2)
            connection.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            return connection
        }
        #expect(try await eventually { fixture.server.statistics.refusedRequests == 4 })
        #expect(fixture.server.statistics.requestsInFlight == 6)
        let other = try await fixture.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", fromHost: 3)
        #expect(other.hasPrefix("HTTP/1.1 200 "))
        for continuation in gate.withLock({ $0 }) { continuation.resume() }
        // A place that is given back is there for whoever had it.
        #expect(try await eventually { fixture.server.statistics.requestsInFlight == 0 })
        let same = try await fixture.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", fromHost: 2)
        #expect(same.hasPrefix("HTTP/1.1 200 "))
        withExtendedLifetime(held) {}
        await fixture.server.stop()
    }

    @Test("a probe is answered while every place and every request is taken, and every thread of its own blocked")
    func probe() async throws {
        let isOver = Atomic<Bool>(false)
        let running = Atomic<Int>(0)
        let fixture = try await HTTPServerFixture(
            configure: {
                $0.limits.maximumConnections = 80
                $0.limits.maximumRequestsInFlight = 80
                $0.threads = .apart
            },
            handler: { request in
                guard request.path == "/block" else { return .text(200, "alive on \(request.listener)") }
                running.add(1, ordering: .sequentiallyConsistent)
                while !isOver.load(ordering: .sequentiallyConsistent) { usleep(1000) }
                return .text(200, "over")
            })
        var held: [RawConnection] = []
        for number in 0..<80 {
            held.append(try RawConnection(port: fixture.port, fromHost: UInt8(1 + number % 2)))
            held.last?.send("GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        }
        #expect(try await eventually { fixture.server.statistics.requestsInFlight == 80 })
        #expect(running.load(ordering: .sequentiallyConsistent) < 80)
        let response = await withCheckedContinuation { continuation in
            fixture.server.probe("/alive", on: "tcp") { continuation.resume(returning: $0) }
        }
        let body = if case .bytes(let bytes)? = response?.body { String(decoding: bytes, as: UTF8.self) } else { "" }
        #expect(body == "alive on tcp\n" || body == "alive on tcp")
        isOver.store(true, ordering: .sequentiallyConsistent)
        for connection in held { #expect(await connection.read(until: "over") != nil) }
        await fixture.server.stop()
        let none = await withCheckedContinuation { continuation in
            fixture.server.probe("/alive", on: "tcp") { continuation.resume(returning: $0 == nil) }
        }
        #expect(none)
    }
}
