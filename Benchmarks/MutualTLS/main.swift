// Connections per second with a client's evidence beside a bare mutual TLS handshake, in one run:
//
//     MutualTLSBenchmark [ROUNDS] [CONNECTIONS]
//
// Each connection carries one small request. Server and clients share the process and its cores, all rows take turns in every
// round, and what counts is the median of the rounds' ratios; processor time is that of both ends, and says more than
// connections per second where other programs run. Evidence is simulated: its chains and signatures are as long as real ones.
// The last line is the result as JSON.

import DstackAttestation
import DstackAttestedHTTP
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackKeys
import DstackMockTEE
import DstackNetwork
import DstackSystem
import Glibc
import Synchronization

struct FixedClock: WallClock {
    let unixMilliseconds: Int64
}

/// Gives the collateral at hand, and counts.
final class CountingProvider: CollateralProvider {
    private let collateral: QuoteCollateral
    let asked = Atomic<Int>(0)

    init(_ collateral: QuoteCollateral) { self.collateral = collateral }

    func collateral(for quote: Quote) async throws -> QuoteCollateral {
        asked.add(1, ordering: .relaxed)
        return collateral
    }
}

let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
let rounds = max(1, arguments.first ?? 9)
let connections = max(16, arguments.dropFirst().first ?? 256)
let atOnce = 8
let now: Int64 = 1_790_000_000
let clock = FixedClock(unixMilliseconds: now * 1000)

let platform = try MockPlatform(seed: FixedBytes(repeating: 0x42))
let boot = try MockBoot(platform, appCompose: Array("{\"name\":\"bench\"}".utf8))
let collateral = try platform.collateral(for: .tdx, at: now)
let quotes = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))

func makeIdentity() async throws -> TLSIdentity {
    let attested = try await AttestedKey {
        try Attestation(quote: boot.quote(reportData: $0.bytes.bytes), eventLog: boot.eventLog)
    }
    let certificate = try attested.selfSigned(
        CertificateConfiguration(
            commonName: "bench", alternativeNames: ["bench"], isForServers: true, isForClients: true,
            includesEvidence: true), at: now)
    return try attested.key.withUnsafePEM { (pem: UnsafeRawBufferPointer) throws(AttestationError) in
        try TLSIdentity(privateKeyPEM: pem.bytes, certificateChain: [certificate])
    }
}

let identity = try await makeIdentity()

func makeVerifier() throws -> AttestedPeerVerifier {
    try AttestedPeerVerifier(
        policy: .standard,
        collateral: ReadyCollateral(CountingProvider(collateral), verifier: quotes), acceptsAnyApplication: true,
        clock: clock)
}

/// Every platform is new to it: what it learns is forgotten with each client.
final class ForgetfulJudge: TLSPeerJudge {
    func judge(_ certificates: [[UInt8]], askedBy client: String) async -> TLSJudgement {
        guard let verifier = try? makeVerifier() else { return .refused("no verifier") }
        return await AttestedClientJudge(verifier).judge(certificates, askedBy: client)
    }
}

func server(_ judge: (any TLSPeerJudge)?) async throws -> (HTTPServer, String) {
    let tls = HTTPServerTLS(
        http: identity.credentials, clientCertificates: .init(isRequired: true, judge: judge))
    let server = HTTPServer(
        HTTPServerConfiguration(listeners: [HTTPListener("tls", .tcp(host: "127.0.0.1", port: 0), tls: tls)])
    ) { _ in .text(200, "hello\n") }
    let bound = try await server.start()
    return (server, bound[0].description)
}

struct Sample {
    let connectionsPerSecond: Double
    /// Of this process, a connection.
    let processorMicroseconds: Double
}

/// What the threads of this process have had of the processors, in nanoseconds.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func measure(_ url: String) async throws -> Sample {
    var configuration = HTTPClientConfiguration(trust: .only { _ in .accepted })
    configuration.proxy = .none
    configuration.clientIdentity = identity.credentials
    let client = HTTPClient(configuration)
    let (began, used) = (MonotonicClock.now, processorTime())
    try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in 0..<atOnce {
            group.addTask {
                for _ in 0..<(connections / atOnce) {
                    // A POST that may not be repeated has a connection of its own.
                    let response = try await client.send(HTTPRequest(.post, url))
                    guard response.status == 200, response.openedConnection else {
                        throw SystemError("measure", "lane \(lane)", code: EPROTO)
                    }
                }
            }
        }
        try await group.waitForAll()
    }
    let count = Double(connections / atOnce * atOnce)
    return Sample(
        connectionsPerSecond: count / (Double(MonotonicClock.now - began) / 1e9),
        processorMicroseconds: (processorTime() - used) / count / 1e3)
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func middle(
    _ samples: [Sample], besides bare: [Sample], _ value: (Sample) -> Double
) -> (value: Double, ofBare: Double) {
    (median(samples.map(value)), median(zip(samples, bare).map { value($0) / value($1) }))
}

let known = AttestedClientJudge(try makeVerifier())
let rows: [(name: String, server: (HTTPServer, String))] = [
    ("bare mutual TLS", try await server(nil)),
    ("evidence, platform known", try await server(known)),
    ("evidence, platform new each time", try await server(ForgetfulJudge())),
]
var results = [[Sample]](repeating: [], count: rows.count)
for (_, url) in rows.map(\.server) { _ = try await measure(url) }
for _ in 0..<rounds {
    for (index, row) in rows.enumerated().shuffled() { results[index].append(try await measure(row.server.1)) }
}
for row in rows { await row.server.0.stop(within: .seconds(1)) }

func fixed(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int((value * scale).rounded())
    guard digits > 0 else { return "\(whole)" }
    let fraction = "\(whole % Int(scale))"
    return "\(whole / Int(scale))." + String(repeating: "0", count: digits - fraction.utf8.count) + fraction
}

var json = JSONWriter()
json.object { object in
    object.member("rounds", rounds)
    object.member("connections", connections)
    for (index, row) in rows.enumerated() {
        let rate = middle(results[index], besides: results[0], \.connectionsPerSecond)
        let time = middle(results[index], besides: results[0], \.processorMicroseconds)
        print(
            """
            \(row.name): \(fixed(rate.value, 0)) connections per second, \(fixed(rate.ofBare, 2)) of bare; \
            \(fixed(time.value, 0)) us of processor time a connection, \(fixed(time.ofBare, 2)) of bare
            """)
        object.object(row.name) {
            $0.member("connections_per_second", Int(rate.value))
            $0.member("processor_microseconds", Int(time.value))
        }
    }
}
print(String(decoding: json.bytes, as: UTF8.self))
