import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackSystem

/// `parse`, `replay` and `compose-hash`: what stands in evidence, without any judgement of it.
enum InspectCommands {
    private static let limit = 16 << 20

    // MARK: parse

    private static let quoteFile = Positional(required: .file, "the quote, binary or hexadecimal")

    static let parse = Command(
        "parse", "shows the fields of a quote, unverified",
        examples: ["dstack-verifier parse q.bin"], arguments: [quoteFile]
    ) { arguments, console in
        let bytes = Evidence.binary(from: try arguments.read(quoteFile, limit: limit))
        do throws(AttestationError) {
            console.print(String(decoding: try Quote(parsing: bytes).json, as: UTF8.self))
            return .done
        } catch {
            throw CommandFailure(.no, "not a quote: \(error.description)")
        }
    }

    // MARK: replay

    private static let logFile = Positional(
        required: .file, "the event log, dstack's JSON or binary (CCEL)")
    private static let replayQuote = Option("quote", .file, "a quote to compare the registers with")

    static let replay = Command(
        "replay", "shows the registers that an event log leads to",
        examples: ["dstack-verifier replay event-log.json", "dstack-verifier replay event-log.json --quote q.bin"],
        arguments: [logFile, replayQuote]
    ) { arguments, console in
        let log = try arguments.read(logFile, limit: limit)
        let quote = try arguments.read(replayQuote, limit: limit)
        do throws(AttestationError) {
            let isText = log.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "[")
            let replayed = try (isText ? EventLog(json: log) : EventLog(ccel: log)).replay()
            for register in RTMR.allCases {
                console.print("rtmr\(register.rawValue) \(replayed.registers[register].hex)")
            }
            guard let bytes = quote else { return .done }
            guard let report = try Quote(parsing: Evidence.binary(from: bytes)).body.tdReport else {
                throw AttestationError(
                    .invalidQuote, subject: "--quote", reason: "an SGX quote has no runtime registers")
            }
            let differences = replayed.compare(with: report.rtmrs).filter { !$0.matches }
            for difference in differences {
                console.fail("\(difference.register) differs: the quote has \(difference.quoted.hex)")
            }
            if differences.isEmpty { console.note("all four registers are the quote's") }
            return differences.isEmpty ? .yes : .no
        } catch {
            throw CommandFailure(.no, error.description)
        }
    }

    // MARK: compose-hash

    private static let composeFile = Positional(required: .file, "app-compose.json")
    private static let normalized = Flag(
        "normalized", "hash the normalised form that deploy tools write instead of the file's own bytes")

    static let composeHash = Command(
        "compose-hash", "prints the compose hash and the default application id of an app-compose.json",
        examples: ["dstack-verifier compose-hash app-compose.json"], arguments: [composeFile, normalized]
    ) { arguments, console in
        let bytes = try arguments.read(composeFile, limit: limit)
        do throws(AttestationError) {
            let compose = try AppCompose(parsing: bytes)
            let hash = arguments[normalized] ? compose.canonicalHash(isNormalized: true) : compose.composeHash
            console.print("compose_hash \(hash)")
            console.print("app_id \(AppID(defaultFor: hash))")
            return .done
        } catch {
            throw CommandFailure(.no, error.description)
        }
    }
}
