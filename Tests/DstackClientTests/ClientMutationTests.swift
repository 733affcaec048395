import DstackAttestation
import DstackEncoding
import DstackHTTPServer
import Foundation
import FuzzSupport
import Synchronization
import Testing

/// Answers that were cut or changed somewhere: the client gives a result that is about what was asked, or an error; it
/// never traps or hangs, and never gives evidence for anything else.
@Suite("Mutated answers")
struct ClientMutationTests {
    private struct Method: Sendable, CustomTestStringConvertible {
        let name: String
        /// Calls it, and checks a result.
        let call: @Sendable (DstackClient, TappdClient) async throws(DstackClientError) -> Void
        var testDescription: String { name }
    }

    private static let reportData: [UInt8] = [1, 2, 3]
    private static let padded = (try? ReportData(padding: reportData)) ?? ReportData(FixedBytes())

    private static let methods = [
        Method(name: "GetKey") { client, tappd throws(DstackClientError) in
            let key = try await client.key(path: "a", purpose: "b")
            #expect(key.publicKey.count == 33 && key.signatureChain.count == 2)
            _ = try? key.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
        },
        Method(name: "v1/GetKey") { client, tappd throws(DstackClientError) in
            let key = try await client.v1.key(domain: "a", algorithm: .ed25519)
            #expect(key.publicKey.count == 32)
            _ = try? key.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
        },
        Method(name: "GetTlsKey") { client, tappd throws(DstackClientError) in
            let identity = try await client.tlsIdentity(.init(subject: "a"))
            let leaf = try? RATLSCertificate(parsing: identity.certificateChain[0])
            #expect(leaf?.attestation?.reportData == leaf?.expectedReportData)
        },
        Method(name: "GetQuote") { client, tappd throws(DstackClientError) in
            let quote = try await client.quote(reportData: reportData)
            #expect(quote.report.reportData == padded.bytes)
            _ = try? quote.replayedEventLog()
            _ = quote.leadsToIntel
        },
        Method(name: "Attest") { client, tappd throws(DstackClientError) in
            let evidence = try await client.attest(reportData: reportData)
            #expect(evidence.attestation.reportData == padded)
            #expect((try? evidence.attestation.parsedQuote().body.reportData) == padded.bytes)
        },
        Method(name: "Info") { client, tappd throws(DstackClientError) in
            let info = try await client.info()
            _ = info.composeHashMatches
            _ = try? info.tcb?.eventLog.replay()
        },
        Method(name: "v1/Info") { client, tappd throws(DstackClientError) in
            _ = try await client.v1.info().composeHashMatches
        },
        Method(name: "Sign") { client, tappd throws(DstackClientError) in
            let signed = try await client.sign([7], using: .ed25519)
            #expect((try? signed.isValid(for: [7])) == true)
        },
        Method(name: "Tappd.TdxQuote") { client, tappd throws(DstackClientError) in
            let quote = try await tappd.tdxQuote(reportData, hash: .sha256)
            #expect(quote.report.reportData == ReportData(tag: .appData, content: reportData, hash: .sha256).bytes)
        },
        Method(name: "Tappd.DeriveKey") { client, tappd throws(DstackClientError) in
            _ = try await tappd.deriveKey(path: "a")
        },
    ]

    private static let rounds = 120

    @Test("a changed or cut answer gives an error, or a result about what was asked", arguments: methods)
    private func mutations(_ method: Method) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let (client, tappd) = (agent.client(), agent.tappd)
        try await method.call(client, tappd)
        let recorded = Mutex<[UInt8]>([])
        agent.tamper { _, answer in
            if let bytes = answer.wholeBody { recorded.withLock { $0 = bytes } }
            return answer
        }
        try await method.call(client, tappd)
        let original = recorded.withLock { $0 }
        try #require(original.count > 10)

        var failures = 0
        for round in 0..<Self.rounds {
            var random = FuzzRandom(seed: 1, purpose: "client \(method.name)", number: round)
            agent.answer(Self.mutated(original, round, &random))
            do throws(DstackClientError) {
                try await method.call(client, tappd)
            } catch {
                failures += 1
                #expect(
                    [.invalidResponse, .notAuthentic, .unsupported].contains(error.code),
                    "\(method.name), round \(round): \(error)")
            }
        }
        #expect(failures > Self.rounds / 4, "most changes are noticed")
    }

    private static func mutated(_ bytes: [UInt8], _ round: Int, _ random: inout FuzzRandom) -> [UInt8] {
        var result = bytes
        let position = Int.random(in: 0..<bytes.count, using: &random)
        switch round % 6 {
        case 0: return [UInt8](bytes.prefix(position))
        case 1: result[position] = UInt8.random(in: 0...255, using: &random)
        // A digit for a digit keeps the JSON whole, so that the bytes behind it are read.
        case 2, 3:
            let digits = bytes.indices.filter { Hex.value(of: bytes[$0]) != nil }
            if let place = digits.randomElement(using: &random) {
                result[place] = Array("0123456789abcdef".utf8).randomElement(using: &random) ?? 0
            }
        case 4:
            let end = min(bytes.count, position + Int.random(in: 1...40, using: &random))
            result.removeSubrange(position..<end)
        default:
            let end = min(bytes.count, position + Int.random(in: 1...40, using: &random))
            result.insert(contentsOf: bytes[position..<end], at: position)
        }
        return result
    }
}
