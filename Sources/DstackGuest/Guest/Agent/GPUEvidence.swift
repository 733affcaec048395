import DstackEncoding
package import DstackRPC
import DstackSystem

/// Evidence about the machine's NVIDIA GPUs, as the newer interface has it.
///
/// It is collected here and judged elsewhere, by whoever asked: with NVIDIA's certificates and reference values. What is
/// checked is that it answers the caller, since evidence over another's nonce would be a lie about when it was made.
package struct GPUEvidence: Sendable {
    private let machine: GuestMachine
    private let queue: QuoteQueue

    /// The most that the tool may write. Of one GPU it writes some 14 KiB.
    private static let outputLimit = 16 << 20
    /// The length of a nonce in SPDM (DSP0274, section "GET_MEASUREMENTS request message format").
    private static let nonceBytes = 32

    init(of machine: GuestMachine) {
        self.machine = machine
        // A little more than the tool has, so that a caller whose turn comes at once hears what became of the tool.
        queue = QuoteQueue(
            timeout: machine.gpuToolPatience + .seconds(5), capacity: machine.maximumWaitingForGPUs, for: .gpuEvidence)
    }

    // MARK: Of the boot

    /// What the boot wrote, for GpuInfo; empty where there is nothing, or no text.
    var textOfBoot: String { String(validating: machine.gpuAttestation, as: UTF8.self) ?? "" }

    /// What the boot wrote, for whoever asks for it with an attestation; byte for byte, because its hash was measured.
    var evidenceOfBoot: [AgentRPCv1.GpuEvidence] {
        let bytes = machine.gpuAttestation
        return bytes.isEmpty ? [] : [Self.bundle("nvidia-nvattest-boottime-json-v1", bytes)]
    }

    private static func bundle(_ format: String, _ evidence: [UInt8]) -> AgentRPCv1.GpuEvidence {
        .with {
            $0.vendor = "nvidia"
            $0.format = format
            $0.evidence = evidence
        }
    }

    // MARK: On demand

    /// Fresh evidence over a nonce of the caller's. One call after the other: the tool talks to every GPU of the machine.
    ///
    /// - Throws: an `RPCError`; its status is 501 where the tool is not there, and 503 for what may work later.
    func evidence(over nonce: [UInt8]) async throws -> [AgentRPCv1.GpuEvidence] {
        guard nonce.count == Self.nonceBytes else {
            throw RPCError("nonce: \(Self.nonceBytes) bytes are needed, not \(nonce.count)")
        }
        guard machine.hasGPU else { throw RPCError("there is no GPU in this machine that could be attested") }
        return try await queue.run { [machine] in
            let output = try await Self.collect(machine, nonce)
            let evidence = try Self.evidence(in: output, over: nonce)
            return [Self.bundle("nvidia-nvattest-collect-evidence-json-v1", evidence)]
        }
    }

    /// What the tool writes.
    private static func collect(_ machine: GuestMachine, _ nonce: [UInt8]) async throws(RPCError) -> [UInt8] {
        // Without a format it writes for people, and evidence not at all.
        let arguments = ["collect-evidence", "--device", "gpu", "--nonce", Hex.encode(nonce), "--format", "json"]
        do {
            return try await ProgramOutput.of(
                machine.gpuTool, arguments, limit: outputLimit, patience: machine.gpuToolPatience
            ).output
        } catch {
            let status: Int
            switch error.kind {
            // No other request would succeed either.
            case .notStarted: status = 501
            case .stopped, .failed, .cancelled: status = 503
            }
            // Where the tool logs nothing, what it answered says why.
            let result =
                error.kind == .failed && error.output.errors.isEmpty ? try? Result(of: error.output.output) : nil
            throw RPCError("no GPU evidence: \(result.map { "\($0)" } ?? "\(error)")", status: status)
        }
    }

    /// The array `evidences` of the tool's output, exactly as it stands there: the form in which NVIDIA's verifiers read
    /// evidence from a file.
    ///
    /// - Throws: an `RPCError` for anything but one JSON document of a success, with evidence of one GPU at least, all of
    ///   it over the nonce.
    package static func evidence(in output: [UInt8], over nonce: [UInt8]) throws(RPCError) -> [UInt8] {
        do {
            let result = try Result(of: output)
            // Exit statuses have 8 bits and results 16, so that some failures end with status 0.
            guard result.code == 0 else { throw RPCError("no GPU evidence: \(result)", status: 503) }
            let evidences = try result.document.root.member("evidences")
            for evidence in try evidences.array() { try check(evidence, nonce) }
            guard evidences.count > 0 else { throw RPCError("no GPU evidence: nvattest found no GPU", status: 503) }
            return evidences.rawBytes
        } catch let error as RPCError {
            throw error
        } catch {
            throw RPCError("no GPU evidence: \(SafeText.line("\(error)", limit: 300))", status: 500)
        }
    }

    /// That a GPU's evidence is over the nonce: both what the tool says that it asked the GPU, and what stands in the
    /// report that the GPU signed. The signature is for the verifier to check.
    ///
    /// A report is the transcript of an SPDM exchange and begins with the request: version, code, two parameters, nonce.
    private static func check(_ evidence: JSONNode, _ nonce: [UInt8]) throws {
        let report = try evidence.member("evidence")
        let transcript = try Base64.decode(report.string(), subject: report.subject)
        guard transcript.count >= 4 + nonceBytes, transcript[1] == 0xE0 else {
            throw report.failure("a report that begins with the request for measurements expected")
        }
        let stated = try evidence.member("nonce").hexBytes()
        for (found, place) in [(stated, "evidence"), (Array(transcript[4..<4 + nonceBytes]), "report")]
        where found != nonce {
            throw RPCError(
                "GPU evidence refused: the \(place) is over another nonce than \(Hex.encode(nonce)): "
                    + Hex.encode(found.prefix(nonceBytes)), status: 500)
        }
    }

    /// The tool's output: one JSON document.
    private struct Result: CustomStringConvertible {
        let document: JSONDocument
        /// Zero for success, else what went wrong.
        let code: Int
        let message: String

        init(of output: [UInt8]) throws(DecodingFailure) {
            // Far more than the GPUs of a machine need, and far less than 16 MiB have room for.
            document = try JSONDocument(
                parsing: output, subject: "output of nvattest", maximumDepth: 16, maximumValues: 1 << 16)
            code = try document.root.member("result_code").integer()
            message = try document.root.optionalMember("result_message")?.string() ?? ""
        }

        var description: String { "nvattest ended with result \(code): \(SafeText.line(message, limit: 300))" }
    }
}
