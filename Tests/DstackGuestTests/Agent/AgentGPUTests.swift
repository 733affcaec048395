import DstackEncoding
import DstackGuest
import DstackHTTPClient
import DstackRPC
import Foundation
import TestKit
import Testing

@Suite("Guest agent: evidence of GPUs, from a program that stands in for NVIDIA's")
struct AgentGPUTests {
    private static let table = Task { try await StandIn() }

    @Test("fresh evidence is what the tool wrote for the nonce, in JSON and protobuf", arguments: [1, 8])
    func fresh(count: Int) async throws {
        let standIn = try await Self.table.value
        let nonce = try standIn.nonce { StandIn.print(StandIn.document([[UInt8]](repeating: $0, count: count))) }
        let json = try await standIn.bench.post("dstack", "/v1/AttestGpu", #"{"nonce":"\#(Hex.encode(nonce))"}"#)
        #expect(json.status == 200, "\(json.text)")
        let bundles = try json.json.rows("bundles")
        #expect(try bundles.map { try $0.text("vendor") } == ["nvidia"])
        #expect(try bundles.map { try $0.text("format") } == ["nvidia-nvattest-collect-evidence-json-v1"])
        let expected = StandIn.evidences([[UInt8]](repeating: nonce, count: count))
        #expect(try bundles.first?.text("evidence") == Hex.encode(Array(expected.utf8)))

        var client = RPCClient(
            HTTPClient(.init(transport: .unix(path: standIn.bench.path("dstack")))), at: "http://localhost/v1")
        client.encoding = .protobuf
        let answer = try await client.call(AgentRPCv1.DstackGuest.attestGPU, .with { $0.nonce = nonce })
        #expect(answer.bundles.map(\.evidence) == [Array(expected.utf8)])
        #expect(answer.bundles.map(\.format) == ["nvidia-nvattest-collect-evidence-json-v1"])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let status: Int
        let reason: String
        /// What the stand-in does for a nonce: a shell script.
        let script: @Sendable ([UInt8]) -> String

        init(_ name: String, _ status: Int, _ reason: String, _ script: @escaping @Sendable ([UInt8]) -> String) {
            (self.name, self.status, self.reason, self.script) = (name, status, reason, script)
        }

        var testDescription: String { name }
    }

    private static let other = [UInt8](repeating: 0xEE, count: 32)

    @Test(
        "an answer of the tool that is not evidence over the nonce is refused with the reason",
        arguments: [
            Case("another nonce", 500, "the evidence is over another nonce") { _ in
                StandIn.print(StandIn.document([other]))
            },
            Case("another nonce of one GPU", 500, "the evidence is over another nonce") {
                StandIn.print(StandIn.document([$0, $0, other]))
            },
            Case("another nonce in the report", 500, "the report is over another nonce") {
                StandIn.print(StandIn.document([$0], reportNonce: other))
            },
            Case("a nonce that is too long", 500, "the evidence is over another nonce") {
                StandIn.print(StandIn.document([$0 + [0]], reportNonce: $0))
            },
            Case("no nonce", 500, #"member "nonce" is missing"#) {
                let text = StandIn.document([$0])
                return StandIn.print(text.replacingOccurrences(of: #""nonce""#, with: #""once""#))
            },
            Case("a short report", 500, "a report that begins with the request") {
                StandIn.print(StandIn.document([$0], report: Array([0x11, 0xE0, 1, 0xFF] + $0.prefix(31))))
            },
            Case("a report of something else", 500, "a report that begins with the request") {
                StandIn.print(StandIn.document([$0], report: [0x11, 0x60, 1, 0xFF] + $0 + [0]))
            },
            Case("a report that is not base64", 500, "not a base64 character") {
                StandIn.print(
                    StandIn.document([$0]).replacingOccurrences(of: #""evidence": ""#, with: #""evidence": "!!!!"#))
            },
            Case("no GPU", 503, "found no GPU") { _ in StandIn.print(StandIn.document([])) },
            Case("no evidence", 500, #"member "evidences" is missing"#) { _ in StandIn.print(#"{"result_code": 0}"#) },
            Case("evidence that is none", 500, "an array expected, found null") { _ in
                StandIn.print(#"{"result_code": 0, "evidences": null}"#)
            },
            Case("no result", 500, #"member "result_code" is missing"#) { _ in StandIn.print(#"{"evidences": []}"#) },
            Case("a failure whose status is 0", 503, "nvattest ended with result 512: NVML\\u{1b}[2J") {
                let text = StandIn.document([$0]).replacingOccurrences(
                    of: #""result_code": 0"#, with: #""result_code": 512"#)
                return StandIn.print(text.replacingOccurrences(of: #""Ok""#, with: #""NVML\u001b[2J""#))
            },
            Case("nothing", 500, "output of nvattest") { _ in "true" },
            Case("text for people", 500, "output of nvattest") { _ in "echo GPU evidence collection was successful." },
            Case("two documents", 500, "output of nvattest") {
                StandIn.print(StandIn.document([$0])) + "\n" + StandIn.print(StandIn.document([$0]))
            },
            Case("a document that ends early", 500, "output of nvattest") {
                StandIn.print(String(StandIn.document([$0]).dropLast(3)))
            },
            Case("too much", 503, "it wrote more than 16777216 bytes") { _ in "head -c 17000000 /dev/zero" },
            Case("too many values", 500, "output of nvattest") { _ in
                "printf '['; yes '0,' | head -n 100000; echo '0]'"
            },
            Case("a failure", 503, "nvattest: GPU must be\\u{1b} in CC mode") { _ in
                #"printf 'GPU must be\033 in CC mode\n' >&2; exit 1"#
            },
            Case("a failure without a word", 503, "ended with status 3") { _ in "exit 3" },
            Case("a failure that only the result tells", 503, "nvattest ended with result 501: NVML error") { _ in
                StandIn.print(#"{"evidences": null, "result_code": 501, "result_message": "NVML error"}"#)
                    + "exit 245"
            },
            Case("an end by signal", 503, "it was ended by signal 11") { _ in "kill -SEGV $$" },
        ])
    func refused(row: Case) async throws {
        let standIn = try await Self.table.value
        let nonce = try standIn.nonce(row.script)
        let answer = try await standIn.attest(nonce)
        #expect(answer.status == row.status)
        let error = try #require(answer.error)
        #expect(error.contains(row.reason), "\(error)")
        #expect(error.utf8.count < 1_000 && error.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
    }

    @Test("without the tool the error names its path; without a GPU the tool is not asked")
    func absent() async throws {
        let standIn = try await StandIn { $0.gpuTool = "/nowhere/nvattest" }
        let answer = try await standIn.attest([UInt8](repeating: 1, count: 32))
        #expect(answer.status == 501)
        #expect(answer.error == "no GPU evidence: /nowhere/nvattest: there is no such program")
        let bare = try await StandIn { $0.gpuDriverDirectory = "/nowhere" }
        let nonce = try bare.nonce { StandIn.print(StandIn.document([$0])) }
        let refusal = try await bare.attest(nonce)
        #expect(refusal.status == 400)
        #expect(refusal.error == "there is no GPU in this machine that could be attested")
        #expect(try bare.runs == 0)
        for count in [0, 31, 33] {
            let short = try await standIn.attest([UInt8](repeating: 1, count: count))
            #expect(short.status == 400)
            #expect(short.error == "nonce: 32 bytes are needed, not \(count)")
        }
    }

    @Test("what the boot wrote is handed out byte for byte; GpuInfo, which has texts, leaves out what is none")
    func boot() async throws {
        let standIn = try await StandIn { $0.gpuAttestationFile = "/nowhere" }
        let ask = #"{"report_data":"00","include_boottime_gpu_evidence":true}"#
        #expect(try await standIn.bench.post("dstack", "/v1/Attest", ask).json.rows("boottime_gpu_evidence").isEmpty)
        let path = "\(standIn.directory)/attestation.out"
        let other = try await StandIn { $0.gpuAttestationFile = path }
        for bytes in [Array("{ \"claims\" : [\r\n]}\n".utf8), [0x7B, 0xFF, 0x00, 0x7D]] as [[UInt8]] {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let evidence = try await other.bench.post("dstack", "/v1/Attest", ask).json.rows("boottime_gpu_evidence")
            #expect(try evidence.map { try $0.text("evidence") } == [Hex.encode(bytes)])
            let text = try await other.bench.post("dstack", "/GpuInfo").json.text("attestation")
            #expect(text == (String(validating: bytes, as: UTF8.self) ?? ""))
        }
        try Data().write(to: URL(fileURLWithPath: path))
        #expect(try await other.bench.post("dstack", "/v1/Attest", ask).json.rows("boottime_gpu_evidence").isEmpty)
    }

    @Test("a tool that hangs is ended with all that it started, and the next call is answered")
    func hang() async throws {
        let standIn = try await StandIn { $0.gpuToolPatience = .seconds(2) }
        let pids = standIn.directory + "/pids"
        let hanging = try standIn.nonce { _ in "echo $$ >> \(pids); sleep 600 & echo $! >> \(pids); wait" }
        let answer = try await standIn.attest(hanging)
        #expect(answer.status == 503)
        #expect(answer.error?.contains("it took longer than") == true, "\(answer.text)")
        let numbers = try String(contentsOfFile: pids, encoding: .utf8).split(separator: "\n").compactMap { pid_t($0) }
        #expect(numbers.count == 2)
        #expect(try await eventually { numbers.allSatisfy { kill($0, 0) != 0 } })
        #expect(
            try await eventually {
                let nonce = try standIn.nonce { StandIn.print(StandIn.document([$0])) }
                return try await standIn.attest(nonce).status == 200
            })
    }

    @Test("one run at a time: calls wait for their turn, and those past the bound are told at once")
    func concurrency() async throws {
        let standIn = try await StandIn { $0.maximumWaitingForGPUs = 3 }
        let (lock, gate) = (standIn.directory + "/lock", standIn.directory + "/gate")
        let nonces = try (0..<10).map { _ in
            try standIn.nonce {
                "mkdir \(lock) || exit 9; while [ ! -e \(gate) ]; do sleep 0.02; done; rmdir \(lock); "
                    + StandIn.print(StandIn.document([$0]))
            }
        }
        try await withThrowingTaskGroup(of: ([UInt8], AgentFixture.Answer).self) { group in
            for nonce in nonces { group.addTask { (nonce, try await standIn.attest(nonce)) } }
            var (refused, answered) = (0, 0)
            for try await (nonce, answer) in group {
                if answer.status == 503 {
                    #expect(answered == 0)
                    #expect(
                        answer.error == "4 calls are waiting for GPU evidence, which is the limit; try again")
                    refused += 1
                    // One runs, three wait. Until the others are turned away, nobody is done.
                    if refused == 6 { try Data().write(to: URL(fileURLWithPath: gate)) }
                    continue
                }
                answered += 1
                #expect(answer.status == 200, "\(answer.text)")
                let evidence = try #require(try answer.json.rows("bundles").first).text("evidence")
                #expect(evidence == Hex.encode(Array(StandIn.evidences([nonce]).utf8)))
            }
            #expect(refused == 6 && answered == 4)
        }
        #expect(try standIn.runs == 4)
        #expect(!FileManager.default.fileExists(atPath: lock))
    }

    @Test("output that was cut off or changed is refused, or still over the nonce")
    func mutations() throws {
        let nonce = (0..<32).map { UInt8($0 * 7) }
        let output = Array(StandIn.document([nonce, nonce]).utf8)
        #expect(try GPUEvidence.evidence(in: output, over: nonce) == Array(StandIn.evidences([nonce, nonce]).utf8))
        // The last byte is the brace that ends it.
        for length in 0..<output.count {
            #expect(throws: RPCError.self) {
                try GPUEvidence.evidence(in: Array(output.prefix(length)), over: nonce)
            }
        }
        var generator = SeededGenerator(seed: 11)
        var accepted = 0
        for _ in 0..<3_000 {
            var changed = output
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                changed[Int.random(in: changed.indices, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            guard let evidence = try? GPUEvidence.evidence(in: changed, over: nonce) else { continue }
            accepted += 1
            let rows = try #require(try JSONSerialization.jsonObject(with: Data(evidence)) as? [Any])
            #expect(!rows.isEmpty)
            for row in rows {
                let row = try JSONDictionary(row)
                #expect(try row.text("nonce").lowercased() == Hex.encode(nonce))
                let report = try #require(Data(base64Encoded: try row.text("evidence")))
                #expect(Array(report[4..<36]) == nonce)
            }
        }
        #expect(accepted < 3_000)
    }
}

/// An agent on a machine with a GPU and a tool of the test's making, which does for each nonce what the test wants.
private struct StandIn: Sendable {
    let bench: BenchAgent
    private let place: BenchAgent.Place

    var directory: String { place.path }

    init(_ change: (inout GuestMachine) -> Void = { _ in }) async throws {
        place = try BenchAgent.Place()
        let tool = "\(place.path)/nvattest"
        for folder in ["gpus/0000:01:00.0", "cases"] {
            try FileManager.default.createDirectory(
                atPath: "\(place.path)/\(folder)", withIntermediateDirectories: true)
        }
        let script = """
            #!/bin/sh
            echo run >> "\(place.path)/runs"
            if [ $# != 7 ] || [ "$*" != "collect-evidence --device gpu --nonce $5 --format json" ]; then
                echo "arguments: $*" >&2
                exit 106
            fi
            . "\(place.path)/cases/$5"

            """
        try script.write(toFile: tool, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: tool)
        var machine = GuestMachine()
        machine.gpuDriverDirectory = "\(place.path)/gpus"
        machine.gpuTool = tool
        change(&machine)
        var settings = AgentFixture.settings
        settings.certificates.makesDemoCertificate = false
        bench = try await BenchAgent(settings, machine: machine)
    }

    /// A new nonce for which the tool runs a script.
    func nonce(_ script: ([UInt8]) -> String) throws -> [UInt8] {
        let nonce = (0..<32).map { _ in UInt8.random(in: 0...255) }
        try script(nonce).write(
            toFile: "\(directory)/cases/\(Hex.encode(nonce))", atomically: true, encoding: .utf8)
        return nonce
    }

    func attest(_ nonce: [UInt8]) async throws -> AgentFixture.Answer {
        try await bench.post("dstack", "/v1/AttestGpu", #"{"nonce":"\#(Hex.encode(nonce))"}"#)
    }

    /// How often the tool was run.
    var runs: Int {
        get throws {
            guard let text = try? String(contentsOfFile: "\(directory)/runs", encoding: .utf8) else { return 0 }
            return text.split(separator: "\n").count
        }
    }

    static func print(_ text: String) -> String { "cat <<'END'\n\(text)\nEND\n" }

    /// What the tool writes: an object with members in order of their names, indented by four.
    static func document(_ nonces: [[UInt8]], reportNonce: [UInt8]? = nil, report: [UInt8]? = nil) -> String {
        """
        {
            "evidences": \(evidences(nonces, reportNonce: reportNonce, report: report)),
            "result_code": 0,
            "result_message": "Ok"
        }
        """
    }

    static func evidences(_ nonces: [[UInt8]], reportNonce: [UInt8]? = nil, report: [UInt8]? = nil) -> String {
        let rows = nonces.map { nonce in
            // SPDM 1.1, GET_MEASUREMENTS of all with a signature, nonce, slot; then the answer.
            let whole =
                report ?? [0x11, 0xE0, 1, 0xFF] + (reportNonce ?? nonce) + [0] + [UInt8](repeating: 0x5A, count: 200)
            return """
                        {
                            "arch": "HOPPER",
                            "certificate": "LS0tLS1CRUdJTg==",
                            "evidence": "\(Base64.encode(whole))",
                            "nonce": "\(Hex.encode(nonce))"
                        }
                """
        }
        return rows.isEmpty ? "[]" : "[\n" + rows.joined(separator: ",\n") + "\n    ]"
    }
}
