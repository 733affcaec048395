import DstackAttestation
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("Attestation envelopes")
struct AttestationTests {
    static let simulator = "attestation/simulator_attestation.bin"
    static let derived = "attestation/simulator_attestation_v1_derived.msgpack"

    static let events = EventLog([
        LoggedEvent(register: .rtmr0, type: .separator, digest: FixedBytes(repeating: 7), payload: [1]),
        LoggedEvent(RuntimeEvent(name: "app-id", payload: [1, 2, 200])),
    ])

    static let tpmQuote = TPMQuote(
        message: [1, 255], signature: [2], registers: [.init(index: 14, algorithm: "sha256", value: [3, 4])],
        attestationKeyCertificate: [0x30, 0], platform: .gcp, eventLog: [.init(index: 8, digest: [5])])

    /// One attestation of every platform.
    static let everyPlatform: [Attestation] = [
        .tdx(.init(quote: [4, 0, 200, 0x80], eventLog: events)),
        .gcpTDX(.init(quote: [4], eventLog: events), tpmQuote: tpmQuote),
        .nitroEnclave(document: [0xD2, 0x84]),
        .sevSNP(.init(report: [3, 0xFF], certificateChain: [[1], [], [0x80]], mrConfig: "{}")),
        .awsNitroTPM(document: []),
    ].map { (platform: Attestation.Platform) in
        Attestation(
            platform: platform, runtimeEvents: [RuntimeEvent(name: "app-id", payload: [1, 2, 200])],
            reportData: ReportData(FixedBytes(repeating: 0x99)), config: "{\"a\":\"é\"}")
    }

    // MARK: Vectors

    @Test("the recorded attestation of version 0 goes round", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func version0() throws {
        let bytes = try Vectors.read(Self.simulator)
        #expect(bytes.count == 9504)
        let attestation = try Attestation(decoding: bytes)
        #expect(try attestation.encoded(as: .v0) == bytes)
        #expect(attestation.encoded.form == .v0 && attestation.encoded.bytes == bytes)

        let expected = try Vectors.json("guest-agent/attestation.decoded.json")
        #expect(attestation.platform.variant == "dstack-tdx" && attestation.reportDataPayload == nil)
        #expect(attestation.quote == (try expected.member("quote").hexBytes()))
        #expect(attestation.quote?.count == 5010)
        #expect(attestation.reportData.bytes.isZero)
        #expect(attestation.config == (try expected.member("config").string()) && attestation.config.utf8.count == 553)
        #expect(attestation.eventLog?.json == (try expected.member("get_quote_event_log_simulator").string()))
        let events = try expected.member("runtime_events").array().map { node in
            RuntimeEvent(name: try node.member("event").string(), payload: try node.member("payload").hexBytes())
        }
        #expect(attestation.runtimeEvents == events && events.count == 9)
        #expect(try #require(attestation.parsedQuote().body.tdReport).rtmrs == attestation.eventLog?.replay().registers)
        let replayed = try #require(try attestation.eventLog?.replay())
        #expect(RTMR.allCases.map { replayed.eventCount(of: $0) } == [17, 5, 2, 9])
    }

    @Test(
        "version 1 of the same attestation decodes to an equal value and is written as the same bytes",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func version1() throws {
        let bytes = try Vectors.read(Self.derived)
        #expect(bytes.count == 11_479)
        let attestation = try Attestation(decoding: bytes)
        #expect(attestation == (try Attestation(decoding: Vectors.read(Self.simulator))))
        #expect(try attestation.encoded(as: .v1) == bytes)
        #expect(try attestation.encoded(as: .v0) == Vectors.read(Self.simulator))
    }

    @Test(
        "every truncation of both is refused", .enabled(if: Vectors.areAvailable, Vectors.absence),
        arguments: [simulator, derived])
    func truncations(file: String) throws {
        let bytes = try Vectors.read(file)
        // Every length near an end, and a sample of the others.
        for count in 0..<bytes.count where count < 200 || count > bytes.count - 150 || count % 97 == 0 {
            #expect(throws: AttestationError.self) { try Attestation(decoding: Array(bytes[..<count])) }
        }
        let error = #expect(throws: AttestationError.self) { try Attestation(decoding: bytes + [0]) }
        #expect(error?.reason == "1 byte left over")
    }

    @Test(
        "attestations of made-up certificate requests have upstream's form",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func certificateRequests() throws {
        for row in try Vectors.json("keys/csr.json").member("cases").elements {
            guard let bytes = try row.optionalMember("attestation_v0")?.hexBytes() else { continue }
            let attestation = try Attestation(decoding: bytes)
            #expect(try attestation.encoded(as: .v0) == bytes)
            #expect(attestation.reportData.hex == (try row.member("report_data").string()))
            #expect(attestation.quote == (try row.member("quote").hexBytes()))
            #expect(attestation.config == (try row.member("vm_config").string()))
            let logged = attestation.tdxEvidence?.eventLog.events ?? []
            let expected = try row.member("tdx_events").array().map { $0 }
            #expect(logged.count == expected.count)
            for (event, row) in zip(logged, expected) {
                #expect(UInt32(event.register.rawValue) == (try row.member("imr").integer(UInt32.self)))
                #expect(event.type.rawValue == (try row.member("type").integer(UInt32.self)))
                #expect(event.digest?.hex == (try row.member("digest").string()))
                #expect(event.name == (try row.member("event").string()))
                #expect(event.payload == (try row.member("payload").hexBytes()))
            }
            let runtime = try row.member("runtime_events").array().map { $0 }
            #expect(attestation.runtimeEvents.count == runtime.count)
            for (event, row) in zip(attestation.runtimeEvents, runtime) {
                #expect(event.name == (try row.member("event").string()))
                #expect(event.payload == (try row.member("payload").hexBytes()))
            }
        }
    }

    // MARK: Both forms

    @Test("every platform goes round in both forms, and forms convert into each other", arguments: everyPlatform)
    func roundTrip(attestation: Attestation) throws {
        for form in Attestation.WireForm.allCases {
            let bytes = try attestation.encoded(as: form)
            #expect(try Attestation.WireForm(detecting: bytes) == form)
            let decoded = try Attestation(decoding: bytes)
            #expect(decoded == attestation)
            #expect(try decoded.encoded(as: form) == bytes)
            #expect(throws: AttestationError.self) { try Attestation(decoding: bytes + [0]) }
            for count in 0..<bytes.count {
                #expect(throws: AttestationError.self) { try Attestation(decoding: Array(bytes[..<count])) }
            }
        }
    }

    @Test(
        "version 1 is written with byte vectors as integers, digests and payloads as binary data, in upstream's order")
    func layout() throws {
        let bytes = try Self.everyPlatform[0].encoded(as: .v1)
        let expected =
            "83a776657273696f6e01a8706c6174666f726d82a46b696e64a3746478a464617461" + "82a571756f7465" + "940400ccc8cc80"
            + "a96576656e745f6c6f6792" + "85a3696d7200aa6576656e745f7479706504a6646967657374c430"
            + String(repeating: "07", count: 48) + "a56576656e74a0ad6576656e745f7061796c6f6164c40101" + "85a3696d7203"
        #expect(Hex.encode(bytes).hasPrefix(expected))
    }

    @Test("what version 0 has no place for is refused there, kept in version 1, and chosen by itself")
    func notRepresentable() throws {
        var pod = Self.everyPlatform[0]
        pod.reportDataPayload = "hello"
        var newRuntimeEvent = Self.everyPlatform[0]
        newRuntimeEvent.runtimeEvents.append(RuntimeEvent(name: "x", payload: [], version: .v2))
        var newEvent = Self.everyPlatform[0]
        var events = Self.events
        var event = LoggedEvent(RuntimeEvent(name: "x", payload: [], version: .v2))
        event.preimage = event.runtimeEvent?.preimage
        events.events.append(event)
        newEvent.platform = .tdx(.init(quote: [], eventLog: events))
        for attestation in [pod, newRuntimeEvent, newEvent] {
            let error = #expect(throws: AttestationError.self) { try attestation.encoded(as: .v0) }
            #expect(error?.code == .notRepresentable)
            #expect(attestation.encoded.form == .v1)
            #expect(try Attestation(decoding: attestation.encoded.bytes) == attestation)
        }
    }

    @Test("a preimage is hexadecimal text in version 1, unlike digests and payloads; bytes are understood too")
    func preimages() throws {
        let runtimeEvent = RuntimeEvent(name: "x", payload: [0xAB], version: .v2)
        var attestation = Self.everyPlatform[0]
        attestation.platform = .tdx(
            .init(quote: [], eventLog: EventLog(runtimeEvents: [runtimeEvent]).withPreimages()))
        let bytes = try attestation.encoded(as: .v1)
        let text = #"{"name":"x","payload":"ab","type":134217729}"#
        #expect(runtimeEvent.preimage == Array(text.utf8))
        // "preimage" and a text of 88 characters.
        let member = "a8" + Hex.encode(Array("preimage".utf8))
        let asText = member + "d958" + Hex.encode(Array(Hex.encode(Array(text.utf8)).utf8))
        #expect(Hex.encode(bytes).contains(asText))
        #expect(try Attestation(decoding: bytes) == attestation)
        for (other, isSame) in [
            (member + "c42c" + Hex.encode(Array(text.utf8)), true), (member + "c0", false), (member + "a0", false),
        ] {
            let changed = try Hex.decode(
                Hex.encode(bytes).replacingOccurrences(of: asText, with: other), subject: "attestation")
            #expect((try Attestation(decoding: changed) == attestation) == isSame)
        }
        for wrong in ["a17b", "a27a7a", "05"] {
            let changed = try Hex.decode(
                Hex.encode(bytes).replacingOccurrences(of: asText, with: member + wrong), subject: "attestation")
            #expect(throws: AttestationError.self, "\(wrong)") { try Attestation(decoding: changed) }
        }
    }

    @Test("the form is detected by the first byte")
    func detection() throws {
        #expect(try Attestation.WireForm(detecting: [0]) == .v0)
        for first in [0x80, 0x8F, 0xDE, 0xDF] as [UInt8] {
            #expect(try Attestation.WireForm(detecting: [first]) == .v1)
        }
        for bytes in [[], [0x01], [0x7B], [0x90], [0xDD]] as [[UInt8]] {
            #expect(throws: AttestationError.self) { try Attestation(decoding: bytes) }
        }
        let tooLong = [UInt8](repeating: 0, count: Attestation.maximumByteCount + 1)
        #expect(throws: AttestationError.self) { try Attestation(decoding: tooLong) }
    }

    @Test(
        "a legacy quote and log become an attestation with the quote's report data and the log's events",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func legacy() throws {
        let recorded = try Attestation(decoding: Vectors.read(Self.simulator))
        let log = try #require(recorded.eventLog)
        let made = try Attestation(quote: try #require(recorded.quote), eventLog: log, config: recorded.config)
        #expect(made == recorded)
        #expect(throws: AttestationError.self) {
            try Attestation(quote: Vectors.read("attestation/sgx_quote"), eventLog: log)
        }
        #expect(throws: AttestationError.self) { try Attestation(quote: [1], eventLog: log) }
        let small = recorded.stripped()
        #expect(small.eventLog == log.stripped() && small.quote == recorded.quote)
    }

    // MARK: Version 1, read liberally

    /// A version 1 attestation put together from parts, so that a test can bend one of them.
    static func bent(
        version: (inout MessagePackWriter) -> Void = { $0.unsigned(1) },
        platformKind: String = "tdx", dataFirst: Bool = false, reportData: Int = 64, binaryReportData: Bool = false,
        digest: Int = 48, imr: UInt64 = 0, extra: Bool = false, positional: Bool = false, duplicate: Bool = false,
        leavesOut: String = ""
    ) -> [UInt8] {
        var writer = MessagePackWriter()
        func name(_ name: String) { if !positional { writer.string(name) } }
        func head(_ names: [String]) {
            let count = names.filter { $0 != leavesOut }.count + (extra ? 1 : 0)
            if positional { writer.array(count) } else { writer.map(count) }
            if extra, !positional {
                writer.string("future")
                writer.array(1)
                writer.map(1)
                writer.null()
                writer.binary([1])
            }
        }
        func tail() { if extra, positional { writer.bool(true) } }
        func event() {
            head(["imr", "event_type", "digest", "event", "event_payload"])
            for (field, write) in [
                ("imr", { writer.unsigned(imr) }), ("event_type", { writer.unsigned(4) }),
                ("digest", { writer.binary([UInt8](repeating: 7, count: digest)) }), ("event", { writer.string("") }),
                ("event_payload", { writer.binary([1]) }),
            ] as [(String, () -> Void)] where field != leavesOut {
                name(field)
                write()
            }
            tail()
        }
        func data() {
            name("data")
            head(["quote", "event_log"])
            if leavesOut != "quote" {
                name("quote")
                writer.integers([4, 0, 200, 0x80])
            }
            name("event_log")
            writer.array(1)
            event()
            tail()
        }
        writer.map(duplicate ? 4 : 3)
        if duplicate {
            writer.string("version")
            writer.unsigned(1)
        }
        writer.string("version")
        version(&writer)
        writer.string("platform")
        head(["kind", "data"])
        if dataFirst { data() }
        name("kind")
        writer.string(platformKind)
        if !dataFirst { data() }
        tail()
        writer.string("stack")
        head(["kind", "data"])
        name("kind")
        writer.string("dstack")
        name("data")
        head(["report_data", "runtime_events", "config"])
        name("report_data")
        let bytes = [UInt8](repeating: 0x99, count: reportData)
        if binaryReportData { writer.binary(bytes) } else { writer.integers(bytes) }
        name("runtime_events")
        writer.array(0)
        if leavesOut != "config" {
            name("config")
            writer.string("{}")
        }
        tail()
        tail()
        return writer.bytes
    }

    @Test("other orders, unknown members, positional structures and binary data are read as the same attestation")
    func liberal() throws {
        let plain = try Attestation(decoding: Self.bent())
        #expect(try plain.encoded(as: .v1) == Self.bent())
        #expect(plain.eventLog?.events.first?.digest == FixedBytes(repeating: 7))
        for bytes in [
            Self.bent(dataFirst: true), Self.bent(binaryReportData: true), Self.bent(extra: true),
            Self.bent(positional: true),
        ] {
            #expect(try Attestation(decoding: bytes) == plain)
        }
        let blank = try Attestation(decoding: Self.bent(leavesOut: "digest"))
        #expect(try blank == Attestation(decoding: Self.bent(digest: 0)) && blank.eventLog?.events.first?.digest == nil)
    }

    @Test("an unknown version is refused as upstream words it")
    func version() {
        let error = #expect(throws: AttestationError.self) {
            try Attestation(decoding: Self.bent(version: { $0.unsigned(2) }))
        }
        #expect(error?.reason == "unsupported attestation version: expected 1, got 2")
    }

    @Test("wrong values, missing members and members that occur twice are refused")
    func wrong() {
        for (name, bytes) in [
            ("63 bytes of report data", Self.bent(reportData: 63)), ("65 bytes", Self.bent(reportData: 65)),
            ("unknown platform", Self.bent(platformKind: "sgx")), ("register 4", Self.bent(imr: 4)),
            ("register 2^40", Self.bent(imr: 1 << 40)), ("digest of 32 bytes", Self.bent(digest: 32)),
            ("version twice", Self.bent(duplicate: true)), ("no quote", Self.bent(leavesOut: "quote")),
            ("no config", Self.bent(leavesOut: "config")), ("no imr", Self.bent(leavesOut: "imr")),
            ("other platform's members", Self.bent(platformKind: "gcp-tdx")),
            ("a string as version", Self.bent(version: { $0.string("1") })),
        ] {
            let error = #expect(throws: AttestationError.self, "\(name)") { try Attestation(decoding: bytes) }
            #expect(error?.code == .invalidEnvelope, "\(name)")
        }
    }

    @Test("version 0 refuses other versions, platforms, registers and digests of other lengths")
    func wrongScale() throws {
        let good = try Self.everyPlatform[0].encoded(as: .v0)
        // Version, platform, quote length, imr, digest length.
        for (offset, value) in [(1, 5), (2, 0x0C), (8, 4), (16, 47 << 2), (9, 1)] as [(Int, UInt8)] {
            var bytes = good
            bytes[offset] = value
            #expect(throws: AttestationError.self, "\(offset)") { try Attestation(decoding: bytes) }
        }
    }

    @Test("mutated attestations never trap, and what is accepted goes round", arguments: Attestation.WireForm.allCases)
    func mutations(form: Attestation.WireForm) throws {
        var random = SeededGenerator(seed: form == .v0 ? 0xA0 : 0xA1)
        var accepted = 0
        for _ in SeededGenerator.rounds(2500) {
            let seed = try #require(Self.everyPlatform.randomElement(using: &random)).encoded(as: form)
            let bytes = random.mutated(seed)
            guard let attestation = try? Attestation(decoding: bytes) else { continue }
            accepted += 1
            let again = try attestation.encoded(as: .v1)
            if try Attestation(decoding: again) != attestation {
                Issue.record("does not go round: \(Hex.encode(bytes))")
            }
            if form == .v0, bytes.first == 0, try attestation.encoded(as: .v0) != bytes {
                Issue.record("not the same bytes: \(Hex.encode(bytes))")
            }
            _ = try? attestation.eventLog?.replay()
        }
        #expect(accepted > 100)
    }
}
