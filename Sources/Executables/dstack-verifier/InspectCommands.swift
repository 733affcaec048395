import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackShells
import DstackSystem

/// `parse`, `replay` and `compose-hash`: what stands in evidence, without any judgement of it.
enum InspectCommands {
    private static let limit = EvidenceFile.maximumByteCount

    // MARK: parse

    private static let quoteFile = Positional(
        required: .file, "the quote: binary, hexadecimal, base64, or an agent's answer")

    static let parse = Command(
        "parse", "shows the fields of a quote, unverified",
        examples: ["dstack-verifier parse q.bin"], notes: ["The fields are one JSON object, with or without --json."],
        arguments: [quoteFile, Flag.json]
    ) { arguments, console in
        let file = EvidenceFile(recognising: try arguments.read(quoteFile, limit: limit))
        let quote = try CommandFailure.wrongFile(quoteFile, arguments) { () throws(AttestationError) in
            try Quote(parsing: file.quote())
        }
        console.print(String(decoding: quote.json, as: UTF8.self))
        return .done
    }

    // MARK: replay

    private static let logFile = Positional(
        required: .file, "the event log: dstack's JSON, a guest's record, binary (CCEL), or an agent's answer")
    private static let replayQuote = Option("quote", .file, "a quote to compare the registers with")

    static let replay = Command(
        "replay", "shows the registers that an event log leads to",
        examples: ["dstack-verifier replay event-log.json", "dstack-verifier replay event-log.json --quote q.bin"],
        arguments: [logFile, replayQuote, Flag.json],
        statuses: [.no: "the log does not lead to the quote's registers"]
    ) { arguments, console in
        let log = try arguments.read(logFile, limit: limit)
        let quote = try arguments.read(replayQuote, limit: limit)
        let survey = try CommandFailure.wrongFile(logFile, arguments) { () throws(AttestationError) in
            EventLogSurvey(try EvidenceFile(recognising: log).eventLog())
        }
        let report = try quote.map { bytes throws(CommandFailure) in
            try CommandFailure.wrongFile(replayQuote, arguments) { () throws(AttestationError) in
                guard let report = try Quote(parsing: EvidenceFile(recognising: bytes).quote()).body.tdReport else {
                    throw AttestationError(
                        .invalidQuote, subject: "quote", reason: "an SGX quote has no runtime registers",
                        hint: "give the quote of the trust domain whose log it is")
                }
                return report
            }
        }
        for remark in survey.remarks { console.note("note: \(SafeText.line(remark))") }
        show(survey, report?.rtmrs, isJSON: arguments[Flag.json], console)
        guard let report else { return .done }
        for register in survey.registers where register.value != report.rtmrs[register.register] {
            console.fail(
                register.value == nil
                    ? "\(register.register) is not explained: \(register.absence ?? "")"
                    : "\(register.register) differs: the quote has \(report.rtmrs[register.register].hex)")
        }
        guard survey.matches(report.rtmrs) else { return .no }
        console.note("all four registers are the quote's")
        return .yes
    }

    private static func show(_ survey: EventLogSurvey, _ quoted: RTMRValues?, isJSON: Bool, _ console: Console) {
        guard isJSON else {
            for register in survey.registers {
                let value = register.value?.hex ?? "unknown: \(register.absence ?? "")"
                console.print("rtmr\(register.register.rawValue) \(SafeText.line(value))")
            }
            return
        }
        var writer = JSONWriter()
        writer.object { object in
            for register in survey.registers {
                object.member("rtmr\(register.register.rawValue)", register.value?.hex)
            }
            object.member("events", survey.entryCount)
            object.member("remarks", survey.remarks)
            object.member("matches", quoted.map { survey.matches($0) })
            object.array("differences") { array in
                guard let quoted else { return }
                for register in survey.registers where register.value != quoted[register.register] {
                    array.object { item in
                        item.member("register", "rtmr\(register.register.rawValue)")
                        item.member("quoted", quoted[register.register].hex)
                    }
                }
            }
        }
        console.print(writer.text)
    }

    // MARK: compose-hash

    private static let composeFile = Positional(required: .file, "app-compose.json")
    private static let normalized = Flag(
        "normalized", "hash the normalised form that deploy tools write instead of the file's own bytes")
    private static let measured = Option(
        "measured", .hex("HEX", bytes: 32),
        "a compose hash that was measured: is it this file's, or that of another form of it?")

    static let composeHash = Command(
        "compose-hash", "prints the compose hash and the default application id of an app-compose.json",
        examples: [
            "dstack-verifier compose-hash app-compose.json",
            "dstack-verifier compose-hash app-compose.json --measured "
                + "d76ad112bd0dbb84c8dbb32bbfe2a2a3fb22be3ac1ba8a3bc7fbbd8e7a9a3a9f",
        ],
        arguments: [composeFile, normalized, measured, Flag.json], rules: [.atMostOne(of: normalized, measured)],
        statuses: [.no: "it is not what was measured"]
    ) { arguments, console in
        let bytes = try arguments.read(composeFile, limit: AppCompose.maximumByteCount)
        let compose = try CommandFailure.wrongFile(composeFile, arguments) { () throws(AttestationError) in
            let compose = try AppCompose(parsing: bytes)
            // An answer of an agent is a JSON object as well, and its hash nobody's compose hash.
            if let misnomer = AppCompose.misnomer(bytes) { throw misnomer }
            return compose
        }
        let hash = arguments[normalized] ? compose.canonicalHash(isNormalized: true) : compose.composeHash
        let wanted = arguments[measured].flatMap { FixedBytes<32>($0) }.map(ComposeHash.init)
        let form = wanted.flatMap { ComposeForm(of: bytes, reaching: $0) }
        if arguments[Flag.json] {
            var writer = JSONWriter()
            writer.object { object in
                object.member("compose_hash", "\(hash)")
                object.member("app_id", "\(AppID(defaultFor: hash))")
                object.member("matches", wanted.map { $0 == hash })
                object.member("form", form?.description)
            }
            console.print(writer.text)
        } else {
            console.print("compose_hash \(hash)")
            console.print("app_id \(AppID(defaultFor: hash))")
        }
        guard let wanted, wanted != hash else { return .done }
        if let form {
            console.fail(
                "the measured file differs in form alone: it is this file \(form)",
                hint: "deploy and keep the same bytes: no other form of a file is accepted in its place")
        } else {
            console.fail("the measured file says something else, or is written in a way that is not known here")
        }
        return .no
    }
}
